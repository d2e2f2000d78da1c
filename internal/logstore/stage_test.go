package logstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/logstore"
)

// staged is what a server has that leads for the nth time, on a disk of its own. It stages only
// when told.
func staged(n uint64) logstore.Options {
	return logstore.Options{Term: n, Staged: true, StageEvery: time.Hour}
}

func stage(t *testing.T, s *logstore.Store) {
	t.Helper()
	if err := s.Stage(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// below lists the keys that begin with prefix.
func below(blobs *memBlobs, prefix string) []string {
	return slices.DeleteFunc(blobs.keys(), func(key string) bool { return !strings.HasPrefix(key, prefix) })
}

// TestStaged lets stores take over from each other that share nothing but blobs: what was staged
// is there, running attempts go on where it ended, and what was dropped stays so.
func TestStaged(t *testing.T) {
	blobs := newBlobs()
	want := func(what string, s *logstore.Store, lines ...string) {
		t.Helper()
		if d := cmp.Diff(lines, read(t, s, first, logstore.ReadOptions{})); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	dropped, packed := ref("77.main@1"), ref("78.main@1")
	one := open(t, t.TempDir(), blobs, staged(1))
	n := add(t, one, first, 0, out(1, "one\n"))
	add(t, one, packed, 0, out(1, "to go\n"))
	flush(t, one)
	if keys := below(blobs, "logs-fresh/"); len(keys) > 0 {
		t.Errorf("what is packed is still there: %q", keys)
	}
	n = add(t, one, first, n, out(2, "two\n"))
	add(t, one, dropped, 0, out(1, "to go\n"))
	stage(t, one)
	if err := one.Drop(t.Context(), dropped.Job, packed.Job); err != nil {
		t.Fatal(err)
	}
	held := n
	n = add(t, one, first, n, out(3, "three\n"))
	stage(t, one)
	add(t, one, first, n, out(4, "lost\n"))

	two := open(t, t.TempDir(), blobs, staged(2)) // one was killed, or stands still
	want("taken over", two, "out:one\n", "out:two\n", "out:three\n")
	for _, gone := range []string{"77.main@1", "78.main@1"} {
		if got := read(t, two, ref(gone), logstore.ReadOptions{}); len(got) > 0 {
			t.Errorf("what was dropped is there again: %q", got)
		}
	}
	var gap *logstore.GapError
	if _, err := two.Append(t.Context(), first, n+100, out(9, "x")); !errors.As(err, &gap) || gap.Want != n {
		t.Errorf("an append behind what is lost ends with %v; want a gap from %d", err, n)
	}
	stage(t, one) // what was overtaken puts something after all
	n = add(t, two, first, n, out(4, "four\n"))
	seal(t, two, first, n)
	stage(t, two)

	three := open(t, t.TempDir(), blobs, staged(3))
	want("taken over again", three, "out:one\n", "out:two\n", "out:three\n", "out:four\n")
	if i, err := three.Stat(t.Context(), first); err != nil || i.Size != n || !i.Sealed {
		t.Errorf("the log is %+v, %v; want it sealed at %d", i, err, n)
	}
	flush(t, three)
	want("packed", three, "out:one\n", "out:two\n", "out:three\n", "out:four\n")
	if keys := below(blobs, "logs-fresh/"); len(keys) > 0 {
		t.Errorf("what is packed is still there: %q", keys)
	}
	four := open(t, t.TempDir(), blobs, staged(4))
	want("from packs alone", four, "out:one\n", "out:two\n", "out:three\n", "out:four\n")
	if held >= n {
		t.Error("the test has lost its way")
	}
}

// TestKept waits for the blob store, for as long as that refuses, and no longer.
func TestKept(t *testing.T) {
	s, blobs := fresh(t, logstore.Options{Term: 1, Staged: true, StageEvery: time.Millisecond})
	if err := s.Kept(t.Context(), s.Mark()); err != nil {
		t.Errorf("an empty store: %v", err)
	}
	tried := make(chan struct{}, 1)
	blobs.onPut(func(string) error {
		select {
		case tried <- struct{}{}:
		default:
		}
		return errors.New("away")
	})
	n := add(t, s, first, 0, out(1, "one\n"))
	seal(t, s, first, n)
	mark := s.Mark()
	<-tried
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Kept(short, mark); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with the blob store away: %v", err)
	}
	blobs.onPut(nil)
	if err := s.Kept(t.Context(), mark); err != nil {
		t.Error(err)
	}
	flush(t, s) // begins a segment in which nothing is
	if err := s.Kept(t.Context(), s.Mark()); err != nil {
		t.Error(err)
	}
}

// TestKeptByClosing: a store that is closed in good order leaves nothing behind; one whose blob
// store is away says so.
func TestKeptByClosing(t *testing.T) {
	blobs := newBlobs()
	s := open(t, t.TempDir(), blobs, staged(1))
	n := add(t, s, first, 0, out(1, "one\n"))
	mark, kept := s.Mark(), make(chan error)
	go func() { kept <- s.Kept(t.Context(), mark) }()
	if err := errors.Join(s.Close(), <-kept); err != nil {
		t.Error(err)
	}
	s = open(t, t.TempDir(), blobs, staged(2))
	add(t, s, first, n, out(2, "two\n"))
	blobs.onPut(func(string) error { return errors.New("away") })
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "away") {
		t.Errorf("closing ends with %v", err)
	}
	if err := s.Kept(t.Context(), s.Mark()); !errors.Is(err, logstore.ErrClosed) {
		t.Errorf("with the store closed: %v", err)
	}
}

// TestStagedInManyParts become few, and say the same.
func TestStagedInManyParts(t *testing.T) {
	blobs := newBlobs()
	s := open(t, t.TempDir(), blobs, staged(1))
	var want []string
	n := int64(0)
	for i := range 3000 {
		line := fmt.Sprintf("line %d\n", i)
		want = append(want, "out:"+line)
		n = add(t, s, first, n, out(int64(i), line))
		stage(t, s)
	}
	if keys := below(blobs, "logs-fresh/"); len(keys) > 60 {
		t.Errorf("%d blobs are left", len(keys))
	}
	next := open(t, t.TempDir(), blobs, staged(2))
	if d := cmp.Diff(want, read(t, next, first, logstore.ReadOptions{})); d != "" {
		t.Error(d)
	}
}

// TestStagedPartIsMissing: what stands before it is there, and the rest is asked for again.
func TestStagedPartIsMissing(t *testing.T) {
	blobs := newBlobs()
	s := open(t, t.TempDir(), blobs, staged(1))
	n := int64(0)
	for i := range 3 {
		n = add(t, s, first, n, out(1, fmt.Sprintf("%d\n", i)))
		stage(t, s)
	}
	if err := blobs.Delete(t.Context(), below(blobs, "logs-fresh/")[1]); err != nil {
		t.Fatal(err)
	}
	next := open(t, t.TempDir(), blobs, staged(2))
	if d := cmp.Diff([]string{"out:0\n"}, read(t, next, first, logstore.ReadOptions{})); d != "" {
		t.Error(d)
	}
	if got := add(t, next, first, int64(len(out(1, "0\n"))), out(1, "1\n"), out(1, "2\n")); got != n {
		t.Errorf("it goes on at %d; want %d", got, n)
	}
}

// TestManyDrops are remembered in few blobs.
func TestManyDrops(t *testing.T) {
	blobs := newBlobs()
	s := open(t, t.TempDir(), blobs, staged(1))
	for i := range 1000 {
		add(t, s, ref(fmt.Sprintf("%d.main@1", 1000+i)), 0, out(1, "x\n"))
	}
	flush(t, s)
	for i := range 400 {
		if err := s.Drop(t.Context(), ref(fmt.Sprintf("%d.main@1", 1000+i)).Job); err != nil {
			t.Fatal(err)
		}
	}
	if keys := below(blobs, "logs-dropped/"); len(keys) > 101 {
		t.Errorf("%d blobs say what was dropped", len(keys))
	}
	next := open(t, t.TempDir(), blobs, staged(2))
	for _, test := range []struct{ id, lines int }{{1000, 0}, {1399, 0}, {1400, 1}} {
		if got := read(t, next, ref(fmt.Sprintf("%d.main@1", test.id)), logstore.ReadOptions{}); len(got) != test.lines {
			t.Errorf("job %d has %q; want %d lines", test.id, got, test.lines)
		}
	}
	if keys := below(blobs, "logs-dropped/"); len(keys) != 1 {
		t.Errorf("%d blobs say what was dropped; want one", len(keys))
	}
}

// TestOvertakenRewrite: a store that was overtaken and rewrites a pack takes nothing away from the
// one that did so, too.
func TestOvertakenRewrite(t *testing.T) {
	blobs := newBlobs()
	one := open(t, t.TempDir(), blobs, staged(1))
	for id := range 4 {
		add(t, one, ref(fmt.Sprintf("%d.main@1", 1+id)), 0, out(1, fmt.Sprintf("of %d\n", 1+id)))
	}
	flush(t, one)
	two := open(t, t.TempDir(), blobs, staged(2))
	if err := two.Drop(t.Context(), 1, 2); err != nil {
		t.Fatal(err)
	}
	_ = one.Drop(t.Context(), 1, 2, 3) // what it would rewrite is gone
	for id, want := range map[string]string{"3.main@1": "out:of 3\n", "4.main@1": "out:of 4\n"} {
		if d := cmp.Diff([]string{want}, read(t, two, ref(id), logstore.ReadOptions{})); d != "" {
			t.Errorf("%s: %s", id, d)
		}
	}
	three := open(t, t.TempDir(), blobs, staged(3))
	if d := cmp.Diff([]string{"out:of 4\n"}, read(t, three, ref("4.main@1"), logstore.ReadOptions{})); d != "" {
		t.Error(d)
	}
}
