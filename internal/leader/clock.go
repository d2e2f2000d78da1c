package leader

import (
	"sync"
	"time"
)

// Clock is wall time that never goes back and never stands still: an anchor plus the
// monotonic clock. It follows the machine's wall clock forward at each Anchor. Where
// that was set back it goes at half the pace until the two agree again, so that
// timers are late by a factor, not by what the clock was wrong. Its methods may be
// called concurrently.
type Clock struct {
	mu     sync.Mutex
	anchor int64     // Unix milliseconds
	at     time.Time // when anchor was true, with its monotonic reading
	slow   bool      // the machine's clock is behind
	last   int64
	ahead  int64 // milliseconds by which the time to keep is ahead of the machine's
}

// NewClock returns a clock anchored to the machine's.
func NewClock() *Clock {
	c := &Clock{}
	c.Anchor()
	return c
}

// Anchor sets the clock by the machine's wall clock, or by what Keep said of it.
func (c *Clock) Anchor() {
	now := time.Now()
	c.mu.Lock()
	ahead := c.ahead
	c.mu.Unlock()
	c.set(now, now.UnixMilli()+ahead)
}

// Keep has the clock go by a time that several servers share: wall, in Unix milliseconds, was read of
// it at some moment of what the question took. An answer that is late says less, not something else:
// the clock is moved no further than to where it can be right (Cristian, Probabilistic clock
// synchronization, 1989).
func (c *Clock) Keep(wall int64, took time.Duration) {
	least := wall - time.Now().UnixMilli()
	c.mu.Lock()
	c.ahead = min(max(c.ahead, least), least+took.Milliseconds()+1)
	c.mu.Unlock()
	c.Anchor()
}

// set anchors the clock to wall, in Unix milliseconds, as read at now.
func (c *Clock) set(now time.Time, wall int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ours := wall
	if !c.at.IsZero() {
		ours = c.read(now)
	}
	// What is read lies up to a millisecond below what it was rounded from: without the
	// tolerance a clock that agrees would now and then go slowly.
	const tolerance = 2
	c.slow = wall < ours-tolerance
	c.anchor, c.at = max(wall, ours), now
}

func (c *Clock) read(now time.Time) int64 {
	passed := now.Sub(c.at)
	if c.slow {
		passed /= 2
	}
	return c.anchor + passed.Milliseconds()
}

// Now is the time in Unix milliseconds; it never falls.
func (c *Clock) Now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, c.read(time.Now()))
	return c.last
}
