package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

const (
	chainSteps = 200
	fanWidth   = 1000
	graphSlots = 64
)

// graphs is W7: functions that need each other.
func (b *bench) graphs() error {
	return b.inTurn("W7", func(s peer.System, run int) error {
		for _, g := range []struct {
			kind         peer.Kind
			n            int
			what, metric string
			each         int
		}{
			{peer.Chain, b.count(chainSteps), "a chain of %d", "each step", b.count(chainSteps)},
			{peer.Fan, b.count(fanWidth), "1 → %d → 1", "in all", 1},
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
