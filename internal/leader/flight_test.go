package leader

import (
	"testing"
	"time"
)

// TestABatchWaitsWhileMuchHappens submits a crowd, and then one job a millisecond: after the
// crowd they wait for each other, but once few come each has a batch of its own at once.
func TestABatchWaitsWhileMuchHappens(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		began := time.Now()
		took := func(want time.Duration, batches int) {
			t.Helper()
			if got := time.Since(began); got != want {
				t.Errorf("it took %v; want %v", got, want)
			}
			if n := r.journal.count(); n != batches {
				t.Errorf("%d batches were appended; want %d", n, batches)
			}
		}
		r.do(submit(t, plain, crowdEvents))
		first := r.journal.count()
		took(0, first)
		var replies []<-chan answer
		for range ripeAfter / time.Millisecond {
			replies = append(replies, r.start(submit(t, plain, 1)))
			after(time.Millisecond)
		}
		for _, c := range replies {
			if a := <-c; a.err != nil {
				t.Error(a.err)
			}
		}
		took(ripeAfter, first+1)
		r.do(submit(t, plain, 1))
		took(ripeAfter, first+2)

		r.do(submit(t, plain, crowdEvents))
		r.do(submit(t, plain, ripeEvents))
		took(ripeAfter, first+4)
		r.end()
	})
}
