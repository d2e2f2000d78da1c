package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

const (
	chainSteps = 200
	fanWidth   = 1000
	graphSlots = 64
)

// Cases of W7, with the number of functions.
const (
	caseChain = "a chain of %d"
	caseFan   = "1 → %d → 1"
)

// graphs is W7: functions that need each other.
func (b *bench) graphs() error {
	if err := b.queueGraphs(); err != nil || !b.peers {
		return err
	}
	return b.attempt("W7", "Slurm", figure.Peer, b.slurmGraphs)
}

// slurmGraphs are measured once: each takes long.
func (b *bench) slurmGraphs() (err error) {
	q, err := b.site().StartSlurm(peer.SlurmCPUs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	row := func(what string) figure.Row {
		return figure.Row{Workload: "W7", Case: what, Kind: figure.Peer, System: "Slurm", Durability: "5 s"}
	}
	var steps int
	spent, err := b.timed(q, func() error {
		steps, err = q.Chain()
		return err
	})
	if err != nil {
		return err
	}
	r := row(fmt.Sprintf(caseChain, b.count(chainSteps)))
	b.figures.Add(r, "each step", "ms", spent.took.Seconds()*1000/float64(steps))
	b.charge(r, spent, steps)
	n := b.count(fanWidth)
	if spent, err = b.timed(q, func() error { return q.Fan(n) }); err != nil {
		return err
	}
	r = row(fmt.Sprintf(caseFan, n))
	b.figures.Add(r, "in all", "ms", spent.took.Seconds()*1000)
	b.charge(r, spent, n)
	return nil
}

func (b *bench) queueGraphs() error {
	return b.inTurn("W7", func(s peer.System, run int) error {
		for _, g := range []struct {
			kind         peer.Kind
			n            int
			what, metric string
			each         int
		}{
			{peer.Chain, b.count(chainSteps), caseChain, "each step", b.count(chainSteps)},
			{peer.Fan, b.count(fanWidth), caseFan, "in all", 1},
		} {
			if err := b.with(s, func(q peer.Queue) error {
				if err := errors.Join(q.Prepare(peer.Workload{Jobs: g.n, Slots: graphSlots, Kind: g.kind}), q.Work()); err != nil {
					return err
				}
				recorded := b.record(q, fmt.Sprintf("%s-%d", g.kind, run))
				spent, err := b.timed(q, func() error { return q.Graph(g.kind, g.n) })
				if err := errors.Join(err, recorded()); err != nil {
					return err
				}
				r := rowOf(s, "W7", fmt.Sprintf(g.what, g.n))
				b.figures.Add(r, g.metric, "ms", spent.took.Seconds()*1000/float64(g.each))
				b.charge(r, spent, g.n)
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Graph submits one job with all its tasks, and waits for its end.
func (q *reeveQueue) Graph(k peer.Kind, n int) error {
	ctx, cancel := context.WithTimeout(q.b.ctx, proc.Patience)
	defer cancel()
	ends, err := q.ends(ctx)
	if err != nil {
		return err
	}
	j := reeve.Job{Name: "fan", Tasks: []reeve.Task{
		{Name: "first", Function: "noop"},
		{Name: "middle", Function: "noop", Needs: reeve.Needs("first"), Array: &reeve.Array{Indexes: fmt.Sprintf("0-%d", n-1)}},
		{Name: "end", Function: "noop", Needs: reeve.Needs("middle")},
	}}
	if k == peer.Chain {
		j = reeve.Job{Name: "chain"}
		for i := range n {
			t := reeve.Task{Name: fmt.Sprintf("step-%d", i), Function: "noop"}
			if i > 0 {
				t.Needs = reeve.Needs(fmt.Sprintf("step-%d", i-1))
			}
			j.Tasks = append(j.Tasks, t)
		}
	}
	id, err := q.client.Submit(ctx, j)
	if err != nil {
		return err
	}
	_, err = ends(id)
	return err
}
