package logline_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/logline"
)

// decode reads all frames of b, which must be whole.
func decode(t *testing.T, b []byte) []logline.Frame {
	t.Helper()
	var list []logline.Frame
	for len(b) > 0 {
		f, n, err := logline.Next(b)
		if n == 0 || err != nil {
			t.Fatalf("%d bytes are left: %v", len(b), err)
		}
		list = append(list, f)
		b = b[n:]
	}
	return list
}

func TestRoundTrip(t *testing.T) {
	var b []byte
	b = logline.Append(b, logline.Stdout, 1_700_000_000_000, []byte("a line\n"))
	b = logline.Append(b, logline.Stderr, 0, []byte{0, 0xff})
	b = logline.Append(b, logline.Gap, 5, []byte("123"))
	b = logline.Append(b, logline.Note, -5, []byte("killed"))
	b = logline.Append(b, logline.Note, 5, nil)
	want := []logline.Frame{
		{Kind: logline.Stdout, Time: 1_700_000_000_000, Data: []byte("a line\n")},
		{Kind: logline.Stderr, Time: 0, Data: []byte{0, 0xff}},
		{Kind: logline.Gap, Time: 5, Data: []byte("123")},
		{Kind: logline.Note, Time: 0, Data: []byte("killed")},
	}
	if diff := cmp.Diff(want, decode(t, b)); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

func TestSplit(t *testing.T) {
	for _, size := range []int{1, logline.MaxData - 1, logline.MaxData, logline.MaxData + 1, 3*logline.MaxData + 7} {
		data := bytes.Repeat([]byte{'x'}, size)
		b := logline.Append(nil, logline.Stdout, 1<<41, data)
		var got []byte
		for _, f := range decode(t, b) {
			if len(f.Data) > logline.MaxData {
				t.Errorf("a frame holds %d bytes", len(f.Data))
			}
			got = append(got, f.Data...)
		}
		if !bytes.Equal(got, data) {
			t.Errorf("%d bytes went in, %d came out", size, len(got))
		}
		if most := (size + logline.MaxData - 1) / logline.MaxData * logline.MaxFrame; len(b) > most {
			t.Errorf("%d bytes of frames, MaxFrame promises at most %d", len(b), most)
		}
	}
}

func TestCutAnywhere(t *testing.T) {
	first := logline.Append(nil, logline.Stdout, 1<<41, []byte("first"))
	both := logline.Append(bytes.Clone(first), logline.Stderr, 1<<41, bytes.Repeat([]byte("second"), 100))
	for n := range len(both) + 1 {
		want := 0
		switch {
		case n == len(both):
			want = n
		case n >= len(first):
			want = len(first)
		}
		if got, err := logline.Whole(both[:n]); got != want || err != nil {
			t.Errorf("Whole of %d bytes = %d, %v; want %d", n, got, err, want)
		}
	}
}

func TestDamage(t *testing.T) {
	good := logline.Append(nil, logline.Stdout, 1, []byte("x"))
	tests := map[string][]byte{
		"kind 0":           {0, 1, 1, 'x'},
		"kind 5":           {5, 1, 1, 'x'},
		"no data":          {1, 1, 0},
		"too much data":    {1, 1, 0x81, 0x80, 0x04},
		"time too large":   {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 'x'},
		"time overflows":   {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"length overflows": {1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			if f, n, err := logline.Next(b); !errors.Is(err, logline.ErrDamaged) {
				t.Errorf("Next = %+v, %d, %v; want ErrDamaged", f, n, err)
			}
			at, err := logline.Whole(append(bytes.Clone(good), b...))
			if at != len(good) || !errors.Is(err, logline.ErrDamaged) {
				t.Errorf("Whole = %d, %v; want %d and ErrDamaged", at, err, len(good))
			}
		})
	}
}

func FuzzNext(f *testing.F) {
	f.Add(logline.Append(nil, logline.Stdout, 1_700_000_000_000, []byte("a line\n")))
	f.Add([]byte{1, 1, 0x80, 0x80, 0x04})
	f.Add([]byte{4, 0, 1})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, n, err := logline.Next(b)
		if err != nil {
			if n != 0 {
				t.Fatalf("an error and %d bytes", n)
			}
			return
		}
		if n == 0 {
			return
		}
		if n > len(b) || n > logline.MaxFrame || len(frame.Data) == 0 || len(frame.Data) > logline.MaxData {
			t.Fatalf("%d bytes of %d, %d of data", n, len(b), len(frame.Data))
		}
		again, m, err := logline.Next(logline.Append(nil, frame.Kind, frame.Time, frame.Data))
		if err != nil || m > n {
			t.Fatalf("written again it takes %d bytes, not %d: %v", m, n, err)
		}
		if diff := cmp.Diff(frame, again); diff != "" {
			t.Errorf("read, written, read (-first +second):\n%s", diff)
		}
		if at, err := logline.Whole(b[:n]); at != n || err != nil {
			t.Errorf("Whole = %d, %v; want %d", at, err, n)
		}
	})
}
