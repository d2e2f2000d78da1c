package record

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// small returns a state with one job, one worker and a paused queue, and its rows.
func small(t *testing.T) (*core.State, *store.Flush) {
	t.Helper()
	s := core.New(core.Config{Lease: 60_000, Retention: 1000})
	var events []core.Event
	do := func(list []core.Event) {
		for _, e := range list {
			s.Apply(e)
		}
		events = append(events, list...)
	}
	do(s.Begin(1, 3, 1))
	decide := func(c core.Command) {
		t.Helper()
		d, err := s.Decide(core.Input{Now: 5}, c)
		if err != nil {
			t.Fatal(err)
		}
		do(d.Events)
	}
	decide(core.RaiseFormat{To: Newest})
	decide(core.PutNamespace{Name: "a-team", Create: true, Change: job.NamespaceChange{Pending: new(int64(100))}})
	decide(core.PutQueue{Namespace: "a-team", Name: "night", Create: true, Change: job.QueueChange{Limit: &job.Limit{Running: 3}}})
	decide(core.PutQueue{Namespace: "a-team", Name: "night", Paused: new(true)})
	decide(core.PutPool{Name: "default", Change: job.PoolChange{Overcommit: &job.Factors{CPU: 1500, Other: "licence=2000"}}})
	decide(core.PutReservation{ReservationSet: core.ReservationSet{Name: "night", Pool: "default", From: 900_000, Until: 1_000_000, Lead: 1}})
	decide(core.PutToken{Token: core.Token{ID: "t1", Name: "ci", Hash: [32]byte{1}, Scopes: []string{"submit"}}})
	decide(core.WorkerHello{Hello: link.Hello{
		Protocol: link.Protocol, Name: "w1", Instance: "i1", Incarnation: 9, Slots: 1, Capacity: job.Resources{CPU: 4000, Memory: 1 << 30},
		Executors: []string{"process"}, Labels: map[string]string{"zone": "b"},
	}})
	file, err := jobfile.Parse("job.yaml", []byte("name: hello\ntasks: {one: {command: [echo, hi]}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	decide(core.Submit{Namespace: "default", Spec: file.Spec, Canonical: file.Canonical, Hash: file.Hash, Items: []core.Item{{Key: "k", Body: 4}}})
	for {
		d, more := s.Follow(6)
		if !more {
			break
		}
		do(d.Events)
	}
	s.Place(7, 10)
	s.Batch(1)
	rows := NewRows()
	seq := s.BeginFlush(rows)
	for !s.Encode(1) {
	}
	return s, rows.Flush(0, store.Mark{Seq: seq})
}

func load(t *testing.T, f *store.Flush, seq uint64) (*core.State, error) {
	t.Helper()
	l := NewLoader(core.Config{Lease: 60_000, Retention: 1000})
	for _, row := range slices.Backward(f.Objects) { // queues before namespaces
		if err := l.Object(row); err != nil {
			return nil, err
		}
	}
	for _, row := range f.Specs {
		if err := l.Spec(row); err != nil {
			return nil, err
		}
	}
	for _, row := range f.Jobs {
		if err := l.Job(row); err != nil {
			return nil, err
		}
	}
	for _, row := range f.Parts {
		if err := l.Part(row); err != nil {
			return nil, err
		}
	}
	return l.Finish(seq)
}

func TestLoaderRebuilds(t *testing.T) {
	s, f := small(t)
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	back, err := load(t, f, f.Seq)
	if err != nil {
		t.Fatal(err)
	}
	if back.Seq() != 1 || back.Epoch() != 3 || back.Generation() != 1 {
		t.Errorf("loaded at %d, epoch %d, generation %d", back.Seq(), back.Epoch(), back.Generation())
	}
	if diff := cmp.Diff(s.Assignments([]link.Fence{1}), back.Assignments([]link.Fence{1})); diff != "" {
		t.Errorf("the assignment (-live +loaded):\n%s", diff)
	}
	if _, err := back.Decide(core.Input{Now: 9}, core.PutQueue{Namespace: "a-team", Name: "night", Create: true}); err == nil {
		t.Error("the queue is not known any more")
	}
	queues, err := back.Queues("a-team")
	if err != nil || len(queues) != 2 || queues[1].Policy != (job.QueuePolicy{Limit: job.Limit{Running: 3}}) || !queues[1].Paused {
		t.Errorf("the queues are %+v, %v", queues, err)
	}
	if p := back.Pools(); len(p) != 1 || p[0].Policy.Overcommit != (job.Factors{CPU: 1500, Other: "licence=2000"}) || p[0].Offers.CPU != 6000 {
		t.Errorf("the pools are %+v", p)
	}
	if r := back.Reservations(); len(r) != 1 || r[0].Pool != "default" || r[0].Until != 1_000_000 || len(r[0].Reserves) != 1 {
		t.Errorf("the reservations are %+v", r)
	}
	if n := back.Namespaces(); len(n) != 2 || n[0].Policy != (job.NamespacePolicy{Pending: 100}) {
		t.Errorf("the namespaces are %+v", n)
	}
}

// TestLearnedComesBack: what was learned is in rows of its own, a row a key.
func TestLearnedComesBack(t *testing.T) {
	s, f := small(t)
	s.Flushed(8, nil)
	s.Apply(core.FormatRaised{Format: core.FormatLearns})
	d, err := s.Decide(core.Input{Now: 5000}, core.WorkerReport{Worker: 1, Session: 1, Report: link.Report{
		Ended: []link.Result{{Fence: 1, Started: 7, Ended: 4007, Usage: job.Usage{Memory: 7 << 20}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range d.Events {
		s.Apply(e)
	}
	s.Batch(2)
	rows := NewRows()
	s.BeginFlush(rows)
	for !s.Encode(1) {
	}
	second := rows.Flush(1, store.Mark{Seq: 2})
	objects := slices.DeleteFunc(slices.Clone(second.Objects), func(o store.ObjectRow) bool { return o.Kind != core.KindLearned })
	if len(objects) != 1 || objects[0].Key != "00000000000000000000" || objects[0].Changed != 2 || objects[0].Deleted || objects[0].Blob[1] != formatLearns {
		t.Fatalf("rows of what was learned: %+v", objects)
	}
	f.Objects = append(f.Objects, objects...)
	back, err := load(t, f, 2)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := s.Image(1)
	want, got := s.Predict(&m, s.SpecOf(1), 0), back.Predict(&m, s.SpecOf(1), 0)
	if diff := cmp.Diff(want, got); diff != "" || got.Run.Run != 4000 || got.Memory.Runs != 1 {
		t.Errorf("what is predicted (-live +loaded):\n%s", diff)
	}
	for name, test := range map[string]struct {
		blob []byte
		want error
	}{
		"of a later version": {[]byte{8, 3, 0x3a, 1, 99}, ErrFormat},
		"damaged":            {[]byte{8, 3, 0x3a, 1, 1}, store.ErrCorrupt},
		"of no state":        {[]byte{8, 3}, store.ErrCorrupt},
		"of another slot":    {slices.Concat([]byte{8, 3, 16, 1}, objects[0].Blob[2:]), store.ErrCorrupt},
		"with more":          {slices.Concat(objects[0].Blob, []byte{0x78, 1}), ErrFormat},
	} {
		f.Objects[len(f.Objects)-1].Blob = test.blob
		if _, err := load(t, f, 2); !errors.Is(err, test.want) {
			t.Errorf("a row %s: %v, want %v", name, err, test.want)
		}
	}
}

// TestUseComesBack: who used how much is in rows of its own, and whoever is forgotten in none.
func TestUseComesBack(t *testing.T) {
	s, f := small(t)
	at := slices.IndexFunc(f.Objects, func(o store.ObjectRow) bool { return o.Kind == core.KindUse && o.Key == "default/default/" })
	if at < 0 || f.Objects[at].Blob[1] != formatUse {
		t.Fatalf("rows of who used how much: %+v", f.Objects)
	}
	back, err := load(t, f, f.Seq)
	if err != nil {
		t.Fatal(err)
	}
	one, other := NewRows(), NewRows()
	s.Export(one)
	back.Export(other)
	if diff := cmp.Diff(one.flush.Objects, other.flush.Objects); diff != "" {
		t.Errorf("what was used (-live +loaded):\n%s", diff)
	}
	for name, test := range map[string]struct {
		blob []byte
		want error
	}{
		"of no moment":         {[]byte{8, 3, 18, 7, 'd', 'e', 'f', 'a', 'u', 'l', 't'}, store.ErrCorrupt},
		"of nobody":            {[]byte{8, 3, 34, 1, 'a', 48, 2}, store.ErrCorrupt},
		"of no queue":          {[]byte{8, 3, 18, 7, 'd', 'e', 'f', 'a', 'u', 'l', 't', 26, 1, 'q', 48, 2}, store.ErrCorrupt},
		"of a later version":   {[]byte{8, 99}, ErrFormat},
		"with a field unknown": {slices.Concat(f.Objects[at].Blob, []byte{0x78, 1}), ErrFormat},
	} {
		f.Objects[at].Blob = test.blob
		if _, err := load(t, f, f.Seq); !errors.Is(err, test.want) {
			t.Errorf("a row %s: %v, want %v", name, err, test.want)
		}
	}
	rows := NewRows()
	rows.Use("a//", core.UseImage{Namespace: "a"}, 7)
	if diff := cmp.Diff([]store.ObjectRow{{Kind: core.KindUse, Key: "a//", Changed: 7, Deleted: true}}, rows.flush.Objects); diff != "" {
		t.Errorf("the row of who is forgotten:\n%s", diff)
	}
}

func TestLoaderOfNothing(t *testing.T) {
	s, err := load(t, &store.Flush{}, 0)
	if err != nil || s.Seq() != 0 {
		t.Fatalf("an empty store: %v", err)
	}
	if events := s.Begin(1, 1, 1); len(events) != 3 {
		t.Errorf("an empty state begins with %d events, want the epoch and the default namespace and queue", len(events))
	}
}

func TestLoaderRefusesDamage(t *testing.T) {
	tests := map[string]struct {
		damage func(f *store.Flush)
		want   error
		says   string
	}{
		"no counters": {func(f *store.Flush) { f.Objects = f.Objects[1:] }, store.ErrCorrupt, "no counters"},
		"a queue without its namespace": {func(f *store.Flush) {
			f.Objects = append(f.Objects[:1:1], store.ObjectRow{Kind: core.KindQueue, Key: "x/q", Blob: []byte{8, 1, 0x12, 3, 0x0a, 1, 'x'}})
		}, nil, "namespace x"},
		"an unknown kind": {func(f *store.Flush) {
			f.Objects = append(f.Objects, store.ObjectRow{Kind: 99, Key: "what", Blob: []byte{8, 1}})
		}, ErrFormat, `"what" of kind 99`},
		"an object cut short": {func(f *store.Flush) { f.Objects[0].Blob = f.Objects[0].Blob[:3] }, store.ErrCorrupt, "counters"},
		"a namespace of none": {func(f *store.Flush) { f.Objects[1].Blob = []byte{8, 1} }, ErrFormat, "of kind 2"},
		"another spec":        {func(f *store.Flush) { f.Specs[0].Blob = []byte(`{}`) }, store.ErrCorrupt, "is not what was written"},
		"a job without spec":  {func(f *store.Flush) { f.Specs = nil }, nil, "its spec"},
		"a job cut short":     {func(f *store.Flush) { f.Jobs[0].Blob = nil }, store.ErrCorrupt, "row of job 1"},
		"a chunk of no job": {func(f *store.Flush) {
			f.Parts = []store.PartRow{{Job: 77, Kind: store.PartChunk, Blob: []byte{8, 1}}}
		}, nil, "job 77"},
		"a damaged chunk": {func(f *store.Flush) {
			f.Parts = []store.PartRow{{Job: 1, Kind: store.PartChunk, Blob: []byte{8}}}
		}, store.ErrCorrupt, "part 0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, f := small(t)
			test.damage(f)
			_, err := load(t, f, f.Seq)
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("load = %v; want %v that says %q", err, test.want, test.says)
			}
		})
	}
}

func TestLoaderLeavesOutputsInTheTables(t *testing.T) {
	_, f := small(t)
	f.Parts = append(f.Parts, store.PartRow{Job: 1, Kind: store.PartOutput, Blob: []byte{8, 1}})
	if _, err := load(t, f, f.Seq); err != nil {
		t.Error(err)
	}
}
