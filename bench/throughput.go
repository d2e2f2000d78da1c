package main

import (
	"errors"
	"fmt"

	"github.com/reeve-scheduler/reeve/bench/internal/peer"
)

const noopJobs = 100_000

// Cases of W1, which the chart names too.
const caseBoth = "submit and work"

// throughput is W1: functions that do nothing, end to end; submitting alone and working
// alone.
func (b *bench) throughput() error {
	n := b.count(noopJobs)
	err := b.inTurn("W1", func(s peer.System, run int) error {
		n := most(s, n, 0)
		if err := b.both(s, n, run); err != nil {
			return err
		}
		return b.apart(s, n, run)
	})
	b.limitRow("W1", caseBoth, limitRows)
	return err
}

// both measures submitting while a worker works.
func (b *bench) both(s peer.System, n, run int) error {
	return b.with(s, func(q peer.Queue) error {
		if err := errors.Join(q.Prepare(peer.Workload{Jobs: n}), q.Work()); err != nil {
			return err
		}
		recorded := b.record(q, fmt.Sprintf("both-%d", run))
		spent, err := b.timed(q, func() error { return errors.Join(q.Fill(n), q.Drained()) })
		if err := errors.Join(err, recorded()); err != nil {
			return err
		}
		r := rowOf(s, "W1", caseBoth)
		b.figures.Add(r, "throughput", "jobs/s", float64(n)/spent.took.Seconds())
		b.charge(r, spent, n)
		return nil
	})
}

// apart measures submitting without a worker, and then a worker without submits.
func (b *bench) apart(s peer.System, n, run int) error {
	return b.with(s, func(q peer.Queue) error {
		recorded := b.record(q, fmt.Sprintf("submit-%d", run))
		spent, err := b.timed(q, func() error { return q.Fill(n) })
		if err := errors.Join(err, recorded()); err != nil {
			return err
		}
		r := rowOf(s, "W1", "submit alone")
		b.figures.Add(r, "throughput", "jobs/s", float64(n)/spent.took.Seconds())
		b.charge(r, spent, n)
		if err := q.Prepare(peer.Workload{Jobs: n}); err != nil {
			return err
		}
		recorded = b.record(q, fmt.Sprintf("work-%d", run))
		spent, err = b.timed(q, func() error { return errors.Join(q.Work(), q.Drained()) })
		if err := errors.Join(err, recorded()); err != nil {
			return err
		}
		r = rowOf(s, "W1", "work alone")
		b.figures.Add(r, "throughput", "jobs/s", float64(n)/spent.took.Seconds())
		b.charge(r, spent, n)
		return nil
	})
}

// slotCounts are those of W2: as many as processors, and far more.
func slotCounts() []int { return []int{2, 16, 128, 1024} }

const backlogJobs = 50_000

// drain is W2: a backlog that was there before, worked off with more and more slots.
func (b *bench) drain() error {
	n := b.count(backlogJobs)
	return b.inTurn("W2", func(s peer.System, run int) error {
		for _, slots := range slotCounts() {
			if err := b.drainWith(s, most(s, n, slots), slots, run); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bench) drainWith(s peer.System, n, slots, run int) error {
	return b.with(s, func(q peer.Queue) error {
		if err := errors.Join(q.Fill(n), q.Prepare(peer.Workload{Jobs: n, Slots: slots})); err != nil {
			return err
		}
		recorded := b.record(q, fmt.Sprintf("drain-%d-%d", slots, run))
		spent, err := b.timed(q, func() error { return errors.Join(q.Work(), q.Drained()) })
		if err := errors.Join(err, recorded()); err != nil {
			return err
		}
		r := rowOf(s, "W2", fmt.Sprintf("%d slots", slots))
		b.figures.Add(r, "throughput", "jobs/s", float64(n)/spent.took.Seconds())
		b.charge(r, spent, n)
		return nil
	})
}

// secondsOfRun is about how long a run of a slow system is made to take.
const secondsOfRun = 4

// most is how many of n jobs a system is given, that a run takes no more than some seconds.
func most(s peer.System, n, slots int) int {
	if s.Rate == nil {
		return n
	}
	return min(n, s.Rate(slots)*secondsOfRun)
}

// record keeps a profile of Reeve's processors for a run in its first seconds, if asked
// for.
func (b *bench) record(q peer.Queue, name string) (wait func() error) {
	if r, ok := q.(*reeveQueue); ok {
		if r.postgres != nil {
			name = "postgres-" + name
		}
		return r.record(name, profileTime)
	}
	return func() error { return nil }
}
