package leader

import (
	"sync"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// lane is a class of requests. Lower lanes are served first.
type lane int

const (
	// laneResult is what workers report: never refused.
	laneResult lane = iota
	// laneControl is cancels, holds and administration.
	laneControl
	// laneView is reads.
	laneView
	// laneSubmit is new work, the first to be refused.
	laneSubmit
	lanes
)

func laneOf(c core.Command) lane {
	switch c.(type) {
	case core.Submit:
		return laneSubmit
	case core.WorkerReport, core.WorkerSilent, core.WorkerHeld, core.WorkerHello, core.WorkerLeaving, core.WorkerClosed, core.Tick:
		return laneResult
	}
	return laneControl
}

// request is a command or a view, and where its answer goes.
type request struct {
	command core.Command
	view    func(*core.State)
	done    chan answer // with room for one
}

type answer struct {
	reply any
	err   error
}

// inbox is the lanes before the loop.
type inbox struct {
	mu     sync.Mutex
	lanes  [lanes][]*request
	limit  [lanes]int
	closed bool
	wake   chan struct{} // with room for one
}

func (b *inbox) init(maxWaiting int) {
	b.wake = make(chan struct{}, 1)
	b.limit = [lanes]int{laneControl: maxWaiting, laneView: maxWaiting, laneSubmit: maxWaiting}
}

// put queues a request, or refuses it when its lane is full.
func (b *inbox) put(l lane, r *request) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return &job.Error{Code: job.Unavailable, Message: "the server is stopping; try again"}
	}
	if limit := b.limit[l]; limit > 0 && len(b.lanes[l]) >= limit {
		b.mu.Unlock()
		return &job.Error{Code: job.Busy, Message: "the server has too much to do at the moment; try again in a second"}
	}
	b.lanes[l] = append(b.lanes[l], r)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return nil
}

// take moves up to most requests to dst, lower lanes first, and reports whether
// some are left.
func (b *inbox) take(dst []*request, most int) ([]*request, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := false
	for l := range b.lanes {
		n := min(len(b.lanes[l]), most-len(dst))
		dst = append(dst, b.lanes[l][:n]...)
		clear(b.lanes[l][:n])
		if b.lanes[l] = b.lanes[l][n:]; len(b.lanes[l]) == 0 {
			b.lanes[l] = nil
		} else {
			left = true
		}
	}
	return dst, left
}

// close refuses what comes from now on and returns what waits.
func (b *inbox) close() []*request {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	rest, _ := b.take(nil, 1<<30)
	return rest
}
