package leader

import (
	"sync"
	"time"
)

// Clock is wall time that never goes back: an anchor plus the monotonic clock. It
// follows the machine's wall clock forward at each Anchor and waits for it where
// that was set back.
type Clock struct {
	mu     sync.Mutex
	anchor int64     // Unix milliseconds
	at     time.Time // when anchor was true, with its monotonic reading
	last   int64
}

// NewClock returns a clock anchored to the machine's.
func NewClock() *Clock {
	c := &Clock{}
	c.Anchor()
	return c
}

// Anchor sets the clock by the machine's wall clock.
func (c *Clock) Anchor() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.anchor, c.at = now.UnixMilli(), now
}

// Now is the time in Unix milliseconds; it never falls.
func (c *Clock) Now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, c.anchor+time.Since(c.at).Milliseconds())
	return c.last
}
