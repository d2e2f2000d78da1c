package replica

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/faultstore"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"
)

// history is a store with what a leader has written into it.
type history struct {
	t       *testing.T
	journal store.Journal
	tables  store.Tables
	state   *core.State
}

func newHistory(t *testing.T) *history {
	s := memstore.New()
	h := &history{t: t, journal: s.Journal(), tables: s.Tables(), state: core.New(core.Config{})}
	h.append(h.state.Begin(1000, 1, 1)...)
	return h
}

// append applies events and writes them as the next batch.
func (h *history) append(events ...core.Event) {
	h.t.Helper()
	for _, e := range events {
		h.state.Apply(e)
	}
	for d, more := h.state.Follow(2000); more; d, more = h.state.Follow(2000) {
		for _, e := range d.Events {
			h.state.Apply(e)
		}
		events = append(events, d.Events...)
	}
	payload, err := record.EncodeBatch(nil, events)
	if err != nil {
		h.t.Fatal(err)
	}
	h.raw(payload)
	h.state.Batch(h.state.Seq() + 1)
}

// raw writes a payload as the next batch.
func (h *history) raw(payload []byte) {
	h.t.Helper()
	last, err := h.journal.Last(h.t.Context())
	if err == nil {
		err = h.journal.Append(h.t.Context(), store.Batch{Seq: last.Seq + 1, Epoch: 1, ID: [16]byte{1, byte(last.Seq)}, Prev: last.ID, Payload: payload})
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// submit makes one job in a batch of its own.
func (h *history) submit() {
	h.t.Helper()
	file, err := jobfile.Parse("", []byte(`run: "true"`))
	if err != nil {
		h.t.Fatal(err)
	}
	d, err := h.state.Decide(core.Input{Now: 2000}, core.Submit{
		Namespace: core.DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, By: "anna",
		Items: []core.Item{{Params: []byte("{}")}}, ReadSeq: h.state.Seq(),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.append(d.Events...)
}

// flush writes the tables.
func (h *history) flush() {
	h.t.Helper()
	rows := record.NewRows()
	seq := h.state.BeginFlush(rows)
	for !h.state.Encode(100) {
	}
	if err := h.tables.Flush(h.t.Context(), rows.Flush(0, store.Mark{Seq: seq})); err != nil {
		h.t.Fatal(err)
	}
	h.state.Flushed(2000, rows.Ended())
}

func (h *history) recover() (Copy, error) {
	return Recover(h.t.Context(), core.Config{}, h.journal, h.tables)
}

func TestRecover(t *testing.T) {
	h := newHistory(t)
	check := func(what string, last, projected uint64, live int64) {
		t.Helper()
		r, err := h.recover()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := r.State.Totals(); r.Last.Seq != last || r.Projected != projected || r.State.Seq() != last || got.Live != live || got.Epoch != 1 {
			t.Errorf("%s: last %d, projected %d, at %d, %+v; want %d, %d with %d live", what, r.Last.Seq, r.Projected, r.State.Seq(), got, last, projected, live)
		}
	}
	check("one batch", 1, 0, 0)
	h.submit()
	h.submit()
	check("a journal alone", 3, 0, 2)
	h.flush()
	check("nothing after the tables", 3, 3, 2)
	h.submit()
	check("tables and a tail", 4, 3, 3)
	if err := h.journal.Trim(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	check("a trimmed journal", 4, 3, 3)
	empty := memstore.New()
	h.journal, h.tables = empty.Journal(), empty.Tables()
	r, err := h.recover()
	if err != nil || r.Last.Seq != 0 || r.State.Totals().Jobs != 0 {
		t.Errorf("an empty store: %+v, %v", r, err)
	}
}

// TestRecoverReadsInPieces has more than one read's worth of journal.
func TestRecoverReadsInPieces(t *testing.T) {
	h := newHistory(t)
	big := core.SpecAdded{Canonical: []byte(`{"name":"` + strings.Repeat("x", 1<<20) + `"}`)}
	for i := range 20 {
		big.Hash = core.Hash{byte(i)}
		payload, err := record.EncodeBatch(nil, []core.Event{big, core.NamespaceSet{Name: fmt.Sprintf("n%d", i)}})
		if err != nil {
			t.Fatal(err)
		}
		h.raw(payload)
	}
	r, err := h.recover()
	if err != nil || r.Last.Seq != 21 || len(r.State.Namespaces()) != 21 {
		t.Errorf("recovered %d batches with %d namespaces: %v", r.Last.Seq, len(r.State.Namespaces()), err)
	}
}

// TestCover lets go of what the tables have, and notices that they have lost some of it.
func TestCover(t *testing.T) {
	h := newHistory(t)
	h.submit()
	c, err := h.recover()
	if err != nil {
		t.Fatal(err)
	}
	for _, projected := range []uint64{0, 1, 2, 2} {
		if err := c.Cover(3000, projected); err != nil || c.Projected != projected {
			t.Errorf("the tables cover %d, and the copy knows of %d: %v", projected, c.Projected, err)
		}
	}
	if err := c.Cover(3000, 1); !errors.Is(err, ErrDiverged) || c.Projected != 2 {
		t.Errorf("the tables have lost a flush, and the copy knows of %d: %v", c.Projected, err)
	}
}

// TestDamage ends recovery with the place: no event is ever skipped.
func TestDamage(t *testing.T) {
	unknownJob, err := record.EncodeBatch(nil, []core.Event{core.NamespaceSet{Name: "ok"}, core.JobEnded{Job: 99, State: job.JobFailed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		make func(*testing.T, *history)
		is   error
		says []string
	}{
		"bytes that are no batch": {func(_ *testing.T, h *history) { h.raw([]byte("rubbish")) }, store.ErrCorrupt, []string{"journal at 3"}},
		"an empty payload":        {func(_ *testing.T, h *history) { h.raw(nil) }, store.ErrCorrupt, []string{"journal at 3"}},
		"an event that does not fit": {
			func(_ *testing.T, h *history) { h.raw(unknownJob) }, nil, []string{"event 1", "core.JobEnded", "journal at 3", "job 99"},
		},
		"a journal trimmed past the tables": {func(t *testing.T, h *history) {
			h.submit()
			if err := h.journal.Trim(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
		}, store.ErrCorrupt, []string{"cover sequence 0", "holds 3 to 3"}},
		"a journal that is shorter than the tables": {func(_ *testing.T, h *history) {
			h.submit()
			h.flush()
			older := newHistory(h.t)
			older.submit()
			h.journal = older.journal
		}, store.ErrCorrupt, []string{"cover sequence 3", "holds 1 to 2"}},
		"a journal that is gone": {func(_ *testing.T, h *history) {
			h.flush()
			h.journal = memstore.New().Journal()
		}, store.ErrCorrupt, []string{"cover sequence", "holds 1 to 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.submit()
			test.make(t, h)
			_, err := h.recover()
			if err == nil || test.is != nil && !errors.Is(err, test.is) {
				t.Fatalf("recovery ended with %v; want %v", err, test.is)
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

// TestStoreErrors passes on what the store says, with what was being done.
func TestStoreErrors(t *testing.T) {
	trouble := errors.New("no such disk")
	for op, says := range map[faultstore.Op]string{
		faultstore.Load: "load the tables", faultstore.Bounds: "journal's bounds", faultstore.Read: "read the journal at 1",
	} {
		h := newHistory(t)
		f := faultstore.New(faultstore.Once(op, 1, faultstore.Fault{Err: trouble}))
		_, err := Recover(t.Context(), core.Config{}, f.Journal(h.journal), f.Tables(h.tables))
		if !errors.Is(err, trouble) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: want the cause and %q", err, says)
		}
	}
}
