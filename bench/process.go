package main

import (
	"errors"
	"fmt"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/figure"
)

const (
	processJobs = 20_000
	// program is the shortest there is.
	program = "/bin/true"
)

// processes is W4: attempts that are processes, beside a loop that only starts them.
func (b *bench) processes() error {
	n := b.count(processJobs)
	for run := range b.runs {
		for _, m := range []struct {
			what string
			run  func(*cluster, int) error
		}{
			{"one array", (*cluster).trueArray},
			{"single jobs", (*cluster).trueJobs},
		} {
			spent, err := b.timedCluster(fmt.Sprintf("process-%s-%d", m.what[:3], run), func(c *cluster) error { return c.workProcesses(b.slots) },
				func(c *cluster) error { return errors.Join(m.run(c, n), c.drained()) })
			if err != nil {
				return err
			}
			r := figure.Row{Workload: "W4", Case: m.what, Kind: figure.Reeve, System: "Reeve", Durability: figure.Durable}
			b.figures.Add(r, "throughput", "processes/s", float64(n)/spent.took.Seconds())
			b.charge(r, spent, n)
		}
	}
	b.limitRow("W4", "one array", limitStart+b.atATime(), limitXargs+b.atATime())
	return nil
}

func (c *cluster) trueArray(n int) error {
	_, err := c.client.Submit(c.b.ctx, reeve.Job{Tasks: []reeve.Task{{
		Command: []string{program}, Array: &reeve.Array{Indexes: fmt.Sprintf("0-%d", n-1)},
	}}})
	return err
}

func (c *cluster) trueJobs(n int) error {
	return c.submit(reeve.Job{Tasks: []reeve.Task{{Command: []string{program}}}}, n)
}
