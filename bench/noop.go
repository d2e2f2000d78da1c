package main

import (
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve"
)

const (
	noopJobs = 100_000
	// submitters is how many submit at the same time, a thousand jobs a call.
	submitters = 2
	// noopSlots and noopPrefetch are the worker's: many of each, as for functions of
	// microseconds.
	noopSlots, noopPrefetch = 64, 2048
)

// noop measures functions that do nothing: end to end, submitting alone, working alone.
func (b *bench) noop() error {
	n, noop := b.count(noopJobs), reeve.Function("noop", nil)
	submit := func(c *cluster) error { return c.submit(noop, n) }
	work := func(c *cluster) error { return c.work(noopSlots, noopPrefetch) }
	var rows [][]string
	for _, m := range []struct {
		name, file      string
		before, measure func(*cluster) error
	}{
		{"submit and work", "both", work, func(c *cluster) error { return errors.Join(submit(c), c.drained()) }},
		{"submit alone", "submit", nil, submit},
		{"work alone", "work", func(c *cluster) error { return errors.Join(submit(c), c.settled()) },
			func(c *cluster) error { return errors.Join(work(c), c.drained()) }},
	} {
		var rate sample
		var cost costs
		for i := range b.runs {
			took, spent, err := b.once(fmt.Sprintf("noop-%s-%d", m.file, i), m.before, m.measure)
			if err != nil {
				return err
			}
			rate = append(rate, float64(n)/took.Seconds())
			cost.add(spent, took)
		}
		rows = append(rows, []string{m.name, rate.show(whole), cost.perJob(n),
			hundredths(cost.server.median()), hundredths(cost.worker.median()), hundredths(cost.client.median()), cost.others.show(percent)})
	}
	b.out.printf("\n### No-op functions, %s jobs\n\n", whole(float64(n)))
	b.out.table([]string{"what", "jobs/s", "µs of CPU per job", "server CPU-s", "worker CPU-s", "client CPU-s", "others"}, rows)
	return nil
}

// once measures on a fresh cluster, after what has to be there first.
func (b *bench) once(name string, before func(*cluster) error, measure func(*cluster) error) (took time.Duration, spent cpu, err error) {
	c, err := b.newCluster()
	if err != nil {
		return 0, cpu{}, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if before != nil {
		if err := before(c); err != nil {
			return 0, cpu{}, err
		}
	}
	recorded := c.record(name)
	took, spent, err = c.timed(func() error { return measure(c) })
	return took, spent, errors.Join(err, recorded())
}

// timed is the wall and processor time of f.
func (c *cluster) timed(f func() error) (time.Duration, cpu, error) {
	before, err := c.spent()
	if err != nil {
		return 0, cpu{}, err
	}
	began := time.Now()
	if err := f(); err != nil {
		return 0, cpu{}, err
	}
	took := time.Since(began)
	after, err := c.spent()
	return took, after.since(before), err
}

// submit submits n jobs, and returns when all are acknowledged.
func (c *cluster) submit(j reeve.Job, n int) error {
	errs := make([]error, submitters)
	var wg sync.WaitGroup
	for i := range submitters {
		wg.Go(func() {
			_, errs[i] = c.client.SubmitMany(c.b.ctx, j, empty(n*(i+1)/submitters-n*i/submitters))
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// empty is n items without anything of their own.
func empty(n int) iter.Seq[reeve.Item] {
	return func(yield func(reeve.Item) bool) {
		for range n {
			if !yield(reeve.Item{}) {
				return
			}
		}
	}
}
