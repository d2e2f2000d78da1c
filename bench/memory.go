package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// backlog is something that waits.
type backlog struct {
	name   string
	n      int
	submit func(*cluster, int) error
}

// memory is W6: what jobs that wait cost the server, and how long it takes to have them
// again after it was killed. Each is measured once: it is memory, not time.
func (b *bench) memory() error {
	single := func(c *cluster, n int) error { return c.submit(reeve.Function("noop", nil), n) }
	array := func(c *cluster, n int) error {
		_, err := c.client.Submit(c.b.ctx, reeve.Job{Tasks: []reeve.Task{{
			Function: "noop", Array: &reeve.Array{Indexes: fmt.Sprintf("0-%d", n-1)},
		}}})
		return err
	}
	for _, l := range []backlog{
		{"single jobs", b.count(1_000_000), single},
		{"elements of one array", b.count(10_000_000), array},
	} {
		if err := b.wait(l); err != nil {
			return err
		}
	}
	return nil
}

// wait measures one backlog.
func (b *bench) wait(l backlog) (err error) {
	c, err := b.newCluster()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	live, err := c.live()
	if err != nil {
		return err
	}
	rss, err := proc.Resident(c.server.PID())
	if err != nil {
		return err
	}
	recorded := c.record(fmt.Sprintf("wait-%d", l.n))
	spent, err := b.timed(&reeveQueue{c}, func() error { return l.submit(c, l.n) })
	if err := errors.Join(err, recorded()); err != nil {
		return err
	}
	if err := c.settle(); err != nil {
		return err
	}
	full, err := proc.Resident(c.server.PID())
	if err != nil {
		return err
	}
	fullLive, err := c.live()
	if err != nil {
		return err
	}
	if b.profile != "" {
		if err := fetch(b.ctx, c.admin+"debug/pprof/heap", fmt.Sprintf("%s/heap-%d.pprof", b.profile, l.n)); err != nil {
			return err
		}
	}
	r := figure.Row{Workload: "W6", Case: fmt.Sprintf("%d %s", l.n, l.name), Kind: figure.Reeve, System: "Reeve", Durability: figure.Durable}
	b.figures.Add(r, "memory over the empty server", "MiB", float64(full-rss)/(1<<20))
	b.figures.Add(r, "of it in use", "MiB", float64(fullLive-live)/(1<<20))
	b.figures.Add(r, "submitted in", "s", spent.took.Seconds())
	b.charge(r, spent, l.n)
	return c.comeBack(r, l.n)
}

// comeBack kills the server and measures how long it takes until it answers, with
// everything that was there.
func (c *cluster) comeBack(r figure.Row, n int) error {
	if err := c.server.Kill(); err != nil {
		return err
	}
	began := time.Now()
	if err := c.startServer(); err != nil {
		return err
	}
	took := time.Since(began)
	s, err := c.inside.Status(c.b.ctx)
	if err != nil {
		return err
	}
	if got := s.GetPending(); got != int64(n) && got != 1 { // an array is one job
		return fmt.Errorf("%d of %d jobs are back", got, n)
	}
	rss, err := proc.Resident(c.server.PID())
	c.b.figures.Add(r, "back after kill -9", "s", took.Seconds())
	c.b.figures.Add(r, "memory then", "MiB", float64(rss)/(1<<20))
	return err
}
