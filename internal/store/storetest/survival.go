package storetest

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store"
)

var survivalTests = []test{
	{"of closing", func(t *testing.T, o Opened) { survives(t, o, o.Reopen) }},
	{"of a crash", func(t *testing.T, o Opened) {
		if o.Crash == nil {
			t.Skip("this store can't be crashed in one process")
		}
		survives(t, o, o.Crash)
	}},
	{"of a power cut", func(t *testing.T, o Opened) {
		if o.LosePower == nil {
			t.Skip("this store can't lose power alone")
		}
		write(t, o)
		durable, err := o.Tables.Durable(t.Context())
		check(t, err)
		before, _ := load(t, o)
		flush(t, o, store.Flush{
			Seq: 9, Objects: []store.ObjectRow{{Kind: 1, Key: "new"}},
			Jobs:  []store.JobRow{ended(live(1, 1, "x"), 9, day), live(3, 9, "z")},
			Specs: []store.SpecRow{spec("z")},
		})
		add(t, o, batch(4, "four"))
		o = o.LosePower(t)
		bounds(t, o, 1, 4)
		after, projected := load(t, o)
		switch projected {
		case durable:
			diff(t, "load", after, before)
		case 9:
			diff(t, "jobs", ids(after.Jobs), []uint64{2, 3})
		default:
			t.Errorf("projected %d, want %d or 9: whole flushes", projected, durable)
		}
	}},
}

// write leaves something of everything.
func write(t *testing.T, o Opened) {
	t.Helper()
	add(t, o, batch(1, "one"), batch(2, "two"), batch(3, "three"))
	flush(t, o, store.Flush{
		Seq: 2, Objects: []store.ObjectRow{{Kind: 1, Key: "a", Changed: 2, Blob: []byte("a")}},
		Jobs:  []store.JobRow{live(1, 1, "x"), live(2, 2, "y")},
		Parts: []store.PartRow{part(store.PartChunk, 2, 0, 0, 2)},
		Specs: []store.SpecRow{spec("x"), spec("y")},
	})
	flush(t, o, store.Flush{Seq: 3, Jobs: []store.JobRow{live(1, 3, "x")}})
}

// survives writes, ends the store by a way, and finds everything again, three
// times over; then the store works on.
func survives(t *testing.T, o Opened, end func(t *testing.T) Opened) {
	write(t, o)
	before, _ := load(t, o)
	o = end(t)
	for range 2 {
		bounds(t, o, 1, 3)
		diff(t, "batches", readAll(t, o, 1), []store.Batch{batch(1, "one"), batch(2, "two"), batch(3, "three")})
		after, projected := load(t, o)
		diff(t, "load", after, before)
		if projected != 3 {
			t.Errorf("projected %d, want 3", projected)
		}
		o = o.Reopen(t)
	}
	add(t, o, batch(3, "three"))
	wants(t, "a rival", o.Journal.Append(t.Context(), rival(3)), store.ErrFenced)
	add(t, o, batch(4, "four"))
	check(t, o.Journal.Trim(t.Context(), 4))
	low := store.Flush{Seq: 2}
	wants(t, "a flush below", o.Tables.Flush(t.Context(), &low), store.ErrFenced)
	flush(t, o, store.Flush{Seq: 4, Jobs: []store.JobRow{live(3, 4, "x")}, Specs: []store.SpecRow{spec("x")}})
	o = o.Reopen(t)
	bounds(t, o, 4, 4)
	l, _ := load(t, o)
	diff(t, "jobs", ids(l.Jobs), []uint64{1, 2, 3})
}
