package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// rowOf is where the figures of a system stand.
func rowOf(s peer.System, workload, what string) figure.Row {
	return figure.Row{Workload: workload, Case: what, Kind: s.Kind, System: s.Name, Durability: s.Durability}
}

// queues are the systems that take functions: Reeve with each of its stores, and the peers if
// they are asked for.
func (b *bench) queues() []peer.System {
	all := []peer.System{
		{Name: "Reeve", Durability: figure.Durable, Kind: figure.Reeve, Start: b.startReeve},
		{Name: onPostgres, Durability: figure.Durable, Kind: figure.Reeve, Start: b.startReeveOnPostgres},
	}
	if b.peers {
		all = append(all, peer.Systems()...)
	}
	return all
}

// inTurn measures every queue once per run, one after the other.
func (b *bench) inTurn(workload string, measure func(s peer.System, run int) error) error {
	for run := range b.runs {
		for _, s := range b.queues() {
			if err := b.attempt(workload, s.Name, s.Kind, func() error { return measure(s, run) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// attempt measures a system. A peer that fails is not measured any more in this workload,
// and the report says why; only Reeve must not fail, where what it needs is installed.
func (b *bench) attempt(workload, system string, kind figure.Kind, measure func() error) error {
	if b.figures.Missed(workload, system) || kind == figure.Peer && !b.which.MatchString(system) {
		return nil
	}
	err := measure()
	if err == nil || b.ctx.Err() == nil && (kind == figure.Peer || errors.Is(err, peer.ErrNotInstalled)) {
		if err != nil {
			b.miss(workload, system, err)
		}
		return nil
	}
	return fmt.Errorf("%s: %w", system, err)
}

// miss records that a peer could not be measured.
func (b *bench) miss(workload, system string, err error) {
	b.say("%s: %s is not measured: %v", workload, system, err)
	b.figures.Miss(workload, system, fmt.Sprintf("%.300s", err.Error()))
}

// with starts a system, and stops it when f has returned.
func (b *bench) with(s peer.System, f func(peer.Queue) error) error {
	q, err := s.Start(b.site())
	if q == nil {
		return err
	}
	if err == nil {
		err = f(q)
	}
	return errors.Join(err, q.Close())
}

// spent is what a measured span took.
type spent struct {
	proc.Usage

	took  time.Duration
	syncs int64
	// memory is what its programs but the client occupied then, in bytes.
	memory int64
}

// measured is a system that knows its processes.
type measured interface{ Parts() []proc.Part }

// timed is what f takes, of all parts of a system.
func (b *bench) timed(q measured, f func() error) (spent, error) {
	syncs, err := syncsOf(q, false)
	if err != nil {
		return spent{}, err
	}
	before, err := proc.Used(q.Parts(), b.dir)
	if err != nil {
		return spent{}, err
	}
	began := time.Now()
	if err := f(); err != nil {
		return spent{}, err
	}
	took := time.Since(began)
	after, err := proc.Used(q.Parts(), b.dir)
	if err != nil {
		return spent{}, err
	}
	memory, err := memoryOf(q.Parts()) // before the last count may end a worker
	if err != nil {
		return spent{}, err
	}
	n, err := syncsOf(q, true)
	if syncs < 0 || n < 0 {
		n, syncs = -1, 0
	}
	return spent{after.Since(before), took, n - syncs, memory}, err
}

// syncsOf is -1 of one that doesn't count them.
func syncsOf(q measured, last bool) (int64, error) {
	if s, ok := q.(peer.Synced); ok {
		return s.Syncs(last)
	}
	return -1, nil
}

// charge records what n jobs took.
func (b *bench) charge(r figure.Row, s spent, n int) {
	each := float64(n)
	b.figures.Cost(r, "jobs", "", each)
	micros := func(d time.Duration) float64 { return float64(d.Microseconds()) / each }
	b.figures.Cost(r, "CPU", "µs/job", micros(s.Ours()))
	for _, p := range []proc.Role{proc.Client, proc.Server, proc.Database, proc.Worker, proc.Keeper, proc.Attempts} {
		if d, ok := s.CPU[p]; ok {
			b.figures.Cost(r, string(p), "µs/job", micros(d))
		}
	}
	if s.Wrote >= 0 {
		b.figures.Cost(r, "written", "B/job", float64(s.Wrote)/each)
	}
	if s.Flushes >= 0 {
		b.figures.Cost(r, "disk flushes", "/1,000 jobs", 1000*float64(s.Flushes)/each)
	}
	if s.syncs >= 0 {
		b.figures.Cost(r, "own fsyncs", "/1,000 jobs", 1000*float64(s.syncs)/each)
	}
	if s.memory > 0 {
		b.figures.Cost(r, "memory", "MiB", mebibytes(s.memory))
	}
	b.figures.Cost(r, "others", "share", s.Others(s.took))
}

// memoryOf is what all parts but the client occupy.
func memoryOf(parts []proc.Part) (sum int64, err error) {
	for _, p := range parts {
		if p.Role == proc.Client || p.Reach == proc.ItsEnded {
			continue
		}
		n, err := proc.Resident(p.PID)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// site is where peers run.
func (b *bench) site() *peer.Site { return &peer.Site{Context: b.ctx, Dir: b.dir, Source: b.source} }
