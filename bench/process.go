package main

import (
	"errors"
	"fmt"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

const (
	processJobs = 20_000
	// secondsOfStarts is about how long a run of processes is made to take for a system that is
	// slower.
	secondsOfStarts = 8
)

// processKind is what the processes do.
type processKind struct {
	what    string
	command []string
	keep    bool
}

// processKinds are the shortest program that there is, and one that writes a kibibyte.
func processKinds() []processKind {
	return []processKind{
		{"/bin/true", []string{"/bin/true"}, false},
		{"1 KiB of output kept", []string{"/usr/bin/printf", "%01024d", "0"}, true},
	}
}

// processes is W4: jobs that are processes, beside programs that only start them.
func (b *bench) processes() error {
	all := []peer.StarterSystem{
		{Name: "Reeve, an array", Durability: figure.Durable, Kind: figure.Reeve, Start: b.reeveStarter((*cluster).runArray)},
		{Name: "Reeve, single jobs", Durability: figure.Durable, Kind: figure.Reeve, Start: b.reeveStarter((*cluster).runJobs)},
	}
	if b.peers {
		all = append(all, peer.Starters()...)
	}
	all = append(all, peer.StarterLimits()...)
	for run := range b.runs {
		for _, s := range all {
			if err := b.attempt("W4", s.Name, s.Kind, func() error { return b.started(s, run) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// started measures all kinds of processes with one system.
func (b *bench) started(s peer.StarterSystem, run int) error {
	n := b.count(processJobs)
	if s.Rate != 0 {
		n = max(min(n, s.Rate*secondsOfStarts), 1)
	}
	for _, k := range processKinds() {
		if err := b.startedKind(s, k, n, run); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) startedKind(s peer.StarterSystem, k processKind, n, run int) (err error) {
	q, err := s.Start(b.site())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	recorded := func() error { return nil }
	if r, ok := q.(*reeveStarter); ok {
		recorded = r.record(fmt.Sprintf("process-%t-%d", k.keep, run), profileTime)
	}
	spent, err := b.timed(q, func() error { return q.Run(n, k.command, k.keep) })
	if err := errors.Join(err, recorded()); err != nil {
		return err
	}
	r := figure.Row{Workload: "W4", Case: k.what, Kind: s.Kind, System: s.Name, Durability: s.Durability}
	b.figures.Add(r, "throughput", "processes/s", float64(n)/spent.took.Seconds())
	b.charge(r, spent, n)
	return nil
}

// reeveStarter is Reeve as a starter of processes, in one of the ways to submit them.
type reeveStarter struct {
	*cluster

	submit func(c *cluster, n int, command []string) error
}

func (b *bench) reeveStarter(submit func(c *cluster, n int, command []string) error) func(*peer.Site) (peer.Starter, error) {
	return func(*peer.Site) (peer.Starter, error) {
		c, err := b.newCluster()
		if err == nil {
			err = c.workProcesses(b.slots)
		}
		return &reeveStarter{c, submit}, err
	}
}

// Run keeps the output as it always does.
func (s *reeveStarter) Run(n int, command []string, _ bool) error {
	return errors.Join(s.submit(s.cluster, n, command), s.drained())
}

func (s *reeveStarter) Parts() []proc.Part { return s.parts() }

// Syncs are the appends to the journal.
func (s *reeveStarter) Syncs(bool) (int64, error) { return s.syncs() }

func (s *reeveStarter) Close() error { return s.close() }

func (c *cluster) runArray(n int, command []string) error {
	_, err := c.client.Submit(c.b.ctx, reeve.Job{Tasks: []reeve.Task{{
		Command: command, Array: &reeve.Array{Indexes: fmt.Sprintf("0-%d", n-1)},
	}}})
	return err
}

func (c *cluster) runJobs(n int, command []string) error {
	return c.submit(reeve.Job{Tasks: []reeve.Task{{Command: command}}}, n)
}
