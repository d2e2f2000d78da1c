package figure

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Markdown writes the tables of a workload: what was reached, what that took, and what
// was not measured.
func (s *Set) Markdown(to io.Writer, workload string) {
	all := s.of(workload)
	defer s.missing(to, workload)
	if !slices.ContainsFunc(all, func(f *Figure) bool { return f.Kind != Limit }) {
		list(to, all)
		return
	}
	var reached, took []*Figure
	for _, f := range all {
		if f.Cost {
			took = append(took, f)
		} else {
			reached = append(reached, f)
		}
	}
	pivot(to, reached, s.Ratios(workload), Runs.show)
	pivot(to, took, nil, func(r Runs, unit string) string { return spell(r.Median(), unit) })
}

func (s *Set) missing(to io.Writer, workload string) {
	for _, m := range s.Missing {
		if m.Workload == workload {
			fmt.Fprintf(to, "\n%s: not measured: %s.\n", m.System, strings.TrimSuffix(m.Reason, "."))
		}
	}
}

// Best writes a line for each case in which Reeve stands beside a peer that is as durable:
// the best of them.
func (s *Set) Best(to io.Writer) {
	var lines [][]string
	var seen []string
	for _, f := range s.Figures {
		if slices.Contains(seen, f.Workload) {
			continue
		}
		seen = append(seen, f.Workload)
		for _, r := range s.Ratios(f.Workload) {
			if r.Best {
				lines = append(lines, []string{r.Workload, r.Case, r.Metric, r.Reeve, short(r.Times) + " ×", r.System})
			}
		}
	}
	if len(lines) > 0 {
		fmt.Fprintln(to)
		table(to, []string{"", "what", "in", "", "is", "the best peer that is as durable"}, lines)
	}
}

// list writes a line for each figure.
func list(to io.Writer, figures []*Figure) {
	var lines [][]string
	for _, f := range figures {
		lines = append(lines, []string{f.System, f.Metric, f.Runs.show(f.Unit) + " " + f.Unit})
	}
	if len(lines) > 0 {
		fmt.Fprintln(to)
		table(to, []string{"what", "", "it reaches"}, lines)
	}
}

// pivot writes one table: a line for each row, a column for each metric and one for each of
// Reeve's ways that others are compared with.
func pivot(to io.Writer, figures []*Figure, ratios []Ratio, show func(Runs, string) string) {
	if len(figures) == 0 {
		return
	}
	var rows []Row
	var columns []string
	cell := map[Row]map[string]string{}
	last := map[Row]string{}
	for _, f := range figures {
		column := f.Metric
		if f.Unit != "" {
			column += ", " + f.Unit
		}
		if cell[f.Row] == nil {
			cell[f.Row] = map[string]string{}
			rows = append(rows, f.Row)
		}
		if !slices.Contains(columns, column) { // after the one before it in its row
			columns = slices.Insert(columns, slices.Index(columns, last[f.Row])+1, column)
		}
		last[f.Row] = column
		cell[f.Row][column] = show(f.Runs, f.Unit)
	}
	for _, r := range ratios {
		column := r.Reeve + " is"
		if !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
		cell[r.Row][column] = short(r.Times) + " ×"
	}
	rows = byCase(rows)
	cases := slices.ContainsFunc(rows, func(r Row) bool { return r.Case != "" })
	head := append([]string{"system", "durable"}, columns...)
	if cases {
		head = append([]string{"what"}, head...)
	}
	var lines [][]string
	for _, r := range rows {
		line := []string{name(r), r.Durability}
		if cases {
			line = append([]string{r.Case}, line...)
		}
		for _, c := range columns {
			line = append(line, cell[r][c])
		}
		lines = append(lines, line)
	}
	fmt.Fprintln(to)
	table(to, head, lines)
}

// byCase brings the rows of a case together, cases in order of their first row.
func byCase(rows []Row) []Row {
	var out []Row
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.Case] {
			continue
		}
		seen[r.Case] = true
		for _, o := range rows {
			if o.Case == r.Case {
				out = append(out, o)
			}
		}
	}
	return out
}

func name(r Row) string {
	switch r.Kind {
	case Reeve:
		return "**" + r.System + "**"
	case Limit:
		return "*" + r.System + "*"
	}
	return r.System
}

// table writes rows under a head, each column as wide as it must be.
func table(to io.Writer, head []string, rows [][]string) {
	all := append([][]string{head}, rows...)
	wide := make([]int, len(head))
	for _, row := range all {
		for i, cell := range row {
			wide[i] = max(wide[i], len([]rune(cell)))
		}
	}
	for n, row := range all {
		for i, cell := range row {
			fmt.Fprintf(to, "| %s%s ", cell, strings.Repeat(" ", wide[i]-len([]rune(cell))))
		}
		fmt.Fprintln(to, "|")
		if n > 0 {
			continue
		}
		for i := range row {
			fmt.Fprintf(to, "|%s", strings.Repeat("-", wide[i]+2))
		}
		fmt.Fprintln(to, "|")
	}
}

// show spells a figure as median [least..most].
func (r Runs) show(unit string) string {
	if len(r) < 2 {
		return spell(r.Median(), unit)
	}
	return fmt.Sprintf("%s [%s..%s]", spell(r.Median(), unit), spell(slices.Min(r), unit), spell(slices.Max(r), unit))
}

// spell writes a value as its unit is read: shares in percent, the rest with three digits
// or all before the point.
func spell(v float64, unit string) string {
	switch unit {
	case "share":
		return fmt.Sprintf("%.0f %%", 100*v)
	case "":
		return Whole(v)
	}
	return short(v)
}

func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95:
		return Whole(v)
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.0995 || a == 0:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.2g", v)
	}
}

// Whole spells a number without what stands behind the point, and with a comma before every
// three digits.
func Whole(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
