package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

const (
	waitingJobs     = 1_000_000
	waitingElements = 10_000_000
	// payloadBytes is what each single job carries.
	payloadBytes = 300
	// lull is after how long memory is measured: a server on which little goes on gives back
	// what the submits took beside what they left.
	lull = 20 * time.Second
)

// pause waits.
func (b *bench) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}

// memory is W6: what jobs that wait cost, and how long it takes to have them again after the
// server was killed. Each is measured once: it is memory, not time.
func (b *bench) memory() error {
	jobs, elements := b.count(waitingJobs), b.count(waitingElements)
	single, many := fmt.Sprintf("%s jobs of %d B", figure.Whole(float64(jobs)), payloadBytes), figure.Whole(float64(elements))+" elements of one array"
	if err := b.wait(single, jobs, func(c *cluster) error { return c.submitEach(reeve.Function("noop", nil), jobs, payloadBytes) }); err != nil {
		return err
	}
	if err := b.wait(many, elements, func(c *cluster) error {
		_, err := c.client.Submit(c.b.ctx, reeve.Job{Tasks: []reeve.Task{{
			Function: "noop", Array: &reeve.Array{Indexes: fmt.Sprintf("0-%d", elements-1)},
		}}})
		return err
	}); err != nil {
		return err
	}
	if !b.peers {
		return nil
	}
	river := peer.RiverSystem()
	return b.attempt("W6", river.Name, river.Kind, func() error {
		return b.with(river, func(q peer.Queue) error { return b.waitIn(rowOf(river, "W6", single), q.(peer.Backlog), jobs) })
	})
}

// waitIn measures what waits in a peer.
func (b *bench) waitIn(r figure.Row, q peer.Backlog, n int) error {
	empty, err := memoryOf(q.Parts())
	if err != nil {
		return err
	}
	disk, err := q.Stored()
	if err != nil {
		return err
	}
	spent, err := b.timed(q, func() error { return q.FillWith(n, payloadBytes) })
	if err != nil {
		return err
	}
	full, err := q.Stored()
	if err != nil {
		return err
	}
	b.figures.Add(r, "memory over the empty server", "MiB", mebibytes(spent.memory-empty))
	b.figures.Add(r, "submitted in", "s", spent.took.Seconds())
	b.figures.Add(r, "on disk", "MiB", mebibytes(full-disk))
	b.charge(r, spent, n)
	return nil
}

// wait measures what waits in Reeve.
func (b *bench) wait(what string, n int, submit func(*cluster) error) (err error) {
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
	recorded := c.record(fmt.Sprintf("wait-%d", n), profileTime)
	spent, err := b.timed(&reeveQueue{c}, func() error { return submit(c) })
	if err := errors.Join(err, recorded()); err != nil {
		return err
	}
	if err := c.settle(); err != nil {
		return err
	}
	atOnce, err := proc.Resident(c.server.PID())
	if err != nil {
		return err
	}
	if err := b.pause(lull); err != nil {
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
		if err := fetch(b.ctx, c.admin+"debug/pprof/heap", fmt.Sprintf("%s/heap-%d.pprof", b.profile, n), proc.Patience); err != nil {
			return err
		}
	}
	disk, err := c.stored()
	if err != nil {
		return err
	}
	r := figure.Row{Workload: "W6", Case: what, Kind: figure.Reeve, System: "Reeve", Durability: figure.Durable}
	b.figures.Add(r, "memory over the empty server", "MiB", mebibytes(full-rss))
	b.figures.Add(r, "of it in use", "MiB", mebibytes(fullLive-live))
	b.figures.Add(r, "at once", "MiB", mebibytes(atOnce-rss))
	b.figures.Add(r, "submitted in", "s", spent.took.Seconds())
	b.figures.Add(r, "on disk", "MiB", mebibytes(disk))
	b.charge(r, spent, n)
	return c.comeBack(r, n)
}

// stored is the size of the server's files.
func (c *cluster) stored() (sum int64, err error) {
	err = filepath.WalkDir(c.dir+"/server", func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := e.Info()
		if err == nil {
			sum += f.Size()
		}
		return err
	})
	return sum, err
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

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
	c.b.figures.Add(r, "memory then", "MiB", mebibytes(rss))
	return err
}
