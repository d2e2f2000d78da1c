package record

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	recordv1 "github.com/reeve-scheduler/reeve/gen/reeve/record/v1"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestKindsAreWhole(t *testing.T) {
	var have, schema []string
	for _, e := range kinds() {
		have = append(have, nameOf(e))
	}
	slices.Sort(have)
	if diff := cmp.Diff(coreKinds(t), have); diff != "" {
		t.Errorf("core has other kinds of events than the codec and its tests (-core +tests):\n%s", diff)
	}
	fields := (&recordv1.Event{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		schema = append(schema, string(fields.Get(i).Message().Name()))
	}
	slices.Sort(schema)
	if diff := cmp.Diff(schema, have); diff != "" {
		t.Errorf("the schema has other kinds of events (-schema +tests):\n%s", diff)
	}
}

func TestEveryKindComesBack(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(nameOf(kind), rapid.MakeCheck(func(t *rapid.T) {
			events := []core.Event{kind}
			for range rapid.IntRange(0, 3).Draw(t, "more") {
				events = append(events, filled(kind, drawn{t}))
			}
			checkRoundTrip(t, events)
		}))
	}
}

func TestBatchesComeBackInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []core.Event
		for range rapid.IntRange(0, 20).Draw(t, "events") {
			events = append(events, filled(rapid.SampledFrom(kinds()).Draw(t, "kind"), drawn{t}))
		}
		checkRoundTrip(t, events)
	})
}

// TestEventsComeBackOneByOne reads what AppendEvent appends, event by event, and
// holds the payload that it makes against EncodeBatch's.
func TestEventsComeBackOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []core.Event
		var d Decoder
		payload := BeginBatch(nil, Newest)
		for range rapid.IntRange(0, 20).Draw(t, "events") {
			e := filled(rapid.SampledFrom(kinds()).Draw(t, "kind"), drawn{t})
			start := len(payload)
			var err error
			if payload, err = AppendEvent(payload, e); err != nil {
				t.Fatal(err)
			}
			back, err := d.Event(payload[start:])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(e, back); diff != "" {
				t.Fatalf("an event came back as another (-want +got):\n%s", diff)
			}
			events = append(events, e)
		}
		if whole, err := EncodeBatch(nil, events); err != nil || !bytes.Equal(whole[2:], payload[2:]) { // but for the format
			t.Fatalf("one by one the payload is % x, as a batch % x (%v)", payload, whole, err)
		}
	})
}

func TestOneEventIsRefused(t *testing.T) {
	good, err := AppendEvent(nil, core.WorkerDrained{ID: 300, Draining: true})
	if err != nil {
		t.Fatal(err)
	}
	var d Decoder
	for name, b := range map[string][]byte{
		"nothing": nil, "a part": good[:len(good)-1], "two": append(bytes.Clone(good), good...), "a batch": append(BeginBatch(nil, core.FirstFormat), good...),
	} {
		if e, err := d.Event(b); !errors.Is(err, store.ErrCorrupt) || e != nil {
			t.Errorf("%s: %v, %v; want damage", name, e, err)
		}
	}
	if e, err := d.Event(good); err != nil || e != (core.WorkerDrained{ID: 300, Draining: true}) {
		t.Errorf("after damage a sound event is %v, %v", e, err)
	}
}

func checkRoundTrip(t *rapid.T, events []core.Event) {
	prefix := []byte("kept")
	b, err := EncodeBatch(prefix, events)
	if err != nil {
		t.Fatal(err)
	}
	format := uint64(core.FirstFormat)
	for _, e := range events {
		format = max(format, Needs(e))
	}
	if !bytes.HasPrefix(b, prefix) || len(b) < len(prefix)+2 || b[4] != 0x08 || uint64(b[5]) != format {
		t.Fatalf("a payload begins with % x; want the format first", b[:min(8, len(b))])
	}
	b = b[len(prefix):]
	back, err := DecodeBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(events, back, emptyBatch()); diff != "" {
		t.Fatalf("decode(encode(x)) differs (-x +got):\n%s", diff)
	}
	clear(b) // nothing may alias it
	if diff := cmp.Diff(events, back, emptyBatch()); diff != "" {
		t.Fatalf("the events alias the payload:\n%s", diff)
	}
}

func emptyBatch() cmp.Option {
	return cmp.Transformer("batch", func(b []core.Event) []any {
		out := make([]any, 0, len(b))
		for _, e := range b {
			out = append(out, e)
		}
		return out
	})
}

func TestNothingIsSharedWithThePayload(t *testing.T) {
	long := strings.Repeat("x", 300)
	in := []core.Event{core.SpecAdded{Canonical: []byte(long)}, core.AttemptEnded{Outputs: []byte(`{}`), Cause: job.Cause{Detail: long}}}
	b, err := EncodeBatch(nil, in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := DecodeBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if diff := cmp.Diff(in, out); diff != "" {
		t.Error(diff)
	}
}

func TestEmptyIsNotNil(t *testing.T) {
	for _, outputs := range [][]byte{nil, {}} {
		b, err := EncodeBatch(nil, []core.Event{core.AttemptEnded{Outputs: outputs}})
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeBatch(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := back[0].(core.AttemptEnded).Outputs; (got == nil) != (outputs == nil) {
			t.Errorf("outputs %#v came back as %#v", outputs, got)
		}
	}
}

type strange struct{ core.Event }

func TestUnknownEventIsRefused(t *testing.T) {
	dst := []byte("before")
	got, err := EncodeBatch(dst, []core.Event{core.JobWoken{Job: 1}, strange{}})
	if err == nil || !strings.Contains(err.Error(), "record.strange") {
		t.Errorf("error %v; want one that names the type", err)
	}
	if string(got) != "before" {
		t.Errorf("a failed encode returned %q", got)
	}
}

func TestDamageIsTold(t *testing.T) {
	good, err := EncodeBatch(nil, []core.Event{core.JobWoken{Job: 3}})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		b    []byte
		want error
		says string
	}{
		"empty":               {nil, store.ErrCorrupt, "no format"},
		"no format":           {good[2:], store.ErrCorrupt, "no format"},
		"a newer format":      {append([]byte{0x08, Newest + 1}, good[2:]...), ErrFormat, fmt.Sprintf("format %d", Newest+1)},
		"format zero":         {append([]byte{0x08, 0}, good[2:]...), ErrFormat, "format 0"},
		"cut short":           {good[:len(good)-1], store.ErrCorrupt, "event 0"},
		"an unknown kind":     {append(bytes.Clone(good), 0x12, 4, 0xfa, 0x3f, 1, 0), ErrFormat, "event 1"},
		"an unknown field":    {append(bytes.Clone(good), 0x12, 4, 0x3a, 2, 0x10, 1), ErrFormat, "field 2 is not known"},
		"beside the events":   {append(bytes.Clone(good), 0x18, 1), ErrFormat, "field 3 is not known"},
		"an event of no kind": {append(bytes.Clone(good), 0x12, 0), store.ErrCorrupt, "no kind"},
		"two kinds in one":    {append(bytes.Clone(good), 0x12, 4, 0x3a, 0, 0x3a, 0), store.ErrCorrupt, "event 1"},
		"text for a number":   {append(bytes.Clone(good), 0x12, 5, 0x3a, 3, 0x0a, 1, 'x'), store.ErrCorrupt, "field 1"},
		"an element state 8":  {append(bytes.Clone(good), 0x12, 4, 0x5a, 2, 0x20, 8), store.ErrCorrupt, "field 4"},
		"a short hash":        {append(bytes.Clone(good), 0x12, 5, 0x2a, 3, 0x0a, 1, 7), store.ErrCorrupt, "field 1"},
		"a group":             {append(bytes.Clone(good), 0x13), store.ErrCorrupt, "event 1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			events, err := DecodeBatch(test.b)
			if !errors.Is(err, test.want) || !strings.Contains(fmt.Sprint(err), test.says) || events != nil {
				t.Errorf("DecodeBatch = %v, %v; want an error of kind %v that says %q", events, err, test.want, test.says)
			}
		})
	}
}

// What generated code makes of the bytes is what was encoded, and the other way
// round: the schema says the truth.
func TestSchemaReadsTheSame(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(nameOf(kind), rapid.MakeCheck(func(t *rapid.T) {
			event := filled(kind, drawn{t})
			b, err := EncodeBatch(nil, []core.Event{event})
			if err != nil {
				t.Fatal(err)
			}
			var batch recordv1.Batch
			if err := proto.Unmarshal(b, &batch); err != nil {
				t.Fatal(err)
			}
			if uint64(batch.GetFormat()) != Needs(event) || len(batch.GetEvents()) != 1 {
				t.Fatalf("the generated code reads format %d and %d events", batch.GetFormat(), len(batch.GetEvents()))
			}
			m := batch.GetEvents()[0].ProtoReflect()
			one := m.WhichOneof(m.Descriptor().Oneofs().Get(0))
			if one == nil || string(one.Message().Name()) != nameOf(kind) {
				t.Fatalf("the generated code reads %v", one)
			}
			checkSame(t, nameOf(kind), event, m.Get(one).Message())
			again, err := proto.Marshal(&batch)
			if err != nil {
				t.Fatal(err)
			}
			back, err := DecodeBatch(again)
			if err != nil {
				t.Fatalf("what the generated code writes can't be read: %v", err)
			}
			if diff := cmp.Diff([]core.Event{event}, back); diff != "" {
				t.Fatalf("what the generated code writes differs:\n%s", diff)
			}
		}))
	}
}

func TestGoldenEvents(t *testing.T) {
	sample := func(name string) core.Event {
		name, from := sampleOf(name)
		for _, kind := range kinds() {
			if nameOf(kind) == name {
				return filled(kind, from)
			}
		}
		return nil
	}
	encode := func(name string) ([]byte, error) { return EncodeBatch(nil, []core.Event{sample(name)}) }
	names := sampled(kindNames(), func(name string) string {
		b, err := encode(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	})
	checkGolden(t, "testdata/events.golden", encode, names, func(name string, b []byte) (any, any, error) {
		events, err := DecodeBatch(b)
		if err != nil {
			return nil, nil, err
		}
		return sample(name), events[0], nil
	})
}

func kindNames() (names []string) {
	for _, e := range kinds() {
		names = append(names, nameOf(e))
	}
	return names
}

// checkGolden compares encoded bytes with a file of lines "name hex", and reads
// the file's bytes back. Bytes that change can't be read by what was released:
// that needs a new format number, not a new golden file.
func checkGolden(t *testing.T, path string, encode func(string) ([]byte, error), names []string,
	decode func(string, []byte) (want, got any, err error),
) {
	t.Helper()
	var out strings.Builder
	for _, name := range names {
		b, err := encode(name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fmt.Fprintf(&out, "%s %x\n", name, b)
	}
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(file), out.String()); diff != "" {
		t.Errorf("the bytes on disk would change (-golden +now):\n%s", diff)
	}
	for line := range strings.Lines(string(file)) {
		var name string
		var b []byte
		if _, err := fmt.Sscanf(line, "%s %x", &name, &b); err != nil {
			t.Fatalf("%s: line %q: %v", path, line, err)
		}
		want, got, err := decode(name, b)
		if err != nil {
			t.Errorf("%s can't be read any more: %v", name, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s is read differently:\n%s", name, diff)
		}
	}
}

func FuzzDecodeBatch(f *testing.F) {
	for _, kind := range kinds() {
		b, err := EncodeBatch(nil, []core.Event{filled(kind, &counter{format: Newest}), kind})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := DecodeBatch(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		again, err := EncodeBatch(nil, events)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeBatch(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(events, back); diff != "" {
			t.Fatal(diff)
		}
	})
}

// usual is what becomes of one small job.
func usual(n int) []core.Event {
	var events []core.Event
	const now = 1_790_000_000_000
	for i := range n {
		id, fence := job.ID(1_000_000+i), link.Fence(5_000_000+i)
		events = append(events,
			core.JobSubmitted{ID: id, UID: core.UID{1}, Namespace: "default", Params: []byte(`{"day":"2026-10-01"}`), Key: "night-4711", Body: 1 << 60, By: "anna", At: now},
			core.TaskReady{Job: id, Count: 1},
			core.AttemptAssigned{Job: id, Attempt: 1, Fence: fence, Worker: 17, Lease: 60_000, At: now + 1},
			core.AttemptEnded{Fence: fence, Usage: job.Usage{CPU: 1_000_000, Memory: 8 << 20}, Started: now + 2, Ended: now + 3, At: now + 4, Next: job.Succeeded},
			core.JobEnded{Job: id, State: job.JobSucceeded, At: now + 4},
		)
	}
	return events
}

func BenchmarkEncode(b *testing.B) {
	events := usual(1000)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = EncodeBatch(buf[:0], events)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
	b.ReportMetric(float64(len(buf))/float64(len(events)), "B/event")
}

func BenchmarkDecode(b *testing.B) {
	events := usual(1000)
	buf, err := EncodeBatch(nil, events)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeBatch(buf); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}
