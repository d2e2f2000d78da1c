package leader

import (
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
)

// Observer is told what a leader does, by the goroutines that do it: its methods are
// quick, do not block, and may be called concurrently.
type Observer interface {
	// Turned says that a turn of the loop took so long, from one wait to the next.
	Turned(took time.Duration)
	// Appended says that a batch is durable, and how long that took.
	Appended(events, bytes int, took time.Duration)
	// Flushed says that the tables have so many more rows.
	Flushed(rows int, took time.Duration)
	// Refused says that a request was turned away since its lane was full, or since there
	// is too much to do already.
	Refused(lane string)
	// Applied says that an event was decided and applied; it becomes durable with its
	// batch. A term that ends first may have told of events that never did.
	Applied(e core.Event)
}

// unobserved is an Observer that looks away.
type unobserved struct{}

func (unobserved) Turned(time.Duration)             {}
func (unobserved) Appended(int, int, time.Duration) {}
func (unobserved) Flushed(int, time.Duration)       {}
func (unobserved) Refused(string)                   {}
func (unobserved) Applied(core.Event)               {}

// Waiting is how many requests wait for the loop in one lane.
type Waiting struct {
	Lane string
	N    int
}

// Vitals is how a leader fares. What comes from the state is as of the last second, so
// that it can be read when nothing else gets an answer.
type Vitals struct {
	Census  core.Census
	Waiting []Waiting
	// Durable is the last durable sequence.
	Durable uint64
	// Stalled is since when the journal has not taken a batch, zero if it does.
	Stalled time.Time
}

// censusEvery is how often the loop counts what it has.
const censusEvery = time.Second

// Vitals never waits for the loop.
func (l *Leader) Vitals() Vitals {
	var v Vitals
	if c := l.census.Load(); c != nil {
		v.Census = *c
	}
	v.Waiting = l.in.counts()
	v.Durable = l.Durable().Seq
	v.Stalled = l.stall.began()
	return v
}
