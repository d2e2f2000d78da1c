package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/reeve-scheduler/reeve/bench/internal/figure"
)

// queue is a running system that takes jobs which are functions, fresh and empty. The
// client is this process, or one that the queue starts.
type queue interface {
	// fill submits n jobs that do nothing, and returns when all are acknowledged.
	fill(n int) error
	// prepare starts a worker that does nothing until work, and returns when nothing trails
	// any more that filling the queue left to do.
	prepare(w workload) error
	work() error
	// oneByOne submits n jobs that say when they started, each after the end of the one before
	// was seen.
	oneByOne(n int) ([]latencies, error)
	// drained returns when all jobs have ended and the system has that as durable as it
	// promises.
	drained() error
	parts() []part
	close() error
}

// synced is a queue that counts how often it has told the disk to make something durable.
type synced interface{ syncs() (int64, error) }

// workload is what a worker is prepared for.
type workload struct {
	// jobs is how many will end.
	jobs int
	// slots is how many at the same time; 0 is the best number for throughput.
	slots int
	kind  kind
}

// kind is what jobs do.
type kind string

const (
	kindNoop  kind = ""
	kindStamp kind = "stamp"
)

// queueSystem is a kind of queue.
type queueSystem struct {
	name, durability string
	kind             figure.Kind
	start            func(*bench) (queue, error)
	// rate is a guess at the jobs that it ends a second with so many slots, 0 for many: by it a
	// run is shortened to one of seconds.
	rate func(slots int) int
}

// row is where the figures of a system stand.
func (s queueSystem) row(workload, what string) figure.Row {
	return figure.Row{Workload: workload, Case: what, Kind: s.kind, System: s.name, Durability: s.durability}
}

// queues are the systems that take functions: Reeve, and the peers if they are asked for.
func (b *bench) queues() []queueSystem {
	return []queueSystem{{name: "Reeve", durability: figure.Durable, kind: figure.Reeve, start: (*bench).startReeve}}
}

// inTurn measures every system once per run, one after the other. A peer that fails is
// not measured further in this workload, and the report says why.
func (b *bench) inTurn(workload string, measure func(s queueSystem, run int) error) error {
	failed := map[string]bool{}
	for run := range b.runs {
		for _, s := range b.queues() {
			if failed[s.name+s.durability] {
				continue
			}
			err := measure(s, run)
			if err == nil {
				continue
			}
			if s.kind == figure.Reeve || b.ctx.Err() != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			failed[s.name+s.durability] = true
			b.miss(workload, s.name, err)
		}
	}
	return nil
}

// miss records that a peer could not be measured.
func (b *bench) miss(workload, system string, err error) {
	b.say("%s: %s is not measured: %v", workload, system, err)
	b.figures.Miss(workload, system, fmt.Sprintf("%.300s", err.Error()))
}

// with starts a system, and stops it when f has returned.
func (b *bench) with(s queueSystem, f func(queue) error) error {
	q, err := s.start(b)
	if q == nil {
		return err
	}
	if err == nil {
		err = f(q)
	}
	return errors.Join(err, q.close())
}

// spent is what a measured span took.
type spent struct {
	usage

	took  time.Duration
	syncs int64
}

// timed is what f takes, of all parts of a queue.
func (b *bench) timed(q queue, f func() error) (spent, error) {
	syncs, err := syncsOf(q)
	if err != nil {
		return spent{}, err
	}
	before, err := used(q.parts(), b.dir)
	if err != nil {
		return spent{}, err
	}
	began := time.Now()
	if err := f(); err != nil {
		return spent{}, err
	}
	took := time.Since(began)
	after, err := used(q.parts(), b.dir)
	if err != nil {
		return spent{}, err
	}
	n, err := syncsOf(q)
	if syncs < 0 || n < 0 {
		n, syncs = -1, 0
	}
	return spent{after.since(before), took, n - syncs}, err
}

// syncsOf is -1 of a queue that doesn't count them.
func syncsOf(q queue) (int64, error) {
	if s, ok := q.(synced); ok {
		return s.syncs()
	}
	return -1, nil
}

// charge records what n jobs took.
func (b *bench) charge(r figure.Row, s spent, n int) {
	each := float64(n)
	b.figures.Cost(r, "jobs", "", each)
	micros := func(d time.Duration) float64 { return float64(d.Microseconds()) / each }
	b.figures.Cost(r, "CPU", "µs/job", micros(s.overhead()))
	for _, p := range []role{roleClient, roleServer, roleDatabase, roleWorker, roleKeeper, roleAttempts} {
		if d, ok := s.cpu[p]; ok {
			b.figures.Cost(r, string(p), "µs/job", micros(d))
		}
	}
	if s.wrote >= 0 {
		b.figures.Cost(r, "written", "B/job", float64(s.wrote)/each)
	}
	if s.flushes >= 0 {
		b.figures.Cost(r, "disk flushes", "/1,000 jobs", 1000*float64(s.flushes)/each)
	}
	if s.syncs >= 0 {
		b.figures.Cost(r, "own fsyncs", "/1,000 jobs", 1000*float64(s.syncs)/each)
	}
	b.figures.Cost(r, "others", "share", s.others(s.took))
}

// occupy records the memory that the programs of a queue occupy, without its clients.
func (b *bench) occupy(r figure.Row, q queue) error {
	var sum int64
	for _, p := range q.parts() {
		if p.role == roleClient || p.reach == itsEnded {
			continue
		}
		n, err := resident(p.pid)
		if err != nil {
			return err
		}
		sum += n
	}
	b.figures.Cost(r, "memory", "MiB", float64(sum)/(1<<20))
	return nil
}

// itself is this process, where it is the client.
func itself() part { return part{roleClient, os.Getpid(), withEnded} }
