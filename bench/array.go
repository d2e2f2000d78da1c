package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
	"github.com/reeve-scheduler/reeve/internal/client"
)

const (
	arrayElements = 1_000_000
	// pageSize is how many elements a page of a list has.
	pageSize = 100
	// pages is how many are asked for, of which the median counts.
	pages = 20
	// slurmSlots is how many of Slurm's elements run at a time.
	slurmSlots = 2
	// slurmSaves is how long after a change it is on disk for certain.
	slurmSaves = 6 * time.Second
)

// array is a running system that holds an array.
type array interface {
	// submitArray submits an array that does not start yet.
	submitArray(n int) error
	list() error
	cancelFirst(n int) error
	// begin lets elements start, holds the others back again, and returns when none runs and
	// a crash would lose nothing of that.
	begin() error
	// crash kills the server, starts it again, lets elements start, and says how long it takes
	// until one is given to a worker. What the old server had started can't be taken for that.
	crash() (time.Duration, error)
	// server is the process id of what holds the array.
	server() int
	close() error
}

// arrays is W5: what one array of a million does to a system.
func (b *bench) arrays() error {
	n := b.count(arrayElements)
	for range b.runs {
		reeve := figure.Row{Workload: "W5", Kind: figure.Reeve, System: "Reeve", Durability: figure.Durable}
		if err := b.attempt("W5", reeve.System, reeve.Kind, func() error { return b.array(reeve, n, b.reeveArray) }); err != nil {
			return err
		}
		if !b.peers {
			continue
		}
		slurm := figure.Row{Workload: "W5", Kind: figure.Peer, System: "Slurm", Durability: "5 s"}
		if err := b.attempt("W5", slurm.System, slurm.Kind, func() error { return b.array(slurm, n, b.slurmArray) }); err != nil {
			return err
		}
	}
	return nil
}

// array measures one system.
func (b *bench) array(r figure.Row, n int, start func() (array, error)) (err error) {
	a, err := start()
	if a == nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	if err != nil {
		return err
	}
	empty, err := proc.Resident(a.server())
	if err != nil {
		return err
	}
	if err := b.lasts(r, "submit", func() error { return a.submitArray(n) }); err != nil {
		return err
	}
	full, err := proc.Resident(a.server())
	if err != nil {
		return err
	}
	var listed []time.Duration
	for range pages {
		began := time.Now()
		if err := a.list(); err != nil {
			return err
		}
		listed = append(listed, time.Since(began))
	}
	b.addTime(r, "list", figure.Quantile(listed, 0.5))
	if err := b.lasts(r, "cancel half", func() error { return a.cancelFirst(n / 2) }); err != nil {
		return err
	}
	if err := a.begin(); err != nil {
		return err
	}
	took, err := a.crash()
	if err != nil {
		return err
	}
	b.addTime(r, "kill -9 to the first dispatch", took)
	b.figures.Cost(r, "memory over the empty server", "MiB", float64(full-empty)/(1<<20))
	return nil
}

// lasts records how long f lasts.
func (b *bench) lasts(r figure.Row, what string, f func() error) error {
	began := time.Now()
	if err := f(); err != nil {
		return err
	}
	b.addTime(r, what, time.Since(began))
	return nil
}

func (b *bench) addTime(r figure.Row, what string, took time.Duration) {
	r.Case = what
	b.figures.Add(r, "took", "ms", took.Seconds()*1000)
}

// reeveArray is Reeve with an array of functions.
type reeveArray struct {
	*cluster

	id string
	n  int64
}

func (b *bench) reeveArray() (array, error) {
	c, err := b.newCluster()
	if c == nil {
		return nil, err
	}
	return &reeveArray{cluster: c}, err
}

func (a *reeveArray) server() int { return a.cluster.server.PID() }

func (a *reeveArray) submitArray(n int) (err error) {
	a.n = int64(n)
	a.id, err = a.client.Submit(a.b.ctx, reeve.Job{Tasks: []reeve.Task{{
		Function: "noop", Array: &reeve.Array{Indexes: fmt.Sprintf("0-%d", n-1)},
	}}})
	return err
}

// list asks for a page of elements.
func (a *reeveArray) list() error {
	all, _, err := a.inside.Elements(a.b.ctx, a.id, "main", nil, pageSize, "")
	if err == nil && len(all) == 0 {
		err = errors.New("the page has no elements")
	}
	return err
}

// cancelFirst returns when so many elements are cancelled.
func (a *reeveArray) cancelFirst(n int) error {
	if _, err := a.inside.Cancel(a.b.ctx, &client.CancelRequest{Id: a.id, Task: "main", Elements: fmt.Sprintf("0-%d", n-1)}); err != nil {
		return err
	}
	return await(a.b.ctx, func() (bool, error) {
		j, err := a.client.Get(a.b.ctx, a.id)
		return err == nil && j.Tasks[0].Counts.Cancelled >= int64(n), err
	})
}

// begin lets half of what is left run.
func (a *reeveArray) begin() error {
	q := &reeveQueue{a.cluster}
	if err := errors.Join(q.Prepare(peer.Workload{}), q.Work()); err != nil {
		return err
	}
	if err := await(a.b.ctx, func() (bool, error) {
		j, err := a.client.Get(a.b.ctx, a.id)
		return err == nil && j.Tasks[0].Counts.Succeeded >= a.n/4, err
	}); err != nil {
		return err
	}
	if err := a.client.Hold(a.b.ctx, a.id); err != nil && !a.over() {
		return err
	}
	return await(a.b.ctx, func() (bool, error) {
		held, err := a.metric("reeve_attempts_held")
		return held == 0, err
	})
}

// over reports that all of a small array has run before it could be held.
func (a *reeveArray) over() bool {
	j, err := a.client.Get(a.b.ctx, a.id)
	return err == nil && j.State.Ended()
}

func (a *reeveArray) crash() (time.Duration, error) {
	over := a.over()
	killed := time.Now()
	if err := a.cluster.server.Kill(); err != nil {
		return 0, err
	}
	if err := a.startServer(); err != nil || over {
		return time.Since(killed), err
	}
	if err := a.client.Release(a.b.ctx, a.id); err != nil {
		return 0, err
	}
	err := await(a.b.ctx, func() (bool, error) {
		assigned, err := a.metric("reeve_attempts_assigned_total")
		return assigned > 0, err
	})
	return time.Since(killed), err
}

// slurmArray is Slurm with an array of processes that write when they began.
type slurmArray struct {
	*peer.Slurm

	b      *bench
	id     string
	starts string
}

func (b *bench) slurmArray() (array, error) {
	q, err := b.site().StartSlurm(slurmSlots)
	if err != nil {
		return nil, err
	}
	return &slurmArray{Slurm: q, b: b, starts: q.Dir + "/starts"}, nil
}

func (a *slurmArray) server() int { return a.Controller() }

func (a *slurmArray) submitArray(n int) (err error) {
	a.id, err = a.Submit(fmt.Sprintf("date +%%s%%N >>%s", a.starts), "/dev/null", fmt.Sprintf("--array=0-%d", n-1), "--hold")
	return err
}

// list asks for the line that the array is: there are no pages of elements.
func (a *slurmArray) list() error {
	text, err := a.Ask("squeue", "-h")
	if err == nil && !strings.Contains(text, a.id) {
		err = fmt.Errorf("job %s is not in %.100q", a.id, text)
	}
	return err
}

func (a *slurmArray) cancelFirst(n int) error { return a.CancelFirst(a.id, n) }

func (a *slurmArray) begin() error {
	if err := a.Control("release", a.id); err != nil {
		return err
	}
	if err := a.within(func() (bool, error) {
		at, err := a.started(time.Time{})
		return !at.IsZero(), err
	}); err != nil {
		return err
	}
	if err := a.Control("hold", a.id); err != nil {
		return err
	}
	if err := a.within(func() (bool, error) {
		left, err := a.Ask("squeue", "-h", "-t", "R,CG,S")
		return left == "", err
	}); err != nil {
		return err
	}
	return a.b.pause(slurmSaves)
}

func (a *slurmArray) crash() (time.Duration, error) {
	killed := time.Now()
	if err := a.KillController(); err != nil {
		return 0, err
	}
	if err := a.StartController(); err != nil {
		return 0, err
	}
	var at time.Time
	var released bool
	err := a.within(func() (bool, error) {
		// It does not answer at once, and may have let them go though it did not answer.
		if !released {
			released = a.Control("release", a.id) == nil
		}
		var err error
		at, err = a.started(killed)
		return !at.IsZero(), err
	})
	return at.Sub(killed), err
}

// started is when the first element began after some time, zero if none has.
func (a *slurmArray) started(after time.Time) (time.Time, error) {
	text, err := os.ReadFile(a.starts)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	for line := range strings.Lines(string(text)) {
		n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if at := time.Unix(0, n); err == nil && at.After(after) {
			return at, nil
		}
	}
	return time.Time{}, err
}

// within asks until something holds, with patience.
func (a *slurmArray) within(holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(a.b.ctx, proc.Patience)
	defer cancel()
	return await(ctx, holds)
}

func (a *slurmArray) close() error { return a.Close() }
