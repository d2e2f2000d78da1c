package logstore_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logstore"
)

// reading reads a log in a goroutine; got is closed over when it is at its end.
func reading(s *logstore.Store, r job.Ref, o logstore.ReadOptions) (got *[]string, done chan error) {
	got, done = new([]string), make(chan error, 1)
	go func() {
		lines, err := collect(context.Background(), s, r, o)
		*got = lines
		done <- err
	}()
	return got, done
}

// TestReadersWaitForWhatIsExpected: a result may come before the end of the log.
func TestReadersWaitForWhatIsExpected(t *testing.T) {
	r := ref("1.main@1")
	one, two := out(1, "one\n"), out(2, "two\n")
	size := int64(len(one) + len(two))
	ended := make(chan struct{})
	close(ended)
	for _, o := range []logstore.ReadOptions{{}, {Follow: true, Ended: ended}} {
		t.Run(fmt.Sprintf("follow %v", o.Follow), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, t.TempDir(), newBlobs(), logstore.Options{})
				defer s.Close()
				next := add(t, s, r, 0, one)
				s.Expect(r, size)
				got, done := reading(s, r, o)
				synctest.Wait()
				select {
				case err := <-done:
					t.Fatalf("it did not wait: %q, %v", *got, err)
				default:
				}
				add(t, s, r, next, two)
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{"out:one\n", "out:two\n"}, *got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestReadersDoNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), newBlobs(), logstore.Options{})
		defer s.Close()
		r := ref("1.main@1")
		s.Expect(r, 100)
		begin := time.Now()
		if got := read(t, s, r, logstore.ReadOptions{}); len(got) != 0 {
			t.Errorf("read %q", got)
		}
		if waited := time.Since(begin); waited != 5*time.Second {
			t.Errorf("waited %s, want 5 s", waited)
		}
	})
}

// TestNothingIsExpectedOf: what has come, was sealed or dropped is not waited for.
func TestNothingIsExpectedOf(t *testing.T) {
	text := out(1, "one\n")
	size := int64(len(text))
	for name, prepare := range map[string]func(*testing.T, *logstore.Store, job.Ref){
		"what has come before": func(t *testing.T, s *logstore.Store, r job.Ref) {
			add(t, s, r, 0, text)
			s.Expect(r, size)
		},
		"what has come since": func(t *testing.T, s *logstore.Store, r job.Ref) {
			s.Expect(r, size)
			add(t, s, r, 0, text)
		},
		"what is sealed": func(t *testing.T, s *logstore.Store, r job.Ref) {
			s.Expect(r, 2*size)
			add(t, s, r, 0, text)
			seal(t, s, r, size)
		},
		"what is dropped": func(t *testing.T, s *logstore.Store, r job.Ref) {
			add(t, s, r, 0, text)
			s.Expect(r, 2*size)
			if err := s.Drop(context.Background(), r.Job); err != nil {
				t.Fatal(err)
			}
		},
		"another attempt": func(_ *testing.T, s *logstore.Store, r job.Ref) {
			r.Attempt++
			s.Expect(r, size)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, t.TempDir(), newBlobs(), logstore.Options{})
				defer s.Close()
				r := ref("1.main@1")
				prepare(t, s, r)
				begin := time.Now()
				if _, err := collect(context.Background(), s, r, logstore.ReadOptions{}); err != nil {
					t.Fatal(err)
				}
				if waited := time.Since(begin); waited != 0 {
					t.Errorf("waited %s", waited)
				}
			})
		})
	}
}

func TestListNamesWhatIsExpected(t *testing.T) {
	s, _ := fresh(t, logstore.Options{})
	add(t, s, ref("1.main.0@1"), 0, out(1, "x"))
	for _, r := range []string{"1.main.0@1", "1.main.1@1", "1.other@1", "2.main@1"} {
		s.Expect(ref(r), 100)
	}
	page, err := s.List(context.Background(), ref("1.main"), job.Ref{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range page {
		got = append(got, i.Ref.String())
	}
	if diff := cmp.Diff([]string{"1.main.0@1", "1.main.1@1"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestExpectIsBounded: of too many the oldest are forgotten.
func TestExpectIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), newBlobs(), logstore.Options{})
		defer s.Close()
		const most = 1 << 16
		r := ref("1.main.0@1")
		for i := range most + 10 {
			r.Index = int64(i)
			s.Expect(r, 1)
		}
		begin := time.Now()
		for i, want := range map[int64]time.Duration{9: 0, 10: 5 * time.Second} {
			r.Index = i
			read(t, s, r, logstore.ReadOptions{})
			if waited := time.Since(begin); waited != want {
				t.Errorf("element %d: waited %s, want %s", i, waited, want)
			}
			begin = time.Now()
		}
	})
}
