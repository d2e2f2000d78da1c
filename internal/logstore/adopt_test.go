package logstore_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/logstore"
)

// TestAdopt lets one store take over from another that was killed, and from a third that
// only stood still: everything is there, running attempts go on where they were, and what
// the one that was overtaken does afterwards harms nothing.
func TestAdopt(t *testing.T) {
	root, blobs := t.TempDir(), newBlobs()
	term := func(n uint64) logstore.Options { return logstore.Options{Term: n} }
	want := func(what string, s *logstore.Store, lines ...string) {
		t.Helper()
		if d := cmp.Diff(lines, read(t, s, first, logstore.ReadOptions{})); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	one := open(t, filepath.Join(root, "1"), blobs, term(1))
	n := add(t, one, first, 0, out(1, "one\n"))
	dropped := ref("77.main@1")
	add(t, one, dropped, 0, out(1, "to go\n"))
	flush(t, one)
	n = add(t, one, first, n, out(2, "two\n"))
	if err := one.Drop(t.Context(), dropped.Job); err != nil {
		t.Fatal(err)
	}
	two := open(t, filepath.Join(root, "2"), blobs, term(2)) // one was killed, or stands still
	want("taken over", two, "out:one\n", "out:two\n")
	if got := read(t, two, dropped, logstore.ReadOptions{}); len(got) > 0 {
		t.Errorf("what was dropped is there again: %q", got)
	}
	n = add(t, two, first, n, out(3, "three\n"))
	add(t, one, first, n-int64(len(out(3, "three\n"))), out(4, "a lie\n"))
	flush(t, one)
	want("beside one that was overtaken", two, "out:one\n", "out:two\n", "out:three\n")
	flush(t, two)
	want("packed", two, "out:one\n", "out:two\n", "out:three\n")
	seal(t, two, first, n)
	three := open(t, filepath.Join(root, "3"), blobs, term(3))
	want("taken over again", three, "out:one\n", "out:two\n", "out:three\n")
}

// TestClosedFromTheStart is what a server has for logs that does not lead.
func TestClosedFromTheStart(t *testing.T) {
	s := logstore.Closed()
	if _, err := s.Append(t.Context(), first, 0, out(1, "x\n")); !errors.Is(err, logstore.ErrClosed) {
		t.Errorf("an append ends with %v", err)
	}
	if _, err := s.List(t.Context(), first, first, 1); !errors.Is(err, logstore.ErrClosed) {
		t.Errorf("a list ends with %v", err)
	}
	if _, err := collect(t.Context(), s, first, logstore.ReadOptions{}); !errors.Is(err, logstore.ErrClosed) {
		t.Errorf("a read ends with %v", err)
	}
	if err := s.Drop(t.Context(), 1); !errors.Is(err, logstore.ErrClosed) {
		t.Errorf("a drop ends with %v", err)
	}
	s.Expect(first, 10)
	if err := s.Close(); err != nil {
		t.Errorf("closing it ends with %v", err)
	}
}
