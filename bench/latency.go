package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/reeve-scheduler/reeve"
)

const latencyJobs = 500

// latency measures one job at a time on a system that does nothing else.
func (b *bench) latency() error {
	n := b.count(latencyJobs)
	names := []string{"submit → acknowledged", "submit → start", "submit → end seen by a watch", "submit → end returned by Wait"}
	p50, p99 := make([]sample, len(names)), make([]sample, len(names))
	var others sample
	for i := range b.runs {
		var all [][]time.Duration
		took, spent, err := b.once(fmt.Sprintf("latency-%d", i), func(c *cluster) error { return c.work(2, 0) }, func(c *cluster) (err error) {
			all, err = c.oneByOne(n)
			return err
		})
		if err != nil {
			return err
		}
		for k := range names {
			p50[k] = append(p50[k], quantile(all[k], 0.5).Seconds()*1000)
			p99[k] = append(p99[k], quantile(all[k], 0.99).Seconds()*1000)
		}
		others = append(others, spent.others(took))
	}
	var rows [][]string
	for k, name := range names {
		rows = append(rows, []string{name, p50[k].show(hundredths), p99[k].show(hundredths)})
	}
	b.out.printf("\n### Latency, one function at a time, %d a run, in milliseconds (others: %s)\n\n", n, others.show(percent))
	b.out.table([]string{"from → to", "p50", "p99"}, rows)
	return nil
}

// oneByOne submits a job, waits for its end, and only then submits the next: n times
// with a watch that is open all the while, n/5 times with Wait.
func (c *cluster) oneByOne(n int) ([][]time.Duration, error) {
	ctx, cancel := context.WithTimeout(c.b.ctx, patience*time.Duration(1+n/100))
	defer cancel()
	ends, err := c.ends(ctx)
	if err != nil {
		return nil, err
	}
	all := make([][]time.Duration, 4)
	ids := make([]string, 0, n)
	submitted := make([]time.Time, 0, n)
	for range n {
		began := time.Now()
		id, err := c.client.Enqueue(ctx, "stamp", nil)
		if err != nil {
			return nil, err
		}
		all[0] = append(all[0], time.Since(began))
		seen, err := ends(id)
		if err != nil {
			return nil, err
		}
		all[2] = append(all[2], seen.Sub(began))
		ids, submitted = append(ids, id), append(submitted, began)
	}
	for i, id := range ids {
		j, err := c.client.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		at, err := strconv.ParseInt(j.Tasks[0].Outputs["started"], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("job %s is %s without an output: %w", id, j.State, err)
		}
		all[1] = append(all[1], time.Unix(0, at).Sub(submitted[i]))
	}
	for range max(n/5, 1) {
		began := time.Now()
		id, err := c.client.Enqueue(ctx, "stamp", nil)
		if err != nil {
			return nil, err
		}
		if _, err := c.client.Wait(ctx, id); err != nil {
			return nil, err
		}
		all[3] = append(all[3], time.Since(began))
	}
	return all, nil
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
