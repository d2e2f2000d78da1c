package sqlstore

import (
	"context"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// TestTrimGoesInSlices holds how much of the journal one transaction of a trim drops.
func TestTrimGoesInSlices(t *testing.T) {
	s := openIn(t, t.TempDir())
	seq := uint64(0)
	add := func(n, size int) {
		for range n {
			seq++
			b := store.Batch{Seq: seq, Epoch: 1, Payload: make([]byte, size)}
			b.ID[0] = 1
			if seq > 1 {
				b.Prev[0] = 1
			}
			if err := s.Journal().Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(3, trimBytes/2)
	add(1, trimBytes)
	add(trimSlice+10, 1)
	for _, c := range []struct{ from, below, want uint64 }{
		{1, seq, 3},             // as many as have the bytes
		{3, seq, 5},             // and one more
		{4, seq, 5},             // a large one alone
		{5, seq, 5 + trimSlice}, // many small ones
		{5, 9, 9},
	} {
		err := s.journal.db.write(t.Context(), func(ctx context.Context, w *session) error {
			got, err := w.trimmed(ctx, c.from, c.below)
			if got != c.want {
				t.Errorf("from %d to %d a slice ends at %d, want %d", c.from, c.below, got, c.want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Journal().Trim(t.Context(), seq); err != nil {
		t.Fatal(err)
	}
	if first, last, err := s.Journal().Bounds(t.Context()); first != seq || last != seq || err != nil {
		t.Errorf("the journal holds %d to %d (%v), want %d alone", first, last, err, seq)
	}
}
