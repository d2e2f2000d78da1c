package logstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
	"github.com/reeve-scheduler/reeve/internal/logstore"
)

func TestReadOptions(t *testing.T) {
	note := logline.Append(nil, logline.Note, 35, []byte("killed: timeout"))
	frames := [][]byte{
		out(10, "one\ntwo\n"), errLine(20, "bad\n"), out(30, "three\nfo"), note, out(40, "ur\n"), errLine(50, "worse\n"), out(60, "five"),
	}
	all := []string{"out:one\ntwo\n", "err:bad\n", "out:three\nfo", "note:killed: timeout", "out:ur\n", "err:worse\n", "out:five"}
	stdout := logstore.KindsOf(logline.Stdout)
	tests := []struct {
		name string
		o    logstore.ReadOptions
		want []string
	}{
		{"all", logstore.ReadOptions{}, all},
		{"stdout", logstore.ReadOptions{Kinds: stdout}, []string{all[0], all[2], all[4], all[6]}},
		{"stderr and notes", logstore.ReadOptions{Kinds: logstore.KindsOf(logline.Stderr, logline.Note)}, []string{all[1], all[3], all[5]}},
		{"since", logstore.ReadOptions{Since: at(30)}, all[2:]},
		{"since between", logstore.ReadOptions{Since: at(41)}, all[5:]},
		{"since the future", logstore.ReadOptions{Since: at(61)}, []string{}},
		{"since the past", logstore.ReadOptions{Since: at(1)}, all},
		{"tail 1", logstore.ReadOptions{Tail: 1}, all[6:]},
		{"tail 2", logstore.ReadOptions{Tail: 2}, all[5:]},
		{"tail 3", logstore.ReadOptions{Tail: 3}, all[4:]},
		{"tail 4", logstore.ReadOptions{Tail: 4}, append([]string{"out:fo"}, all[3:]...)},
		{"tail 5", logstore.ReadOptions{Tail: 5}, all[2:]},
		{"tail 6", logstore.ReadOptions{Tail: 6}, all[1:]},
		{"tail 7", logstore.ReadOptions{Tail: 7}, append([]string{"out:two\n"}, all[1:]...)},
		{"tail 8", logstore.ReadOptions{Tail: 8}, all},
		{"tail 9", logstore.ReadOptions{Tail: 9}, all},
		{"tail 100", logstore.ReadOptions{Tail: 100}, all},
		{"tail none", logstore.ReadOptions{Tail: -1}, []string{}},
		{"tail of stdout", logstore.ReadOptions{Tail: 2, Kinds: stdout}, []string{"out:fo", all[4], all[6]}},
		{"tail of stderr", logstore.ReadOptions{Tail: 1, Kinds: logstore.KindsOf(logline.Stderr)}, []string{all[5]}},
		{"tail and since", logstore.ReadOptions{Tail: 100, Since: at(50)}, all[5:]},
		{"since and tail", logstore.ReadOptions{Tail: 1, Since: at(20)}, all[6:]},
		{"offset", logstore.ReadOptions{Offset: int64(len(frames[0]))}, all[1:]},
		{"offset and tail", logstore.ReadOptions{Offset: int64(len(frames[0])), Tail: 100}, all[1:]},
		{"offset at the end", logstore.ReadOptions{Offset: 1 << 40}, []string{}},
	}
	layouts := map[string]func(t *testing.T, s *logstore.Store){
		"one append":     func(t *testing.T, s *logstore.Store) { add(t, s, first, 0, frames...) },
		"many appends":   func(t *testing.T, s *logstore.Store) { addEach(t, s, frames, func(int) {}) },
		"many packs":     func(t *testing.T, s *logstore.Store) { addEach(t, s, frames, func(int) { flush(t, s) }) },
		"one pack":       func(t *testing.T, s *logstore.Store) { add(t, s, first, 0, frames...); flush(t, s) },
		"half is packed": func(t *testing.T, s *logstore.Store) { addEach(t, s, frames, func(i int) { flushAt(t, s, i, 3) }) },
	}
	for layout, fill := range layouts {
		t.Run(layout, func(t *testing.T) {
			s, _ := fresh(t, logstore.Options{})
			add(t, s, ref("6.other@1"), 0, out(1, "x\n"))
			add(t, s, ref("7.build@2"), 0, out(1, "x\n"))
			fill(t, s)
			for _, tt := range tests {
				if diff := cmp.Diff(tt.want, read(t, s, first, tt.o)); diff != "" {
					t.Errorf("%s:\n%s", tt.name, diff)
				}
			}
		})
	}
}

func addEach(t *testing.T, s *logstore.Store, frames [][]byte, after func(i int)) {
	next := int64(0)
	for i, f := range frames {
		next = add(t, s, first, next, f)
		after(i)
	}
}

func flushAt(t *testing.T, s *logstore.Store, i, when int) {
	if i == when {
		flush(t, s)
	}
}

func TestTailOfMarks(t *testing.T) {
	s, _ := fresh(t, logstore.Options{})
	n := add(t, s, first, 0, out(1, "a\nb\n"))
	if err := s.Skip(t.Context(), first, n+1000); err != nil {
		t.Fatal(err)
	}
	add(t, s, first, n+1000, out(2, "c\n"))
	for tail, want := range map[int][]string{
		1: {"out:c\n"}, 2: {"gap:1000", "out:c\n"}, 3: {"out:b\n", "gap:1000", "out:c\n"}, 9: {"out:a\nb\n", "gap:1000", "out:c\n"},
	} {
		if diff := cmp.Diff(want, read(t, s, first, logstore.ReadOptions{Tail: tail})); diff != "" {
			t.Errorf("tail %d: %s", tail, diff)
		}
	}
}

// follow reads in the background; result gives what came.
func follow(ctx context.Context, s *logstore.Store, r job.Ref, o logstore.ReadOptions) (result func() ([]string, error)) {
	o.Follow = true
	var got []string
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		got, err = collect(ctx, s, r, o)
	}()
	return func() ([]string, error) { <-done; return got, err }
}

func TestFollow(t *testing.T) {
	type env struct {
		s      *logstore.Store
		cancel context.CancelFunc
		ended  chan struct{}
	}
	tests := []struct {
		name string
		act  func(t *testing.T, e env)
		want []string
		err  error
	}{
		{"sealed", func(t *testing.T, e env) {
			n := add(t, e.s, first, 0, out(1, "a"))
			synctest.Wait()
			n = add(t, e.s, first, n, out(1, "b"))
			seal(t, e.s, first, n)
		}, []string{"out:a", "out:b"}, nil},
		{"sealed without output", func(t *testing.T, e env) { seal(t, e.s, first, 0) }, []string{}, nil},
		{"over packs", func(t *testing.T, e env) {
			n := int64(0)
			for i := range 3 {
				n = add(t, e.s, first, n, out(1, fmt.Sprint(i)))
				flush(t, e.s)
				synctest.Wait()
			}
			flush(t, e.s)
			seal(t, e.s, first, n)
		}, []string{"out:0", "out:1", "out:2"}, nil},
		{"cancelled", func(t *testing.T, e env) {
			add(t, e.s, first, 0, out(1, "a"))
			synctest.Wait()
			e.cancel()
		}, []string{"out:a"}, context.Canceled},
		{"ended", func(t *testing.T, e env) {
			n := add(t, e.s, first, 0, out(1, "a"))
			synctest.Wait()
			add(t, e.s, first, n, out(1, "b"))
			close(e.ended)
		}, []string{"out:a", "out:b"}, nil},
		{"ended silently", func(t *testing.T, e env) { close(e.ended) }, []string{}, nil},
		{"dropped", func(t *testing.T, e env) {
			add(t, e.s, first, 0, out(1, "a"))
			synctest.Wait()
			if err := e.s.Drop(t.Context(), first.Job); err != nil {
				t.Error(err)
			}
		}, []string{"out:a"}, logstore.ErrDropped},
		{"closed", func(t *testing.T, e env) {
			add(t, e.s, first, 0, out(1, "a"))
			synctest.Wait()
			e.s.Close()
		}, []string{"out:a"}, logstore.ErrClosed},
		{"a growing mark", func(t *testing.T, e env) {
			for i := range int64(3) {
				if err := e.s.Skip(t.Context(), first, (i+1)*100); err != nil {
					t.Error(err)
				}
				synctest.Wait()
			}
			seal(t, e.s, first, -1)
		}, []string{"gap:100", "gap:100", "gap:100"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := fresh(t, logstore.Options{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ended := make(chan struct{})
				result := follow(ctx, s, first, logstore.ReadOptions{Ended: ended})
				synctest.Wait()
				tt.act(t, env{s, cancel, ended})
				got, err := result()
				if !errors.Is(err, tt.err) || tt.err == nil && err != nil {
					t.Errorf("err = %v, want %v", err, tt.err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
				if st := s.Stats(); tt.name == "sealed without output" && st.Live > 0 {
					t.Errorf("a follower left %+v", st)
				}
			})
		})
	}
}

func TestFollowFromTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := fresh(t, logstore.Options{})
		n := add(t, s, first, 0, out(1, "a\nb\n"))
		none := follow(t.Context(), s, first, logstore.ReadOptions{Tail: -1})
		one := follow(t.Context(), s, first, logstore.ReadOptions{Tail: 1})
		synctest.Wait()
		seal(t, s, first, add(t, s, first, n, out(1, "c\n")))
		for want, result := range map[string]func() ([]string, error){"out:c\n": none, "out:b\n out:c\n": one} {
			if got, err := result(); err != nil || strings.Join(got, " ") != want {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		}
	})
}

// Readers that do not read must not hold up the writer, nor cost more than
// themselves; each gets everything in the end, through packing and all.
func TestStoppedReadersDelayNobody(t *testing.T) {
	s, _ := fresh(t, logstore.Options{SegmentBytes: 10_000})
	const readers, lines = 200, 300
	goOn := make(chan struct{})
	var ready, done sync.WaitGroup
	for range readers {
		ready.Add(1)
		done.Go(func() {
			n := 0
			for e, err := range s.Read(t.Context(), first, logstore.ReadOptions{Follow: true}) {
				if err != nil {
					t.Error(err)
					break
				}
				if want := fmt.Sprintf("line %d\n", n); string(e.Data) != want {
					t.Errorf("%q, want %q", e.Data, want)
					break
				}
				if n == 0 {
					ready.Done()
					<-goOn
				}
				n++
			}
			if n != lines {
				t.Errorf("a reader got %d of %d lines", n, lines)
			}
		})
	}
	next := add(t, s, first, 0, out(1, "line 0\n"))
	ready.Wait()
	for i := 1; i < lines; i++ { // would hang if a stopped reader held it up
		next = add(t, s, first, next, out(1, fmt.Sprintf("line %d\n", i)))
		if i%100 == 0 {
			flush(t, s)
		}
	}
	seal(t, s, first, next)
	flush(t, s)
	if n := s.Waiters(); n > 0 {
		t.Errorf("%d attempts are waited for while all readers are stopped", n)
	}
	close(goOn)
	done.Wait()
	if st := s.Stats(); st.Live > 0 || st.Segments > 1 {
		t.Errorf("readers left %+v", st)
	}
}

func TestReaderThatStopsEarlyLeavesNothing(t *testing.T) {
	s, _ := fresh(t, logstore.Options{})
	add(t, s, first, 0, out(1, "a"), out(1, "b"))
	for range s.Read(t.Context(), first, logstore.ReadOptions{Follow: true}) {
		break
	}
	flush(t, s)
	if st := s.Stats(); st.Live > 0 {
		t.Errorf("left %+v", st)
	}
}

func TestReadResumesAtAnyEntry(t *testing.T) {
	s, _ := fresh(t, logstore.Options{})
	next := int64(0)
	for i := range 12 {
		next = add(t, s, first, next, out(1, fmt.Sprint("x", i)), errLine(1, "y"))
		if i%5 == 4 {
			flush(t, s)
		}
	}
	all := read(t, s, first, logstore.ReadOptions{})
	n := 0
	for e, err := range s.Read(t.Context(), first, logstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if diff := cmp.Diff(all[n:], read(t, s, first, logstore.ReadOptions{Offset: e.Next})); diff != "" {
			t.Errorf("from %d: %s", e.Next, diff)
		}
	}
}

func TestReadRefusesWhatIsNoAttempt(t *testing.T) {
	s, _ := fresh(t, logstore.Options{})
	if _, err := collect(t.Context(), s, ref("7.build"), logstore.ReadOptions{}); err == nil || !strings.Contains(err.Error(), "want a whole attempt") {
		t.Errorf("Read = %v", err)
	}
	if _, err := s.Stat(t.Context(), ref("7")); err == nil {
		t.Error("Stat of a job was answered")
	}
}
