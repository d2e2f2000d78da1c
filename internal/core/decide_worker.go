package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// Welcomed is the reply to WorkerHello. Session tells this session of the worker from
// those before; Note is as in link.Welcome.
type Welcomed struct {
	Worker, Session uint64
	Note            string
}

func (s *State) decideHello(in Input, c WorkerHello) (Decision, error) {
	h := c.Hello
	if h.Protocol != link.Protocol {
		return Decision{}, refuse(job.Refused, "worker %s speaks protocol %d, this server %d; install the same version", h.Name, h.Protocol, link.Protocol)
	}
	if err := h.Check(); err != nil {
		return Decision{}, refuse(job.Invalid, "%s", err)
	}
	if h.Generation > s.generation {
		return Decision{}, refuse(job.Refused, "worker %s has seen generation %d, this server is at %d: its data is older than what the worker knows", h.Name, h.Generation, s.generation)
	}
	id, err := s.identify(&h)
	if err != nil {
		return Decision{}, err
	}
	held := h.Held
	h.Held, h.Unfit = nil, job.Cause{Detail: h.Unfit}.Trim().Detail
	note := s.reduce(&h)
	d := Decision{Reply: Welcomed{Worker: id, Session: s.hellos + 1, Note: note}, Events: []Event{WorkerJoined{ID: id, Hello: h, At: in.Now}}}
	s.reconcile(&d, in, WorkerHeld{Worker: id, Held: held}, &h)
	return d, nil
}

// identify says which worker greets: one that is known, or the next. A worker's state
// directory in another place is a copy of it, or the machine has been restarted: what the
// worker held runs on there, for all that is known here, until its lease is over. So it
// stays the old one's, which is another worker from then on; and while that one is here,
// the new one is not let in.
func (s *State) identify(h *link.Hello) (uint64, error) {
	known := s.instances[h.Instance]
	var id uint64
	for _, other := range known {
		switch w := s.workers[other]; {
		case w.hello.Near(h):
			id = other
		case !w.away:
			return 0, refuse(job.Exists, "worker %s runs on %s, from another place with the same state directory: a copy needs a directory of its own; after a restart of the machine this one is let in once nothing was heard of the other for its lease",
				h.Name, w.hello.Host)
		}
	}
	if id != 0 {
		switch last := &s.workers[id].hello; {
		case h.Incarnation < last.Incarnation:
			return 0, refuse(job.Refused, "a later process of worker %s has greeted; this one must be gone", h.Name)
		case h.Incarnation == last.Incarnation && h.Greeting != 0 && h.Greeting < last.Greeting:
			return 0, refuse(job.Refused, "a later session of worker %s has begun; this one must be over", h.Name)
		}
		return id, nil
	}
	for _, other := range s.workerIDs {
		if w := s.workers[other]; w.hello.Name == h.Name && w.hello.Instance != h.Instance && (!w.away || w.held > 0) {
			return 0, refuse(job.Exists, "a worker named %s exists already; choose another name, or wait until its lease has run out", h.Name)
		}
	}
	if len(s.workers) >= MaxWorkers {
		return 0, refuse(job.Refused, "there are %d workers; no more are allowed", len(s.workers))
	}
	return s.nextWorker, nil
}

// replaced reports whether a worker has come back from another place, where it does not
// see what it had here.
func (s *State) replaced(w *worker) bool {
	return slices.ContainsFunc(s.instances[w.hello.Instance], func(id uint64) bool {
		return s.workers[id].hello.Incarnation > w.hello.Incarnation
	})
}

func (s *State) decideHeld(in Input, c WorkerHeld) (Decision, error) {
	var d Decision
	w := s.workers[c.Worker]
	if w == nil || w.session != c.Session {
		return d, refuse(job.NotFound, "worker %d is not known in this session", c.Worker)
	}
	s.reconcile(&d, in, c, &w.hello)
	return d, nil
}

// reconcile compares what a worker holds with what it should hold. What it lacks
// is sent again, or is lost if another process of it had it; what it should not
// hold is to be forgotten. A session of 0 is one that begins: nothing is on its way.
func (s *State) reconcile(d *Decision, in Input, c WorkerHeld, hello *link.Hello) {
	id := c.Worker
	has := make(map[link.Fence]bool, len(c.Held))
	promoted := map[link.Fence]bool{} // who has a place by this decision
	var again []link.Fence
	for _, h := range c.Held {
		has[h.Fence] = true
		a := s.heldBy(h.Fence)
		if a != nil && a.worker.id == id {
			if h.Phase == link.Waiting && !a.prefetched {
				again = append(again, a.fence) // the worker may still keep it for later
			}
			if a.started == 0 && h.Phase == link.Running {
				d.Events = append(d.Events, AttemptStarted{Fence: a.fence, At: in.Now})
				promoted[a.fence] = true
			}
			if a.recalled && a.prefetched && h.Phase == link.Waiting {
				d.Sends = append(d.Sends, Send{Worker: id, Msg: link.ToWorker{Recall: []link.Fence{a.fence}}})
			}
			if a.stop.Kind != job.CauseNone && h.Phase != link.Ended {
				d.Sends = append(d.Sends, Send{Worker: id, Msg: link.ToWorker{Stop: stopMessage(a.fence, a.grace, a.stop)}})
			}
			continue
		}
		if a != nil && h.Phase == link.Ended && a.worker.hello.Instance == hello.Instance {
			continue // it is a worker's that this one has replaced: the result comes with a report
		}
		if h.Phase == link.Ended {
			d.Sends = append(d.Sends, Send{Worker: id, Msg: link.ToWorker{Ack: []link.Fence{h.Fence}}})
		} else {
			d.Sends = append(d.Sends, Send{Worker: id, Msg: link.ToWorker{Stop: &link.Stop{Fence: h.Fence, Forget: true}}})
		}
	}
	w := s.workers[id]
	if w == nil {
		return
	}
	var stops []Send
	done := map[link.Fence]bool{}
	for a := w.first; a != nil && c.Session == 0; a = a.next { // nobody starts what is to end
		if !has[a.fence] && (a.stop.Kind != job.CauseNone || a.tooLate(in.Now) || s.mayHaveRun(a, hello)) && w.hello.Incarnation == hello.Incarnation {
			done[a.fence] = true
		}
	}
	for a := w.first; a != nil; a = a.next {
		switch {
		case has[a.fence]:
		case w.hello.Incarnation != hello.Incarnation:
			s.lose(d, in, a, w.hello.Name+" restarted without it")
		case done[a.fence]:
			s.endLacking(d, in, a, hello)
			if next := s.promote(d, a, promoted, done); next != 0 && has[next] {
				again = append(again, next)
			}
		default:
			again = append(again, a.fence)
			if a.stop.Kind != job.CauseNone {
				stops = append(stops, Send{Worker: id, Msg: link.ToWorker{Stop: stopMessage(a.fence, a.grace, a.stop)}})
			}
		}
	}
	if again != nil {
		d.Sends = append(d.Sends, Send{Worker: id, Assign: again})
	}
	d.Sends = append(d.Sends, stops...)
}

// endLacking ends an attempt that its worker lacks and would begin if it were sent again.
func (s *State) endLacking(d *Decision, in Input, a *attempt, hello *link.Hello) {
	switch {
	case a.stop.Kind != job.CauseNone:
		s.endAttempt(d, in, a, link.Result{Fence: a.fence, Cause: a.stop, Ended: in.Now})
	case s.mayHaveRun(a, hello):
		s.lose(d, in, a, "the database has lost a part of its history, in which it may have run")
	default:
		s.giveBack(d, in, a)
	}
}

// mayHaveRun reports whether an at_most_once attempt that a worker lacks may have run and
// ended in a history that is lost: the worker has heard of an earlier generation last.
func (s *State) mayHaveRun(a *attempt, h *link.Hello) bool {
	return a.job.spec.spec.Tasks[a.task].AtMostOnce && h.Generation != 0 && h.Generation < s.generation
}

// tooLate reports whether an attempt that has not begun would be the first of its job to do so,
// past its start_before.
func (a *attempt) tooLate(now int64) bool {
	j := a.job
	return a.started == 0 && j.startBefore > 0 && !j.begun && now >= j.startBefore
}

// lose ends an attempt whose worker no longer has it.
func (s *State) lose(d *Decision, in Input, a *attempt, why string) {
	s.endAttempt(d, in, a, link.Result{Fence: a.fence, Cause: job.Cause{Kind: job.CauseWorkerLost, Detail: why}})
}

func (s *State) decideLeaving(c WorkerLeaving) (Decision, error) {
	w := s.workers[c.Worker]
	if w == nil || w.away || w.session != c.Session {
		return Decision{}, nil
	}
	return Decision{Events: []Event{WorkerAway{ID: w.id}}}, nil
}

func (s *State) decideClosed(c WorkerClosed) (Decision, error) {
	w := s.workers[c.Worker]
	if w == nil || w.session != c.Session {
		return Decision{}, nil
	}
	var d Decision
	if !w.away {
		d.Events = append(d.Events, WorkerAway{ID: w.id})
	}
	if c.Left && w.held+w.awaits == 0 {
		d.Events = append(d.Events, WorkerForgotten{ID: w.id})
	}
	return d, nil
}

// decideSilent ends what a worker holds as the leases run out, and forgets the
// worker once nothing is left. The margin of a tenth is the server's: a worker's
// keeper has killed the attempt by then. A session that is still open, as that of a
// stopped agent may be, is ended: a worker that comes back begins with a hello, which
// is what makes it known again. An attempt's silence begins no earlier than its
// assignment: a worker beats as often as the leases ask that it knows of. What an earlier
// term assigned, by a clock that may have been ahead of this one's, was so before silence
// was counted. Where a worker was replaced by itself from another place, nobody is left to
// say that what never counts as lost has ended: it has the default lease.
func (s *State) decideSilent(in Input, c WorkerSilent) (Decision, error) {
	var d Decision
	w := s.workers[c.Worker]
	if w == nil {
		return d, nil
	}
	left := w.held + w.awaits
	promoted, done := map[link.Fence]bool{}, map[link.Fence]bool{}
	for a := w.first; a != nil; a = a.next {
		lease := a.lease
		if lease == 0 && s.replaced(w) {
			lease = s.config.Lease
		}
		if least := lease + lease/10; lease > 0 && c.For >= least && (a.fence < s.termFence || in.Now-a.assigned >= least) {
			done[a.fence] = true
		}
	}
	for a := w.first; a != nil; a = a.next {
		if done[a.fence] {
			s.lose(&d, in, a, w.hello.Name)
			s.promote(&d, a, promoted, done)
			d.Sends = append(d.Sends, Send{Worker: w.id, Msg: link.ToWorker{Stop: &link.Stop{Fence: a.fence, Forget: true}}})
			if !a.gang() { // whose end awaits the others'
				left--
			}
		}
	}
	if c.For >= s.config.Lease+s.config.Lease/10 {
		if !w.away {
			d.Events = append(d.Events, WorkerAway{ID: w.id})
			why := fmt.Sprintf("nothing was heard of worker %s for %s", w.hello.Name, job.FormatDuration(time.Duration(c.For)*time.Millisecond))
			d.Sends = append(d.Sends, Send{Worker: w.id, Msg: link.ToWorker{Goodbye: why}})
		}
		if left == 0 {
			d.Events = append(d.Events, WorkerForgotten{ID: w.id, Lost: true})
		}
	}
	return d, nil
}

// ShortestLease is the shortest lease, in milliseconds, of what a worker holds, or
// the default lease if it holds nothing.
func (s *State) ShortestLease(worker uint64) int64 {
	least := s.config.Lease
	if w := s.workers[worker]; w != nil {
		for a := w.first; a != nil; a = a.next {
			if a.lease > 0 {
				least = min(least, a.lease)
			}
		}
	}
	return least
}

func (s *State) decideReport(in Input, c WorkerReport) (Decision, error) {
	var d Decision
	acks := make([]link.Fence, 0, len(c.Report.Ended)+len(c.Report.Returned))
	done := map[link.Fence]bool{}
	promoted := map[link.Fence]bool{}
	for i := range c.Report.Ended {
		r := &c.Report.Ended[i]
		acks = append(acks, r.Fence)
		if a := s.heldBy(r.Fence); a != nil && !done[r.Fence] && s.mayEnd(c.Worker, a, r) {
			done[r.Fence] = true
			s.endAttempt(&d, in, a, *r)
			s.promote(&d, a, promoted, done)
		}
	}
	// After what ended, whose place an attempt may have that was prefetched before.
	begun := make(map[link.Fence]bool, len(c.Report.Started))
	taken := map[plan.Shape]int{} // places, by what has not been promoted before
	for _, r := range c.Report.Started {
		if a := s.heldBy(r.Fence); a != nil && a.worker.id == c.Worker && a.started == 0 && !begun[r.Fence] && !endsHere(&c.Report, r.Fence) {
			begun[r.Fence] = true
			at, _ := a.during(in.Now, r.At, 0)
			d.Events = append(d.Events, AttemptStarted{Fence: r.Fence, At: at})
			if a.prefetched && !promoted[r.Fence] {
				promoted[r.Fence] = true
				taken[a.shape()]++
			}
		}
	}
	w := s.workers[c.Worker]
	current := w != nil && w.session == c.Session
	if u := c.Report.Unfit; u != nil && current && *u != w.hello.Unfit {
		d.Events = append(d.Events, WorkerUnfit{ID: w.id, Why: job.Cause{Detail: *u}.Trim().Detail})
	}
	for _, f := range c.Report.Returned {
		if !current {
			break
		}
		acks = append(acks, f)
		if a := s.heldBy(f); a != nil && a.worker == w && a.started == 0 && !done[f] {
			done[f] = true
			s.giveBack(&d, in, a)
			if shape := a.shape(); (!a.prefetched || promoted[f]) && taken[shape] > 0 {
				taken[shape]-- // its place is the one that another has started in
			} else {
				s.promote(&d, a, promoted, done)
			}
			s.endReturned(&d, in, a)
		}
	}
	if len(acks) > 0 {
		d.Sends = append(d.Sends, Send{Worker: c.Worker, Msg: link.ToWorker{Ack: acks}})
	}
	return d, nil
}

// heldBy is an attempt that a worker holds, for all that is known here; nil for none.
func (s *State) heldBy(f link.Fence) *attempt {
	if a := s.attempts[f]; a != nil && a.ended == nil {
		return a
	}
	return nil
}

// mayEnd reports whether a worker's result of an attempt counts: the attempt is its own, or
// that of a worker which it has replaced, and the result was kept on disk. That such an
// attempt is lost nobody there can know.
func (s *State) mayEnd(worker uint64, a *attempt, r *link.Result) bool {
	if a.worker.id == worker {
		return true
	}
	w := s.workers[worker]
	return w != nil && w.hello.Instance == a.worker.hello.Instance && r.Cause.Kind != job.CauseWorkerLost
}

// endsHere spares an event for what started and ended between two reports.
func endsHere(r *link.Report, f link.Fence) bool {
	for i := range r.Ended {
		if r.Ended[i].Fence == f {
			return true
		}
	}
	return false
}

// promote gives the place of an attempt that has just been ended to the oldest
// prefetched one of the same shape, and returns that: the worker does the same.
func (s *State) promote(d *Decision, ended *attempt, promoted, done map[link.Fence]bool) link.Fence {
	if ended.prefetched && !promoted[ended.fence] || s.crowded(ended, promoted, done) {
		return 0
	}
	shape := ended.shape()
	for a := ended.worker.first; a != nil; a = a.next {
		if !a.prefetched || promoted[a.fence] || done[a.fence] || a.shape() != shape {
			continue
		}
		promoted[a.fence] = true
		d.promotes(ended.fence, a.fence)
		return a.fence
	}
	return 0
}

// promotes notes in the event that ends an attempt, one of the last, which takes its
// place.
func (d *Decision) promotes(ended, next link.Fence) {
	for i := len(d.Events) - 1; i >= 0; i-- {
		switch e := d.Events[i].(type) {
		case AttemptEnded:
			if e.Fence == ended {
				e.Promotes = next
				d.Events[i] = e
				return
			}
		case AttemptReturned:
			if e.Fence == ended {
				e.Promotes = next
				d.Events[i] = e
				return
			}
		}
	}
}

// during moves what a worker's clock says of an attempt to between its assignment and now, and
// keeps how long it ran, as far as that leaves room: clocks of machines differ, and nothing may
// look as if it had ended before it was assigned. What is zero is unknown and stays so.
func (a *attempt) during(now, started, ended int64) (s, e int64) {
	if late := max(started, ended) - now; late > 0 {
		started, ended = moved(started, -late), moved(ended, -late)
	}
	from := min(a.assigned, now) // another leader's clock may have been ahead
	if early := from - started; started != 0 && early > 0 {
		started, ended = moved(started, early), min(moved(ended, early), now)
	}
	if ended != 0 {
		ended = max(ended, from, started)
	}
	return started, ended
}

func moved(at, by int64) int64 {
	if at == 0 {
		return 0
	}
	return at + by
}

// endAttempt decides what becomes of an element whose attempt has ended.
func (s *State) endAttempt(d *Decision, in Input, a *attempt, r link.Result) {
	if a.gang() {
		s.endRank(d, in, a, r)
		return
	}
	r.Started, r.Ended = a.during(in.Now, r.Started, r.Ended)
	e, quarantined := s.outcome(in, a, AttemptEnded{
		Fence: a.fence, Cause: a.causeOf(r), Usage: r.Usage, Started: r.Started, Ended: r.Ended, At: in.Now,
		Outputs: r.Outputs, LogSize: r.LogSize,
	})
	if a.started == 0 && e.Next == job.Pending && r.Started > 0 {
		d.Events = append(d.Events, AttemptStarted{Fence: a.fence, At: r.Started})
	}
	d.Events = append(d.Events, e)
	if quarantined {
		d.Events = append(d.Events, quarantine(a, element.Span{First: a.position, Last: a.position}, e.Spent, in.Now))
	}
}

// quarantine ends elements for good that ran wherever workers were lost. It is an event of its own:
// the attempt was lost like those before it.
func quarantine(a *attempt, span element.Span, spent job.Spent, now int64) ElementsEnded {
	return ElementsEnded{
		Job: a.job.id, Task: a.task, Spans: []element.Span{span}, State: job.Failed,
		Cause: job.Cause{Kind: job.CauseQuarantined, Code: int32(spent.LostRunning)}, At: now,
	}
}

// outcome works out what becomes of an element by the end of its attempt, and whether it is to be
// quarantined then.
func (s *State) outcome(in Input, a *attempt, e AttemptEnded) (_ AttemptEnded, quarantined bool) {
	spec := &a.job.spec.spec.Tasks[a.task]
	cause := e.Cause
	e.Spent = a.job.tasks[a.task].retryOf(a.position).spent
	switch {
	case a.stop.Kind == job.CausePreempted && cause.Kind != job.CauseNone:
		e.Cause = a.stop
		e.Next, e.RetryAt = s.nextTry(in, a, e.Spent, a.stop, spec)
		if c := a.ruledOut(); c.Kind != job.CauseNone {
			e.Next, e.Cause = job.Cancelled, c
		}
	case a.stop.Kind == job.CauseDeadline:
		e.Next, e.Cause = job.TimedOut, a.stop
	case a.stop.Kind != job.CauseNone && a.stop.Kind != job.CausePreempted:
		e.Next, e.Cause = job.Cancelled, a.stop
	case cause.Kind == job.CauseNone:
		e.Next = job.Succeeded
	default:
		e.Spent = s.spend(e.Spent, cause, a.started > 0 || e.Started > 0)
		e.Next, e.RetryAt = s.nextTry(in, a, e.Spent, cause, spec)
		if cause.Kind == job.CauseMemory && e.Next == job.Pending {
			e.Memory = s.grown(a)
		}
		if quarantined = cause.Kind == job.CauseWorkerLost && e.Spent.Quarantined() && e.Next == job.Failed; quarantined {
			e.Next, e.RetryAt = job.Pending, in.Now+1
		}
	}
	if e.Next != job.Succeeded {
		e.Outputs = nil
	}
	return e, quarantined
}

// ruledOut is why an attempt's element is not to be tried again, if it is not.
func (a *attempt) ruledOut() job.Cause {
	if a.job.stop.Kind != job.CauseNone && !a.job.spec.spec.Tasks[a.task].CleanUp() {
		return a.job.stop
	}
	return a.job.tasks[a.task].stop
}

// endReturned ends the element of an attempt that came back unstarted, if it was
// meant to end or is not to start again.
func (s *State) endReturned(d *Decision, in Input, a *attempt) {
	if a.gang() {
		return // it is decided with the others
	}
	cause := a.stop
	if cause.Kind == job.CauseNone || cause.Kind == job.CausePreempted {
		cause = a.ruledOut()
	}
	state := job.Skipped
	switch cause.Kind {
	case job.CauseNone:
		return
	case job.CauseCancelled, job.CauseKilled:
		state = job.Cancelled
	}
	d.Events = append(d.Events, ElementsEnded{
		Job: a.job.id, Task: a.task, Spans: []element.Span{{First: a.position, Last: a.position}}, State: state, Cause: cause, At: in.Now,
	})
}

// nextTry decides whether a bad end is followed by another attempt, and when.
func (s *State) nextTry(in Input, a *attempt, spent job.Spent, c job.Cause, spec *job.Task) (job.ElementState, int64) {
	if a.ruledOut().Kind == job.CauseNone && spec.Retry.Again(spent, c, spec.AtMostOnce) {
		tries := int(spent.Failed) + int(spent.TimedOut) + int(spent.Lost) + int(spent.Memory)
		wait := spec.Retry.Backoff(tries, mix(in.Seed, uint64(a.fence)))
		if c.Kind == job.CauseWorkerLost && tries == 1 {
			wait = 0
		}
		return job.Pending, in.Now + max(wait.Milliseconds(), 1)
	}
	if c.Kind == job.CauseTimeout {
		return job.TimedOut, 0
	}
	return job.Failed, 0
}

// mix draws a number from a seed and a fence (SplitMix64; Steele, Lea and Flood,
// "Fast Splittable Pseudorandom Number Generators", 2014).
func mix(seed, n uint64) uint64 {
	z := seed + n*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (s *State) decideDrain(c Drain) (Decision, error) {
	w := s.findWorker(c.Worker)
	if w == nil {
		var names []string
		for _, id := range s.workerIDs {
			names = append(names, s.workers[id].hello.Name)
		}
		if len(names) == 0 {
			return Decision{}, refuse(job.NotFound, "worker %q does not exist; there is none", c.Worker)
		}
		return Decision{}, refuse(job.NotFound, "worker %q does not exist; known: %s", c.Worker, known(names))
	}
	d := Decision{Reply: w.held}
	if w.draining != c.Draining {
		d.Events = append(d.Events, WorkerDrained{ID: w.id, Draining: c.Draining})
	}
	if c.Stop {
		cause := job.Cause{Kind: job.CausePreempted, Detail: "drain by " + c.By}.Trim()
		for a := w.first; a != nil; a = a.next {
			if a.stop.Kind != job.CauseNone {
				continue
			}
			grace := millis(a.job.spec.spec.Tasks[a.task].Grace)
			d.Events = append(d.Events, AttemptStopped{Fence: a.fence, Cause: cause, Grace: grace})
			d.Sends = append(d.Sends, Send{Worker: w.id, Msg: link.ToWorker{Stop: stopMessage(a.fence, grace, cause)}})
		}
	}
	return d, nil
}

func (s *State) findWorker(name string) *worker {
	for _, id := range slices.Backward(s.workerIDs) { // the one that has replaced itself last
		if w := s.workers[id]; w.hello.Name == name || fmt.Sprint(id) == name {
			return w
		}
	}
	return nil
}
