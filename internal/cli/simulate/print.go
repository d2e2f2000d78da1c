package simulate

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/outcome"
	"github.com/reeve-scheduler/reeve/internal/workload"
)

// report is what the command has to say. Its JSON is for programs.
type report struct {
	Workload   string  `json:"workload"`
	Jobs       int     `json:"jobs"`
	Processors float64 `json:"processors"`
	// Load is the work as a share of what the processors can do until the last submit.
	Load    float64  `json:"load"`
	Told    []string `json:"decisions,omitempty"`
	Results []result `json:"results"`
}

// result is how a policy fared: in the mean of its windows, if there are any.
type result struct {
	Policy string `json:"policy"`
	outcome.Figures
	Windows []window `json:"windows,omitempty"`
	all     []outcome.Figures
}

type window struct {
	At int `json:"at"`
	outcome.Figures
}

// print says it in the ways that were asked for.
func (o *options) print(r *report) error {
	if !o.Quiet && !o.Structured() {
		fmt.Fprintf(o.Err, "%s: %d jobs on %s processors, a load of %.2f\n", r.Workload, r.Jobs, strconv.FormatFloat(r.Processors, 'f', -1, 64), r.Load)
		for _, line := range r.Told {
			fmt.Fprintf(o.Err, "  %s\n", line)
		}
	}
	if o.chart != "" {
		if err := save(o.chart, func(w io.Writer) error { return draw(w, r) }); err != nil {
			return err
		}
	}
	if o.csv != "" {
		write := func(w io.Writer) error { return writeCSV(w, r) }
		if o.csv == "-" {
			return write(o.Out)
		}
		if err := save(o.csv, write); err != nil {
			return err
		}
	}
	switch {
	case o.Structured():
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return o.Raw(b)
	case o.Quiet:
		for i := range r.Results {
			fmt.Fprintf(o.Out, "%.2f\n", r.Results[i].Slowdown.Mean)
		}
		return nil
	}
	return o.table(r)
}

// save writes a file, and leaves none behind that is not whole.
func save(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	if err := errors.Join(write(w), w.Flush(), f.Close()); err != nil {
		os.Remove(path)
		return err
	}
	return nil
}

func (o *options) writeSWF(t *workload.Trace, r *outcome.Run) error {
	ran := &workload.Trace{Procs: r.Capacity, Start: t.Start}
	var start []int64
	for i := range t.Jobs {
		if r.Start[i] != outcome.Never {
			ran.Jobs, start = append(ran.Jobs, t.Jobs[i]), append(start, r.Start[i])
		}
	}
	return save(o.swf, func(w io.Writer) error { return workload.WriteSWF(w, ran, start) })
}

// column is a figure, in words for people and as a number for programs.
type column struct {
	head, name string
	number     func(*outcome.Figures) float64
	words      func(float64) string
	// wide is only for the wide table, has says whether any policy has it.
	wide bool
	has  func(*outcome.Figures) bool
}

func columns() []column {
	always := func(*outcome.Figures) bool { return true }
	number := func(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) }
	count := func(x float64) string { return strconv.FormatFloat(x, 'f', 0, 64) }
	share := func(x float64) string { return fmt.Sprintf("%.1f%%", 100*x) }
	deadlines := func(f *outcome.Figures) bool { return f.Deadlines > 0 }
	priced := func(f *outcome.Figures) bool { return f.CostOfAll > 0 }
	return []column{
		{"JOBS", "jobs", func(f *outcome.Figures) float64 { return float64(f.Jobs) }, count, true, always},
		{"UNSTARTED", "unstarted", func(f *outcome.Figures) float64 { return float64(f.Unstarted) }, count, false, func(f *outcome.Figures) bool { return f.Unstarted > 0 }},
		{"SLOWDOWN", "slowdown_mean", func(f *outcome.Figures) float64 { return f.Slowdown.Mean }, number, false, always},
		{"P50", "slowdown_p50", func(f *outcome.Figures) float64 { return f.Slowdown.Median }, number, true, always},
		{"P90", "slowdown_p90", func(f *outcome.Figures) float64 { return f.Slowdown.P90 }, number, true, always},
		{"P99", "slowdown_p99", func(f *outcome.Figures) float64 { return f.Slowdown.P99 }, number, false, always},
		{"MAX", "slowdown_max", func(f *outcome.Figures) float64 { return f.Slowdown.Max }, number, true, always},
		{"WAIT", "wait_mean", func(f *outcome.Figures) float64 { return f.Wait.Mean }, short, false, always},
		{"P50", "wait_p50", func(f *outcome.Figures) float64 { return f.Wait.Median }, short, true, always},
		{"P90", "wait_p90", func(f *outcome.Figures) float64 { return f.Wait.P90 }, short, true, always},
		{"P99", "wait_p99", func(f *outcome.Figures) float64 { return f.Wait.P99 }, short, false, always},
		{"MAX", "wait_max", func(f *outcome.Figures) float64 { return f.Wait.Max }, short, false, always},
		{"USED", "utilisation", func(f *outcome.Figures) float64 { return f.Utilisation }, share, false, always},
		{"MAKESPAN", "makespan", func(f *outcome.Figures) float64 { return f.Makespan }, short, true, always},
		{"USERS", "users", func(f *outcome.Figures) float64 { return float64(f.Users) }, count, true, always},
		{"FAIR", "fairness", func(f *outcome.Figures) float64 { return f.Fairness }, number, false, func(f *outcome.Figures) bool { return f.Users > 1 }},
		{"WORST", "worst_user", func(f *outcome.Figures) float64 { return f.WorstUser }, number, true, func(f *outcome.Figures) bool { return f.Users > 1 }},
		{"DEADLINES", "deadlines", func(f *outcome.Figures) float64 { return float64(f.Deadlines) }, count, true, deadlines},
		{"MISSED", "missed", func(f *outcome.Figures) float64 { return float64(f.Missed) }, count, false, deadlines},
		{"LATE", "late", func(f *outcome.Figures) float64 { return f.Late }, short, true, deadlines},
		{"COST", "cost", func(f *outcome.Figures) float64 { return f.Cost }, number, false, priced},
		{"COST OF ALL", "cost_of_all", func(f *outcome.Figures) float64 { return f.CostOfAll }, number, true, priced},
	}
}

// short writes seconds in the two largest units.
func short(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Truncate(time.Second)
	if seconds < 1 {
		d = time.Duration(seconds * float64(time.Second)).Truncate(time.Millisecond)
	}
	switch {
	case d >= 24*time.Hour:
		d = d.Truncate(time.Hour)
	case d >= time.Hour:
		d = d.Truncate(time.Minute)
	}
	return job.FormatDuration(d)
}

func (o *options) table(r *report) error {
	header := []string{"POLICY"}
	wide := o.Format == "wide"
	windows := wide && len(r.Results[0].Windows) > 0
	if windows {
		header = append(header, "WINDOW")
	}
	var shown []column
	for _, c := range columns() {
		has := slices.ContainsFunc(r.Results, func(x result) bool { return c.has(&x.Figures) })
		if has && (wide || !c.wide) {
			shown = append(shown, c)
			header = append(header, c.head)
		}
	}
	var rows [][]string
	add := func(policy, at string, f *outcome.Figures) {
		row := []string{policy}
		if windows {
			row = append(row, at)
		}
		for _, c := range shown {
			row = append(row, c.words(c.number(f)))
		}
		rows = append(rows, row)
	}
	for i := range r.Results {
		x := &r.Results[i]
		for k := range x.Windows {
			if windows {
				add(x.Policy, strconv.Itoa(x.Windows[k].At), &x.Windows[k].Figures)
			}
		}
		add(x.Policy, "mean", &x.Figures)
	}
	return o.Table(header, rows)
}

// writeCSV writes every figure of every window, and the means.
func writeCSV(w io.Writer, r *report) error {
	out := csv.NewWriter(w)
	header := []string{"policy", "window"}
	for _, c := range columns() {
		header = append(header, c.name)
	}
	rows := [][]string{header}
	add := func(policy, at string, f *outcome.Figures) {
		row := []string{policy, at}
		for _, c := range columns() {
			row = append(row, strings.TrimSuffix(strconv.FormatFloat(c.number(f), 'f', -1, 64), ".0"))
		}
		rows = append(rows, row)
	}
	for i := range r.Results {
		x := &r.Results[i]
		for k := range x.Windows {
			add(x.Policy, strconv.Itoa(x.Windows[k].At), &x.Windows[k].Figures)
		}
		add(x.Policy, "", &x.Figures)
	}
	return out.WriteAll(rows)
}
