package figure

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// Panel is one group of bars of a chart: a metric of a case, a bar for each system.
type Panel struct{ Title, Workload, Case, Metric string }

// Sizes of a chart, in units of its own.
const (
	chartWidth = 840
	barsFrom   = 300
	barsWide   = 400
	barHigh    = 16
	barStep    = 24
	panelHead  = 40
	margin     = 16
)

// style is readable on light and dark ground: the text takes the colour that the reader's
// system prefers, the bars are between the two.
const style = `<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.peer { fill: #8b96a5 }
.reeve { fill: #2f81f7 }
.limit { fill: none; stroke: #8b96a5; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
</style>
`

// Chart draws panels as SVG, one below the other, the best system first. Panels without
// figures are left out.
func (s *Set) Chart(panels []Panel) []byte {
	var body strings.Builder
	y := margin
	for _, p := range panels {
		bars := s.bars(p)
		if len(bars) == 0 {
			continue
		}
		fmt.Fprintf(&body, "<text class=\"title\" x=\"%d\" y=\"%d\">%s</text>\n", margin, y+16, html.EscapeString(p.Title))
		y += panelHead
		most := longest(bars)
		for _, f := range bars {
			label := f.System
			if f.Durability != "" {
				label += " (" + f.Durability + ")"
			}
			wide, beyond := max(f.Runs.Median()/most*barsWide, 1), ""
			if wide > barsWide {
				wide, beyond = barsWide, " →"
			}
			fmt.Fprintf(&body, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", barsFrom-8, y+13, html.EscapeString(label))
			fmt.Fprintf(&body, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>\n", f.Kind, barsFrom, y, wide, barHigh)
			fmt.Fprintf(&body, "<text x=\"%.1f\" y=\"%d\">%s %s%s</text>\n", barsFrom+wide+8, y+13, spell(f.Runs.Median(), f.Unit), html.EscapeString(f.Unit), beyond)
			y += barStep
		}
		y += margin
	}
	head := fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n", chartWidth, y, chartWidth, y)
	return []byte(head + style + body.String() + "</svg>\n")
}

// longest is what the longest bar shows. A limit that no system comes near would leave
// them too little room; its bar ends where the longest of theirs does.
func longest(bars []*Figure) float64 {
	systems, limits := 0.0, 0.0
	for _, f := range bars {
		if f.Kind == Limit {
			limits = max(limits, f.Runs.Median())
		} else {
			systems = max(systems, f.Runs.Median())
		}
	}
	if systems == 0 {
		return limits
	}
	return systems
}

// bars are the figures of a panel, the best first.
func (s *Set) bars(p Panel) []*Figure {
	var out []*Figure
	for _, f := range s.of(p.Workload) {
		if f.Case == p.Case && f.Metric == p.Metric && f.Runs.Median() > 0 {
			out = append(out, f)
		}
	}
	slices.SortStableFunc(out, func(a, b *Figure) int {
		if more(a.Unit) {
			a, b = b, a
		}
		return sign(a.Runs.Median() - b.Runs.Median())
	})
	return out
}

func sign(v float64) int {
	switch {
	case v < 0:
		return -1
	case v > 0:
		return 1
	}
	return 0
}
