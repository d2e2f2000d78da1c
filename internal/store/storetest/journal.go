package storetest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store"
)

var journalTests = []test{
	{"starts empty", func(t *testing.T, o Opened) {
		bounds(t, o, 1, 0)
		diff(t, "batches", readAll(t, o, 1), []store.Batch(nil))
		check(t, o.Journal.Trim(t.Context(), 10))
		bounds(t, o, 1, 0)
	}},
	{"gives back what was appended", func(t *testing.T, o Opened) {
		batches := []store.Batch{
			batch(1, "one"), batch(2, ""), batch(3, "\x00\xff binary \x00"), batch(4, "четыре"),
		}
		batches[1].Payload = nil
		batches[2].Epoch = 1<<63 - 1
		add(t, o, batches...)
		bounds(t, o, 1, 4)
		diff(t, "batches", readAll(t, o, 1), batches)
		diff(t, "batches from 3", readAll(t, o, 3), batches[2:])
	}},
	{"owns its bytes", func(t *testing.T, o Opened) {
		b := batch(1, "mine")
		add(t, o, b)
		b.Payload[0] = 'X'
		got := readAll(t, o, 1)
		diff(t, "batches", got, []store.Batch{batch(1, "mine")})
		got[0].Payload[0] = 'Y'
		diff(t, "batches again", readAll(t, o, 1), []store.Batch{batch(1, "mine")})
	}},
	{"takes the same batch again", func(t *testing.T, o Opened) {
		add(t, o, batch(1, "one"), batch(2, "two"), batch(2, "two"), batch(3, "three"), batch(1, "one"))
		bounds(t, o, 1, 3)
		diff(t, "batches", readAll(t, o, 1), []store.Batch{batch(1, "one"), batch(2, "two"), batch(3, "three")})
	}},
	{"fences a rival", func(t *testing.T, o Opened) {
		add(t, o, batch(1, "one"), batch(2, "two"))
		wants(t, "rival at the end", o.Journal.Append(t.Context(), rival(2)), store.ErrFenced)
		wants(t, "rival before the end", o.Journal.Append(t.Context(), rival(1)), store.ErrFenced)
		diff(t, "batches", readAll(t, o, 1), []store.Batch{batch(1, "one"), batch(2, "two")})
		add(t, o, batch(3, "three"))
	}},
	{"fences what follows another batch", func(t *testing.T, o Opened) {
		first := batch(1, "one")
		first.Prev = rival(9).ID
		wants(t, "a first batch after another", o.Journal.Append(t.Context(), first), store.ErrRefused)
		add(t, o, batch(1, "one"))
		lost := batch(2, "two")
		lost.Prev = rival(1).ID
		wants(t, "a batch of another history", o.Journal.Append(t.Context(), lost), store.ErrFenced)
		bounds(t, o, 1, 1)
		add(t, o, batch(2, "two"))
		wants(t, "the same a moment later", o.Journal.Append(t.Context(), lost), nil)
	}},
	{"says which batch is the last", func(t *testing.T, o Opened) {
		for seq := range uint64(3) {
			m, err := o.Journal.Last(t.Context())
			check(t, err)
			want := store.Mark{}
			if seq > 0 {
				want = store.Mark{Seq: seq, ID: batch(seq, "").ID}
			}
			diff(t, "the last batch", m, want)
			add(t, o, batch(seq+1, "x"))
		}
		check(t, o.Journal.Trim(t.Context(), 3))
		m, err := o.Journal.Last(t.Context())
		check(t, err)
		diff(t, "the last batch after a trim", m, store.Mark{Seq: 3, ID: batch(3, "").ID})
	}},
	{"refuses a gap", func(t *testing.T, o Opened) {
		wants(t, "first batch 2", o.Journal.Append(t.Context(), batch(2, "two")), store.ErrRefused)
		bounds(t, o, 1, 0)
		add(t, o, batch(1, "one"))
		wants(t, "batch 3 after 1", o.Journal.Append(t.Context(), batch(3, "three")), store.ErrRefused)
		bounds(t, o, 1, 1)
		add(t, o, batch(2, "two"))
	}},
	{"refuses what no journal takes", func(t *testing.T, o Opened) {
		wants(t, "batch 0", o.Journal.Append(t.Context(), batch(0, "")), store.ErrRefused)
		large := batch(1, strings.Repeat("x", store.MaxBatch+1))
		wants(t, "large batch", o.Journal.Append(t.Context(), large), store.ErrRefused)
		bounds(t, o, 1, 0)
	}},
	{"holds the largest batch", func(t *testing.T, o Opened) {
		large := batch(1, "")
		large.Payload = bytes.Repeat([]byte("0123456789abcdef"), store.MaxBatch/16)
		add(t, o, large, batch(2, "after"))
		got := readAll(t, o, 1)
		if len(got) != 2 || !bytes.Equal(got[0].Payload, large.Payload) {
			t.Errorf("the largest batch came back changed")
		}
	}},
	{"reads up to a limit", readLimits},
	{"reads many", func(t *testing.T, o Opened) {
		var want []store.Batch
		for seq := uint64(1); seq <= 700; seq++ {
			want = append(want, batch(seq, fmt.Sprint(seq)))
		}
		add(t, o, want...)
		got, err := o.Journal.Read(t.Context(), 1, 1<<30)
		check(t, err)
		diff(t, "batches in one read", got, want)
	}},
	{"trims", trims},
	{"answers a cancelled context with an error", func(t *testing.T, o Opened) {
		ctx := cancelled(t)
		if err := o.Journal.Append(ctx, batch(1, "one")); err == nil {
			t.Error("Append: no error")
		}
		if _, err := o.Journal.Read(ctx, 1, 1); err == nil {
			t.Error("Read: no error")
		}
		// The outcome is unknown, so the same batch again is right.
		add(t, o, batch(1, "one"))
		bounds(t, o, 1, 1)
	}},
	{"is read while it grows", readBeside},
}

func readLimits(t *testing.T, o Opened) {
	for seq := uint64(1); seq <= 10; seq++ {
		add(t, o, batch(seq, strings.Repeat("x", 100)))
	}
	tests := []struct {
		from     uint64
		maxBytes int
		want     int
	}{
		{1, 0, 1}, {1, 1, 1}, {1, 99, 1}, {1, 100, 1}, {1, 199, 1}, {1, 200, 2}, {1, 999, 9},
		{1, 1000, 10}, {1, 1 << 30, 10}, {10, 0, 1}, {10, 1 << 30, 1}, {11, 1 << 30, 0}, {1 << 40, 1, 0}, {1<<64 - 1, 1, 0},
	}
	for _, tt := range tests {
		got, err := o.Journal.Read(t.Context(), tt.from, tt.maxBytes)
		check(t, err)
		if len(got) != tt.want {
			t.Errorf("Read(%d, %d): %d batches, want %d", tt.from, tt.maxBytes, len(got), tt.want)
		}
		for i, b := range got {
			if b.Seq != tt.from+uint64(i) {
				t.Errorf("Read(%d, %d): batch %d has sequence %d", tt.from, tt.maxBytes, i, b.Seq)
			}
		}
	}
}

func trims(t *testing.T, o Opened) {
	for seq := uint64(1); seq <= 600; seq++ {
		add(t, o, batch(seq, "x"))
	}
	steps := []struct{ below, first uint64 }{
		{0, 1}, {1, 1}, {2, 2}, {300, 300}, {300, 300}, {5, 300}, {599, 599},
	}
	for _, s := range steps {
		check(t, o.Journal.Trim(t.Context(), s.below))
		bounds(t, o, s.first, 600)
	}
	_, err := o.Journal.Read(t.Context(), 598, 1)
	wants(t, "reading what was trimmed", err, store.ErrTrimmed)
	_, err = o.Journal.Read(t.Context(), 1, 1<<20)
	wants(t, "reading from the start", err, store.ErrTrimmed)
	diff(t, "what is kept", readAll(t, o, 599), []store.Batch{batch(599, "x"), batch(600, "x")})

	wants(t, "a trimmed batch again", o.Journal.Append(t.Context(), batch(1, "x")), store.ErrFenced)
	wants(t, "the batch before the first", o.Journal.Append(t.Context(), batch(598, "x")), store.ErrFenced)
	add(t, o, batch(599, "x"), batch(600, "x"), batch(601, "y"))

	check(t, o.Journal.Trim(t.Context(), 1<<63))
	bounds(t, o, 601, 601)
	add(t, o, batch(601, "y"), batch(602, "z"))
	bounds(t, o, 601, 602)
}

// readBeside reads and asks for bounds from several goroutines while one appends
// and trims: whoever reads sees a run of batches without a hole.
func readBeside(t *testing.T, o Opened) {
	const last = 200
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for next := uint64(1); next <= last; {
				batches, err := o.Journal.Read(t.Context(), next, 50)
				if err != nil {
					first, _, err := o.Journal.Bounds(t.Context())
					if err != nil || first <= next {
						t.Errorf("Read(%d) failed although the journal begins at %d: %v", next, first, err)
						return
					}
					next = first
					continue
				}
				for _, b := range batches {
					if b.Seq != next || string(b.Payload) != fmt.Sprint(b.Seq) {
						t.Errorf("read batch %d %q, want %d", b.Seq, b.Payload, next)
						return
					}
					next++
				}
			}
		})
	}
	for seq := uint64(1); seq <= last; seq++ {
		if err := o.Journal.Append(t.Context(), batch(seq, fmt.Sprint(seq))); err != nil {
			t.Error(err)
			break
		}
		if seq%50 == 0 {
			if err := o.Journal.Trim(t.Context(), seq-25); err != nil {
				t.Error(err)
			}
		}
	}
	wg.Wait()
}
