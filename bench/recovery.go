package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
	"github.com/reeve-scheduler/reeve/internal/client"
)

const (
	arrayElements = 1_000_000
	// pages is how often a page of a list is asked for.
	pages = 20

	aboutArray = "One array of functions that do nothing. Half of it was cancelled, and half of the rest has run, when the server is killed with kill -9; " +
		"*first dispatch* is how long after its start anew it gives the first element to the worker, which was there all the while."
)

// array is W5: what can be done with a large array, and the way back in the middle of it.
func (b *bench) array() error {
	n := b.count(arrayElements)
	for range b.runs {
		if err := b.oneArray(n); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) oneArray(n int) (err error) {
	c, err := b.newCluster()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	r := figure.Row{Workload: "W5", Case: fmt.Sprintf("%d elements", n), Kind: figure.Reeve, System: "Reeve", Durability: figure.Durable}
	took := func(metric string, f func() error) error {
		began := time.Now()
		err := f()
		b.figures.Add(r, metric, "ms", time.Since(began).Seconds()*1000)
		return err
	}
	var id string
	if err := took("submit", func() (err error) {
		id, err = c.client.Submit(b.ctx, reeve.Job{Tasks: []reeve.Task{{
			Name: "each", Function: "noop", Array: &reeve.Array{Indexes: fmt.Sprintf("0-%d", n-1)},
		}}})
		return err
	}); err != nil {
		return err
	}
	list, err := c.listed(id)
	if err != nil {
		return err
	}
	b.figures.Add(r, "list page", "ms", list.Seconds()*1000)
	if err := took("cancel half", func() error {
		_, err := c.inside.Cancel(b.ctx, &client.CancelRequest{Id: id, Task: "each", Elements: fmt.Sprintf("%d-%d", n/2, n-1)})
		return err
	}); err != nil {
		return err
	}
	q := &reeveQueue{c}
	if err := errors.Join(q.Prepare(peer.Workload{}), q.Work(), c.succeeded(id, int64(n/4))); err != nil {
		return err
	}
	if err := c.server.Kill(); err != nil {
		return err
	}
	return errors.Join(took("first dispatch after kill -9", func() error {
		if err := c.startServer(); err != nil {
			return err
		}
		return proc.Await(b.ctx, pollEvery, func() (bool, error) {
			assigned, err := c.metric("reeve_attempts_assigned_total")
			if assigned > 0 || err != nil {
				return true, err
			}
			s, err := c.inside.Status(b.ctx)
			return s.GetPending() == 0, err // a small array was through before it was killed
		})
	}), c.drained())
}

// succeeded waits until so many elements of a job have.
func (c *cluster) succeeded(id string, n int64) error {
	return proc.Await(c.b.ctx, pollEvery, func() (bool, error) {
		j, err := c.inside.Get(c.b.ctx, id, false)
		return err == nil && j.GetTasks()[0].GetCounts().GetSucceeded() >= n, err
	})
}

// listed is how long a page of elements takes, at the median.
func (c *cluster) listed(id string) (time.Duration, error) {
	var all []time.Duration
	for range pages {
		began := time.Now()
		if _, _, err := c.inside.Elements(c.b.ctx, id, "each", nil, 0, ""); err != nil {
			return 0, err
		}
		all = append(all, time.Since(began))
	}
	return quantile(all, 0.5), nil
}
