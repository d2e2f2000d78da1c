package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// report writes Markdown.
type report struct{ to io.Writer }

func (r *report) printf(format string, args ...any) { fmt.Fprintf(r.to, format, args...) }

// describe says what is measured and where.
func (b *bench) describe() error {
	p50, p99, err := syncTime(b.dir)
	if err != nil {
		return err
	}
	load, err := background(b.ctx)
	if err != nil {
		return err
	}
	b.out.printf("Machine: %s; fsync of 4 KiB: %s at the median, %s at p99. Others used %.0f %% of it before the run.\n",
		machine(), millis(p50), millis(p99), 100*load)
	b.out.printf("Settings: server, worker and client as processes of their own on loopback without TLS; every submit and every end "+
		"acknowledged after its fsync; a fresh data directory for each run; %d runs, median [least..most].\n", b.runs)
	return nil
}

// The report stands between these lines of a document.
const (
	beginMark = "<!-- begin of the figures: make bench -->"
	endMark   = "<!-- end of the figures -->"
)

// writeInto puts a report into a document in place of the one before.
func writeInto(name, text string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	head, rest, begins := strings.Cut(string(old), beginMark+"\n")
	_, tail, ends := strings.Cut(rest, endMark+"\n")
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q to write between", name, beginMark, endMark)
	}
	return os.WriteFile(name, []byte(head+beginMark+"\n"+text+endMark+"\n"+tail), 0o644)
}

// table prints rows under a head, each column as wide as it must be.
func (r *report) table(head []string, rows [][]string) {
	all := append([][]string{head}, rows...)
	wide := make([]int, len(head))
	for _, row := range all {
		for i, cell := range row {
			wide[i] = max(wide[i], len([]rune(cell)))
		}
	}
	for n, row := range all {
		for i, cell := range row {
			r.printf("| %s%s ", cell, strings.Repeat(" ", wide[i]-len([]rune(cell))))
		}
		r.printf("|\n")
		if n == 0 {
			for i := range row {
				r.printf("|%s", strings.Repeat("-", wide[i]+2))
			}
			r.printf("|\n")
		}
	}
}

// sample is one figure over the runs.
type sample []float64

func (s sample) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[len(sorted)/2]
}

// show spells a figure as median [least..most].
func (s sample) show(one func(float64) string) string {
	if len(s) == 1 {
		return one(s[0])
	}
	return fmt.Sprintf("%s [%s..%s]", one(s.median()), one(slices.Min(s)), one(slices.Max(s)))
}

func whole(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func hundredths(v float64) string { return fmt.Sprintf("%.2f", v) }

func percent(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// quantile is the smallest value that is not less than a share of all.
func quantile(all []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// costs are the processor seconds of the sides over the runs.
type costs struct {
	server, worker, keeper, attempts, client, others sample
}

func (c *costs) add(d cpu, took time.Duration) {
	c.server = append(c.server, d.server.Seconds())
	c.worker = append(c.worker, d.worker.Seconds())
	c.keeper = append(c.keeper, d.keeper.Seconds())
	c.attempts = append(c.attempts, d.attempts.Seconds())
	c.client = append(c.client, d.client.Seconds())
	c.others = append(c.others, d.others(took))
}

// perJob is the median of what one of n jobs cost all sides but the attempts themselves,
// in microseconds.
func (c *costs) perJob(n int) string {
	all := make(sample, len(c.server))
	for i := range all {
		all[i] = (c.server[i] + c.worker[i] + c.keeper[i] + c.client[i]) / float64(n) * 1e6
	}
	return whole(all.median())
}
