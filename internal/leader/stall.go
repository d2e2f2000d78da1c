package leader

import (
	"fmt"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// stallPatience is how long an append may be tried again before those who wait for it
// are told. A hiccup of the disk is over by then; a full disk is not.
const stallPatience = 3 * time.Second

// stall is a journal that does not take a batch, such as on a full disk. What is
// decided meanwhile is not lost: it is recorded when there is room again. But nobody
// is left without a word. The zero value is a journal that works.
type stall struct {
	mu    sync.Mutex
	since time.Time
	why   error
	known chan struct{} // closed once the stall has lasted
	told  bool          // known is closed
}

// failed notes that an append was tried and failed.
func (s *stall) failed(err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		s.since = now
	}
	s.why = err
	if now.Sub(s.since) >= stallPatience && !s.told {
		s.told = true
		close(s.channel())
	}
}

// began is since when appends have failed, zero if they don't.
func (s *stall) began() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		return time.Time{}
	}
	return s.since
}

// over notes that an append has succeeded.
func (s *stall) over() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why = nil; s.told {
		s.told, s.known = false, nil
	}
}

// lasts is closed when there is a stall that has lasted.
func (s *stall) lasts() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channel()
}

// channel makes known when it is first asked for. The caller holds mu.
func (s *stall) channel() chan struct{} {
	if s.known == nil {
		s.known = make(chan struct{})
	}
	return s.known
}

// refusal is an error while a stall lasts, else nil.
func (s *stall) refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.told {
		return nil
	}
	return &job.Error{Code: job.Unavailable, Message: fmt.Sprintf("the server can't record anything at the moment: %v; try again later", s.why), Cause: s.why}
}

// unknown is the answer for one whose command may have been decided when the stall began.
func unknown(why error) error {
	return &job.Error{Code: job.Unavailable, Message: fmt.Sprintf("its outcome is unknown: %v", why), Cause: why}
}
