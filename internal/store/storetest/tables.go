package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store"
)

var tablesTests = []test{
	{"refuses a flush of another history", func(t *testing.T, o Opened) {
		if o.Cluster == nil {
			t.Skip("this store keeps its journal elsewhere")
		}
		add(t, o, batch(1, "one"), batch(2, "two"), batch(3, "three"))
		at := func(seq uint64, id [16]byte) error {
			return o.Tables.Flush(t.Context(), &store.Flush{Seq: seq, ID: id})
		}
		check(t, at(1, batch(1, "").ID))
		wants(t, "a flush at another batch", at(2, rival(2).ID), store.ErrFenced)
		wants(t, "a flush past the journal's end", at(4, batch(4, "").ID), store.ErrFenced)
		check(t, at(2, batch(2, "").ID))
		check(t, o.Journal.Trim(t.Context(), 3))
		check(t, at(2, batch(2, "").ID)) // nobody can tell any more
		check(t, at(3, [16]byte{}))
	}},
	{"start empty", func(t *testing.T, o Opened) {
		l, projected := load(t, o)
		diff(t, "load", l, &loaded{})
		durable, err := o.Tables.Durable(t.Context())
		check(t, err)
		if projected != 0 || durable != 0 {
			t.Errorf("projected %d, durable %d, want 0 and 0", projected, durable)
		}
	}},
	{"refuse a flush onto what they lack", goneBack},
	{"load in order", loadOrder},
	{"load more than fits at once", loadMany},
	{"keep objects", objects},
	{"never fall", neverFall},
	{"write all of a flush or nothing", allOrNothing},
	{"replace rows", replaceRows},
	{"take the same flush again", func(t *testing.T, o Opened) {
		f := store.Flush{
			Seq:     4,
			Objects: []store.ObjectRow{{Kind: 1, Key: "a", Changed: 4}, {Kind: 1, Key: "b", Deleted: true}},
			Jobs:    []store.JobRow{live(1, 4, "x"), ended(live(2, 2, "x"), 3, day)},
			Parts:   []store.PartRow{part(store.PartChunk, 1, 0, 0, 4)},
			Specs:   []store.SpecRow{spec("x")},
		}
		flush(t, o, f)
		once, _ := load(t, o)
		flush(t, o, f)
		twice, projected := load(t, o)
		diff(t, "load", twice, once)
		if projected != 4 {
			t.Errorf("projected %d, want 4", projected)
		}
	}},
	{"own their bytes", ownBytes},
	{"load one snapshot", oneSnapshot},
	{"end a load at the loader's error", func(t *testing.T, o Opened) {
		flush(t, o, store.Flush{Seq: 1, Jobs: []store.JobRow{live(1, 1, "x"), live(2, 1, "x")}, Specs: []store.SpecRow{spec("x")}})
		l := loaded{fail: errors.New("no room")}
		_, err := o.Tables.Load(t.Context(), &l)
		wants(t, "Load", err, l.fail)
		diff(t, "order", l.Order, []string{`spec {"spec":"x"}`, "job 1"})
		load(t, o)
	}},
	{"say what is durable", func(t *testing.T, o Opened) {
		for seq := uint64(1); seq <= 5; seq++ {
			flush(t, o, store.Flush{Seq: 10 * seq})
			durable, err := o.Tables.Durable(t.Context())
			check(t, err)
			if durable != 10*seq {
				t.Errorf("durable %d after a flush at %d", durable, 10*seq)
			}
		}
	}},
	{"hold large rows", largeRows},
	{"keep specs of jobs of every day", specsOfDays},
	{"answer a cancelled context with an error", func(t *testing.T, o Opened) {
		ctx := cancelled(t)
		if err := o.Tables.Flush(ctx, &store.Flush{Seq: 1}); err == nil {
			t.Error("Flush: no error")
		}
		if _, err := o.Tables.Load(ctx, &loaded{}); err == nil {
			t.Error("Load: no error")
		}
		flush(t, o, store.Flush{Seq: 1})
	}},
}

func loadOrder(t *testing.T, o Opened) {
	a, b, c := live(1, 1, "x"), live(3, 2, "y"), live(7, 3, "x")
	flush(t, o, store.Flush{
		Seq:     3,
		Objects: []store.ObjectRow{{Kind: 2, Key: "queue", Changed: 1, Blob: []byte("q")}, {Kind: 1, Key: "worker", Changed: 2}},
		Jobs:    []store.JobRow{a, ended(live(2, 2, "z"), 3, day), b, c},
		Parts: []store.PartRow{
			part(store.PartOutput, 1, 1, 9, 3), part(store.PartChunk, 1, 1, 2, 3), part(store.PartChunk, 1, 0, 5, 3),
			part(store.PartChunk, 1, 1, 1, 3), part(store.PartAttempt, 1, 1, 1, 3),
			part(store.PartChunk, 2, 0, 0, 3), part(store.PartChunk, 7, 0, 0, 3),
		},
		Specs: []store.SpecRow{spec("x"), spec("y"), spec("z")},
	})
	l, projected := load(t, o)
	if projected != 3 {
		t.Errorf("projected %d, want 3", projected)
	}
	diff(t, "jobs", l.Jobs, []store.JobRow{a, b, c})
	x, y := spec("x"), spec("y")
	for i := range l.Specs {
		l.Specs[i].Job = 0
	}
	diff(t, "specs", l.Specs, []store.SpecRow{x, y})
	// The order of objects, and of one job's parts, is the implementation's own.
	seen, last := map[string]int{}, -1
	for i, what := range l.Order {
		seen[what] = i
		if what[:3] == "job" {
			if i < last {
				t.Errorf("%s stands before its forerunner", what)
			}
			last = i
		}
	}
	before := [][2]string{
		{"object queue", `spec {"spec":"x"}`}, {"object worker", `spec {"spec":"x"}`},
		{`spec {"spec":"x"}`, "job 1"}, {`spec {"spec":"y"}`, "job 3"}, {"job 1", "job 3"}, {"job 3", "job 7"},
		{"job 1", "part 1/1/3/9"}, {"job 1", "part 1/1/1/2"}, {"job 1", "part 1/0/1/5"}, {"job 1", "part 1/1/1/1"},
		{"part 1/1/3/9", "job 3"}, {"part 1/1/1/1", "job 3"}, {"job 7", "part 7/0/1/0"},
	}
	for _, p := range before {
		i, ok := seen[p[0]]
		j, ok2 := seen[p[1]]
		if !ok || !ok2 || i >= j {
			t.Errorf("%q must stand before %q in %q", p[0], p[1], l.Order)
		}
	}
	if len(l.Order) != 12 {
		t.Errorf("%d things were loaded, want 12: %q", len(l.Order), l.Order)
	}
}

// loadMany loads jobs of several days, many more than a slice, each with a part
// and every tenth finished.
func loadMany(t *testing.T, o Opened) {
	const n = 700
	var want []store.JobRow
	var parts []store.PartRow
	f := store.Flush{Seq: 1}
	for id := uint64(1); id <= n; id++ {
		word := fmt.Sprint("spec", id%7)
		j := live(id*3, 1, word)
		j.Submitted = epoch + int64(id/200)*day
		if id%10 == 0 {
			j = ended(j, 1, 100*day)
		} else {
			want = append(want, j)
			parts = append(parts, part(store.PartChunk, j.ID, 0, id, 1))
		}
		f.Jobs = append(f.Jobs, j)
		f.Parts = append(f.Parts, part(store.PartChunk, j.ID, 0, id, 1), part(store.PartAttempt, j.ID, 0, id, 1))
		if id <= 7 {
			f.Specs = append(f.Specs, spec(word))
		}
	}
	flush(t, o, f)
	l, _ := load(t, o)
	diff(t, "jobs", l.Jobs, want)
	diff(t, "parts", l.Parts, parts)
	if len(l.Specs) != 7 {
		t.Errorf("%d specs, want each of 7 once", len(l.Specs))
	}
}

func objects(t *testing.T, o Opened) {
	obj := func(kind uint8, key string, changed uint64, blob string) store.ObjectRow {
		return store.ObjectRow{Kind: kind, Key: key, Changed: changed, Blob: []byte(blob)}
	}
	flush(t, o, store.Flush{Seq: 1, Objects: []store.ObjectRow{
		obj(1, "a", 1, "one"), obj(2, "a", 1, "other kind"), obj(1, "", 1, "empty key"),
		obj(255, "größe/'\"\n;--", 1, ""), obj(1, "b", 1, "goes"), obj(1, "A", 1, "upper case"),
	}})
	flush(t, o, store.Flush{Seq: 2, Objects: []store.ObjectRow{
		obj(1, "a", 2, "two"), {Kind: 1, Key: "b", Deleted: true}, {Kind: 9, Key: "never was", Deleted: true},
	}})
	l, _ := load(t, o)
	got := map[string]store.ObjectRow{}
	for _, r := range l.Objects {
		got[fmt.Sprint(r.Kind, r.Key)] = r
	}
	want := map[string]store.ObjectRow{}
	for _, r := range []store.ObjectRow{
		obj(1, "a", 2, "two"), obj(2, "a", 1, "other kind"), obj(1, "", 1, "empty key"),
		obj(255, "größe/'\"\n;--", 1, ""), obj(1, "A", 1, "upper case"),
	} {
		want[fmt.Sprint(r.Kind, r.Key)] = r
	}
	diff(t, "objects", got, want)
	if len(l.Objects) != len(want) {
		t.Errorf("%d objects, want %d", len(l.Objects), len(want))
	}
	flush(t, o, store.Flush{Seq: 3, Objects: []store.ObjectRow{obj(1, "b", 3, "back")}})
	l, _ = load(t, o)
	if len(l.Objects) != len(want)+1 {
		t.Errorf("%d objects after one came back, want %d", len(l.Objects), len(want)+1)
	}
}

// goneBack flushes onto tables that lack what the flush builds on.
func goneBack(t *testing.T, o Opened) {
	add(t, o, batch(1, "one"), batch(2, "two"), batch(3, "three"))
	flush(t, o, store.Flush{Seq: 1})
	wants(t, "a flush onto what is lost", o.Tables.Flush(t.Context(), &store.Flush{Seq: 3, Since: 2}), store.ErrFenced)
	flush(t, o, store.Flush{Seq: 2, Since: 1})
	flush(t, o, store.Flush{Seq: 2, Since: 1}) // again, since nobody knew that it was there
	if _, projected := load(t, o); projected != 2 {
		t.Errorf("projected %d, want 2", projected)
	}
}

func neverFall(t *testing.T, o Opened) {
	flush(t, o, store.Flush{Seq: 10, Jobs: []store.JobRow{live(1, 10, "x")}, Specs: []store.SpecRow{spec("x")}})
	lower := store.Flush{Seq: 9, Objects: []store.ObjectRow{{Kind: 1, Key: "late"}}, Jobs: []store.JobRow{ended(live(1, 9, "x"), 9, day)}}
	wants(t, "a flush below", o.Tables.Flush(t.Context(), &lower), store.ErrFenced)
	flush(t, o, store.Flush{Seq: 10, Objects: []store.ObjectRow{{Kind: 1, Key: "same sequence"}}})
	l, projected := load(t, o)
	if projected != 10 {
		t.Errorf("projected %d, want 10", projected)
	}
	diff(t, "jobs", l.Jobs, []store.JobRow{live(1, 10, "x")})
	diff(t, "objects", l.Objects, []store.ObjectRow{{Kind: 1, Key: "same sequence"}})
	flush(t, o, store.Flush{Seq: 1<<63 - 1})
	if _, projected = load(t, o); projected != 1<<63-1 {
		t.Errorf("projected %d, want the greatest sequence", projected)
	}
}

func allOrNothing(t *testing.T, o Opened) {
	flush(t, o, store.Flush{Seq: 1, Jobs: []store.JobRow{live(1, 1, "x")}, Specs: []store.SpecRow{spec("x")}})
	before, _ := load(t, o)
	next := live(3, 2, "y")
	next.Submitted += day
	bad := []struct {
		name string
		f    store.Flush
	}{
		{"a new job without its spec", store.Flush{
			Seq: 2, Objects: []store.ObjectRow{{Kind: 1, Key: "a"}},
			Jobs:  []store.JobRow{ended(live(1, 2, "x"), 2, day), live(2, 2, "x"), next},
			Specs: []store.SpecRow{spec("x")},
		}},
		{"falling jobs", store.Flush{
			Seq: 2, Objects: []store.ObjectRow{{Kind: 1, Key: "a"}},
			Jobs: []store.JobRow{live(3, 2, "x"), live(2, 2, "x")}, Specs: []store.SpecRow{spec("x")},
		}},
		{"a part of no kind", store.Flush{
			Seq: 2, Objects: []store.ObjectRow{{Kind: 1, Key: "a"}}, Parts: []store.PartRow{{Job: 1}},
		}},
	}
	for _, b := range bad {
		wants(t, b.name, o.Tables.Flush(t.Context(), &b.f), store.ErrRefused)
		after, projected := load(t, o)
		diff(t, "load after "+b.name, after, before)
		if projected != 1 {
			t.Errorf("projected %d after %s, want 1", projected, b.name)
		}
		_, _, err := o.History.Job(t.Context(), 2)
		wants(t, "a job of the refused flush", err, store.ErrNotFound)
	}
	flush(t, o, store.Flush{Seq: 2, Jobs: []store.JobRow{live(2, 2, "x"), next}, Specs: []store.SpecRow{spec("x"), spec("y")}})
	after, _ := load(t, o)
	diff(t, "jobs", ids(after.Jobs), []uint64{1, 2, 3})
}

func replaceRows(t *testing.T, o Opened) {
	j := live(5, 1, "x")
	flush(t, o, store.Flush{
		Seq: 1, Jobs: []store.JobRow{j}, Specs: []store.SpecRow{spec("x")},
		Parts: []store.PartRow{part(store.PartChunk, 5, 0, 0, 1), part(store.PartChunk, 5, 0, 1, 1)},
	})
	j.Changed, j.Queue, j.Name, j.State, j.Labels, j.Blob = 2, "moved", "renamed", 2, nil, nil
	flush(t, o, store.Flush{Seq: 2, Jobs: []store.JobRow{j}, Parts: []store.PartRow{part(store.PartChunk, 5, 0, 1, 2)}})
	l, _ := load(t, o)
	diff(t, "jobs", l.Jobs, []store.JobRow{j})
	diff(t, "parts", l.Parts, []store.PartRow{part(store.PartChunk, 5, 0, 0, 1), part(store.PartChunk, 5, 0, 1, 2)})

	over := ended(j, 3, day)
	flush(t, o, store.Flush{Seq: 3, Jobs: []store.JobRow{over}})
	l, _ = load(t, o)
	diff(t, "jobs once it ended", l.Jobs, []store.JobRow(nil))
	got, projected, err := o.History.Job(t.Context(), 5)
	check(t, err)
	diff(t, "job", got, over)
	if projected != 3 {
		t.Errorf("projected %d, want 3", projected)
	}
}

func ownBytes(t *testing.T, o Opened) {
	f := func() store.Flush {
		return store.Flush{
			Seq: 1, Objects: []store.ObjectRow{{Kind: 1, Key: "a", Blob: []byte("object")}},
			Jobs:  []store.JobRow{live(1, 1, "x")},
			Parts: []store.PartRow{part(store.PartChunk, 1, 0, 0, 1)}, Specs: []store.SpecRow{spec("x")},
		}
	}
	mine := f()
	flush(t, o, mine)
	spoil := func(objects []store.ObjectRow, jobs []store.JobRow, parts []store.PartRow, specs []store.SpecRow) {
		objects[0].Blob[0], jobs[0].Blob[0], parts[0].Blob[0], specs[0].Blob[0] = 'X', 'X', 'X', 'X'
		jobs[0].Labels[0] = "X"
	}
	spoil(mine.Objects, mine.Jobs, mine.Parts, mine.Specs)
	for range 2 {
		want := f()
		l, _ := load(t, o)
		diff(t, "objects", l.Objects, want.Objects)
		diff(t, "jobs", l.Jobs, want.Jobs)
		diff(t, "parts", l.Parts, want.Parts)
		diff(t, "spec", l.Specs[0].Blob, want.Specs[0].Blob)
		spoil(l.Objects, l.Jobs, l.Parts, l.Specs)
	}
}

// oneSnapshot flushes in the middle of a load, which must neither wait nor show.
func oneSnapshot(t *testing.T, o Opened) {
	var f store.Flush
	f.Seq = 1
	for id := uint64(1); id <= 300; id++ {
		f.Jobs = append(f.Jobs, live(id, 1, "x"))
		f.Parts = append(f.Parts, part(store.PartChunk, id, 0, 0, 1))
	}
	f.Specs = []store.SpecRow{spec("x")}
	flush(t, o, f)
	l := loaded{during: func() {
		next := store.Flush{Seq: 2}
		for _, j := range f.Jobs {
			next.Jobs = append(next.Jobs, ended(j, 2, day))
			next.Parts = append(next.Parts, part(store.PartChunk, j.ID, 0, 0, 2))
		}
		later := live(301, 2, "y")
		later.Submitted += day
		next.Jobs = append(next.Jobs, later)
		next.Specs = []store.SpecRow{spec("y")}
		flush(t, o, next)
	}}
	projected, err := o.Tables.Load(t.Context(), &l)
	check(t, err)
	if projected != 1 {
		t.Errorf("projected %d, want 1: the flush came after the load began", projected)
	}
	diff(t, "jobs", l.Jobs, f.Jobs)
	diff(t, "parts", l.Parts, f.Parts)
	after, projected := load(t, o)
	if diff(t, "jobs after", ids(after.Jobs), []uint64{301}); projected != 2 {
		t.Errorf("projected %d after the flush, want 2", projected)
	}
}

func largeRows(t *testing.T, o Opened) {
	j := live(1, 1, "x")
	j.Blob = bytes.Repeat([]byte("job!"), 1<<20)
	p := part(store.PartChunk, 1, 0, 0, 1)
	p.Blob = bytes.Repeat([]byte("part"), 1<<18)
	s := spec("x")
	s.Blob = bytes.Repeat([]byte("spec"), 1<<19)
	obj := store.ObjectRow{Kind: 1, Key: "large", Changed: 1, Blob: bytes.Repeat([]byte("obj!"), 1<<18)}
	flush(t, o, store.Flush{Seq: 1, Objects: []store.ObjectRow{obj}, Jobs: []store.JobRow{j}, Parts: []store.PartRow{p}, Specs: []store.SpecRow{s}})
	l, _ := load(t, o)
	if len(l.Jobs) != 1 || !bytes.Equal(l.Jobs[0].Blob, j.Blob) ||
		len(l.Parts) != 1 || !bytes.Equal(l.Parts[0].Blob, p.Blob) ||
		len(l.Specs) != 1 || !bytes.Equal(l.Specs[0].Blob, s.Blob) ||
		len(l.Objects) != 1 || !bytes.Equal(l.Objects[0].Blob, obj.Blob) {
		t.Error("large rows came back changed")
	}
}

// specsOfDays brings the same spec with jobs of three days, two of them in one
// flush: each job must find it.
func specsOfDays(t *testing.T, o Opened) {
	a, b, c := live(1, 1, "x"), live(2, 1, "x"), live(3, 2, "x")
	b.Submitted += day
	c.Submitted += 2 * day
	flush(t, o, store.Flush{Seq: 1, Jobs: []store.JobRow{a, b}, Specs: []store.SpecRow{spec("x")}})
	flush(t, o, store.Flush{Seq: 2, Jobs: []store.JobRow{c}, Specs: []store.SpecRow{spec("x")}})
	for id := uint64(1); id <= 3; id++ {
		got, err := o.History.Spec(t.Context(), id, spec("x").Hash)
		check(t, err)
		diff(t, fmt.Sprint("spec of job ", id), got, spec("x").Blob)
	}
	l, _ := load(t, o)
	if len(l.Specs) != 1 {
		t.Errorf("%d specs loaded, want the same one once", len(l.Specs))
	}
}
