package figure

import (
	"encoding/json"
	"math"
	"slices"
	"time"
)

// Format is the version of the JSON document; it rises when a field changes its meaning
// or goes away.
const Format = 1

// Run says what the figures were measured with.
type Run struct {
	Began time.Time     `json:"began"`
	Took  time.Duration `json:"-"`
	// Version is Reeve's, Machine and Settings are words for people.
	Version  string   `json:"version"`
	Machine  string   `json:"machine"`
	Settings []string `json:"settings"`
	// Runs is how often each figure was measured, Scale what multiplied the number of jobs.
	Runs  int     `json:"runs"`
	Scale float64 `json:"scale"`
}

type document struct {
	Format int `json:"format"`
	Run
	TookSeconds float64   `json:"took_seconds"`
	Figures     []summary `json:"figures"`
	Ratios      []Ratio   `json:"ratios"`
	Missing     []Missing `json:"not_measured"`
}

// summary is a figure with what readers would compute from it.
type summary struct {
	Figure
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

// JSON is everything as one document.
func (s *Set) JSON(r Run) ([]byte, error) {
	d := document{Format, r, math.Round(r.Took.Seconds()), []summary{}, []Ratio{}, s.Missing}
	var seen []string
	for _, f := range s.Figures {
		digits(f.Runs)
		d.Figures = append(d.Figures, summary{*f, f.Runs.Median(), slices.Min(f.Runs), slices.Max(f.Runs)})
		if !slices.Contains(seen, f.Workload) {
			seen = append(seen, f.Workload)
			ratios := s.Ratios(f.Workload)
			for i := range ratios {
				ratios[i].Times = round(ratios[i].Times)
			}
			d.Ratios = append(d.Ratios, ratios...)
		}
	}
	if d.Missing == nil {
		d.Missing = []Missing{}
	}
	text, err := json.MarshalIndent(d, "", " ")
	return append(text, '\n'), err
}

// digits leaves as many as a measurement has.
func digits(runs Runs) {
	for i, v := range runs {
		runs[i] = round(v)
	}
}

func round(v float64) float64 {
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-4)
	// Dividing by a whole power keeps 0.1 from becoming 0.1000000001.
	if unit < 1 {
		unit = math.Round(1 / unit)
		return math.Round(v*unit) / unit
	}
	return math.Round(v/unit) * unit
}
