package simulate

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/outcome"
)

// panel is one figure of every policy, as bars.
type panel struct {
	title  string
	number func(*outcome.Figures) float64
	words  func(float64) string
}

// The measures of a chart, in pixels of its own coordinates.
const (
	chartWidth = 760
	labelWidth = 250
	valueWidth = 90
	barHeight  = 16
	barGap     = 6
	panelHead  = 34
)

// draw draws the figures as bars, a panel for each figure. Less is better but for
// the last two.
func draw(w io.Writer, r *report) error {
	panels := []panel{
		{"mean bounded slowdown", func(f *outcome.Figures) float64 { return f.Slowdown.Mean }, plain},
		{"bounded slowdown that 1 % exceed", func(f *outcome.Figures) float64 { return f.Slowdown.P99 }, plain},
		{"mean wait", func(f *outcome.Figures) float64 { return f.Wait.Mean }, short},
		{"longest wait", func(f *outcome.Figures) float64 { return f.Wait.Max }, short},
		{"share of the processors that worked (more is better)", func(f *outcome.Figures) float64 { return f.Utilisation }, percent},
		{"fairness among users, Jain's index (more is better)", func(f *outcome.Figures) float64 { return f.Fairness }, plain},
	}
	height := panelHead + len(panels)*(panelHead+len(r.Results)*(barHeight+barGap))
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", chartWidth, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n", escape(r.Workload))
	fmt.Fprintf(&b, `<text x="12" y="24" font-size="14" font-weight="bold">%s: %d jobs, a load of %.2f</text>`+"\n", escape(r.Workload), r.Jobs, r.Load)
	y := panelHead
	for _, p := range panels {
		y = p.draw(&b, r, y)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// draw draws a panel from y on, and returns where the next begins.
func (p *panel) draw(b *strings.Builder, r *report, y int) int {
	fmt.Fprintf(b, `<text x="12" y="%d" fill="#555">%s</text>`+"\n", y+24, p.title)
	y += panelHead
	most := 0.0
	for i := range r.Results {
		most = max(most, p.number(&r.Results[i].Figures))
	}
	for i := range r.Results {
		v := p.number(&r.Results[i].Figures)
		width := 0.0
		if most > 0 {
			width = v / most * (chartWidth - labelWidth - valueWidth)
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, y+12, escape(clip(r.Results[i].Policy)))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, labelWidth, y, max(width, 1), barHeight, colours[i%len(colours)])
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", labelWidth+max(width, 1)+6, y+12, p.words(v))
		y += barHeight + barGap
	}
	return y
}

// colours can be told apart by those who see few (Okabe and Ito, 2008).
var colours = [...]string{"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8a8a"}

func plain(x float64) string   { return fmt.Sprintf("%.2f", x) }
func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

// clip keeps a policy's name within its column.
func clip(s string) string {
	const most = 38
	if len(s) > most {
		return s[:most-1] + "…"
	}
	return s
}

func escape(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return ""
	}
	return b.String()
}
