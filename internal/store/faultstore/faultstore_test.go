package faultstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/faultstore"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"
	"github.com/reeve-scheduler/reeve/internal/store/storetest"
)

var errInjected = errors.New("injected")

// TestTransparent holds a store whose faults never strike to the whole suite.
func TestTransparent(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Opened { return opened(memstore.New()) })
}

func opened(s *memstore.Store) storetest.Opened {
	f := faultstore.New(nil)
	return storetest.Opened{
		Journal: f.Journal(s.Journal()), Tables: f.Tables(s.Tables()), History: f.History(s.History()), Archive: s,
		Reopen: func(*testing.T) storetest.Opened { return opened(s) },
	}
}

type nothing struct{}

func (nothing) Object(store.ObjectRow) error { return nil }
func (nothing) Spec(store.SpecRow) error     { return nil }
func (nothing) Job(store.JobRow) error       { return nil }
func (nothing) Part(store.PartRow) error     { return nil }

// calls make one call of each operation.
func calls(f *faultstore.Faults, s *memstore.Store) map[faultstore.Op]func(context.Context) error {
	j, t, h := f.Journal(s.Journal()), f.Tables(s.Tables()), f.History(s.History())
	return map[faultstore.Op]func(context.Context) error{
		faultstore.Append: func(ctx context.Context) error { return j.Append(ctx, store.Batch{Seq: 1}) },
		faultstore.Read: func(ctx context.Context) error {
			b, err := j.Read(ctx, 1, 1)
			if err != nil && b != nil {
				return errors.New("an answer beside an error")
			}
			return err
		},
		faultstore.Bounds: func(ctx context.Context) error {
			first, last, err := j.Bounds(ctx)
			if err != nil && (first != 0 || last != 0) {
				return errors.New("an answer beside an error")
			}
			return err
		},
		faultstore.Trim: func(ctx context.Context) error { return j.Trim(ctx, 1) },
		faultstore.Flush: func(ctx context.Context) error {
			return t.Flush(ctx, &store.Flush{Seq: 1, Jobs: []store.JobRow{{ID: 1}}})
		},
		faultstore.Load:    func(ctx context.Context) error { _, err := t.Load(ctx, nothing{}); return err },
		faultstore.Durable: func(ctx context.Context) error { _, err := t.Durable(ctx); return err },
		faultstore.Retain:  func(ctx context.Context) error { _, err := t.Retain(ctx, time.Time{}, nil); return err },
		faultstore.Job:     func(ctx context.Context) error { _, _, err := h.Job(ctx, 1); return err },
		faultstore.JobsByKey: func(ctx context.Context) error {
			_, _, err := h.JobsByKey(ctx, store.Latest, []uint64{1})
			return err
		},
		faultstore.Jobs:  func(ctx context.Context) error { _, err := h.Jobs(ctx, store.Query{Limit: 1}); return err },
		faultstore.Parts: func(ctx context.Context) error { _, err := h.Parts(ctx, 1, 0, store.PartChunk, 0, 1); return err },
		faultstore.Payloads: func(ctx context.Context) error {
			p, err := h.Payloads(ctx, []uint64{1})
			if err != nil && p != nil {
				return errors.New("an answer beside an error")
			}
			return err
		},
		faultstore.Spec: func(ctx context.Context) error { _, err := h.Spec(ctx, 1, [32]byte{}); return err },
	}
}

// prepared is a store in which every call of calls works.
func prepared(t *testing.T) *memstore.Store {
	t.Helper()
	s := memstore.New()
	f := &store.Flush{Seq: 1, Jobs: []store.JobRow{{ID: 1, Live: true, Spec: [32]byte{}}}, Specs: []store.SpecRow{{}}}
	if err := s.Tables().Flush(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryCallFailsOnCue(t *testing.T) {
	for op := range calls(faultstore.New(nil), memstore.New()) {
		for _, after := range []bool{false, true} {
			f := faultstore.New(faultstore.Once(op, 2, faultstore.Fault{Err: errInjected, After: after}))
			call := calls(f, prepared(t))[op]
			for n := 1; n <= 3; n++ {
				err := call(t.Context())
				if want := n == 2; errors.Is(err, errInjected) != want || !want && err != nil {
					t.Errorf("call %d of operation %d, after %t: %v", n, op, after, err)
				}
			}
			if got := f.Calls(op); got != 3 {
				t.Errorf("operation %d: %d calls counted, want 3", op, got)
			}
		}
	}
}

// TestUnknownOutcome holds that a call fails before its effect or after it, and
// that the same append is right in both cases.
func TestUnknownOutcome(t *testing.T) {
	for _, after := range []bool{false, true} {
		s := memstore.New()
		f := faultstore.New(faultstore.Once(faultstore.Append, 1, faultstore.Fault{Err: errInjected, After: after}))
		j := f.Journal(s.Journal())
		if err := j.Append(t.Context(), store.Batch{Seq: 1}); !errors.Is(err, errInjected) {
			t.Errorf("Append: %v, want %v", err, errInjected)
		}
		_, last, err := s.Journal().Bounds(t.Context())
		if (last == 1) != after || err != nil {
			t.Errorf("after %t: the journal ends at %d (%v)", after, last, err)
		}
		if err := j.Append(t.Context(), store.Batch{Seq: 1}); err != nil {
			t.Errorf("the same append again: %v", err)
		}
	}
}

func TestBrokenIsForGood(t *testing.T) {
	s := memstore.New()
	f := faultstore.New(faultstore.Once(faultstore.Append, 1, faultstore.Fault{Err: store.ErrBroken, After: true}))
	all := calls(f, s)
	for _, op := range []faultstore.Op{faultstore.Append, faultstore.Append, faultstore.Flush, faultstore.Trim, faultstore.Durable, faultstore.Retain} {
		if err := all[op](t.Context()); !errors.Is(err, store.ErrBroken) {
			t.Errorf("operation %d: %v, want %v", op, err, store.ErrBroken)
		}
	}
	if err := all[faultstore.Read](t.Context()); err != nil {
		t.Errorf("Read: %v", err)
	}
	// A new process on the same store.
	if err := calls(faultstore.New(nil), s)[faultstore.Append](t.Context()); err != nil {
		t.Errorf("Append by a new process: %v", err)
	}
}

func TestFirst(t *testing.T) {
	other := errors.New("other")
	f := faultstore.New(faultstore.First(
		faultstore.Once(faultstore.Append, 1, faultstore.Fault{Err: errInjected}),
		faultstore.Once(faultstore.Append, 1, faultstore.Fault{Err: other}),
		faultstore.Once(faultstore.Append, 2, faultstore.Fault{Err: other}),
	))
	call := calls(f, memstore.New())[faultstore.Append]
	for i, want := range []error{errInjected, other, nil} {
		if err := call(t.Context()); !errors.Is(err, want) {
			t.Errorf("call %d: %v, want %v", i+1, err, want)
		}
	}
	f.SetCue(func(faultstore.Op, int) faultstore.Fault { return faultstore.Fault{Err: other} })
	if err := call(t.Context()); !errors.Is(err, other) {
		t.Errorf("after SetCue: %v, want %v", err, other)
	}
}
