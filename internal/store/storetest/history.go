package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store"
)

var historyTests = []test{
	{"finds a job", func(t *testing.T, o Opened) {
		_, projected, err := o.History.Job(t.Context(), 1)
		wants(t, "a job of an empty store", err, store.ErrNotFound)
		if projected != 0 {
			t.Errorf("projected %d, want 0", projected)
		}
		j := ended(live(7, 2, "x"), 3, day)
		flush(t, o, store.Flush{Seq: 3, Jobs: []store.JobRow{j, live(9, 3, "x")}, Specs: []store.SpecRow{spec("x")}})
		got, projected, err := o.History.Job(t.Context(), 7)
		check(t, err)
		diff(t, "job", got, j)
		if projected != 3 {
			t.Errorf("projected %d, want 3", projected)
		}
		for _, id := range []uint64{0, 1, 8, 10, 1<<64 - 1} {
			_, projected, err := o.History.Job(t.Context(), id)
			wants(t, fmt.Sprint("job ", id), err, store.ErrNotFound)
			if projected != 3 {
				t.Errorf("projected %d beside a job that isn't there, want 3", projected)
			}
		}
	}},
	{"finds jobs by key", jobsByKey},
	{"filters lists", filters},
	{"gives blobs when asked", func(t *testing.T, o Opened) {
		flush(t, o, store.Flush{Seq: 1, Jobs: []store.JobRow{live(1, 1, "x")}, Specs: []store.SpecRow{spec("x")}})
		want := live(1, 1, "x")
		diff(t, "with blobs", jobsOf(t, o, store.Query{Limit: 10, WithBlobs: true}), []store.JobRow{want})
		want.Blob = nil
		got := jobsOf(t, o, store.Query{Limit: 10})
		diff(t, "without", got, []store.JobRow{want})
		if got[0].Blob != nil {
			t.Errorf("blob %q, want nil", got[0].Blob)
		}
	}},
	{"refuses a page without bounds", func(t *testing.T, o Opened) {
		for _, limit := range []int{-1, 0, store.MaxPage + 1} {
			_, err := o.History.Jobs(t.Context(), store.Query{Limit: limit})
			wants(t, fmt.Sprint("a page of ", limit), err, store.ErrRefused)
			_, err = o.History.Parts(t.Context(), 1, 0, store.PartChunk, 0, limit)
			wants(t, fmt.Sprint(limit, " parts"), err, store.ErrRefused)
		}
	}},
	{"says how old a page is", func(t *testing.T, o Opened) {
		for seq := range uint64(3) {
			page, err := o.History.Jobs(t.Context(), store.Query{Limit: 1})
			check(t, err)
			if page.Projected != seq || page.Next != 0 {
				t.Errorf("page at %d, next %d, want %d and 0", page.Projected, page.Next, seq)
			}
			flush(t, o, store.Flush{Seq: seq + 1})
		}
	}},
	{"gives parts in order", partsInOrder},
	{"gives payloads alone", payloadsAlone},
	{"gives many payloads", manyPayloads},
	{"finds specs", func(t *testing.T, o Opened) {
		empty := store.SpecRow{Hash: [32]byte{1}}
		third := live(3, 1, "")
		third.Spec = empty.Hash
		flush(t, o, store.Flush{
			Seq: 1, Jobs: []store.JobRow{live(1, 1, "x"), live(2, 1, "y"), third},
			Specs: []store.SpecRow{spec("x"), spec("y"), empty},
		})
		for id, want := range map[uint64]store.SpecRow{1: spec("x"), 2: spec("y"), 3: empty} {
			got, err := o.History.Spec(t.Context(), id, want.Hash)
			check(t, err)
			diff(t, fmt.Sprint("spec of job ", id), got, want.Blob)
		}
		_, err := o.History.Spec(t.Context(), 1, spec("z").Hash)
		wants(t, "another spec", err, store.ErrNotFound)
		_, err = o.History.Spec(t.Context(), 0, spec("x").Hash)
		wants(t, "the spec of no job", err, store.ErrNotFound)
	}},
	{"keeps every character and number", characters},
	{"reads one snapshot beside a writer", readsBesideFlushes},
	{"answers a cancelled context with an error", func(t *testing.T, o Opened) {
		ctx := cancelled(t)
		_, _, err := o.History.Job(ctx, 1)
		if err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("Job: %v, want the context's error", err)
		}
		if _, err := o.History.Jobs(ctx, store.Query{Limit: 1}); err == nil {
			t.Error("Jobs: no error")
		}
		if _, err := o.History.Payloads(ctx, []uint64{1}); err == nil {
			t.Error("Payloads: no error")
		}
	}},
}

// payloadsAlone brings jobs again without their payload, or with another: the first stays.
func payloadsAlone(t *testing.T, o Opened) {
	rows := []store.JobRow{live(1, 1, "x"), live(2, 1, "x"), live(3, 1, "x"), live(4, 1, "x")}
	bare := slices.Clone(rows)
	rows[0].Payload, rows[0].KeyHash, bare[0].KeyHash = []byte("first"), 7, 7
	rows[1].Payload = []byte{}
	rows[3].Payload = bytes.Repeat([]byte("large"), 1<<17)
	flush(t, o, store.Flush{Seq: 1, Jobs: rows, Specs: []store.SpecRow{spec("x")}})
	want := map[uint64][]byte{1: []byte("first"), 2: {}, 4: rows[3].Payload}
	holds := func(when string) {
		t.Helper()
		got := payloads(t, o, 4, 9, 1, 3, 2, 0, 1<<64-1)
		diff(t, "payloads "+when, got, want)
		if got[2] == nil {
			t.Errorf("%s an empty payload is none", when)
		}
	}
	holds("at first")
	clear(payloads(t, o, 1)[1])
	rows[0].Payload[0] = 'X'
	holds("once what was given and returned has changed")
	l, _ := load(t, o)
	diff(t, "load", l.Jobs, bare)
	diff(t, "list", jobsOf(t, o, store.Query{Limit: 10, WithBlobs: true}), []store.JobRow{bare[3], bare[2], bare[1], bare[0]})
	got, _, err := o.History.Job(t.Context(), 1)
	check(t, err)
	diff(t, "job", got, bare[0])
	byKey, _, err := o.History.JobsByKey(t.Context(), store.Latest, []uint64{7})
	check(t, err)
	diff(t, "job by its key", byKey, bare[:1])

	again := []store.JobRow{bare[0], ended(bare[1], 2, day), live(3, 2, "x"), bare[3]}
	again[2].Payload, again[3].Payload = []byte("none at first"), []byte("another")
	flush(t, o, store.Flush{Seq: 2, Jobs: again})
	holds("after a flush without them")
	holds("again")
}

// manyPayloads reads those of jobs of several days, in any order.
func manyPayloads(t *testing.T, o Opened) {
	const n = 700
	f := store.Flush{Seq: 1, Specs: []store.SpecRow{spec("x")}}
	want := map[uint64][]byte{}
	var asked []uint64
	for id := uint64(1); id <= n; id++ {
		j := live(id, 1, "x")
		j.Submitted = epoch + int64(id/200)*day
		if id%3 > 0 {
			j.Payload = fmt.Appendf(nil, "payload of %d", id)
			want[id] = j.Payload
		}
		f.Jobs = append(f.Jobs, j)
		asked = append(asked, id*367%n+1) // each once
	}
	flush(t, o, f)
	diff(t, "payloads", payloads(t, o, asked...), want)
	diff(t, "payloads of nobody", payloads(t, o), map[uint64][]byte{})
}

func payloads(t *testing.T, o Opened, ids ...uint64) map[uint64][]byte {
	t.Helper()
	got, err := o.History.Payloads(t.Context(), ids)
	check(t, err)
	return got
}

func jobsByKey(t *testing.T, o Opened) {
	const hash = 0xfedcba9876543210
	var f store.Flush
	f.Seq, f.Specs = 1, []store.SpecRow{spec("x")}
	for id := uint64(1); id <= 40; id++ {
		j := live(id, 1, "x")
		j.Submitted = epoch + int64(id/10)*day
		switch {
		case id%13 == 0:
			j.KeyHash = hash
		case id%2 == 0:
			j.KeyHash = id
		}
		f.Jobs = append(f.Jobs, j)
	}
	flush(t, o, f)
	tests := []struct {
		hash uint64
		want []uint64
	}{
		{hash, []uint64{13, 26, 39}}, {2, []uint64{2}}, {38, []uint64{38}}, {3, nil}, {0, nil}, {1<<64 - 1, nil},
	}
	look := func() {
		t.Helper()
		for _, tt := range tests {
			rows, projected, err := o.History.JobsByKey(t.Context(), store.Latest, []uint64{tt.hash})
			check(t, err)
			diff(t, fmt.Sprintf("jobs by key %x", tt.hash), ids(rows), tt.want)
			if projected != f.Seq {
				t.Errorf("projected %d, want %d", projected, f.Seq)
			}
			for i := range rows {
				diff(t, "row", rows[i], f.Jobs[rows[i].ID-1])
			}
		}
		many := []uint64{38, hash, 0, 2, 3, 1<<64 - 1}
		for n := uint64(1000); n < 1100; n++ { // more than any statement takes
			many = append(many, n)
		}
		many = append(many, 4)
		rows, projected, err := o.History.JobsByKey(t.Context(), store.Latest, many)
		check(t, err)
		diff(t, "jobs by many keys", ids(rows), []uint64{2, 4, 13, 26, 38, 39})
		none, _, err := o.History.JobsByKey(t.Context(), store.Latest, nil)
		check(t, err)
		if projected != f.Seq || len(none) > 0 {
			t.Errorf("projected %d, want %d; by no key %d jobs", projected, f.Seq, len(none))
		}
	}
	look()
	f.Seq = 2
	for i := range f.Jobs {
		f.Jobs[i] = ended(f.Jobs[i], 2, day)
	}
	flush(t, o, f)
	look()
}

// filters compares lists over jobs of several days with the same jobs filtered in
// memory, for many queries and page sizes.
func filters(t *testing.T, o Opened) {
	f := store.Flush{Seq: 1, Specs: []store.SpecRow{spec("x")}}
	for id := uint64(1); id <= 200; id++ {
		j := live(id*2, 1, "x")
		j.Submitted = epoch + int64(id)*day/60
		j.Namespace = []string{"default", "other"}[id%2]
		j.Queue = []string{"default", "night", "Night"}[id%3]
		j.Name = []string{"etl", "train", "größe", ""}[id%4]
		j.State = []uint8{0, 1, 2, 63, 255}[id%5]
		j.Labels = [][]string{nil, {"team=data"}, {"bare", "team=ml"}, {"team=data", "x=é=ü"}}[id%4]
		if id%6 != 0 {
			j = ended(j, 1, int64(id%5)*day)
			j.State = uint8(id % 5)
		}
		f.Jobs = append(f.Jobs, j)
	}
	flush(t, o, f)
	tests := []struct {
		name string
		q    store.Query
	}{
		{"all", store.Query{}},
		{"namespace", store.Query{Namespace: "other"}},
		{"queue", store.Query{Queue: "Night"}},
		{"name", store.Query{Name: "größe"}},
		{"unknown name", store.Query{Name: "etl2"}},
		{"one state", store.Query{States: []uint8{3}}},
		{"states", store.Query{States: []uint8{0, 4}}},
		{"great states", store.Query{States: []uint8{63, 255, 1}}},
		{"after", store.Query{After: f.Jobs[80].Submitted}},
		{"before", store.Query{Before: f.Jobs[80].Submitted}},
		{"between", store.Query{After: f.Jobs[40].Submitted, Before: f.Jobs[120].Submitted}},
		{"label", store.Query{Labels: []string{"team=data"}}},
		{"label key", store.Query{Labels: []string{"team"}}},
		{"labels", store.Query{Labels: []string{"team", "bare"}}},
		{"odd label", store.Query{Labels: []string{"x=é=ü"}}},
		{"now", store.Query{Now: f.Jobs[120].KeepUntil}},
		{"a moment later", store.Query{Now: f.Jobs[120].KeepUntil + 1}},
		{"below", store.Query{Below: 133}},
		{"below the first", store.Query{Below: 1}},
		{"below everything there can be", store.Query{Below: 1<<64 - 1}},
		{"much at once", store.Query{Namespace: "default", Queue: "night", States: []uint8{1, 2, 3}, Labels: []string{"team"}, After: epoch + day, Now: epoch + 2*day}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []uint64
			for i := range f.Jobs {
				if tt.q.Match(&f.Jobs[i]) {
					want = append(want, f.Jobs[i].ID)
				}
			}
			slices.Reverse(want)
			for _, limit := range []int{1, 7, store.MaxPage} {
				q := tt.q
				q.Limit = limit
				diff(t, fmt.Sprint("ids, limit ", limit), ids(jobsOf(t, o, q)), want)
			}
		})
	}
}

func partsInOrder(t *testing.T, o Opened) {
	f := store.Flush{Seq: 1, Jobs: []store.JobRow{live(1, 1, "x"), live(2, 1, "x")}, Specs: []store.SpecRow{spec("x")}}
	for n := uint64(40); n > 0; n-- {
		for _, kind := range []store.PartKind{store.PartChunk, store.PartAttempt, store.PartOutput} {
			f.Parts = append(f.Parts, part(kind, 1, 0, n*5, 1), part(kind, 1, 1, n, 1), part(kind, 2, 0, n, 1))
		}
	}
	f.Parts = append(f.Parts, part(store.PartAttempt, 1, 1<<32-1, 1<<63-1, 1))
	flush(t, o, f)
	ns := func(parts []store.PartRow) (ns []uint64) {
		for _, p := range parts {
			ns = append(ns, p.N)
		}
		return ns
	}
	tests := []struct {
		task  uint32
		kind  store.PartKind
		from  uint64
		limit int
		want  []uint64
	}{
		{0, store.PartChunk, 0, 3, []uint64{5, 10, 15}},
		{0, store.PartOutput, 10, 2, []uint64{10, 15}},
		{0, store.PartAttempt, 11, 2, []uint64{15, 20}},
		{0, store.PartChunk, 195, 10, []uint64{195, 200}},
		{0, store.PartChunk, 201, 10, nil},
		{1, store.PartChunk, 39, 10, []uint64{39, 40}},
		{2, store.PartChunk, 0, 10, nil},
		{0, 9, 0, 10, nil},
		{1<<32 - 1, store.PartAttempt, 7, 10, []uint64{1<<63 - 1}},
		{1<<32 - 1, store.PartAttempt, 1 << 63, 10, nil},
	}
	for _, tt := range tests {
		got, err := o.History.Parts(t.Context(), 1, tt.task, tt.kind, tt.from, tt.limit)
		check(t, err)
		diff(t, fmt.Sprintf("parts of task %d, kind %d from %d", tt.task, tt.kind, tt.from), ns(got), tt.want)
		for _, p := range got {
			diff(t, "part", p, part(tt.kind, 1, tt.task, p.N, 1))
		}
	}
	none, err := o.History.Parts(t.Context(), 77, 0, store.PartChunk, 0, 10)
	check(t, err)
	diff(t, "parts of no job", none, []store.PartRow(nil))
}

func characters(t *testing.T, o Opened) {
	rows := []store.JobRow{
		{ID: 1, Live: true, Namespace: "ümlaut", Queue: "очередь", Name: "名前", Labels: []string{"emoji=🚂", "k=", "line\nbreak=\ttab"}},
		{ID: 2, Live: true, Name: `'; DROP TABLE jobs; --"?$1`, Labels: []string{`"`, "'"}, Blob: []byte("\x00\xfe")},
		{ID: 3, State: 255, Submitted: -1, Ended: -1 << 62, KeepUntil: 1<<63 - 1, KeyHash: 1<<64 - 1, Changed: 1<<63 - 1},
		{ID: 1<<63 - 1, Live: true, Submitted: 1, Spec: spec("x").Hash},
	}
	flush(t, o, store.Flush{Seq: 1, Jobs: rows, Specs: []store.SpecRow{spec("x")}})
	for _, want := range rows {
		got, _, err := o.History.Job(t.Context(), want.ID)
		check(t, err)
		diff(t, fmt.Sprint("job ", want.ID), got, want)
	}
	slices.Reverse(rows)
	diff(t, "list", jobsOf(t, o, store.Query{Limit: 2, WithBlobs: true}), rows)
}

// readsBesideFlushes has every flush change every job: whoever reads sees them all
// as of the sequence that the answer names.
func readsBesideFlushes(t *testing.T, o Opened) {
	const jobs, flushes = 50, 30
	write := func(seq uint64) {
		f := store.Flush{Seq: seq, Specs: []store.SpecRow{spec("x")}}
		for id := uint64(1); id <= jobs; id++ {
			j := live(id, seq, "x")
			j.Submitted += int64(id/20) * day
			j.KeyHash = 77
			f.Jobs = append(f.Jobs, j)
		}
		if err := o.Tables.Flush(t.Context(), &f); err != nil {
			t.Error(err)
		}
	}
	write(1)
	same := func(what string, rows []store.JobRow, projected uint64) {
		if len(rows) != jobs {
			t.Errorf("%s: %d jobs, want %d", what, len(rows), jobs)
		}
		for i := range rows {
			if rows[i].Changed != projected {
				t.Errorf("%s at %d shows job %d of %d", what, projected, rows[i].ID, rows[i].Changed)
				return
			}
		}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	reader := func(read func() error) {
		wg.Go(func() {
			for ended := false; !ended && !t.Failed(); {
				select {
				case <-done:
					ended = true
				default:
				}
				if err := read(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	reader(func() error {
		page, err := o.History.Jobs(t.Context(), store.Query{Limit: jobs})
		if page.Next == 0 {
			same("list", page.Rows, page.Projected)
		}
		for _, row := range page.Rows {
			if row.Changed != page.Projected {
				t.Errorf("list at %d shows job %d of %d", page.Projected, row.ID, row.Changed)
			}
		}
		return err
	})
	reader(func() error {
		rows, projected, err := o.History.JobsByKey(t.Context(), store.Latest, []uint64{77})
		same("key", rows, projected)
		return err
	})
	reader(func() error {
		var l loaded
		projected, err := o.Tables.Load(t.Context(), &l)
		same("load", l.Jobs, projected)
		return err
	})
	reader(func() error {
		row, projected, err := o.History.Job(t.Context(), 1)
		if err == nil && row.Changed != projected {
			t.Errorf("job of %d at %d", row.Changed, projected)
		}
		return err
	})
	for seq := uint64(2); seq <= flushes; seq++ {
		write(seq)
		if seq%7 == 0 {
			if _, err := o.Tables.Durable(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	close(done)
	wg.Wait()
}
