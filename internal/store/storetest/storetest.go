// Package storetest holds every implementation of the store's contracts to every
// sentence of them.
package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// Opened is a store under test: empty when Run gets it.
type Opened struct {
	Journal store.Journal
	Tables  store.Tables
	History store.History
	// Cluster is nil where a store is one server's.
	Cluster store.Cluster
	Archive store.Archive
	// Reopen closes the store and opens what it left.
	Reopen func(t *testing.T) Opened
	// Crash opens what a killed process leaves. Nil when there is no telling.
	Crash func(t *testing.T) Opened
	// LosePower opens what a power cut leaves. Nil when there is no telling.
	LosePower func(t *testing.T) Opened

	another func(t *testing.T) Opened // opens one more empty store
}

// Run runs the suite; open returns an empty store each time and arranges for its
// end by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Opened) {
	groups := []struct {
		name  string
		tests []test
	}{
		{"Journal", journalTests},
		{"Tables", tablesTests},
		{"History", historyTests},
		{"Retention", retentionTests},
		{"Survival", survivalTests},
		{"Cluster", clusterTests},
		{"Archive", archiveTests},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, tt := range g.tests {
				t.Run(tt.name, func(t *testing.T) {
					o := open(t)
					o.another = open
					if g.name == "Cluster" && o.Cluster == nil {
						t.Skip("this store is one server's alone")
					}
					tt.run(t, o)
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(t *testing.T, o Opened)
}

// day is a day in milliseconds; epoch the noon on which the suite's jobs begin.
const (
	day   = int64(24 * time.Hour / time.Millisecond)
	epoch = 20_000*day + day/2
)

// batch makes a batch whose id says its sequence.
func batch(seq uint64, payload string) store.Batch {
	b := store.Batch{Seq: seq, Epoch: 1, Payload: []byte(payload)}
	binary.BigEndian.PutUint64(b.ID[:], seq)
	b.ID[15] = 0xff
	if seq > 1 {
		binary.BigEndian.PutUint64(b.Prev[:], seq-1)
		b.Prev[15] = 0xff
	}
	return b
}

// rival makes a batch of another leader at the same sequence.
func rival(seq uint64) store.Batch {
	b := batch(seq, "rival")
	b.ID[15], b.Epoch = 0, 2
	return b
}

// spec makes a spec and its hash from a word.
func spec(word string) store.SpecRow {
	s := store.SpecRow{Blob: []byte(`{"spec":"` + word + `"}`)}
	copy(s.Hash[:], "hash of "+word)
	return s
}

// live makes a live job; its spec is the word's.
func live(id, changed uint64, word string) store.JobRow {
	return store.JobRow{
		ID: id, Live: true, Changed: changed, Namespace: "default", Queue: "default",
		Name: fmt.Sprintf("job-%d", id), State: 1, Submitted: epoch + int64(id%1000),
		Labels: []string{"id=" + fmt.Sprint(id)}, Spec: spec(word).Hash,
		Blob: []byte(fmt.Sprintf("state of %d at %d", id, changed)),
	}
}

// ended makes the row of a job that ended and is kept for keep milliseconds.
func ended(j store.JobRow, changed uint64, keep int64) store.JobRow {
	j.Live, j.Changed, j.State = false, changed, 3
	j.Ended = j.Submitted + 1000
	j.KeepUntil = j.Ended + keep
	j.Blob = []byte(fmt.Sprintf("end of %d at %d", j.ID, changed))
	return j
}

// chunk makes a part of a job's task.
func part(kind store.PartKind, job uint64, task uint32, n, changed uint64) store.PartRow {
	return store.PartRow{
		Job: job, Task: task, Kind: kind, N: n, Changed: changed,
		Blob: []byte(fmt.Sprintf("part %d/%d/%d/%d at %d", job, task, kind, n, changed)),
	}
}

// loaded is what a load told, and the order of it.
type loaded struct {
	Objects []store.ObjectRow
	Specs   []store.SpecRow
	Jobs    []store.JobRow
	Parts   []store.PartRow
	Order   []string
	// during runs at the first job.
	during func()
	// fail is returned by Job.
	fail error
}

func (l *loaded) Object(o store.ObjectRow) error {
	l.Objects = append(l.Objects, o)
	l.Order = append(l.Order, "object "+o.Key)
	return nil
}

func (l *loaded) Spec(s store.SpecRow) error {
	l.Specs = append(l.Specs, s)
	l.Order = append(l.Order, "spec "+string(s.Blob))
	return nil
}

func (l *loaded) Job(j store.JobRow) error {
	if l.during != nil {
		l.during()
		l.during = nil
	}
	l.Jobs = append(l.Jobs, j)
	l.Order = append(l.Order, fmt.Sprintf("job %d", j.ID))
	return l.fail
}

func (l *loaded) Part(p store.PartRow) error {
	l.Parts = append(l.Parts, p)
	l.Order = append(l.Order, fmt.Sprintf("part %d/%d/%d/%d", p.Job, p.Task, p.Kind, p.N))
	return nil
}

// load loads everything.
func load(t *testing.T, o Opened) (*loaded, uint64) {
	t.Helper()
	var l loaded
	projected, err := o.Tables.Load(t.Context(), &l)
	check(t, err)
	return &l, projected
}

// flush flushes and must succeed.
func flush(t *testing.T, o Opened, f store.Flush) {
	t.Helper()
	check(t, o.Tables.Flush(t.Context(), &f))
}

// add appends batches and must succeed.
func add(t *testing.T, o Opened, batches ...store.Batch) {
	t.Helper()
	for _, b := range batches {
		check(t, o.Journal.Append(t.Context(), b))
	}
}

// readAll reads the journal from a sequence to its end.
func readAll(t *testing.T, o Opened, from uint64) (all []store.Batch) {
	t.Helper()
	for {
		batches, err := o.Journal.Read(t.Context(), from, 1<<20)
		check(t, err)
		if len(batches) == 0 {
			return all
		}
		all = append(all, batches...)
		from = all[len(all)-1].Seq + 1
	}
}

// bounds compares the journal's bounds.
func bounds(t *testing.T, o Opened, first, last uint64) {
	t.Helper()
	f, l, err := o.Journal.Bounds(t.Context())
	check(t, err)
	if f != first || l != last {
		t.Errorf("Bounds = %d, %d, want %d, %d", f, l, first, last)
	}
}

// jobsOf follows a query through its pages and holds each to the rules of pages.
func jobsOf(t *testing.T, o Opened, q store.Query) (rows []store.JobRow) {
	t.Helper()
	for {
		page, err := o.History.Jobs(t.Context(), q)
		check(t, err)
		if len(page.Rows) > q.Limit {
			t.Fatalf("a page of %d rows, limit %d", len(page.Rows), q.Limit)
		}
		rows = append(rows, page.Rows...)
		if page.Next == 0 {
			return rows
		}
		if q.Below != 0 && page.Next >= q.Below {
			t.Fatalf("next page below %d after one below %d", page.Next, q.Below)
		}
		if n := len(page.Rows); n > 0 && page.Next > page.Rows[n-1].ID {
			t.Fatalf("next page below %d repeats job %d", page.Next, page.Rows[n-1].ID)
		}
		q.Below = page.Next
	}
}

// ids are the ids of rows.
func ids(rows []store.JobRow) (ids []uint64) {
	for i := range rows {
		ids = append(ids, rows[i].ID)
	}
	return ids
}

// diff fails the test when got isn't want; nil and empty are the same.
func diff(t *testing.T, what string, got, want any) {
	t.Helper()
	if reflect.DeepEqual(want, got) { // much faster over thousands of rows
		return
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(loaded{}, copied{})); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// check ends the test at an error.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants fails the test when err isn't target.
func wants(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

// cancelled is a context that has ended.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
