package logstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
	"github.com/reeve-scheduler/reeve/internal/logstore"
)

var first = ref("7.build@1")

func TestAppendByOffset(t *testing.T) {
	s, _ := fresh(t, logstore.Options{})
	a, b, c := out(1, "a\n"), errLine(2, "bb\n"), out(3, "ccc\n")
	n := add(t, s, first, 0, a, b)
	if want := int64(len(a) + len(b)); n != want {
		t.Fatalf("next = %d, want %d", n, want)
	}
	for range 3 { // repeats change nothing
		if again := add(t, s, first, 0, a, b); again != n {
			t.Errorf("a repeat's next is %d, want %d", again, n)
		}
		if again := add(t, s, first, 0, a); again != n {
			t.Errorf("a stale repeat's next is %d, want %d", again, n)
		}
	}
	add(t, s, first, int64(len(a)), b, c) // an overlap adds what is new
	if diff := cmp.Diff([]string{"out:a\n", "err:bb\n", "out:ccc\n"}, read(t, s, first, logstore.ReadOptions{})); diff != "" {
		t.Error(diff)
	}
	if got := read(t, s, ref("7.build@2"), logstore.ReadOptions{}); len(got) != 0 {
		t.Errorf("another attempt has %q", got)
	}
}

func TestAppendRefuses(t *testing.T) {
	s, _ := fresh(t, logstore.Options{})
	a := out(1, "hello\n")
	n := add(t, s, first, 0, a)
	_, err := s.Append(t.Context(), first, n+5, a)
	var gap *logstore.GapError
	if !errors.As(err, &gap) || *gap != (logstore.GapError{Ref: first, Want: n, Got: n + 5}) {
		t.Errorf("a gap: %v", err)
	}
	if want := fmt.Sprintf("log of 7.build@1: bytes from offset %d are missing before offset %d; send from %d", n, n+5, n); err.Error() != want {
		t.Errorf("a gap says %q", err)
	}
	for name, tt := range map[string]struct {
		off    int64
		frames []byte
	}{
		"half a frame":    {n, a[:len(a)-1]},
		"no frame":        {n, []byte("plain text")},
		"another framing": {n - 3, append(out(1, "x"), a...)},
	} {
		if next, err := s.Append(t.Context(), first, tt.off, tt.frames); !errors.Is(err, logstore.ErrFrames) {
			t.Errorf("%s: %d, %v; want ErrFrames", name, next, err)
		}
	}
	for _, bad := range []job.Ref{{}, ref("7"), ref("7.build"), {Job: 7, Task: "../x", Index: -1, Attempt: 1}, {Job: 7, Task: "x", Index: -2, Attempt: 1}} {
		if _, err := s.Append(t.Context(), bad, 0, a); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if _, err := s.Append(t.Context(), first, -1, a); err == nil {
		t.Error("a negative offset was taken")
	}
	if _, err := s.Append(t.Context(), first, n, make([]byte, logstore.MaxAppend+1)); err == nil {
		t.Error("too much was taken at once")
	}
	if diff := cmp.Diff([]string{"out:hello\n"}, read(t, s, first, logstore.ReadOptions{})); diff != "" {
		t.Error(diff)
	}
}

func TestSealedLogsNeverChange(t *testing.T) {
	for _, packed := range []bool{false, true} {
		t.Run(fmt.Sprintf("packed=%v", packed), func(t *testing.T) {
			s, _ := fresh(t, logstore.Options{})
			a := out(1, "hello\n")
			n := add(t, s, first, 0, a)
			seal(t, s, first, n)
			if packed {
				flush(t, s)
			}
			seal(t, s, first, n)
			seal(t, s, first, -1)
			if next := add(t, s, first, 0, a); next != n {
				t.Errorf("a repeat's next is %d", next)
			}
			if _, err := s.Append(t.Context(), first, n, a); !errors.Is(err, logstore.ErrSealed) {
				t.Errorf("Append = %v, want ErrSealed", err)
			}
			if _, err := s.Append(t.Context(), first, 0, slices.Concat(a, a)); !errors.Is(err, logstore.ErrSealed) {
				t.Errorf("Append = %v, want ErrSealed", err)
			}
			for _, size := range []int64{0, n - 1, n + 1} {
				if err := s.Seal(t.Context(), first, size); !errors.Is(err, logstore.ErrSealed) {
					t.Errorf("Seal at %d = %v, want ErrSealed", size, err)
				}
			}
			if err := s.Skip(t.Context(), first, n+1); !errors.Is(err, logstore.ErrSealed) {
				t.Errorf("Skip = %v, want ErrSealed", err)
			}
			info, err := s.Stat(t.Context(), first)
			if want := (logstore.Info{Ref: first, Size: n, Sealed: true}); err != nil || info != want {
				t.Errorf("Stat = %+v, %v; want %+v", info, err, want)
			}
			if diff := cmp.Diff([]string{"out:hello\n"}, read(t, s, first, logstore.ReadOptions{Follow: true})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSealMarksWhatIsMissing(t *testing.T) {
	s, _ := fresh(t, logstore.Options{})
	n := add(t, s, first, 0, out(1, "x\n"))
	if err := s.Seal(t.Context(), first, n-1); err == nil || errors.Is(err, logstore.ErrSealed) {
		t.Errorf("Seal below what is held = %v", err)
	}
	seal(t, s, first, n+100)
	if diff := cmp.Diff([]string{"out:x\n", "gap:100"}, read(t, s, first, logstore.ReadOptions{})); diff != "" {
		t.Error(diff)
	}
}

func TestSkipMarksWhatIsLost(t *testing.T) {
	s, _ := fresh(t, logstore.Options{})
	n := add(t, s, first, 0, out(1, "x\n"))
	for _, to := range []int64{n + 50, n + 50, 0, n + 20} {
		if err := s.Skip(t.Context(), first, to); err != nil {
			t.Fatal(err)
		}
	}
	add(t, s, first, n+50, out(2, "y\n"))
	if diff := cmp.Diff([]string{"out:x\n", "gap:50", "out:y\n"}, read(t, s, first, logstore.ReadOptions{})); diff != "" {
		t.Error(diff)
	}
	if got := read(t, s, first, logstore.ReadOptions{Offset: n}); !slices.Equal(got, []string{"gap:50", "out:y\n"}) {
		t.Errorf("from the mark: %q", got)
	}
}

func TestNoOutputCostsNothing(t *testing.T) {
	s, blobs := fresh(t, logstore.Options{})
	before := s.Stats()
	for i := range 100 {
		r := job.Ref{Job: 9, Task: "quiet", Index: int64(i), Attempt: 1}
		seal(t, s, r, 0)
		seal(t, s, r, -1)
		if got := read(t, s, r, logstore.ReadOptions{}); len(got) > 0 {
			t.Errorf("%s has %q", r, got)
		}
	}
	flush(t, s)
	if diff := cmp.Diff(before, s.Stats()); diff != "" || len(blobs.keys()) > 0 {
		t.Errorf("silence left something: %s %q", diff, blobs.keys())
	}
}

// flood appends n frames of 100 bytes each and returns how much output that was.
func flood(t *testing.T, s *logstore.Store, r job.Ref, n int) (sent int64) {
	t.Helper()
	info, err := s.Stat(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	next := info.Size
	for range n {
		next = add(t, s, r, next, out(5, strings.Repeat("y", 99)+"\n"))
	}
	return int64(n) * 100
}

// account returns the output kept and the output that marks stand for.
func account(t *testing.T, s *logstore.Store, r job.Ref) (kept, lost int64, marks int) {
	t.Helper()
	for _, e := range read(t, s, r, logstore.ReadOptions{}) {
		if n, ok := strings.CutPrefix(e, "gap:"); ok {
			var v int64
			fmt.Sscan(n, &v)
			lost += v
			marks++
			continue
		}
		kept += int64(len(e) - len("out:"))
	}
	return kept, lost, marks
}

func TestFloodsAreCutWithAMark(t *testing.T) {
	now := at(1000)
	clock := func() time.Time { now = now.Add(10 * time.Millisecond); return now }
	down := errors.New("the blob store is down")
	left := int64(1<<30 + 50_000)
	shrinking := func() (int64, error) { left -= 15_000; return left, nil }
	tests := []struct {
		name string
		o    logstore.Options
		down bool
	}{
		{"one attempt's bound", logstore.Options{MaxAttempt: 20_000, Now: clock}, false},
		{"the budget of all", logstore.Options{MaxBytes: 20_000, Now: clock}, false},
		{"the disk", logstore.Options{Now: clock, MinFree: 1 << 30, Free: shrinking}, false},
		{"a blob store that is away", logstore.Options{SegmentBytes: 5000, MaxPending: 3, Now: clock}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, blobs := fresh(t, tt.o)
			if tt.down {
				blobs.onPut(func(string) error { return down })
			}
			sent := flood(t, s, first, 1000)
			kept, lost, marks := account(t, s, first)
			if kept+lost != sent || kept < 5000 || lost < 5000 || marks == 0 || marks > 100 {
				t.Errorf("sent %d, kept %d, lost %d in %d marks", sent, kept, lost, marks)
			}
			if n := s.Spans(first); n > 400 {
				t.Errorf("%d spans in memory", n)
			}
			if s.Stats().CutBytes < lost {
				t.Errorf("stats count %d cut bytes, %d are lost", s.Stats().CutBytes, lost)
			}
		})
	}
}

func TestLogsGoOnWhenThereIsRoomAgain(t *testing.T) {
	now, free := at(1000), int64(0)
	s, _ := fresh(t, logstore.Options{
		MinFree: 1000, Free: func() (int64, error) { return free, nil }, Now: func() time.Time { return now },
	})
	n := add(t, s, first, 0, out(1, "lost\n"))
	free, now = 1<<40, now.Add(2*time.Second)
	add(t, s, first, n, out(2, "kept\n"))
	if diff := cmp.Diff([]string{"gap:5", "out:kept\n"}, read(t, s, first, logstore.ReadOptions{})); diff != "" {
		t.Error(diff)
	}
}

func TestMarksOfMarksAddUp(t *testing.T) {
	s, _ := fresh(t, logstore.Options{MaxAttempt: 1})
	n := add(t, s, first, 0, out(1, "12345"), logline.Append(nil, logline.Gap, 1, []byte("1000")))
	add(t, s, first, n, out(1, "678"))
	if diff := cmp.Diff([]string{"gap:1008"}, read(t, s, first, logstore.ReadOptions{})); diff != "" {
		t.Error(diff)
	}
}

func TestManySmallLogsShareFiles(t *testing.T) {
	const jobs, elements = 200, 100
	dir := t.TempDir()
	blobs := newBlobs()
	s := open(t, dir, blobs, logstore.Options{SegmentBytes: 256 << 10})
	for j := range jobs {
		for i := range elements {
			r := job.Ref{Job: job.ID(j + 1), Task: "map", Index: int64(i), Attempt: 1}
			seal(t, s, r, add(t, s, r, 0, out(1, "result of "+r.String()+"\n")))
		}
	}
	flush(t, s)
	const n = jobs * elements
	st := s.Stats()
	if st.Packs > 20 || st.Live > 0 || st.Segments != 1 {
		t.Errorf("%+v for %d logs", st, n)
	}
	if per := s.PackMemory() / n; per > 20 {
		t.Errorf("%d bytes of memory per log", per)
	}
	if per := st.PackBytes / n; per > 60 {
		t.Errorf("%d bytes of disk per log", per)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) > 3 {
		t.Errorf("%d files, %v", len(files), err)
	}
	s.Close()
	s = open(t, dir, blobs, logstore.Options{})
	defer s.Close()
	for _, r := range []string{"1.map.0@1", "77.map.42@1", "200.map.99@1"} {
		want := []string{"out:result of " + r + "\n"}
		if diff := cmp.Diff(want, read(t, s, ref(r), logstore.ReadOptions{Follow: true})); diff != "" {
			t.Error(diff)
		}
	}
	for _, r := range []string{"1.map.100@1", "1.map.0@2", "201.map.0@1", "77.mapx.42@1"} {
		if got := read(t, s, ref(r), logstore.ReadOptions{}); len(got) > 0 {
			t.Errorf("%s has %q", r, got)
		}
	}
}

func TestConcurrentWritersOfManyAttempts(t *testing.T) {
	s, _ := fresh(t, logstore.Options{SegmentBytes: 20_000})
	const writers, lines = 8, 200
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			r := job.Ref{Job: job.ID(w%3 + 1), Task: "t", Index: int64(w), Attempt: 1}
			next := int64(0)
			for i := range lines {
				var err error
				next, err = s.Append(context.Background(), r, next, out(1, fmt.Sprintf("%d-%d\n", w, i)))
				if err != nil {
					t.Errorf("%s: %v", r, err)
					return
				}
			}
			if err := s.Seal(context.Background(), r, next); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	flush(t, s)
	for w := range writers {
		r := job.Ref{Job: job.ID(w%3 + 1), Task: "t", Index: int64(w), Attempt: 1}
		got := read(t, s, r, logstore.ReadOptions{Follow: true})
		if len(got) != lines || got[0] != fmt.Sprintf("out:%d-0\n", w) || got[lines-1] != fmt.Sprintf("out:%d-%d\n", w, lines-1) {
			t.Errorf("%s has %d entries, %q …", r, len(got), got[:min(3, len(got))])
		}
	}
}

func TestClosedStoreRefuses(t *testing.T) {
	s, _ := fresh(t, logstore.Options{})
	add(t, s, first, 0, out(1, "x"))
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := s.Append(t.Context(), first, 0, out(1, "x"))
	_, err2 := s.Stat(t.Context(), first)
	_, err3 := collect(t.Context(), s, first, logstore.ReadOptions{})
	for _, err := range []error{err, err2, err3, s.Seal(t.Context(), first, 1), s.Drop(t.Context(), 7)} {
		if !errors.Is(err, logstore.ErrClosed) {
			t.Errorf("%v, want ErrClosed", err)
		}
	}
}

func TestOpenSaysWhereItFailed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := logstore.Open(t.Context(), file, newBlobs(), logstore.Options{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Open = %v", err)
	}
}
