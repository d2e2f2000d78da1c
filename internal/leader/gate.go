package leader

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Bounds of the gate.
const (
	// gateEvery is how often it looks at how things go.
	gateEvery = 100 * time.Millisecond
	// gatePace is how many attempts must end in a second for the gate to watch. Where fewer
	// do, it is the workers who set the pace: then jobs may wait for as long as they like.
	gatePace = 5_000
	// gateWait is how many seconds of work may wait before no more is let in than ends.
	gateWait = 3
	// gateLeast is how many jobs a second are let in all the same: whoever submits a large
	// backlog should not have to stay for as long as it takes to work it off.
	gateLeast = 10_000
)

// gate keeps a server that has its hands full, or its memory, from taking on ever more. Submits cost time
// that the work needs, too, and what they bring waits longer and longer. While jobs that
// could start wait for more than gateWait seconds, at the pace at which attempts end, no more
// are let in than end. It belongs to the loop, but for full.
type gate struct {
	looked time.Time
	ended  int64 // attempts, since then
	pace   int64 // attempts that end in a second, of late
	// tight: room is how many more jobs may come in until the next look. The last one let
	// in may have taken more.
	tight bool
	room  int64
	// heavy: there is no memory for more.
	heavy bool

	shut atomic.Pointer[job.Error] // what Full answers
}

// look takes note of how many could start, if it is time.
func (g *gate) look(now time.Time, ready int64) {
	passed := now.Sub(g.looked)
	if passed < gateEvery {
		return
	}
	if g.looked.IsZero() {
		passed = gateEvery
	}
	g.looked = now
	per := func(second int64) int64 { return second * passed.Milliseconds() / 1000 }
	g.pace += (g.ended*1000/max(passed.Milliseconds(), 1) - g.pace) / 8
	if g.tight = g.pace >= gatePace && ready > gateWait*g.pace; g.tight {
		g.room = min(g.room, 0) + max(g.ended, per(gateLeast))
	}
	g.ended = 0
	g.shut.Store(g.refusal())
}

// refusal is the one that a submit would get, nil if it may be taken.
func (g *gate) refusal() *job.Error {
	switch {
	case g.heavy:
		return &job.Error{Code: job.Busy, Message: "the server has no memory for more unfinished jobs; try again when some have ended"}
	case g.tight && g.room <= 0:
		return &job.Error{Code: job.Busy, Message: fmt.Sprintf(
			"the server has its hands full: jobs that could start at once wait for more than %d seconds already; try again in a second", gateWait)}
	}
	return nil
}

// take lets in n jobs, or says why not.
func (g *gate) take(n int) error {
	if err := g.refusal(); err != nil {
		return err
	}
	if g.tight {
		g.room -= int64(n)
		g.shut.Store(g.refusal())
	}
	return nil
}

// Full is the refusal that a submit would get now, nil if it may be taken: for whoever would
// have to work on it first. It does not wait.
func (l *Leader) Full() error {
	err := l.gate.shut.Load()
	if err == nil {
		return nil
	}
	l.settings.Observer.Refused(laneSubmit.String())
	return err
}
