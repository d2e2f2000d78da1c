package leader

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Bounds of the gate.
const (
	// gateEvery is how often it looks at how things go, and gateLooks how many looks in a
	// row must find too much: a second's work that comes at once is no overload.
	gateEvery = 100 * time.Millisecond
	gateLooks = 10
	// gatePace is how many attempts must end in a second for the gate to watch. Where fewer
	// do, it is the workers who set the pace: then jobs may wait for as long as they like.
	gatePace = 5_000
	// gateWait is how many seconds of work may wait before the gate lets in only so much
	// that gateAim seconds of it wait: enough for clients to come back before nothing is left.
	gateWait = 3
	gateAim  = 2
	// gateFewest is the part of what ends that is let in however much waits, gateMost the
	// multiple of it that is when little does.
	gateFewest = 4
	gateMost   = 2
	// gateLeast is how many tasks a second are let in all the same: whoever submits a large
	// backlog should not have to stay for as long as it takes to work it off.
	gateLeast = 10_000
)

// gate keeps a server that has its hands full, or its memory, from taking on ever more. Submits cost time
// that the work needs, too, and what they bring waits longer and longer. Once jobs that could
// start wait for more than gateWait seconds, at the pace at which attempts end, as many are let
// in as end if they wait for gateAim seconds, fewer if for longer, more if for less, until
// hardly any wait. It belongs to the loop, but for shut.
type gate struct {
	looked time.Time
	ended  int64 // attempts, since then
	// of is what the last looks found, the next one in the place of the oldest.
	of   [gateLooks]gateLook
	next int
	over int // how many looks in a row have found too much
	// best is the highest pace of late: what is let in may slow the work down so much that
	// its own pace would say that there is little to keep from it.
	best int64
	// tight: room is how many more tasks may come in until the next look, an array being one.
	// The last one let in may have taken more.
	tight bool
	room  int64
	// heavy: there is no memory for more.
	heavy bool

	shut atomic.Pointer[job.Error] // what Full answers
}

// gateLook is how many attempts ended in a time.
type gateLook struct {
	ended  int64
	passed time.Duration
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
	g.of[g.next] = gateLook{g.ended, passed}
	g.next = (g.next + 1) % gateLooks
	pace := g.pace()
	g.best = max(pace, g.best-g.best/50) // a half after three seconds and a half
	most := gateWait * pace
	if g.tight {
		most = gateAim * pace / (2 * gateMost)
	}
	if g.best >= gatePace && ready > most {
		g.over++
	} else {
		g.over = 0
	}
	if g.tight = g.over >= gateLooks; g.tight {
		enough := gateAim * pace * pace / max(ready, 1) // a second
		enough = max(min(enough, gateMost*pace), pace/gateFewest, gateLeast)
		g.room = min(g.room, 0) + enough*passed.Milliseconds()/1000
	}
	g.ended = 0
	g.shut.Store(g.refusal())
}

// pace is how many attempts end in a second, of late.
func (g *gate) pace() int64 {
	var all gateLook
	for _, l := range g.of {
		all.ended, all.passed = all.ended+l.ended, all.passed+l.passed
	}
	return all.ended * 1000 / max(all.passed.Milliseconds(), 1)
}

// refusal is the one that a submit would get, nil if it may be taken.
func (g *gate) refusal() *job.Error {
	switch {
	case g.heavy:
		return &job.Error{Code: job.Busy, Message: "the server has no memory for more unfinished jobs; try again when some have ended"}
	case g.tight && g.room <= 0:
		return &job.Error{Code: job.Busy, Message: fmt.Sprintf(
			"the server has its hands full: jobs that could start at once wait for about %d seconds already; try again in a second", gateAim)}
	}
	return nil
}

// take lets in n tasks, or says why not.
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
