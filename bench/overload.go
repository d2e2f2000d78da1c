package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/lateness"
)

const (
	// overloadTimes is how many times the knee is offered.
	overloadTimes = 2
	// normalShare is the share of the knee that is offered afterwards, and normalTime for
	// how long: what is not back by then is said to take all of it.
	normalShare = 0.5
	normalTime  = 20 * time.Second
	// backAt is how late of a hundred jobs that are due in a second one may start in normal
	// times, and backFor how many seconds in a row it must be so.
	backAt  = 50 * time.Millisecond
	backFor = 3

	aboutOverload = "Twice the knee arrives, in batches of 100, and then half of it. Clients don't try again. " +
		"*Goodput* is the jobs that began while the overload lasted. *Back* is how long after its end three seconds in a row begin " +
		"in each of which 99 of 100 jobs start within 50 ms of the moment at which they are due; all of that time if none do."
)

// overload is W9: more than can be done, then less.
func (b *bench) overload() error {
	knee, err := b.knee()
	if err != nil {
		return err
	}
	length, rest := b.shortened(b.overloadTime), b.shortened(normalTime)
	return b.offered(nil, func(c *cluster, o *offerer) error {
		recorded := c.record("overload", length)
		began, err := nextSecond(b.ctx)
		if err != nil {
			return err
		}
		watched, stop := c.watch(length / openParts)
		var much, normal offered
		spent, err := b.timed(&reeveQueue{c}, func() error { return o.offer(b.ctx, phase{overloadTimes * knee, length}, &much) })
		if err == nil {
			err = o.offer(b.ctx, phase{normalShare * knee, rest}, &normal)
		}
		stop()
		seen := <-watched
		if err := errors.Join(err, seen.err, recorded(), c.drained()); err != nil {
			return err
		}
		// What was due last may have been sent a moment later.
		late, err := c.lateness(lateness.Query{From: began.Unix(), Seconds: 1, N: int64((length+rest)/time.Second) + 2})
		if err != nil {
			return err
		}
		b.saySeconds(late)
		b.reportOverload(knee, length, &much, &normal, late)
		r := overloadRow("while it lasted")
		b.charge(r, spent, int(much.due.Load()))
		var most condition
		for _, s := range seen.all {
			most.rss, most.unfinished = max(most.rss, s.rss), max(most.unfinished, s.unfinished)
		}
		b.figures.Cost(r, "most memory", "MiB", float64(most.rss)/(1<<20))
		b.figures.Cost(r, "most unfinished", "jobs", float64(most.unfinished))
		return nil
	})
}

func overloadRow(what string) figure.Row {
	return figure.Row{Workload: "W9", Case: what, Kind: figure.Reeve, System: "Reeve", Durability: figure.Durable}
}

func (b *bench) reportOverload(knee float64, length time.Duration, much, normal *offered, late []lateness.Interval) {
	var started int64
	over := int(length / time.Second)
	for _, v := range late[:over] {
		started += v.Started
	}
	r := overloadRow("while it lasted")
	b.figures.Add(r, "offered", "jobs/s", overloadTimes*knee)
	b.figures.Add(r, "goodput", "jobs/s", float64(started)/length.Seconds())
	b.figures.Add(r, "of the knee", "share", float64(started)/length.Seconds()/knee)
	b.figures.Add(r, "refused", "share", float64(much.refused.Load())/float64(much.due.Load()))
	b.figures.Add(r, "refused without a delay", "jobs", float64(much.blunt.Load()))
	b.figures.Add(r, "not sent", "jobs", float64(much.unsent.Load()))
	b.figures.Add(r, "slowest answer", "ms", much.slowest.Seconds()*1000)
	b.figures.Add(r, "slowest refusal", "ms", much.slowestRefusal.Seconds()*1000)
	r = overloadRow(fmt.Sprintf("%.0f %% of the knee afterwards", 100*normalShare))
	b.figures.Add(r, "back", "s", float64(backAfter(late[over:])))
	b.figures.Add(r, "refused", "share", float64(normal.refused.Load())/float64(max(normal.due.Load(), 1)))
}

// backAfter is after how many seconds all is as in normal times, all of them if it never is.
func backAfter(seconds []lateness.Interval) int {
	good := 0
	for i, v := range seconds {
		if good++; v.Due > 0 && v.P99 > backAt.Microseconds() {
			good = 0
		}
		if good == backFor {
			return i + 1 - backFor
		}
	}
	return len(seconds)
}
