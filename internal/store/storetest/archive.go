package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store"
)

var archiveTests = []test{
	{"an empty store", func(t *testing.T, o Opened) {
		got := dump(t, o)
		diff(t, "what an empty store holds", got, &copied{Flushes: got.Flushes})
		fill(t, o, got)
		bounds(t, o, 1, 0)
		add(t, o, batch(1, "one"))
	}},
	{"a journal without rows", func(t *testing.T, o Opened) {
		add(t, o, batch(1, "one"), batch(2, "two"))
		got, other := dump(t, o), o.another(t)
		diff(t, "batches", got.Batches, []store.Batch{batch(1, "one"), batch(2, "two")})
		fill(t, other, got)
		diff(t, "the copy's journal", readAll(t, other, 1), got.Batches)
		add(t, other, batch(3, "three"))
	}},
	{"everything there is", func(t *testing.T, o Opened) {
		rich(t, o)
		got, other := dump(t, o), o.another(t)
		if n := len(got.Jobs); n != richJobs || len(got.Parts) != 3*richJobs/10+maxParts || len(got.Objects) != 2 || len(got.Specs) != 3 || got.Seq != 5 {
			t.Errorf("a dump at %d of %d jobs, %d parts, %d objects, %d specs", got.Seq, n, len(got.Parts), len(got.Objects), len(got.Specs))
		}
		diff(t, "batches", got.Batches, []store.Batch{batch(5, "5"), batch(6, "6"), batch(7, "7")})
		fill(t, other, got)
		again := dump(t, other)
		again.Flushes = got.Flushes // as rows are cut is not theirs
		diff(t, "the copy", again, got)
		same(t, o, other)
		if other.Reopen != nil {
			other = other.Reopen(t)
			same(t, o, other)
		}
		worksOn(t, other)
	}},
	{"one moment", func(t *testing.T, o Opened) {
		rich(t, o)
		before := dump(t, o)
		during := &copied{during: func() { worksOn(t, o) }}
		check(t, o.Archive.Dump(t.Context(), during))
		during.during = nil
		diff(t, "a dump beside writers", during, before)
		if after := dump(t, o); after.Seq != 8 || len(after.Batches) != 1 {
			t.Errorf("a dump afterwards is at %d with %d batches", after.Seq, len(after.Batches))
		}
	}},
	{"a copier's error", func(t *testing.T, o Opened) {
		rich(t, o)
		stop := errors.New("stop")
		for n := range 12 {
			wants(t, fmt.Sprintf("a dump that is stopped at %d", n), o.Archive.Dump(t.Context(), &copied{fail: stop, after: n}), stop)
		}
		if err := o.Archive.Dump(cancelled(t), &copied{}); err == nil {
			t.Error("a dump that nobody wants is made")
		}
	}},
	{"only an empty store is filled", func(t *testing.T, o Opened) {
		rich(t, o)
		all := dump(t, o)
		wants(t, "a fill of a full store", o.Archive.Fill(t.Context(), all.into), store.ErrRefused)
		begun := o.another(t)
		add(t, begun, batch(1, "one"))
		wants(t, "a fill of a store with a batch", begun.Archive.Fill(t.Context(), all.into), store.ErrRefused)
		same(t, o, o)
	}},
	{"a fill that fails leaves nothing", func(t *testing.T, o Opened) {
		rich(t, o)
		all, other := dump(t, o), o.another(t)
		stop := errors.New("stop")
		wants(t, "a fill that is given up", other.Archive.Fill(t.Context(), func(to store.Copier) error {
			check(t, all.into(to))
			return stop
		}), stop)
		bounds(t, other, 1, 0)
		got, projected := load(t, other)
		diff(t, "what is left", got, &loaded{})
		if projected != 0 {
			t.Errorf("what is left is at %d", projected)
		}
		if other.Reopen != nil {
			other = other.Reopen(t)
		}
		fill(t, other, all)
		same(t, o, other)
	}},
	{"refuses what is no copy", func(t *testing.T, o Opened) {
		flushAt := func(seq uint64) any { return store.Flush{Seq: seq} }
		for name, pieces := range map[string][]any{
			"nothing":                         {},
			"a batch without rows":            {batch(1, "one")},
			"rows without their batch":        {flushAt(3)},
			"rows after batches":              {flushAt(0), batch(1, "one"), flushAt(0)},
			"rows at two places":              {flushAt(2), flushAt(3), batch(3, "three")},
			"batches that begin later":        {flushAt(3), batch(4, "four")},
			"batches that begin earlier":      {flushAt(3), batch(2, "two"), batch(3, "three")},
			"a gap":                           {flushAt(3), batch(3, "three"), batch(5, "five")},
			"a batch of another history":      {flushAt(3), rival(3), batch(4, "four")},
			"a job without its spec":          {store.Flush{Seq: 1, Jobs: []store.JobRow{live(1, 1, "x")}}, batch(1, "one")},
			"a part of a job that is not one": {store.Flush{Seq: 1, Parts: []store.PartRow{{Job: 1}}}, batch(1, "one")},
		} {
			wants(t, name, o.Archive.Fill(t.Context(), func(to store.Copier) error { return hand(to, pieces) }), store.ErrRefused)
		}
		bounds(t, o, 1, 0)
	}},
	{"secrets", func(t *testing.T, o Opened) {
		if o.Cluster == nil {
			t.Skip("this store is one server's alone")
		}
		secret := func(o Opened, name, proposal, want string) {
			got, err := o.Cluster.Secret(t.Context(), name, []byte(proposal))
			check(t, err)
			diff(t, "the secret "+name, got, []byte(want))
		}
		secret(o, "b", "\x00two", "\x00two")
		secret(o, "a", "one", "one")
		got, other := dump(t, o), o.another(t)
		diff(t, "secrets", got.Secrets, []string{"a=one", "b=\x00two"})
		fill(t, other, got)
		secret(other, "a", "three", "one")
		secret(other, "b", "four", "\x00two")
	}},
}

// copied is what a dump handed over.
type copied struct {
	Seq     uint64
	Objects []store.ObjectRow
	Jobs    []store.JobRow
	Parts   []store.PartRow
	Specs   map[[32]byte]string
	Batches []store.Batch
	Secrets []string
	// Flushes are the rows once more, as they were cut, in order.
	Flushes []store.Flush
	// during runs at the first job; fail is returned after so many pieces.
	during func()
	fail   error
	after  int
}

func (c *copied) Flush(f *store.Flush) error {
	if c.during != nil && len(f.Jobs) > 0 {
		c.during()
		c.during = nil
	}
	c.Seq, c.Flushes = f.Seq, append(c.Flushes, *f)
	c.Objects, c.Jobs, c.Parts = append(c.Objects, f.Objects...), append(c.Jobs, f.Jobs...), append(c.Parts, f.Parts...)
	if c.Specs == nil {
		c.Specs = make(map[[32]byte]string)
	}
	for _, s := range f.Specs {
		c.Specs[s.Hash] = string(s.Blob)
	}
	return c.count()
}

func (c *copied) Batch(b store.Batch) error {
	c.Batches = append(c.Batches, b)
	return c.count()
}

func (c *copied) Secret(name string, secret []byte) error {
	c.Secrets = append(c.Secrets, name+"="+string(secret))
	return c.count()
}

func (c *copied) count() error {
	if c.after--; c.after < 0 {
		return c.fail
	}
	return nil
}

// into hands over what was handed over.
func (c *copied) into(to store.Copier) error {
	var pieces []any
	for i := range c.Flushes {
		pieces = append(pieces, c.Flushes[i])
	}
	for _, b := range c.Batches {
		pieces = append(pieces, b)
	}
	for _, s := range c.Secrets {
		pieces = append(pieces, s)
	}
	return hand(to, pieces)
}

// hand hands flushes, batches and secrets over.
func hand(to store.Copier, pieces []any) (err error) {
	for _, p := range pieces {
		switch p := p.(type) {
		case store.Flush:
			err = to.Flush(&p)
		case store.Batch:
			err = to.Batch(p)
		case string:
			err = to.Secret(p[:1], []byte(p[2:]))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func dump(t *testing.T, o Opened) *copied {
	t.Helper()
	c := &copied{}
	check(t, o.Archive.Dump(t.Context(), c))
	return c
}

func fill(t *testing.T, o Opened, c *copied) {
	t.Helper()
	check(t, o.Archive.Fill(t.Context(), c.into))
}

// richJobs is how many jobs rich leaves, and maxParts how many parts one of them has more.
const richJobs, maxParts = 1500, 700

// rich leaves something of everything: jobs of several days, live and ended, payloads, parts of
// each kind, rows at 5 and batches from 3 to 7.
func rich(t *testing.T, o Opened) {
	t.Helper()
	for seq := uint64(1); seq <= 7; seq++ {
		add(t, o, batch(seq, fmt.Sprint(seq)))
	}
	f := store.Flush{Seq: 4, Specs: []store.SpecRow{spec("a"), spec("b"), spec("c")}, Objects: []store.ObjectRow{
		{Kind: 1, Key: "a\x00", Changed: 1, Blob: []byte("one")}, {Kind: 2, Key: "é", Changed: 2}, {Kind: 2, Key: "gone", Changed: 2},
	}}
	for id := uint64(1); id <= richJobs; id++ {
		j := live(id, id%4+1, string(rune('a'+id%3)))
		j.Submitted += int64(id/600) * day
		if id%7 != 0 {
			j = ended(j, 4, 100*day)
		}
		switch id % 5 {
		case 0:
			j.Payload = fmt.Appendf(nil, "payload of %d", id)
		case 1:
			j.Payload = []byte{}
		}
		if id%11 == 0 {
			j.KeyHash, j.Labels = 1<<63+id, []string{"", "team=data"}
		}
		f.Jobs = append(f.Jobs, j)
		for kind := store.PartChunk; id%10 == 0 && kind <= store.PartOutput; kind++ {
			f.Parts = append(f.Parts, part(kind, id, uint32(id%3), id, 4))
		}
	}
	for n := range uint64(maxParts) {
		f.Parts = append(f.Parts, part(store.PartOutput, 77, 1, n, 4))
	}
	flush(t, o, f)
	flush(t, o, store.Flush{
		Seq: 5, Jobs: []store.JobRow{ended(f.Jobs[6], 5, day)}, Objects: []store.ObjectRow{{Kind: 2, Key: "gone", Changed: 5, Deleted: true}},
		Parts: []store.PartRow{part(store.PartChunk, 10, 1, 10, 5)},
	})
	check(t, o.Journal.Trim(t.Context(), 3))
}

// same compares what two stores answer after rich.
func same(t *testing.T, a, b Opened) {
	t.Helper()
	fromA, at := load(t, a)
	fromB, again := load(t, b)
	diff(t, "load", fromB, fromA)
	if at != again {
		t.Errorf("the copy is at %d, want %d", again, at)
	}
	q := store.Query{Limit: 500, WithBlobs: true}
	diff(t, "jobs", jobsOf(t, b, q), jobsOf(t, a, q))
	for _, key := range []uint64{1<<63 + 11, 1<<63 + 1496, 5} {
		want, _, err := a.History.JobsByKey(t.Context(), store.Latest, []uint64{key})
		check(t, err)
		got, _, err := b.History.JobsByKey(t.Context(), store.Latest, []uint64{key})
		check(t, err)
		diff(t, "a job by its key", got, want)
	}
	numbers := []uint64{1, 2, 5, 1000, 1499, 1500}
	want, err := a.History.Payloads(t.Context(), numbers)
	check(t, err)
	got, err := b.History.Payloads(t.Context(), numbers)
	check(t, err)
	diff(t, "payloads", got, want)
}

// worksOn writes what follows on rich, and trims the journal.
func worksOn(t *testing.T, o Opened) {
	t.Helper()
	add(t, o, batch(8, "8"))
	j := live(richJobs+1, 8, "a")
	j.Submitted += 3 * day
	flush(t, o, store.Flush{
		Seq: 8, ID: batch(8, "").ID, Jobs: []store.JobRow{ended(live(14, 8, "c"), 8, day), j}, Specs: []store.SpecRow{spec("a")},
		Parts: []store.PartRow{part(store.PartAttempt, 14, 0, 1, 8)},
	})
	_, err := o.Tables.Durable(t.Context())
	check(t, err)
	check(t, o.Journal.Trim(t.Context(), 8))
	bounds(t, o, 8, 8)
}
