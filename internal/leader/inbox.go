package leader

import (
	"sync"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// lane is a class of requests. Lower lanes are served first.
type lane int

// String is the lane's name in metrics.
func (l lane) String() string {
	return [lanes]string{laneResult: "result", laneControl: "control", laneView: "view", laneSubmit: "submit"}[l]
}

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
	weight  int         // bytes that it keeps in memory while it waits, counted for submits
}

// fromState reports whether the answer to somebody's request says what the state is, and nothing that the
// journal has taken in bears out that the server led when it was given: a read, or a change in a batch
// without an event, of what is so already.
func (r *request) fromState(b *batch) bool {
	return r.view != nil || b.empty() && laneOf(r.command) != laneResult
}

type answer struct {
	reply any
	err   error
}

// weightOf is about how many bytes a command keeps in memory while it waits. Only
// submits are large enough to be counted.
func weightOf(c core.Command) int {
	s, ok := c.(core.Submit)
	if !ok {
		return 0
	}
	const item = 200 // of an Item's own
	n := len(s.Canonical)
	for i := range s.Items {
		n += item + len(s.Items[i].Params) + len(s.Items[i].Payload)
	}
	return n
}

// inbox is the lanes before the loop.
type inbox struct {
	mu     sync.Mutex
	lanes  [lanes]queue
	limit  [lanes]int
	most   int // bytes that may wait in the lane of submits
	closed bool
	wake   chan struct{} // with room for one
	// refused is told of requests that were turned away.
	refused func(lane string)
}

// queue is one lane, oldest first.
type queue struct {
	items []*request
	head  int
	bytes int
}

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) push(r *request) {
	q.items = append(q.items, r)
	q.bytes += r.weight
}

func (q *queue) pop() *request {
	r := q.items[q.head]
	q.items[q.head] = nil
	q.bytes -= r.weight
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return r
}

func (b *inbox) init(maxWaiting, maxBytes int, refused func(lane string)) {
	b.refused = refused
	b.wake = make(chan struct{}, 1)
	b.limit = [lanes]int{laneControl: maxWaiting, laneView: maxWaiting, laneSubmit: maxWaiting}
	b.most = maxBytes
}

// put queues a request, or refuses it when its lane is full. A lane that is empty
// takes any request, however large.
func (b *inbox) put(l lane, r *request) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return stopping()
	}
	q := &b.lanes[l]
	if limit := b.limit[l]; limit > 0 && q.len() >= limit || r.weight > 0 && q.len() > 0 && q.bytes+r.weight > b.most {
		b.mu.Unlock()
		b.refused(l.String())
		return &job.Error{Code: job.Busy, Message: "the server has too much to do at the moment; try again in a second"}
	}
	q.push(r)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return nil
}

// next takes the first request of the lanes up to last, lower lanes first; nil if
// there is none.
func (b *inbox) next(last lane) *request {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range last + 1 {
		if b.lanes[l].len() > 0 {
			return b.lanes[l].pop()
		}
	}
	return nil
}

// waiting reports whether there is a request in the lanes up to last.
func (b *inbox) waiting(last lane) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range last + 1 {
		if b.lanes[l].len() > 0 {
			return true
		}
	}
	return false
}

// counts is how many wait in each lane.
func (b *inbox) counts() []Waiting {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Waiting, lanes)
	for l := range lanes {
		out[l] = Waiting{l.String(), b.lanes[l].len()}
	}
	return out
}

// close refuses what comes from now on.
func (b *inbox) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
}

func stopping() error {
	return &job.Error{Code: job.Unavailable, Message: "the server is stopping and did not take the request; try again"}
}
