package record

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	recordv1 "github.com/reeve-scheduler/reeve/gen/reeve/record/v1"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/store"
)

func TestKeyHash(t *testing.T) {
	// The first two are stored somewhere by now: they never change.
	tests := []struct {
		namespace, key string
		want           uint64
	}{
		{"default", "night-1", 0x672ed08966966c60},
		{"default", "night-2", 0},
		{"default", "", 0},
		{"", "", 0},
	}
	seen := map[uint64]string{}
	for _, test := range tests {
		got := KeyHash(test.namespace, test.key)
		if test.want != 0 && got != test.want {
			t.Errorf("KeyHash(%q, %q) = %#x, want %#x", test.namespace, test.key, got, test.want)
		}
		if (got == 0) != (test.key == "") || got > math.MaxInt64 {
			t.Errorf("KeyHash(%q, %q) = %#x; want 0 for no key alone, and room in a signed column", test.namespace, test.key, got)
		}
		if old, ok := seen[got]; ok && got != 0 {
			t.Errorf("%q and %q have one hash", old, test.key)
		}
		seen[got] = test.key
	}
	if KeyHash("a", "bc") == KeyHash("ab", "c") {
		t.Error("the hash does not tell namespace and key apart")
	}
}

// image makes an image of a job as core would: with labels that can be columns.
func image(from source, id job.ID) core.JobImage {
	m := filled(core.JobImage{}, from)
	m.ID, m.Labels = id, nil
	if m.Away {
		m.Payload = nil
	}
	for range from.length() {
		if m.Labels == nil {
			m.Labels = map[string]string{}
		}
		m.Labels[fmt.Sprintf("k%d", from.number(99))] = from.text()
	}
	return m
}

func TestJobsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := NewRows()
		want := map[job.ID]core.JobImage{}
		var ended []job.ID
		for _, id := range rapid.SliceOfNDistinct(rapid.Uint64Range(1, 50), 0, 8, rapid.ID).Draw(t, "ids") {
			m := image(drawn{t}, job.ID(id))
			rows.Job(m)
			want[m.ID] = m
			if m.State.Terminal() {
				ended = append(ended, m.ID)
			}
		}
		if diff := gocmp.Diff(ended, rows.Ended()); diff != "" {
			t.Errorf("Ended (-want +got):\n%s", diff)
		}
		f := rows.Flush(0, store.Mark{Seq: 7})
		if f.Seq != 7 || len(f.Jobs) != len(want) {
			t.Fatalf("a flush at %d of %d jobs; want 7 and %d", f.Seq, len(f.Jobs), len(want))
		}
		if !slices.IsSortedFunc(f.Jobs, func(a, b store.JobRow) int { return cmp.Compare(a.ID, b.ID) }) {
			t.Error("the jobs do not rise by id")
		}
		for _, row := range f.Jobs {
			got, err := Job(row)
			if err != nil {
				t.Fatal(err)
			}
			m := want[got.ID]
			if diff := gocmp.Diff(m.Payload, row.Payload); diff != "" {
				t.Errorf("the payload of job %d (-want +got):\n%s", row.ID, diff)
			}
			m.Away, m.Payload = m.Away || m.Payload != nil, nil // from here on only the tables have it
			if diff := gocmp.Diff(m, got); diff != "" {
				t.Errorf("job %d (-want +got):\n%s", row.ID, diff)
			}
		}
	})
}

func TestJobColumns(t *testing.T) {
	rows := NewRows()
	rows.Job(core.JobImage{
		ID: 12, Namespace: "team", Queue: "night", Name: "report", Labels: map[string]string{"b": "2", "a": "1=1", "a-b": ""},
		State: job.JobFailed, Submitted: 10, Ended: 20, KeepUntil: 30, Key: "once", Spec: core.Hash{9}, Changed: 4,
	})
	rows.Job(core.JobImage{ID: 11, State: job.JobRunning})
	want := []store.JobRow{
		{ID: 11, Live: true, State: 1},
		{
			ID: 12, Changed: 4, Namespace: "team", Queue: "night", Name: "report", State: 3, Submitted: 10, Ended: 20, KeepUntil: 30,
			KeyHash: KeyHash("team", "once"), Labels: []string{"a-b=", "a=1=1", "b=2"}, Spec: [32]byte{9},
		},
	}
	got := slices.Clone(rows.Flush(0, store.Mark{Seq: 1}).Jobs)
	for i := range got {
		got[i].Blob = nil
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff([]job.ID{12}, rows.Ended()); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
}

func TestPartsComeBackSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := NewRows()
		chunk, past, output := filled(core.ChunkImage{}, drawn{t}), filled(core.PastAttempt{}, drawn{t}), filled(core.OutputImage{}, drawn{t})
		chunk.Job, past.Job, output.Job = 5, 4, 5
		chunk.Task, output.Task = 1, 1
		chunk.Chunk &= 1<<20 - 1
		past.Position &= 1<<40 - 1
		output.Position &= 1<<40 - 1
		rows.Output(output, 3)
		rows.Chunk(chunk, 2)
		rows.Past(past, 1)
		f := rows.Flush(0, store.Mark{Seq: 9})
		if err := f.Check(); err != nil {
			t.Fatal(err)
		}
		var kinds []store.PartKind
		for _, row := range f.Parts {
			kinds = append(kinds, row.Kind)
		}
		if diff := gocmp.Diff([]store.PartKind{store.PartAttempt, store.PartChunk, store.PartOutput}, kinds); diff != "" {
			t.Fatalf("order of parts:\n%s", diff)
		}
		gotPast, err1 := Past(f.Parts[0])
		gotChunk, err2 := Chunk(f.Parts[1])
		gotOutput, err3 := Output(f.Parts[2])
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff([]any{past, chunk, output}, []any{gotPast, gotChunk, gotOutput}); diff != "" {
			t.Errorf("parts (-want +got):\n%s", diff)
		}
	})
}

func TestPartsOfAnotherKindAreRefused(t *testing.T) {
	row := store.PartRow{Job: 3, Task: 1, Kind: store.PartOutput, N: 2, Blob: []byte{8, 1}}
	if _, err := Output(row); err != nil {
		t.Errorf("Output: %v", err)
	}
	if _, err := Chunk(row); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Chunk of an output = %v", err)
	}
	if _, err := Past(row); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "part 2 of kind 3 of job 3 task 1") {
		t.Errorf("Past of an output = %v", err)
	}
}

func TestSpecsAreNamedOnce(t *testing.T) {
	rows := NewRows()
	text := []byte(`{"tasks":[]}`)
	rows.Spec(3, core.Hash{1}, text)
	rows.Spec(4, core.Hash{2}, text)
	rows.Spec(9, core.Hash{1}, text)
	clear(text) // what a sink is given holds only during the call
	want := []store.SpecRow{
		{Job: 3, Hash: [32]byte{1}, Blob: []byte(`{"tasks":[]}`)},
		{Job: 4, Hash: [32]byte{2}, Blob: []byte(`{"tasks":[]}`)},
	}
	if diff := gocmp.Diff(want, rows.Flush(0, store.Mark{Seq: 1}).Specs); diff != "" {
		t.Errorf("specs (-want +got):\n%s", diff)
	}
}

func TestSizeCountsBlobs(t *testing.T) {
	rows := NewRows()
	if rows.Size() != 0 || rows.Len() != 0 {
		t.Errorf("a new flush has %d bytes, %d rows", rows.Size(), rows.Len())
	}
	rows.Output(core.OutputImage{Job: 1, Outputs: make([]byte, 100_000)}, 1)
	rows.Output(core.OutputImage{Job: 1, Position: 1, Outputs: make([]byte, 10)}, 1)
	rows.Worker(3, nil, 1)
	if n := rows.Size(); n < 100_010 || n > 102_000 || rows.Len() != 3 {
		t.Errorf("Size = %d, Len = %d", n, rows.Len())
	}
}

// Blobs share memory blocks; writing past one would show up in the next.
func TestBlobsDoNotTouch(t *testing.T) {
	rows := NewRows()
	for i := range 2000 {
		rows.Output(core.OutputImage{Job: 1, Position: int64(i), Outputs: []byte(strings.Repeat("x", i%997))}, 1)
	}
	parts := rows.Flush(0, store.Mark{Seq: 1}).Parts
	for i := range parts {
		_ = append(parts[i].Blob, "overrun"...)
	}
	for i := range parts {
		m, err := Output(parts[i])
		if err != nil || m.Position != int64(i) || string(m.Outputs) != strings.Repeat("x", i%997) {
			t.Fatalf("part %d came back as position %d with %d bytes, %v", i, m.Position, len(m.Outputs), err)
		}
	}
}

// firstCounters is core.CountersImage in the first format.
type firstCounters struct {
	Epoch, Generation uint64
	NextJob           job.ID
	NextWorker        uint64
	NextFence         link.Fence
}

// blobs is one blob of every kind, and the message of the schema that it is.
func blobs(from source) map[string]struct {
	blob    []byte
	message proto.Message
} {
	rows := NewRows()
	first := filled(firstCounters{}, from)
	rows.Counters(core.CountersImage{
		Epoch: first.Epoch, Generation: first.Generation, NextJob: first.NextJob, NextWorker: first.NextWorker, NextFence: first.NextFence,
	}, 1)
	rows.Namespace(filled(core.NamespaceSet{}, from), 1)
	rows.Queue(filled(core.QueueImage{}, from), 1)
	rows.Token(filled(core.Token{}, from), 1)
	worker := filled(core.WorkerImage{}, from)
	rows.Worker(1, &worker, 1)
	rows.Job(image(from, 1))
	rows.Chunk(filled(core.ChunkImage{}, from), 1)
	rows.Past(filled(core.PastAttempt{}, from), 1)
	rows.Output(filled(core.OutputImage{}, from), 1)
	rows.Counters(filled(core.CountersImage{}, from), 1)
	if _, ok := from.(*counter); ok {
		from = &counter{} // what other rows have may grow
	}
	learned := filled(core.LearnedImage{}, from)
	learned.Slot &= 1<<31 - 1
	rows.Learned(learned, 1)
	key := filled(core.KeyImage{}, from)
	rows.Key(key.Row(), &key, 1)
	use := filled(core.UseImage{}, from)
	rows.Use("use", use, 1)
	pool := filled(core.PoolSet{}, from)
	pool.Policy.Overcommit.CPU |= 1 // else there is no row
	rows.Pool(pool, 1)
	reserved := filled(core.ReservationSet{}, from)
	rows.Reservation("reservation", &reserved, 1)
	f := &rows.flush // in the order above
	return map[string]struct {
		blob    []byte
		message proto.Message
	}{
		"counters":    {f.Objects[0].Blob, &recordv1.CountersRow{}},
		"namespace":   {f.Objects[1].Blob, &recordv1.NamespaceRow{}},
		"queue":       {f.Objects[2].Blob, &recordv1.QueueRow{}},
		"token":       {f.Objects[3].Blob, &recordv1.TokenRow{}},
		"worker":      {f.Objects[4].Blob, &recordv1.WorkerRow{}},
		"job":         {f.Jobs[0].Blob, &recordv1.JobRow{}},
		"chunk":       {f.Parts[0].Blob, &recordv1.ChunkRow{}},
		"past":        {f.Parts[1].Blob, &recordv1.PastRow{}},
		"output":      {f.Parts[2].Blob, &recordv1.OutputRow{}},
		"raised":      {f.Objects[5].Blob, &recordv1.CountersRow{}},
		"learned":     {f.Objects[6].Blob, &recordv1.LearnedRow{}},
		"key":         {f.Objects[7].Blob, &recordv1.KeyRow{}},
		"use":         {f.Objects[8].Blob, &recordv1.UseRow{}},
		"pool":        {f.Objects[9].Blob, &recordv1.PoolRow{}},
		"reservation": {f.Objects[10].Blob, &recordv1.ReservationRow{}},
	}
}

func blobNames() []string {
	return []string{"counters", "namespace", "queue", "token", "worker", "job", "chunk", "past", "output", "raised", "learned", "key", "use", "pool", "reservation"}
}

func TestGoldenRows(t *testing.T) {
	blob := func(name string) ([]byte, proto.Message) {
		name, from := sampleOf(name)
		b := blobs(from)[name]
		return b.blob, b.message
	}
	names := sampled(blobNames(), func(name string) string {
		b, _ := blob(name)
		return string(b)
	})
	checkGolden(t, "testdata/rows.golden", func(name string) ([]byte, error) {
		b, _ := blob(name)
		return b, nil
	}, names, func(name string, b []byte) (any, any, error) {
		wanted, m := blob(name)
		want := m.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(wanted, want); err != nil {
			return nil, nil, err
		}
		err := proto.Unmarshal(b, m)
		return want.(fmt.Stringer).String(), m.(fmt.Stringer).String(), err
	})
}

func TestSchemaReadsRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for name, b := range blobs(drawn{t}) {
			if err := proto.Unmarshal(b.blob, b.message); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			checkKnown(t, name, b.message.ProtoReflect())
		}
	})
}

// checkKnown fails for bytes that the schema has no field for.
func checkKnown(t *rapid.T, path string, m protoreflect.Message) {
	if len(m.GetUnknown()) > 0 {
		t.Fatalf("%s: the schema lacks a field: % x", path, m.GetUnknown())
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap() || fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				checkKnown(t, path+"."+string(fd.Name()), v.List().Get(i).Message())
			}
		default:
			checkKnown(t, path+"."+string(fd.Name()), v.Message())
		}
		return true
	})
}

func TestJobRefusesDamage(t *testing.T) {
	good := blobs(&counter{format: Newest})["job"].blob
	tests := map[string]struct {
		row  store.JobRow
		want error
	}{
		"no blob":          {store.JobRow{ID: 1}, store.ErrCorrupt},
		"half a blob":      {store.JobRow{ID: 1, Blob: good[:len(good)/2]}, store.ErrCorrupt},
		"another format":   {store.JobRow{ID: 1, Blob: append([]byte{8, 9}, good[2:]...)}, ErrFormat},
		"an unknown field": {store.JobRow{ID: 1, Blob: append(slices.Clone(good), 0xf8, 0x3f, 1)}, ErrFormat},
		"a state of none":  {store.JobRow{ID: 1, State: 9, Blob: good}, store.ErrCorrupt},
		"nine counts":      {store.JobRow{ID: 1, Blob: []byte{8, 1, 0xb2, 1, 11, 0x4a, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1}}, store.ErrCorrupt},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Job(test.row); !errors.Is(err, test.want) || !strings.Contains(err.Error(), "row of job 1") {
				t.Errorf("Job = %v, want %v with the job's id", err, test.want)
			}
		})
	}
	if _, err := Job(store.JobRow{ID: 1, Blob: good}); err != nil {
		t.Errorf("the undamaged row: %v", err)
	}
}

func FuzzRows(f *testing.F) {
	for _, b := range blobs(&counter{format: Newest}) {
		f.Add(b.blob)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := Job(store.JobRow{ID: 1, Blob: b})
		checkFuzzed(t, err)
		_, err = Chunk(store.PartRow{Kind: store.PartChunk, Blob: b})
		checkFuzzed(t, err)
		_, err = Past(store.PartRow{Kind: store.PartAttempt, Blob: b})
		checkFuzzed(t, err)
		_, err = Output(store.PartRow{Kind: store.PartOutput, Blob: b})
		checkFuzzed(t, err)
		for _, kind := range []uint8{core.KindCounters, core.KindNamespace, core.KindToken, core.KindWorker, core.KindLearned, core.KindKey, core.KindUse, core.KindPool, core.KindReservation} {
			l := NewLoader(core.Config{})
			_ = l.Object(store.ObjectRow{Kind: kind, Blob: b})
			_, err = l.Finish(0)
			checkFuzzed(t, err)
		}
	})
}

func checkFuzzed(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("an error of no kind: %v", err)
	}
}
