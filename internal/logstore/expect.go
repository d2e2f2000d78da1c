package logstore

import (
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

const (
	// maxExpected bounds the logs that are remembered to be on their way; of more the
	// oldest are forgotten.
	maxExpected = 1 << 16
	// lateWait is how long a reader waits for bytes that are on their way.
	lateWait = 5 * time.Second
)

// expected is the logs of which more is known than has come. Guarded by Store.mu.
type expected struct {
	size map[job.Ref]int64
	ring []job.Ref // in the order of their coming, some gone from size again
	next int
}

// Expect says that the log of attempt ref will be size stream bytes long, some of
// which may still be on their way, as logs and results travel apart. A reader that
// comes to the end of what is held waits for the rest, up to 5 s, and List lists
// the attempt. The store forgets it with its process, and when too many others
// are expected.
func (s *Store) Expect(ref job.Ref, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.live[ref]; a != nil && (a.sealed || a.dropped || a.next >= size) {
		return
	}
	x := &s.expected
	if x.size == nil {
		x.size = map[job.Ref]int64{}
	}
	x.size[ref] = size
	if len(x.ring) < maxExpected {
		x.ring = append(x.ring, ref)
		return
	}
	delete(x.size, x.ring[x.next])
	x.ring[x.next] = ref
	x.next = (x.next + 1) % maxExpected
}

// arrived forgets an expectation that is met. s.mu is held.
func (s *Store) arrived(a *attempt) {
	if size, ok := s.expected.size[a.ref]; ok && (a.sealed || a.dropped || a.next >= size) {
		delete(s.expected.size, a.ref)
	}
}

// late is a channel that ends the reader's wait for bytes that are on their way;
// nil if none are, or if it has waited long enough.
func (r *reader) late() <-chan time.Time {
	r.s.mu.Lock()
	more := r.s.expected.size[r.a.ref] > r.off
	r.s.mu.Unlock()
	if !more || r.waited {
		return nil
	}
	if r.lateTimer == nil {
		r.lateTimer = time.NewTimer(lateWait)
	}
	return r.lateTimer.C
}

// stop ends what late began.
func (r *reader) stop() {
	if r.lateTimer != nil {
		r.lateTimer.Stop()
	}
}
