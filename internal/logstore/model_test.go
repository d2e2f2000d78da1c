package logstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
	"github.com/reeve-scheduler/reeve/internal/logstore"
)

// model is the plainest log store: what each attempt's stream is.
type model struct {
	streams map[job.Ref][]byte
	sealed  map[job.Ref]bool
}

// frames decodes a stream.
func frames(stream []byte) (list []logstore.Entry) {
	at := int64(0)
	for len(stream) > 0 {
		f, n, err := logline.Next(stream)
		if err != nil || n == 0 {
			panic("the model's stream is no frames")
		}
		list = append(list, logstore.Entry{Offset: at, Next: at + int64(n), Frame: f})
		at += int64(n)
		stream = stream[n:]
	}
	return list
}

// want is what Read should yield, the slow and plain way.
func (m *model) want(r job.Ref, o logstore.ReadOptions) string {
	var b strings.Builder
	for _, e := range m.tail(frames(m.streams[r]), o) {
		if e.Offset >= o.Offset && (o.Kinds == 0 || o.Kinds&logstore.KindsOf(e.Kind) != 0) && e.Time >= o.Since.UnixMilli() {
			fmt.Fprintf(&b, "%d-%d %s:%q\n", e.Offset, e.Next, kindNames[e.Kind], e.Data)
		}
	}
	return b.String()
}

// tail finds the last lines going through all bytes from the end.
func (m *model) tail(list []logstore.Entry, o logstore.ReadOptions) []logstore.Entry {
	if o.Tail == 0 {
		return list
	}
	lines, some := 0, false
	for i, e := range slices.Backward(list) {
		if o.Kinds != 0 && o.Kinds&logstore.KindsOf(e.Kind) == 0 {
			continue
		}
		for k, v := range slices.Backward(e.Data) {
			if v == '\n' && some {
				if lines++; lines == o.Tail {
					list = slices.Clone(list[i:])
					if k == len(e.Data)-1 {
						return list[1:]
					}
					if e.Offset >= o.Offset {
						list[0].Data = e.Data[k+1:]
					}
					return list
				}
			}
			some = true
		}
	}
	return list
}

func got(t *rapid.T, s *logstore.Store, r job.Ref, o logstore.ReadOptions) string {
	var b strings.Builder
	for e, err := range s.Read(context.Background(), r, o) {
		if err != nil {
			t.Fatalf("Read(%s, %+v): %v", r, o, err)
		}
		fmt.Fprintf(&b, "%d-%d %s:%q\n", e.Offset, e.Next, kindNames[e.Kind], e.Data)
	}
	return b.String()
}

// machine runs a store and the model side by side.
type machine struct {
	dir   string
	blobs *memBlobs
	s     *logstore.Store
	m     model
	clock int64
	// jobs are those that log; a dropped one makes place for a new one.
	jobs [3]job.ID
	last job.ID
}

func (mc *machine) ref(t *rapid.T) job.Ref {
	return job.Ref{
		Job:     rapid.SampledFrom(mc.jobs[:]).Draw(t, "job"),
		Task:    rapid.SampledFrom([]string{"a", "b"}).Draw(t, "task"),
		Index:   rapid.SampledFrom([]int64{job.NoIndex, 0, 7}).Draw(t, "index"),
		Attempt: 1,
	}
}

func (mc *machine) newFrames(t *rapid.T) (b []byte) {
	for range rapid.IntRange(1, 4).Draw(t, "frames") {
		mc.clock++
		kind := rapid.SampledFrom([]logline.Kind{logline.Stdout, logline.Stderr}).Draw(t, "kind")
		b = logline.Append(b, kind, mc.clock, []byte(rapid.StringMatching(`[a-c\n]{1,8}`).Draw(t, "text")))
	}
	return b
}

func (mc *machine) open(t *rapid.T) {
	mc.s = open(t, mc.dir, mc.blobs, logstore.Options{SegmentBytes: 600, MaxPending: 1000})
}

// append sends the stream from a frame's edge at or before its end, or from past it.
func (mc *machine) append(t *rapid.T) {
	r := mc.ref(t)
	stream := mc.m.streams[r]
	edges := []int64{0}
	for _, e := range frames(stream) {
		edges = append(edges, e.Next)
	}
	off := rapid.SampledFrom(edges[max(0, len(edges)-3):]).Draw(t, "offset")
	fresh := mc.newFrames(t)
	if rapid.IntRange(0, 9).Draw(t, "gap") == 0 {
		off = int64(len(stream)) + 1
		_, err := mc.s.Append(context.Background(), r, off, fresh)
		var gap *logstore.GapError
		if !errors.As(err, &gap) || gap.Want != int64(len(stream)) {
			t.Fatalf("a gap after %d: %v", len(stream), err)
		}
		return
	}
	next, err := mc.s.Append(context.Background(), r, off, append(bytes.Clone(stream[off:]), fresh...))
	if mc.m.sealed[r] {
		if !errors.Is(err, logstore.ErrSealed) {
			t.Fatalf("Append to the sealed %s: %v", r, err)
		}
		return
	}
	mc.m.streams[r] = append(bytes.Clone(stream), fresh...)
	if err != nil || next != int64(len(mc.m.streams[r])) {
		t.Fatalf("Append(%s, %d) = %d, %v; want %d", r, off, next, err, len(mc.m.streams[r]))
	}
}

func (mc *machine) seal(t *rapid.T) {
	r := mc.ref(t)
	if err := mc.s.Seal(context.Background(), r, int64(len(mc.m.streams[r]))); err != nil {
		t.Fatal(err)
	}
	mc.m.sealed[r] = len(mc.m.streams[r]) > 0
}

func (mc *machine) drop(t *rapid.T) {
	which := rapid.IntRange(0, 2).Draw(t, "which")
	id := mc.jobs[which]
	if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
		return
	}
	if err := mc.s.Drop(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	mc.last++
	mc.jobs[which] = mc.last
	for r := range mc.m.streams {
		if r.Job == id {
			delete(mc.m.streams, r)
			delete(mc.m.sealed, r)
		}
	}
}

func (mc *machine) read(t *rapid.T) {
	r := mc.ref(t)
	o := logstore.ReadOptions{
		Tail:  rapid.IntRange(0, 6).Draw(t, "tail"),
		Kinds: rapid.SampledFrom([]logstore.Kinds{0, 0, logstore.KindsOf(logline.Stderr)}).Draw(t, "kinds"),
	}
	if rapid.Bool().Draw(t, "since?") {
		o.Since = time.UnixMilli(rapid.Int64Range(1, mc.clock+1).Draw(t, "since"))
	}
	if list := frames(mc.m.streams[r]); len(list) > 0 && rapid.Bool().Draw(t, "offset?") {
		o.Offset = rapid.SampledFrom(list).Draw(t, "entry").Next
	}
	if want, got := mc.m.want(r, o), got(t, mc.s, r, o); want != got {
		t.Fatalf("Read(%s, %+v):\n%swant\n%s", r, o, got, want)
	}
}

func (mc *machine) check(t *rapid.T) {
	for id := job.ID(1); id <= mc.last; id++ {
		list, err := mc.s.List(context.Background(), job.Ref{Job: id, Index: job.NoIndex}, job.Ref{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for r, stream := range mc.m.streams {
			if r.Job == id && len(stream) > 0 {
				want++
			}
		}
		if len(list) != want {
			t.Fatalf("job %d: %v listed, want %d", id, list, want)
		}
		for _, i := range list {
			if i.Size != int64(len(mc.m.streams[i.Ref])) || i.Sealed != mc.m.sealed[i.Ref] {
				t.Fatalf("listed %+v, want %d bytes, sealed %v", i, len(mc.m.streams[i.Ref]), mc.m.sealed[i.Ref])
			}
			if want, got := mc.m.want(i.Ref, logstore.ReadOptions{}), got(t, mc.s, i.Ref, logstore.ReadOptions{}); want != got {
				t.Fatalf("Read(%s):\n%swant\n%s", i.Ref, got, want)
			}
		}
	}
}

// Whatever is appended, repeated, sealed, dropped, packed, and however often the
// process ends in between: what is read is what was appended.
func TestStoreKeepsWhatTheModelKeeps(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		dir, err := os.MkdirTemp(outer.TempDir(), "logs") //nolint:usetesting // one for each try of many
		if err != nil {
			t.Fatal(err)
		}
		mc := &machine{dir: dir, blobs: newBlobs(), m: model{map[job.Ref][]byte{}, map[job.Ref]bool{}}, jobs: [3]job.ID{1, 2, 3}, last: 3}
		mc.open(t)
		defer func() { mc.s.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"append":  mc.append,
			"append2": mc.append,
			"append3": mc.append,
			"seal":    mc.seal,
			"drop":    mc.drop,
			"read":    mc.read,
			"flush":   func(t *rapid.T) { flush(t, mc.s) },
			"rotate":  func(t *rapid.T) { mc.s.Rotate() },
			"reopen":  func(t *rapid.T) { mc.s.Close(); mc.open(t) },
			"check":   mc.check,
		})
		mc.check(t)
	})
}
