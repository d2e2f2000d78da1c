package main

import (
	"errors"
	"fmt"
)

const (
	noopJobs = 100_000
	// batch is how many jobs a call submits.
	batch = 1000
	// submitters is how many submit at the same time.
	submitters = 2
)

// Cases of W1, which the chart names too.
const caseBoth = "submit and work"

// throughput is W1: functions that do nothing, end to end; submitting alone and working
// alone.
func (b *bench) throughput() error {
	n := b.count(noopJobs)
	err := b.inTurn("W1", func(s queueSystem, run int) error {
		n := s.most(n, 0)
		if err := b.both(s, n, run); err != nil {
			return err
		}
		return b.apart(s, n, run)
	})
	b.limitRow("W1", caseBoth, limitRows)
	return err
}

// both measures submitting while a worker works.
func (b *bench) both(s queueSystem, n, run int) error {
	return b.with(s, func(q queue) error {
		if err := errors.Join(q.prepare(workload{jobs: n}), q.work()); err != nil {
			return err
		}
		recorded := b.record(q, fmt.Sprintf("both-%d", run))
		spent, err := b.timed(q, func() error { return errors.Join(q.fill(n), q.drained()) })
		if err := errors.Join(err, recorded()); err != nil {
			return err
		}
		r := s.row("W1", caseBoth)
		b.figures.Add(r, "throughput", "jobs/s", float64(n)/spent.took.Seconds())
		b.charge(r, spent, n)
		return b.occupy(r, q)
	})
}

// apart measures submitting without a worker, and then a worker without submits.
func (b *bench) apart(s queueSystem, n, run int) error {
	return b.with(s, func(q queue) error {
		recorded := b.record(q, fmt.Sprintf("submit-%d", run))
		spent, err := b.timed(q, func() error { return q.fill(n) })
		if err := errors.Join(err, recorded()); err != nil {
			return err
		}
		r := s.row("W1", "submit alone")
		b.figures.Add(r, "throughput", "jobs/s", float64(n)/spent.took.Seconds())
		b.charge(r, spent, n)
		if err := q.prepare(workload{jobs: n}); err != nil {
			return err
		}
		recorded = b.record(q, fmt.Sprintf("work-%d", run))
		spent, err = b.timed(q, func() error { return errors.Join(q.work(), q.drained()) })
		if err := errors.Join(err, recorded()); err != nil {
			return err
		}
		r = s.row("W1", "work alone")
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
	return b.inTurn("W2", func(s queueSystem, run int) error {
		for _, slots := range slotCounts() {
			if err := b.drainWith(s, s.most(n, slots), slots, run); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bench) drainWith(s queueSystem, n, slots, run int) error {
	return b.with(s, func(q queue) error {
		if err := errors.Join(q.fill(n), q.prepare(workload{jobs: n, slots: slots})); err != nil {
			return err
		}
		recorded := b.record(q, fmt.Sprintf("drain-%d-%d", slots, run))
		spent, err := b.timed(q, func() error { return errors.Join(q.work(), q.drained()) })
		if err := errors.Join(err, recorded()); err != nil {
			return err
		}
		r := s.row("W2", fmt.Sprintf("%d slots", slots))
		b.figures.Add(r, "throughput", "jobs/s", float64(n)/spent.took.Seconds())
		b.charge(r, spent, n)
		return nil
	})
}

// secondsOfRun is about how long a run of a slow system is made to take.
const secondsOfRun = 4

// most is how many of n jobs a system is given, that a run takes no more than some seconds.
func (s queueSystem) most(n, slots int) int {
	if s.rate == nil {
		return n
	}
	return min(n, s.rate(slots)*secondsOfRun)
}

// record keeps a profile of Reeve's processors for a run in its first seconds, if asked
// for.
func (b *bench) record(q queue, name string) (wait func() error) {
	if r, ok := q.(*reeveQueue); ok {
		return r.record(name)
	}
	return func() error { return nil }
}
