package keeper

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Verb is what is to be done to an attempt.
type Verb uint8

// The verbs.
const (
	// VerbTerm: ask it to end.
	VerbTerm Verb = iota + 1
	// VerbKill: kill its whole tree. It is repeated until Exited.
	VerbKill
	// VerbDrain: its tree is gone and somebody else holds its pipes; stop reading.
	VerbDrain
)

// Action is one thing to do now. Cause says why it began to stop.
type Action struct {
	Key   string
	Verb  Verb
	Cause job.Cause
}

const (
	// killAgain is how long after a kill the tree is killed again if it still lives.
	killAgain = time.Second
	// drainFor is how long the pipes of a dead tree are read: what it wrote sits
	// in them already, so that only a foreign holder makes this matter.
	drainFor = time.Second
)

// never is later than every moment.
const never = executor.Deadline(1<<63 - 1)

// Deadlines decides which attempt is asked to end, killed or drained at which
// moment. It is pure: time comes in as a value and what to do comes out of Step,
// in the order of the moments, then of the keys.
//
// An attempt that was asked to end is never un-asked: a lease that is renewed
// after its SIGTERM went out does not save it.
type Deadlines struct {
	byKey map[string]*watch
	heap  watchHeap
}

// watch is one attempt's times.
type watch struct {
	key      string
	at       int // index in the heap
	next     executor.Deadline
	grace    time.Duration
	deadline executor.Deadline
	// leaseTerm is when SIGTERM goes out for the deadline's sake.
	leaseTerm executor.Deadline
	timeout   executor.Deadline
	limit     time.Duration
	stop      executor.Deadline
	stopGrace time.Duration
	stopCause job.Cause
	// termed: it was asked to end because of cause and is killed at killAt, or by its
	// deadline if that comes first. killed: it was, and is again at killAt.
	termed, killed bool
	cause          job.Cause
	killAt         executor.Deadline
	// exited: the main process is gone; only drainAt counts.
	exited  bool
	drainAt executor.Deadline
}

// NewDeadlines watches nothing yet.
func NewDeadlines() *Deadlines { return &Deadlines{byKey: map[string]*watch{}} }

// Add watches an attempt that is about to start.
func (d *Deadlines) Add(key string, now executor.Deadline, grace time.Duration, deadline executor.Deadline) {
	w := &watch{key: key, grace: max(grace, 0), timeout: never, stop: never, killAt: never, drainAt: never}
	w.lease(now, deadline)
	d.byKey[key] = w
	w.next = w.due()
	heap.Push(&d.heap, w)
}

// Began starts the clock of the attempt's timeout; 0 means none.
func (d *Deadlines) Began(key string, now executor.Deadline, timeout time.Duration) {
	if w := d.byKey[key]; w != nil && timeout > 0 {
		w.timeout, w.limit = later(now, timeout), timeout
		d.fix(w)
	}
}

// Renew moves the deadline. It reports whether the attempt is watched.
func (d *Deadlines) Renew(key string, now, deadline executor.Deadline) bool {
	w := d.byKey[key]
	if w == nil {
		return false
	}
	if w.deadline != deadline {
		w.lease(now, deadline)
		d.fix(w)
	}
	return true
}

// Stop asks the attempt to end now. A second Stop can only bring the kill forward;
// the first cause stays.
func (d *Deadlines) Stop(key string, now executor.Deadline, grace time.Duration, cause job.Cause) {
	w := d.byKey[key]
	switch {
	case w == nil || w.exited:
		return
	case w.termed:
		w.killAt = min(w.killAt, later(now, max(grace, 0)))
	case w.stop == never:
		w.stop, w.stopGrace, w.stopCause = now, max(grace, 0), cause
	default:
		w.stopGrace = min(w.stopGrace, max(grace, 0))
	}
	d.fix(w)
}

// Exited tells that the main process is gone.
func (d *Deadlines) Exited(key string) {
	if w := d.byKey[key]; w != nil {
		w.exited = true
		d.fix(w)
	}
}

// Gone tells that the whole tree is gone: the pipes are drained for a moment more.
func (d *Deadlines) Gone(key string, now executor.Deadline) {
	if w := d.byKey[key]; w != nil {
		w.exited, w.drainAt = true, later(now, drainFor)
		d.fix(w)
	}
}

// Remove forgets the attempt.
func (d *Deadlines) Remove(key string) {
	if w := d.byKey[key]; w != nil {
		heap.Remove(&d.heap, w.at)
		delete(d.byKey, key)
	}
}

// Next returns when Step has something to do; false means never.
func (d *Deadlines) Next() (executor.Deadline, bool) {
	if len(d.heap) == 0 || d.heap[0].next == never {
		return 0, false
	}
	return d.heap[0].next, true
}

// Step returns what is to be done at now.
func (d *Deadlines) Step(now executor.Deadline) []Action {
	var todo []Action
	for len(d.heap) > 0 && d.heap[0].next <= now {
		w := d.heap[0]
		todo = append(todo, w.step(now))
		d.fix(w)
	}
	return todo
}

func (d *Deadlines) fix(w *watch) {
	w.next = w.due()
	heap.Fix(&d.heap, w.at)
}

// lease sets the deadline and when SIGTERM goes out for it. A grace that is long
// beside the lease must not eat it: at most half of the lease goes to the grace,
// so that a missed renewal or two ask nothing to end.
func (w *watch) lease(now, deadline executor.Deadline) {
	w.deadline, w.leaseTerm = deadline, never
	if deadline != 0 {
		w.leaseTerm = deadline - executor.Deadline(min(w.grace, max(deadline.Sub(now), 0)/2))
	}
}

// due is when this attempt needs something.
func (w *watch) due() executor.Deadline {
	switch {
	case w.exited:
		return w.drainAt
	case w.termed:
		return w.kill()
	}
	return min(w.stop, w.timeout, w.leaseTerm)
}

// kill is when what was asked to end is killed: the grace may take longer than one
// lease, as long as that is renewed.
func (w *watch) kill() executor.Deadline {
	if w.deadline == 0 || w.killed {
		return w.killAt
	}
	return min(w.killAt, w.deadline)
}

// step is called when w is due.
func (w *watch) step(now executor.Deadline) Action {
	if w.exited {
		w.drainAt = never
		return Action{Key: w.key, Verb: VerbDrain}
	}
	if !w.termed {
		w.ask(now)
		if w.kill() > now {
			return Action{Key: w.key, Verb: VerbTerm, Cause: w.cause}
		}
	}
	w.killed, w.killAt = true, later(now, killAgain)
	return Action{Key: w.key, Verb: VerbKill, Cause: w.cause}
}

// ask decides why the attempt ends and when it is killed if it does not.
func (w *watch) ask(now executor.Deadline) {
	w.termed = true
	switch {
	case w.stop <= now:
		w.cause, w.killAt = w.stopCause, later(w.stop, w.stopGrace)
	case w.timeout <= now && w.timeout <= w.leaseTerm:
		w.cause = job.TimeoutAfter(w.limit)
		w.killAt = later(now, w.grace)
	default:
		w.cause = job.Cause{Kind: job.CauseWorkerLost, Detail: "its lease ran out"}
		w.killAt = w.deadline
	}
}

// later adds without overflow.
func later(at executor.Deadline, after time.Duration) executor.Deadline {
	if sum := at.Add(after); sum >= at {
		return sum
	}
	return never
}

// watchHeap orders watches by due moment, then key, so that Step is the same for
// the same history.
type watchHeap []*watch

func (h watchHeap) Len() int { return len(h) }
func (h watchHeap) Less(i, j int) bool {
	if c := cmp.Compare(h[i].next, h[j].next); c != 0 {
		return c < 0
	}
	return h[i].key < h[j].key
}
func (h watchHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}
func (h *watchHeap) Push(x any) {
	w := x.(*watch)
	w.at = len(*h)
	*h = append(*h, w)
}
func (h *watchHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return w
}
