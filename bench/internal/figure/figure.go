// Package figure keeps what was measured: each value once, with what it is a value of,
// and from there every form in which people and programs read it.
package figure

import (
	"slices"
	"strings"
	"time"
)

// Kind says what a row of figures is of.
type Kind string

// Kinds. A limit is what the machine can do at best, without a scheduler.
const (
	Reeve Kind = "reeve"
	Peer  Kind = "peer"
	Limit Kind = "limit"
)

// Durable names the strongest promise: what was acknowledged has been fsynced.
const Durable = "D2"

// Row is what the figures of one line of a table have in common.
type Row struct {
	// Workload is the section's short name, W1. Case tells apart what is measured in it:
	// "submit alone".
	Workload string `json:"workload"`
	Case     string `json:"case,omitempty"`
	Kind     Kind   `json:"kind"`
	System   string `json:"system"`
	// Durability is Durable, or in words how much of what was acknowledged a power loss
	// can take: "1 s". Empty where nothing is acknowledged.
	Durability string `json:"durability,omitempty"`
}

// Figure is one measured value over the runs.
type Figure struct {
	Row
	Metric string `json:"metric"`
	// Unit also says which way is better: of what ends in /s there is to be much, of
	// everything else little. "jobs" only counts.
	Unit string `json:"unit"`
	// Cost is what the first figure of the row took: processor time, bytes, memory.
	Cost bool `json:"cost,omitempty"`
	Runs Runs `json:"runs"`
}

// Runs are the values of one figure, in the order in which they were measured.
type Runs []float64

// Median is the middle value, the upper one of two; 0 of none.
func (r Runs) Median() float64 {
	if len(r) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(r))[len(r)/2]
}

// Quantile is the smallest value that is not less than a share of all.
func Quantile(all []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// Missing is a system that was not measured, and why.
type Missing struct {
	Workload string `json:"workload"`
	System   string `json:"system"`
	Reason   string `json:"reason"`
}

// Set is all figures of a run of the program, in order of their first value. It is used
// by one goroutine at a time.
type Set struct {
	Figures []*Figure
	Missing []Missing
}

// Add takes a value of what a row is about.
func (s *Set) Add(r Row, metric, unit string, v float64) { s.add(r, metric, unit, false, v) }

// Cost takes a value of what that took.
func (s *Set) Cost(r Row, metric, unit string, v float64) { s.add(r, metric, unit, true, v) }

func (s *Set) add(r Row, metric, unit string, cost bool, v float64) {
	for _, f := range s.Figures {
		if f.Row == r && f.Metric == metric && f.Unit == unit {
			f.Runs = append(f.Runs, v)
			return
		}
	}
	s.Figures = append(s.Figures, &Figure{r, metric, unit, cost, Runs{v}})
}

// Miss records that a system was not measured. The first reason of each is kept.
func (s *Set) Miss(workload, system, reason string) {
	if !s.Missed(workload, system) {
		s.Missing = append(s.Missing, Missing{workload, system, strings.Join(strings.Fields(reason), " ")})
	}
}

// Missed reports whether a system is known not to be measured.
func (s *Set) Missed(workload, system string) bool {
	return slices.ContainsFunc(s.Missing, func(m Missing) bool { return m.Workload == workload && m.System == system })
}

// of is the figures of a workload.
func (s *Set) of(workload string) []*Figure {
	var out []*Figure
	for _, f := range s.Figures {
		if f.Workload == workload {
			out = append(out, f)
		}
	}
	return out
}

// Ratio compares the first figure of a row with that of Reeve in the same case.
type Ratio struct {
	Row
	// Reeve is which of Reeve's ways it is compared with: "Reeve, PostgreSQL".
	Reeve  string `json:"reeve"`
	Metric string `json:"metric"`
	// Times says how often Reeve is as good: of a rate Reeve's by the row's, of a time the
	// row's by Reeve's.
	Times float64 `json:"times"`
	// Best marks the best of the peers that are as durable as Reeve.
	Best bool `json:"best_durable_peer,omitempty"`
}

// Ratios compares every row of peers and limits that has a figure with the metric and unit of
// the first that Reeve has in its case, for each of Reeve's ways.
func (s *Set) Ratios(workload string) (out []Ratio) {
	var ours []*Figure
	for _, f := range s.of(workload) {
		first := func(o *Figure) bool { return o.Row == f.Row }
		if f.Kind == Reeve && !f.Cost && !slices.ContainsFunc(ours, first) {
			ours = append(ours, f)
		}
	}
	for _, o := range ours {
		out = append(out, s.against(o)...)
	}
	return out
}

// against compares what stands beside a figure of Reeve with it.
func (s *Set) against(o *Figure) (out []Ratio) {
	best := -1
	for _, f := range s.of(o.Workload) {
		if f.Kind == Reeve || f.Case != o.Case || f.Metric != o.Metric || f.Unit != o.Unit {
			continue
		}
		a, b := o.Runs.Median(), f.Runs.Median()
		if !more(f.Unit) {
			a, b = b, a
		}
		if b == 0 {
			continue
		}
		out = append(out, Ratio{Row: f.Row, Reeve: o.System, Metric: f.Metric, Times: a / b})
		if f.Kind == Peer && f.Durability == Durable && (best < 0 || a/b < out[best].Times) {
			best = len(out) - 1
		}
	}
	if best >= 0 {
		out[best].Best = true
	}
	return out
}

// more reports whether more is better.
func more(unit string) bool { return strings.HasSuffix(unit, "/s") }
