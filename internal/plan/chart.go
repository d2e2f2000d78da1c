package plan

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
)

// chart is a label that companies look at, and its values: workers have marks by it, so that those with certain
// values are found without a look at the others. Values share marks when there are many.
type chart struct {
	by      string
	numbers map[string]int
	values  []string
	// companies is how many look at it.
	companies int
}

const (
	// maxCharts bounds the labels of which there are charts.
	maxCharts = 8
	// maxValues is how many values a label may have for its chart to be of use: all are gone through for each
	// that is placed.
	maxValues = 256
	marks     = 64
)

// tooMany reports whether there are too many values, of which no more are taken in then.
func (c *chart) tooMany() bool { return len(c.values) > maxValues }

// charted is the workers of a profile on a chart.
type charted struct {
	*chart
	marks tournament.Marks
}

// enter puts a worker on the chart.
func (c *charted) enter(w *worker) {
	value := w.at(c.by).value
	number, known := c.numbers[value]
	if !known && !c.tooMany() {
		number = len(c.values)
		c.numbers[value] = number
		c.values = append(c.values, value)
	}
	c.marks.Set(w.leaf, 1<<(number%marks))
}

// chartOf finds or makes the chart of a label, nil for none: workers themselves have none, and there are only so
// many. One that nobody looks at any more makes room.
func (x *Index) chartOf(by string) *chart {
	if by == job.AtWorker {
		return nil
	}
	at := slices.IndexFunc(x.charts, func(c *chart) bool { return c.by == by })
	if at >= 0 {
		return x.charts[at]
	}
	if len(x.charts) == maxCharts {
		idle := slices.IndexFunc(x.charts, func(c *chart) bool { return c.companies == 0 })
		if idle < 0 {
			return nil
		}
		old := x.charts[idle]
		x.charts = slices.Delete(x.charts, idle, idle+1)
		for _, p := range x.profileList {
			p.charts = slices.DeleteFunc(p.charts, func(c *charted) bool { return c.chart == old })
		}
	}
	c := &chart{by: by, numbers: map[string]int{}}
	x.charts = append(x.charts, c)
	for _, p := range x.profileList {
		p.drawOn(c)
	}
	return c
}

// drawOn puts the workers of a profile on a chart.
func (p *profile) drawOn(c *chart) {
	on := &charted{chart: c}
	p.charts = append(p.charts, on)
	for leaf, w := range p.workers {
		if w != nil {
			on.enter(w)
		} else {
			on.marks.Set(int32(leaf), 0) // the trees have room for it
		}
	}
}

// filter leaves out of a profile's workers those that are where too many of a company are: more than so many. It
// is none where there is no chart.
func (m *company) filter(p *profile, most int) (f tournament.Filter) {
	if m == nil || m.chart == nil || m.chart.tooMany() {
		return f
	}
	at := slices.IndexFunc(p.charts, func(c *charted) bool { return c.chart == m.chart })
	f.Marks = &p.charts[at].marks
	for i, value := range m.chart.values {
		if m.counts[domain{value: value}] <= most {
			f.Any |= 1 << (i % marks)
		}
	}
	return f
}
