package logstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logstore"
)

// Writers, followers, packing, drops of other jobs and lists, all at once: every
// follower sees every line of its attempt once and in order.
func TestEverythingAtOnce(t *testing.T) {
	s, _ := fresh(t, logstore.Options{SegmentBytes: 4000, MaxPending: 1000})
	const attempts, lines, doomed = 6, 150, 1000
	ctx := context.Background()
	var work, churn sync.WaitGroup
	for i := range attempts {
		r := job.Ref{Job: job.ID(i%2 + 1), Task: "t", Index: int64(i), Attempt: 1}
		work.Go(func() {
			next := int64(0)
			for n := range lines {
				var err error
				if next, err = s.Append(ctx, r, next, out(1, fmt.Sprintf("%d\n", n))); err != nil {
					t.Errorf("%s: %v", r, err)
					return
				}
			}
			if err := s.Seal(ctx, r, next); err != nil {
				t.Error(err)
			}
		})
		for range 2 {
			work.Go(func() {
				n := 0
				for e, err := range s.Read(ctx, r, logstore.ReadOptions{Follow: true}) {
					if err != nil || string(e.Data) != fmt.Sprintf("%d\n", n) {
						t.Errorf("%s: %q, %v; want line %d", r, e.Data, err, n)
						return
					}
					n++
				}
				if n != lines {
					t.Errorf("%s: %d of %d lines", r, n, lines)
				}
			})
		}
	}
	stop := make(chan struct{})
	loop := func(fn func(i int) error) {
		churn.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := fn(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	doomedRef := func(i int) job.Ref {
		return job.Ref{Job: job.ID(doomed + i), Task: "t", Index: job.NoIndex, Attempt: 1}
	}
	loop(func(int) error { return s.Flush(ctx) })
	loop(func(i int) error {
		r := doomedRef(i)
		if _, err := s.Append(ctx, r, 0, out(1, "x")); err != nil {
			return err
		}
		return s.Drop(ctx, r.Job, doomedRef(i-3).Job)
	})
	loop(func(int) error {
		_, err := s.List(ctx, ref("1"), job.Ref{}, 100)
		return err
	})
	loop(func(i int) error {
		for _, err := range s.Read(ctx, doomedRef(i), logstore.ReadOptions{Tail: 3}) {
			if err != nil && !errors.Is(err, logstore.ErrDropped) {
				return err
			}
		}
		return nil
	})
	work.Wait()
	close(stop)
	churn.Wait()
	flush(t, s)
	if st := s.Stats(); st.Live > 0 || st.Segments > 1 {
		t.Errorf("left: %+v", st)
	}
}

func TestCloseBesideEverything(t *testing.T) {
	for range 5 {
		s := open(t, t.TempDir(), newBlobs(), logstore.Options{SegmentBytes: 2000})
		var wg, begun sync.WaitGroup
		for i := range 4 {
			begun.Add(2)
			r := job.Ref{Job: 1, Task: "t", Index: int64(i), Attempt: 1}
			wg.Go(func() {
				next := int64(0)
				for n := 0; ; n++ {
					var err error
					if next, err = s.Append(context.Background(), r, next, out(1, "line\n")); err != nil {
						if !errors.Is(err, logstore.ErrClosed) {
							t.Error(err)
						}
						return
					}
					if n == 20 {
						begun.Done()
					}
				}
			})
			wg.Go(func() {
				begun.Done()
				_, err := collect(context.Background(), s, r, logstore.ReadOptions{Follow: true})
				if !errors.Is(err, logstore.ErrClosed) {
					t.Errorf("a follower ended with %v", err)
				}
			})
		}
		begun.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}
