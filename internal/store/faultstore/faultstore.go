// Package faultstore makes any store fail on cue, through the store's own
// contracts: before a call takes effect, after it did (the unknown outcome that a
// lost answer is), or for good. What happens is decided by the caller's cue, so a
// simulator can draw it from its seed. The idea is that of pebble's errorfs.
package faultstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// Op names a call of the store's contracts.
type Op uint8

// The calls that can fail.
const (
	Append Op = iota
	Read
	Bounds
	Last
	Trim
	Flush
	Load
	Durable
	Retain
	Job
	JobsByKey
	Jobs
	Parts
	Payloads
	Spec
	ops
)

// Fault is what happens to one call. The zero value lets it pass.
type Fault struct {
	// Err is what the call returns. With store.ErrBroken every later Append, Trim,
	// Flush, Durable and Retain fails in the same way without taking effect.
	Err error
	// After lets the call take effect before it fails.
	After bool
}

// Cue decides what happens to the nth call of op, counted from 1. It runs under a
// lock and must not call the store.
type Cue func(op Op, n int) Fault

// Once returns the cue that fails the nth call of op and lets all others pass.
func Once(op Op, n int, f Fault) Cue {
	return func(o Op, m int) Fault {
		if o == op && m == n {
			return f
		}
		return Fault{}
	}
}

// First returns the cue that asks cues in order until one fails the call.
func First(cues ...Cue) Cue {
	return func(op Op, n int) Fault {
		for _, cue := range cues {
			if f := cue(op, n); f.Err != nil {
				return f
			}
		}
		return Fault{}
	}
}

// Faults is the state that the decorated contracts of one store share. Its
// methods may run concurrently.
type Faults struct {
	mu     sync.Mutex
	cue    Cue
	calls  [ops]int
	broken bool
}

// New returns faults that follow cue; a nil cue fails nothing.
func New(cue Cue) *Faults { return &Faults{cue: cue} }

// Calls returns how many calls of op began.
func (f *Faults) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// SetCue replaces the cue; the counts go on.
func (f *Faults) SetCue(cue Cue) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cue = cue
}

// begin counts a call and returns what happens to it.
func (f *Faults) begin(op Op) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	writes := op == Append || op == Trim || op == Flush || op == Durable || op == Retain
	if f.broken && writes {
		return Fault{Err: store.ErrBroken}
	}
	if f.cue == nil {
		return Fault{}
	}
	fault := f.cue(op, f.calls[op])
	if errors.Is(fault.Err, store.ErrBroken) {
		f.broken = true
	}
	return fault
}

// run makes the call unless it fails before, and hides what it answered when it
// fails after.
func run[T any](f *Faults, op Op, call func() (T, error)) (T, error) {
	var none T
	fault := f.begin(op)
	if fault.Err != nil && !fault.After {
		return none, fault.Err
	}
	v, err := call()
	if fault.Err != nil {
		return none, fault.Err
	}
	return v, err
}

// do is run for a call that answers nothing but an error.
func do(f *Faults, op Op, call func() error) error {
	_, err := run(f, op, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// pair carries two results through run.
type pair[A, B any] struct {
	a A
	b B
}

// Journal returns to with faults.
func (f *Faults) Journal(to store.Journal) store.Journal { return journal{f, to} }

// Tables returns to with faults.
func (f *Faults) Tables(to store.Tables) store.Tables { return tables{f, to} }

// History returns to with faults.
func (f *Faults) History(to store.History) store.History { return history{f, to} }

type journal struct {
	f  *Faults
	to store.Journal
}

func (j journal) Append(ctx context.Context, b store.Batch) error {
	return do(j.f, Append, func() error { return j.to.Append(ctx, b) })
}

func (j journal) Read(ctx context.Context, from uint64, maxBytes int) ([]store.Batch, error) {
	return run(j.f, Read, func() ([]store.Batch, error) { return j.to.Read(ctx, from, maxBytes) })
}

func (j journal) Bounds(ctx context.Context) (first, last uint64, err error) {
	p, err := run(j.f, Bounds, func() (pair[uint64, uint64], error) {
		first, last, err := j.to.Bounds(ctx)
		return pair[uint64, uint64]{first, last}, err
	})
	return p.a, p.b, err
}

func (j journal) Last(ctx context.Context) (store.Mark, error) {
	return run(j.f, Last, func() (store.Mark, error) { return j.to.Last(ctx) })
}

func (j journal) Trim(ctx context.Context, below uint64) error {
	return do(j.f, Trim, func() error { return j.to.Trim(ctx, below) })
}

type tables struct {
	f  *Faults
	to store.Tables
}

func (t tables) Flush(ctx context.Context, f *store.Flush) error {
	return do(t.f, Flush, func() error { return t.to.Flush(ctx, f) })
}

func (t tables) Load(ctx context.Context, into store.Loader) (uint64, error) {
	return run(t.f, Load, func() (uint64, error) { return t.to.Load(ctx, into) })
}

func (t tables) Durable(ctx context.Context) (uint64, error) {
	return run(t.f, Durable, func() (uint64, error) { return t.to.Durable(ctx) })
}

func (t tables) Retain(ctx context.Context, now time.Time, gone func(ids []uint64) error) (int, error) {
	return run(t.f, Retain, func() (int, error) { return t.to.Retain(ctx, now, gone) })
}

type history struct {
	f  *Faults
	to store.History
}

func (h history) Job(ctx context.Context, id uint64) (store.JobRow, uint64, error) {
	p, err := run(h.f, Job, func() (pair[store.JobRow, uint64], error) {
		row, projected, err := h.to.Job(ctx, id)
		return pair[store.JobRow, uint64]{row, projected}, err
	})
	return p.a, p.b, err
}

func (h history) JobsByKey(ctx context.Context, seen uint64, hashes []uint64) ([]store.JobRow, uint64, error) {
	p, err := run(h.f, JobsByKey, func() (pair[[]store.JobRow, uint64], error) {
		rows, projected, err := h.to.JobsByKey(ctx, seen, hashes)
		return pair[[]store.JobRow, uint64]{rows, projected}, err
	})
	return p.a, p.b, err
}

func (h history) Jobs(ctx context.Context, q store.Query) (store.Page, error) {
	return run(h.f, Jobs, func() (store.Page, error) { return h.to.Jobs(ctx, q) })
}

func (h history) Parts(ctx context.Context, job uint64, task uint32, kind store.PartKind, from uint64, limit int) ([]store.PartRow, error) {
	return run(h.f, Parts, func() ([]store.PartRow, error) { return h.to.Parts(ctx, job, task, kind, from, limit) })
}

func (h history) Payloads(ctx context.Context, ids []uint64) (map[uint64][]byte, error) {
	return run(h.f, Payloads, func() (map[uint64][]byte, error) { return h.to.Payloads(ctx, ids) })
}

func (h history) Spec(ctx context.Context, job uint64, hash [32]byte) ([]byte, error) {
	return run(h.f, Spec, func() ([]byte, error) { return h.to.Spec(ctx, job, hash) })
}
