package logstore

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
)

var records = []record{
	{kind: recData, time: 1, ref: job.Ref{Job: 1, Task: "a", Index: job.NoIndex, Attempt: 1}, n: 5, data: []byte("hello")},
	{kind: recData, time: 1 << 41, ref: job.Ref{Job: 1 << 63, Task: string(bytes.Repeat([]byte("t"), job.MaxName)), Index: 1 << 39, Attempt: 65535}, off: 1 << 60, n: 1, data: []byte("x")},
	{kind: recCut, time: 7, ref: job.Ref{Job: 3, Task: "b", Index: 0, Attempt: 2}, off: 9, n: 1000, lost: 900},
	{kind: recSeal, time: 8, ref: job.Ref{Job: 3, Task: "b", Index: 0, Attempt: 2}, off: 1009},
	{kind: recDrop, time: 9, ref: job.Ref{Job: 3, Index: job.NoIndex}},
}

var plain = cmp.AllowUnexported(record{}, entry{}, cut{}, pageRef{}, pack{})

func TestRecordRoundTrip(t *testing.T) {
	for _, want := range records {
		b := appendRecord([]byte("before"), 77, want)[len("before"):]
		got, n, err := decodeRecord(append(b, "after"...), 77)
		if err != nil || n != len(b) {
			t.Fatalf("decodeRecord = %d, %v; want %d bytes", n, err, len(b))
		}
		if diff := cmp.Diff(want, got, plain); diff != "" {
			t.Error(diff)
		}
	}
}

func TestDecodeRecordRefuses(t *testing.T) {
	for _, r := range records {
		b := appendRecord(nil, 77, r)
		for i := range b {
			bad := bytes.Clone(b)
			bad[i] ^= 0x80
			if got, _, err := decodeRecord(bad, 77); err == nil {
				t.Errorf("byte %d flipped: read as %+v", i, got)
			}
			if got, _, err := decodeRecord(b[:i], 77); err == nil {
				t.Errorf("cut at %d: read as %+v", i, got)
			}
		}
		if _, _, err := decodeRecord(b, 78); err == nil {
			t.Error("a record was taken at another place")
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range records {
		f.Add(appendRecord(nil, 0, r)[recordHead:])
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		// A record with a right checksum, so that the fuzzer gets past it.
		r := record{kind: recData, data: payload}
		b := appendRecord(nil, 0, r)
		if got, n, err := decodeRecord(b, 0); len(payload) > 0 && len(b) <= maxRecord && (err != nil || n != len(b) || !bytes.Equal(got.data, payload)) {
			t.Errorf("%+v, %d, %v", got, n, err)
		}
		d := decoder{b: payload}
		for range 4 {
			d.entry()
		}
		p := &pack{}
		if p.decodeMeta(payload) {
			again := &pack{}
			if !again.decodeMeta(p.encodeMeta()) {
				t.Error("meta data does not read back")
			} else if diff := cmp.Diff(p, again, plain); diff != "" {
				t.Error(diff)
			}
		}
	})
}

func TestEntryRoundTrip(t *testing.T) {
	ref := job.Ref{Job: 5, Task: "map", Index: 9, Attempt: 3}
	want := []entry{
		{ref: ref, off: 10, n: 20, blockPos: 30, blockLen: 40, at: 50},
		{ref: ref, off: 30, n: 1 << 50, cut: &cut{lost: 60, time: 70}},
		{ref: ref, off: 1<<50 + 30, final: true},
	}
	var b []byte
	for _, e := range want {
		b = appendEntry(b, e)
	}
	d := &decoder{b: b}
	var got []entry
	for range want {
		got = append(got, d.entry())
	}
	if diff := cmp.Diff(want, got, plain); diff != "" || d.bad || len(d.b) > 0 {
		t.Errorf("bad %v, %d bytes left: %s", d.bad, len(d.b), diff)
	}
}

// The hash is stored with every pack: it may never change.
func TestBloomIsStable(t *testing.T) {
	h, step := hashRef(job.Ref{Job: 4217, Task: "transform", Index: 3, Attempt: 2})
	if got := fmt.Sprintf("%x %x", h, step); got != wantHash {
		t.Errorf("hashRef = %s, want %s", got, wantHash)
	}
}

func TestBloomHasAllAndLittleElse(t *testing.T) {
	const n = 20_000
	b := newBloom(n)
	ref := func(i int) job.Ref {
		return job.Ref{Job: job.ID(1 + i/100), Task: "map", Index: int64(i % 100), Attempt: 1}
	}
	for i := range n {
		b.add(ref(i))
	}
	wrong := 0
	for i := range 2 * n {
		switch has := b.has(ref(i)); {
		case i < n && !has:
			t.Fatalf("%v was added and is not there", ref(i))
		case i >= n && has:
			wrong++
		}
	}
	if wrong > n/50 {
		t.Errorf("%d of %d others seem to be there, want about one in a hundred", wrong, n)
	}
}

func TestPageCacheIsBounded(t *testing.T) {
	var c pageCache
	for i := range 10 * cachedPages {
		c.put("p", i, []entry{{off: int64(i)}})
		if got := c.get("p", i); len(got) != 1 || got[0].off != int64(i) {
			t.Fatalf("page %d is %v", i, got)
		}
		c.get("p", 0) // stays, for it is used
	}
	if n := len(c.new) + len(c.old); n > cachedPages {
		t.Errorf("%d pages are kept", n)
	}
	if c.get("p", 0) == nil {
		t.Error("the page used most is gone")
	}
	if c.get("p", 1) != nil || c.get("q", 0) != nil {
		t.Error("the cache has what it should not")
	}
}

func TestSegmentNames(t *testing.T) {
	for _, n := range []uint64{0, 1, 1 << 40, 1<<64 - 1} {
		if got, ok := parseSegmentName(segmentName(n)); !ok || got != n {
			t.Errorf("%d is read as %d, %v", n, got, ok)
		}
	}
	for _, bad := range []string{"", "1.seg", "000000000000000g.seg", "0000000000000001", "0000000000000001.seg.bad", "000000000000000A.seg"} {
		if n, ok := parseSegmentName(bad); ok {
			t.Errorf("%q is read as %d", bad, n)
		}
	}
}

const wantHash = "4460f036961067fd 17cd72574794a2d"
