package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/lateness"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

const (
	kneeJobs = 1_500_000
	// kneeSubmitters is how many submit at the same time in search of the knee.
	kneeSubmitters = 4
	// How long the open loops last.
	shortTime, longOpenTime, longOverloadTime = time.Minute, 10 * time.Minute, 5 * time.Minute
	// openParts is into how many intervals the time of an open loop is divided.
	openParts = 10

	aboutOpen = "Batches of 100 arrive when the clock says so, however slow the answers are; a job's time counts from the moment at which its batch was due. " +
		"The knee is the rate of a loop in which four submit such batches as fast as they are taken, half a minute's worth, until all is worked off. " +
		"Finished jobs are kept for a tenth of the run, there too, so that what is past its retention is dropped all the while; the journal is trimmed as always. " +
		"*Drift* compares the last third of the run with the middle one: nothing leaves before its retention is over."
)

// shortened is a time that the scale may make shorter, in whole seconds.
func (b *bench) shortened(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)*min(b.scale, 1)).Truncate(time.Second), 3*time.Second)
}

// knee is the highest rate at which Reeve keeps up, in jobs a second. It is measured once.
func (b *bench) knee() (rate float64, err error) {
	if b.kneeRate > 0 {
		return b.kneeRate, nil
	}
	n := max(b.count(kneeJobs)/offerBatch, 1) * offerBatch
	err = b.offered(b.retention(), func(c *cluster, o *offerer) error {
		spent, err := b.timed(&reeveQueue{c}, func() error { return errors.Join(o.closed(b.ctx, n, kneeSubmitters), c.drained()) })
		b.kneeRate = float64(n) / spent.took.Seconds()
		return err
	})
	return b.kneeRate, err
}

// openPart is a part of an open loop's time, for which what has ended is kept.
func (b *bench) openPart() time.Duration {
	return max((b.shortened(b.openTime) / openParts).Truncate(time.Second), time.Second)
}

// retention has a server keep what has ended that long.
func (b *bench) retention() []string { return []string{"--retention", b.openPart().String()} }

// offered runs f on a fresh cluster with a worker and an offerer.
func (b *bench) offered(args []string, f func(*cluster, *offerer) error) (err error) {
	c, err := b.newCluster(args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	q := &reeveQueue{c}
	if err := errors.Join(q.Prepare(peer.Workload{}), q.Work()); err != nil {
		return err
	}
	o, err := c.newOfferer()
	if err != nil {
		return err
	}
	defer o.close()
	return f(c, o)
}

// open is W8: arrivals at shares of the knee, with retention and trimming at work.
func (b *bench) open() error {
	knee, err := b.knee()
	if err != nil {
		return err
	}
	for _, share := range openShares() {
		r := figure.Row{Workload: "W8", Case: caseOpen(share), Kind: figure.Reeve, System: "Reeve", Durability: figure.Durable}
		if err := b.steady(r, share*knee); err != nil {
			return err
		}
	}
	return b.openRiver()
}

// steady measures one rate.
func (b *bench) steady(r figure.Row, rate float64) error {
	length := b.shortened(b.openTime)
	every := b.openPart()
	parts := int(length / every)
	return b.offered(b.retention(), func(c *cluster, o *offerer) error {
		recorded := c.record(fmt.Sprintf("open-%.0f", rate), length)
		began, err := nextSecond(b.ctx)
		if err != nil {
			return err
		}
		watched, stop := c.watch(every)
		var out offered
		spent, err := b.timed(&reeveQueue{c}, func() error { return o.offer(b.ctx, phase{rate, length}, &out) })
		stop()
		seen := <-watched
		if err == nil && b.profile != "" {
			err = fetch(b.ctx, c.admin+"debug/pprof/heap", fmt.Sprintf("%s/heap-open-%.0f.pprof", b.profile, rate), proc.Patience)
		}
		if err := errors.Join(err, seen.err, recorded(), c.drained()); err != nil {
			return err
		}
		late, err := c.lateness(lateness.Query{From: began.Unix(), Seconds: int64(every / time.Second), N: int64(parts)})
		if err != nil {
			return err
		}
		b.reportOpen(r, every, late, seen.all)
		seconds, err := c.lateness(lateness.Query{From: began.Unix(), Seconds: 1, N: int64(length / time.Second)})
		if err != nil {
			return err
		}
		b.saySeconds(seconds)
		whole, err := c.lateness(lateness.Query{From: began.Unix(), Seconds: int64(length / time.Second), N: 1})
		if err != nil {
			return err
		}
		all := r
		all.Case += caseInAll
		b.addLate(all, whole[0], length)
		b.figures.Add(all, "refused", "share", float64(out.refused.Load()+out.unsent.Load())/float64(out.due.Load()))
		b.reportDrift(r, late, seen.all)
		b.charge(all, spent, int(out.due.Load()))
		return nil
	})
}

// saySeconds tells of each second if profiles are asked for.
func (b *bench) saySeconds(late []lateness.Interval) {
	if b.profile == "" {
		return
	}
	for i, v := range late {
		b.say("second %d: %d due and taken, %d started, p50 %d ms, p99 %d ms", i, v.Due, v.Started, v.P50/1000, v.P99/1000)
	}
}

func (b *bench) addLate(r figure.Row, v lateness.Interval, length time.Duration) {
	b.figures.Add(r, "p50", "ms", float64(v.P50)/1000)
	b.figures.Add(r, "p99", "ms", float64(v.P99)/1000)
	b.figures.Add(r, "p99.9", "ms", float64(v.P999)/1000)
	b.figures.Add(r, "due", "jobs/s", float64(v.Due)/length.Seconds())
}

// reportOpen has a row for each interval.
func (b *bench) reportOpen(r figure.Row, every time.Duration, late []lateness.Interval, seen []condition) {
	for i, v := range late {
		row := r
		row.Case = fmt.Sprintf("%s, until %s", r.Case, time.Duration(i+1)*every)
		b.addLate(row, v, every)
		if i < len(seen) {
			b.occupied(row, seen[i])
		}
	}
}

func (b *bench) occupied(r figure.Row, s condition) {
	for _, f := range []struct {
		metric string
		bytes  int64
	}{{"memory", s.rss}, {"of it in use", s.live}, {"tables", s.tables}, {"journal", s.journal}, {"all files", s.all}} {
		b.figures.Cost(r, f.metric, "MiB", float64(f.bytes)/(1<<20))
	}
	b.figures.Cost(r, "unfinished", "jobs", float64(s.unfinished))
}

// reportDrift compares the last third of a run with the middle one.
func (b *bench) reportDrift(r figure.Row, late []lateness.Interval, seen []condition) {
	r.Case += ", drift"
	lateBy := func(of func(lateness.Interval) int64) float64 { return drift(values(late, of)) }
	seenBy := func(of func(condition) int64) float64 { return drift(values(seen, of)) }
	b.figures.Add(r, "p50", "×", lateBy(func(v lateness.Interval) int64 { return v.P50 }))
	b.figures.Add(r, "p99", "×", lateBy(func(v lateness.Interval) int64 { return v.P99 }))
	b.figures.Add(r, "p99.9", "×", lateBy(func(v lateness.Interval) int64 { return v.P999 }))
	b.figures.Cost(r, "memory", "×", seenBy(func(s condition) int64 { return s.rss }))
	b.figures.Cost(r, "of it in use", "×", seenBy(func(s condition) int64 { return s.live }))
	b.figures.Cost(r, "tables", "×", seenBy(func(s condition) int64 { return s.tables }))
	b.figures.Cost(r, "journal", "×", seenBy(func(s condition) int64 { return s.journal }))
	b.figures.Cost(r, "all files", "×", seenBy(func(s condition) int64 { return s.all }))
}

func values[T any](from []T, of func(T) int64) []int64 {
	var out []int64
	for _, v := range from {
		out = append(out, of(v))
	}
	return out
}

// drift is by how much the median of the last third exceeds that of the middle one; 0 of
// too few values.
func drift(all []int64) float64 {
	third := len(all) / 3
	if third == 0 {
		return 0
	}
	median := func(of []int64) float64 { return float64(slices.Sorted(slices.Values(of))[len(of)/2]) }
	before := median(all[third : 2*third])
	if before == 0 {
		return 0
	}
	return median(all[2*third:]) / before
}

// nextSecond waits until a second of the clock begins.
func nextSecond(ctx context.Context) (time.Time, error) {
	at := time.Now().Truncate(time.Second).Add(time.Second)
	select {
	case <-time.After(time.Until(at)):
		return at, nil
	case <-ctx.Done():
		return at, ctx.Err()
	}
}
