package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

const (
	latencyJobs = 500
	// latencySlots are the worker's.
	latencySlots = 2
)

// latency is W3: one job at a time on a system that does nothing else.
func (b *bench) latency() error {
	n := b.count(latencyJobs)
	err := b.inTurn("W3", func(s peer.System, run int) error {
		return b.with(s, func(q peer.Queue) error {
			if err := errors.Join(q.Prepare(peer.Workload{Jobs: n + peer.WarmJobs, Slots: latencySlots, Kind: peer.Stamp}), q.Work()); err != nil {
				return err
			}
			recorded := b.record(q, fmt.Sprintf("latency-%d", run))
			var all []peer.Latencies
			spent, err := b.timed(q, func() (err error) {
				all, err = q.OneByOne(n)
				return err
			})
			if err := errors.Join(err, recorded()); err != nil {
				return err
			}
			for _, l := range all {
				r := rowOf(s, "W3", l.What)
				b.figures.Add(r, "p50", "ms", figure.Quantile(l.Took, 0.5).Seconds()*1000)
				b.figures.Add(r, "p99", "ms", figure.Quantile(l.Took, 0.99).Seconds()*1000)
			}
			b.figures.Cost(rowOf(s, "W3", ""), "others", "share", spent.Others(spent.took))
			return nil
		})
	})
	b.limitRow("W3", peer.Start, limitSync, limitRound)
	return err
}

// OneByOne submits a job, waits for its end, and only then submits the next: n times
// with a watch that is open all the while, n/5 times with Wait.
func (q *reeveQueue) OneByOne(n int) ([]peer.Latencies, error) {
	ctx, cancel := context.WithTimeout(q.b.ctx, proc.Patience*time.Duration(1+n/100))
	defer cancel()
	ends, err := q.ends(ctx)
	if err != nil {
		return nil, err
	}
	acknowledged, start, seen := peer.Latencies{What: "submit → acknowledged"}, peer.Latencies{What: peer.Start}, peer.Latencies{What: peer.Seen}
	ids := make([]string, 0, n)
	submitted := make([]time.Time, 0, n)
	for i := range n + peer.WarmJobs {
		began := time.Now()
		id, err := q.client.Enqueue(ctx, "stamp", nil)
		if err != nil {
			return nil, err
		}
		took := time.Since(began)
		at, err := ends(id)
		if err != nil {
			return nil, err
		}
		if i < peer.WarmJobs {
			continue
		}
		acknowledged.Took, seen.Took = append(acknowledged.Took, took), append(seen.Took, at.Sub(began))
		ids, submitted = append(ids, id), append(submitted, began)
	}
	for i, id := range ids {
		j, err := q.client.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		at, err := strconv.ParseInt(j.Tasks[0].Outputs["started"], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("job %s is %s without an output: %w", id, j.State, err)
		}
		start.Took = append(start.Took, time.Unix(0, at).Sub(submitted[i]))
	}
	waited, err := q.waits(ctx, max(n/5, 1))
	return []peer.Latencies{start, seen, acknowledged, waited}, err
}

// waits submits jobs and asks for each with Wait, which opens a watch of its own.
func (q *reeveQueue) waits(ctx context.Context, n int) (peer.Latencies, error) {
	l := peer.Latencies{What: "submit → end returned by Wait"}
	for range n {
		began := time.Now()
		id, err := q.client.Enqueue(ctx, "stamp", nil)
		if err != nil {
			return l, err
		}
		if _, err := q.client.Wait(ctx, id); err != nil {
			return l, err
		}
		l.Took = append(l.Took, time.Since(began))
	}
	return l, nil
}

// ends opens a watch, and returns the function that waits for the end of a job and says
// when it was seen.
func (c *cluster) ends(ctx context.Context) (func(id string) (time.Time, error), error) {
	type end struct {
		ref  string
		seen time.Time
		err  error
	}
	seen := make(chan end, 16)
	tell := func(e end) {
		select {
		case seen <- e:
		case <-ctx.Done():
		}
	}
	go func() {
		for e, err := range c.client.Watch(ctx, reeve.WatchOptions{}) {
			if err != nil || e.Kind == reeve.EventOpened || e.Kind == "job_ended" {
				tell(end{e.Ref, time.Now(), err})
			}
		}
	}()
	next := func() (end, error) {
		select {
		case e := <-seen:
			return e, e.err
		case <-ctx.Done():
			return end{}, ctx.Err()
		}
	}
	if _, err := next(); err != nil {
		return nil, errors.Join(errors.New("the watch did not open"), err)
	}
	return func(id string) (time.Time, error) {
		for {
			if e, err := next(); err != nil || e.ref == id {
				return e.seen, err
			}
		}
	}, nil
}
