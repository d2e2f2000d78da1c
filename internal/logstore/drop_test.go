package logstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logstore"
)

// fill gives each job one sealed log that says its number.
func fill(t *testing.T, s *logstore.Store, jobs ...job.ID) {
	t.Helper()
	for _, id := range jobs {
		r := job.Ref{Job: id, Task: "t", Index: job.NoIndex, Attempt: 1}
		seal(t, s, r, add(t, s, r, 0, out(1, id.String())))
	}
}

// held lists the jobs from 1 to 20 whose log is as fill made it.
func held(t *testing.T, s *logstore.Store) (jobs []job.ID) {
	t.Helper()
	for id := job.ID(1); id <= 20; id++ {
		r := job.Ref{Job: id, Task: "t", Index: job.NoIndex, Attempt: 1}
		got := read(t, s, r, logstore.ReadOptions{})
		list, err := s.List(t.Context(), job.Ref{Job: id, Index: job.NoIndex}, job.Ref{}, 10)
		if err != nil || len(list) != min(len(got), 1) {
			t.Errorf("job %d: %d entries, listed %v, %v", id, len(got), list, err)
		}
		if len(got) > 0 {
			if got[0] != "out:"+id.String() {
				t.Errorf("job %d has %q", id, got)
			}
			jobs = append(jobs, id)
		}
	}
	return jobs
}

func TestDrop(t *testing.T) {
	type ids = []job.ID
	tests := []struct {
		name   string
		packs  [][]job.ID // each is packed, but the last is fresh
		drop   []ids
		left   ids
		blobs  string
		killed string // blobs after a kill and a restart, if others
	}{
		{"fresh", []ids{{1, 2, 3}}, []ids{{2}}, ids{1, 3}, "", ""},
		{"nothing of it", []ids{{1, 2}, {3}}, []ids{{9}, {}}, ids{1, 2, 3}, "1.0", ""},
		{"one of many", []ids{{1, 2, 3, 4, 5}, {6}}, []ids{{2}}, ids{1, 3, 4, 5, 6}, "1.0", ""},
		{"again", []ids{{1, 2, 3, 4, 5}, {6}}, []ids{{2}, {2}, {2}}, ids{1, 3, 4, 5, 6}, "1.0", ""},
		{"half", []ids{{1, 2, 3, 4}, {6}}, []ids{{1}, {3}}, ids{2, 4, 6}, "1.1", ""},
		{"half, twice", []ids{{1, 2, 3, 4}, {6}}, []ids{{1, 3}, {4}}, ids{2, 6}, "1.2", ""},
		{"all of a pack", []ids{{1, 2}, {3, 4}, {}}, []ids{{2, 1}}, ids{3, 4}, "2.0", ""},
		{"over packs", []ids{{1, 2, 3}, {3, 4, 5}, {3, 5}}, []ids{{3}}, ids{1, 2, 4, 5}, "1.0 2.0", ""},
		{"everything", []ids{{1, 2, 3}, {4, 5}, {6}}, []ids{{1, 2, 3, 4, 5, 6}}, nil, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, blobs := t.TempDir(), newBlobs()
			s := open(t, dir, blobs, logstore.Options{})
			defer func() { s.Close() }()
			for i, jobs := range tt.packs {
				for _, id := range jobs {
					// A job in several packs is one whose log grew.
					r := job.Ref{Job: id, Task: "t", Index: job.NoIndex, Attempt: 1}
					info, err := s.Stat(t.Context(), r)
					if err != nil {
						t.Fatal(err)
					}
					add(t, s, r, info.Size, out(1, id.String()))
				}
				if i < len(tt.packs)-1 {
					flush(t, s)
				}
			}
			for _, ids := range tt.drop {
				if err := s.Drop(t.Context(), ids...); err != nil {
					t.Fatal(err)
				}
			}
			check := func(when string) {
				t.Helper()
				if diff := cmp.Diff(tt.left, held(t, s)); diff != "" {
					t.Errorf("%s: left\n%s", when, diff)
				}
				if got := packNames(blobs); got != tt.blobs {
					t.Errorf("%s: packs %q, want %q", when, got, tt.blobs)
				}
			}
			check("at once")
			killed := copyDir(t, dir)
			s.Close()
			s = open(t, killed, blobs, logstore.Options{})
			check("after a restart")
		})
	}
}

// packNames spells keys shortly: number.version.
func packNames(m *memBlobs) string {
	var names []string
	for _, k := range m.keys() {
		names = append(names, strings.TrimLeft(strings.TrimPrefix(k, "logs/"), "0"))
	}
	return strings.Join(names, " ")
}

func TestDropWhileTheBlobStoreRefuses(t *testing.T) {
	dir, blobs := t.TempDir(), newBlobs()
	s := open(t, dir, blobs, logstore.Options{})
	fill(t, s, 1, 2, 3, 4)
	flush(t, s)
	away := errors.New("away")
	blobs.onPut(func(string) error { return away })
	if err := s.Drop(t.Context(), 1, 2); !errors.Is(err, away) {
		t.Errorf("Drop = %v, want the blob store's error", err)
	}
	if diff := cmp.Diff([]job.ID{3, 4}, held(t, s)); diff != "" {
		t.Error(diff)
	}
	s.Close()
	blobs.onPut(nil)
	s = open(t, dir, blobs, logstore.Options{})
	defer s.Close()
	if diff := cmp.Diff([]job.ID{3, 4}, held(t, s)); diff != "" {
		t.Errorf("after a restart: %s", diff)
	}
	if err := s.Drop(t.Context(), 3); err != nil || packNames(blobs) != "1.1" {
		t.Errorf("Drop = %v, packs %s", err, packNames(blobs))
	}
}

// A kill between writing the new version of a pack and removing the old one.
func TestRewriteLeftHalfDone(t *testing.T) {
	dir, blobs := t.TempDir(), newBlobs()
	s := open(t, dir, blobs, logstore.Options{})
	fill(t, s, 1, 2, 3, 4)
	flush(t, s)
	old := clone(blobs)
	if err := s.Drop(t.Context(), 1, 2); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, k := range old.keys() {
		blobs.set(k, old.get(k))
	}
	if got := packNames(blobs); got != "1.0 1.1" {
		t.Fatalf("packs: %s", got)
	}
	s = open(t, dir, blobs, logstore.Options{})
	defer s.Close()
	if diff := cmp.Diff([]job.ID{3, 4}, held(t, s)); diff != "" {
		t.Error(diff)
	}
	if got := packNames(blobs); got != "1.1" {
		t.Errorf("packs: %s", got)
	}
}

func TestTornDropFile(t *testing.T) {
	dir, blobs := t.TempDir(), newBlobs()
	s := open(t, dir, blobs, logstore.Options{})
	fill(t, s, 1, 2, 3, 11, 12)
	flush(t, s)
	s.Close()
	if err := os.WriteFile(filepath.Join(dir, "dropped"), []byte("2\nrubbish\n999\n1"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, blobs, logstore.Options{})
	defer s.Close()
	if diff := cmp.Diff([]job.ID{1, 3, 11, 12}, held(t, s)); diff != "" {
		t.Error(diff)
	}
	b, err := os.ReadFile(filepath.Join(dir, "dropped"))
	if err != nil || string(b) != "2\n" {
		t.Errorf("the file is %q, %v; want only what is needed", b, err)
	}
}

func TestAppendAfterDrop(t *testing.T) {
	s, _ := fresh(t, logstore.Options{})
	n := add(t, s, first, 0, out(1, "x"))
	flush(t, s)
	if err := s.Drop(t.Context(), first.Job); err != nil {
		t.Fatal(err)
	}
	var gap *logstore.GapError
	if _, err := s.Append(t.Context(), first, n, out(1, "y")); !errors.As(err, &gap) || gap.Want != 0 {
		t.Errorf("Append = %v, want a gap from 0", err)
	}
}

func TestDropBefore(t *testing.T) {
	now := at(1_000_000)
	s, blobs := fresh(t, logstore.Options{Now: func() time.Time { return now }})
	fill(t, s, 1, 2)
	flush(t, s)
	now = now.Add(time.Hour)
	fill(t, s, 3)
	flush(t, s)
	now = now.Add(time.Hour)
	fill(t, s, 4)
	cutoff := at(1_000_000).Add(30 * time.Minute)
	for _, want := range []int{1, 0} {
		if n, err := s.DropBefore(t.Context(), cutoff); err != nil || n != want {
			t.Errorf("DropBefore = %d, %v; want %d", n, err, want)
		}
	}
	if diff := cmp.Diff([]job.ID{3, 4}, held(t, s)); diff != "" {
		t.Error(diff)
	}
	now = now.Add(time.Hour)
	if n, err := s.DropBefore(t.Context(), now); err != nil || n < 1 {
		t.Errorf("DropBefore = %d, %v", n, err)
	}
	flush(t, s)
	if _, err := s.DropBefore(t.Context(), now); err != nil {
		t.Error(err)
	}
	if got := held(t, s); len(got) > 0 || packNames(blobs) != "" {
		t.Errorf("left: %v, packs %s", got, packNames(blobs))
	}
}

// A long log whose beginning is too old keeps its end, with a mark.
func TestAgedBeginningBecomesAMark(t *testing.T) {
	now := at(1_000_000)
	s, _ := fresh(t, logstore.Options{Now: func() time.Time { return now }})
	n := add(t, s, first, 0, out(1, "old\n"))
	flush(t, s)
	now = now.Add(time.Hour)
	m := add(t, s, first, n, out(2, "young\n"))
	flush(t, s)
	m = add(t, s, first, m, out(3, "younger\n"))
	if _, err := s.DropBefore(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	want := []string{fmt.Sprintf("gap:%d", n), "out:young\n", "out:younger\n"}
	if diff := cmp.Diff(want, read(t, s, first, logstore.ReadOptions{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[1:], read(t, s, first, logstore.ReadOptions{Tail: 10})); diff != "" {
		t.Error(diff)
	}
	if next := add(t, s, first, m, out(4, "x")); next <= m {
		t.Errorf("next = %d", next)
	}
}

func TestPackingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, blobs := t.TempDir(), newBlobs()
		var tries []time.Time
		packed := make(chan struct{})
		blobs.onPut(func(string) error {
			if tries = append(tries, time.Now()); len(tries) < 5 {
				return errors.New("away")
			}
			close(packed)
			return nil
		})
		s := open(t, dir, blobs, logstore.Options{})
		synctest.Wait() // the packer has nothing to do yet
		fill(t, s, 1)
		s.Rotate()
		<-packed
		s.Close()
		var waits []time.Duration
		for i := 1; i < len(tries); i++ {
			waits = append(waits, tries[i].Sub(tries[i-1]))
		}
		if diff := cmp.Diff([]time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}, waits); diff != "" {
			t.Error(diff)
		}
	})
}

func TestReadersSurviveRewriting(t *testing.T) {
	s, _ := fresh(t, logstore.Options{})
	r := ref("3.t@1")
	next := int64(0)
	for i := range 6 {
		next = add(t, s, r, next, out(1, fmt.Sprint(i)))
		fill(t, s, job.ID(100+2*i), job.ID(101+2*i))
		flush(t, s)
	}
	n := 0
	for e, err := range s.Read(t.Context(), r, logstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if string(e.Data) != fmt.Sprint(n) {
			t.Errorf("%q, want %d", e.Data, n)
		}
		n++
		for i := range 12 { // rewrites the packs that the reader has yet to read
			if err := s.Drop(context.Background(), job.ID(100+i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n != 6 {
		t.Errorf("%d of 6 entries", n)
	}
}
