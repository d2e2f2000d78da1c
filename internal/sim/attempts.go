package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// stopSlack is how much longer than its grace an attempt may take to end where nothing
// fails: messages, disks and clocks have their times.
const stopSlack = 2 * time.Second

// assigned takes in an attempt that is given out.
func (h *history) assigned(e core.AttemptAssigned) {
	at := place{e.Job, e.Task, e.Position}
	h.judgeAssigned(e, at)
	h.judgeReserved(e)
	h.judgeNew("attempt", uint64(e.Fence), uint64(h.gap.fence))
	h.fence = e.Fence
	if e.Attempt > 1 {
		h.count("attempt is tried again")
	}
	if e.Prefetched {
		h.count("attempt is prefetched")
	}
	if e.Alone {
		h.count("attempt is alone")
	}
	el, spec := h.element(at), h.task(at)
	h.move(at, job.Pending, job.Assigned)
	el.tries, el.fence = e.Attempt, e.Fence
	el.started = el.started || spec.AtMostOnce // until it is known not to have
	t := &h.jobs[e.Job].tasks[e.Task]
	t.live++
	t.end = nil // of the last time, which the same batch may have told
	a := &pastAttempt{place: at, number: e.Attempt, worker: e.Worker, batch: h.batches, prefetched: true, lease: time.Duration(e.Lease) * time.Millisecond, at: e.At, given: h.awake, moment: h.now, epoch: h.epoch, devices: e.Devices, needs: h.judgeNeeds(e, at)}
	h.attempts[e.Fence], h.held[e.Fence] = a, a
	h.workers[e.Worker].holds++
	delete(h.hungry, h.jobs[e.Job].at)
	h.touchGang(at)
	h.judgeKeys(e)
	h.judgeQuotas(a)
	if !e.Prefetched {
		h.promote(a)
		h.judgeRoom(at, h.workers[e.Worker])
		h.judgeDevices(e, a)
	}
}

// marked takes in what happens to a live attempt.
func (h *history) marked(e core.Event) {
	switch e := e.(type) {
	case core.AttemptStarted:
		a := h.current(e.Fence, "starts")
		h.move(a.place, job.Assigned, job.Running)
		a.running = true
		h.jobs[a.place.job].begun = true
		if a.prefetched { // which is up to its worker
			h.workers[a.worker].short = true
		}
		h.promote(a)
	case core.AttemptStopped:
		h.stopped(e)
	case core.AttemptsStopped:
		h.stoppedAll(e)
	case core.AttemptRecalled:
		if a := h.current(e.Fence, "is recalled"); !a.prefetched {
			h.fail(Legal, "attempt %d of %s is recalled and has a place", e.Fence, a.place)
		}
	}
}

// stoppedAll takes in that many attempts are asked to end.
func (h *history) stoppedAll(e core.AttemptsStopped) {
	for _, f := range slices.Sorted(maps.Keys(h.held)) {
		a := h.held[f]
		meant := a.place.job == e.Job && a.place.task == e.Task && (e.Spans == nil || slices.ContainsFunc(e.Spans, covers(a.place.position)))
		if meant && (a.goesOn() || e.Grace == 0 && a.stopGrace > 0) {
			h.stopped(core.AttemptStopped{Fence: f, Cause: e.Cause, Grace: e.Grace})
		}
	}
}

// goesOn reports whether nobody has asked an attempt to end, so that its element does too.
func (a *pastAttempt) goesOn() bool {
	return a.ended == nil && (a.stop == job.CauseNone || a.stop == job.CausePreempted)
}

// covers reports whether a span has a position.
func covers(p int64) func(element.Span) bool {
	return func(s element.Span) bool { return s.First <= p && p <= s.Last }
}

// asked notes until when an attempt must have ended that is asked to now. A worker that
// does not hear of it does not renew its lease either: once that has run out, a message
// that was on its way may at most begin the grace.
func (a *pastAttempt) asked(now, grace time.Duration) {
	by := func(old, d time.Duration) time.Duration {
		if by := now + d + stopSlack; old == 0 || by < old {
			return by
		}
		return old
	}
	a.stopBy = by(a.stopBy, grace)
	if a.lease > 0 {
		a.stopAnyhow = by(a.stopAnyhow, grace+a.lease+a.lease/10)
	}
}

// move takes an element from a state that it must be in to another one.
func (h *history) move(at place, from, to job.ElementState) {
	el := h.element(at)
	if el.state != from || !job.CanMove(from, to) {
		h.fail(Legal, "%s goes from %s to %s", at, el.state, to)
	}
	el.state = to
}

// stopped takes in that an attempt is asked to end.
func (h *history) stopped(e core.AttemptStopped) {
	a := h.current(e.Fence, "is asked to end")
	h.judgeGangStop(e, a)
	a.stop, a.stopGrace = e.Cause.Kind, e.Grace
	if grace := time.Duration(h.task(a.place).Grace).Milliseconds(); e.Grace != grace && e.Cause.Kind != job.CauseKilled {
		h.fail(Cancelled, "attempt %d of %s is asked to end within %d ms (%s); its grace is %d", e.Fence, a.place, e.Grace, e.Cause, grace)
	}
	a.asked(h.now, time.Duration(e.Grace)*time.Millisecond)
}

// current is the attempt of a fence, which must be its element's current one.
func (h *history) current(f link.Fence, what string) *pastAttempt {
	a := h.attempts[f]
	if a == nil || a.over || h.element(a.place).fence != f {
		h.fail(Fenced, "attempt %d %s and is not current: %+v", f, what, a)
	}
	return a
}

// settle takes an attempt out of its place, and lets another have it.
func (h *history) settle(a *pastAttempt, promotes link.Fence) *pastElement {
	a.over = true
	delete(h.held, h.element(a.place).fence)
	el := h.element(a.place)
	el.fence = 0
	h.jobs[a.place.job].tasks[a.place.task].live--
	if a.ended == nil {
		h.vacate(a, promotes)
	}
	return el
}

// vacate gives back what an attempt has of its worker, and lets another have it.
func (h *history) vacate(a *pastAttempt, promotes link.Fence) {
	w := h.workers[a.worker]
	w.holds--
	if !a.prefetched {
		w.used, w.running = w.used.Minus(a.needs), w.running-1
		if h.element(a.place).spent.Isolated() {
			w.alone--
		}
	}
	if promotes != 0 {
		p := h.current(promotes, "is promoted")
		if !p.prefetched || p.worker != a.worker {
			h.fail(Room, "attempt %d is promoted and is no prefetched one of worker %s", promotes, w.name)
		}
		h.count("attempt is promoted")
		h.promote(p)
		h.promoted = append(h.promoted, p) // others may end with it, of which the next events say so
	}
}

// judgePromoted judges, at the end of a batch or before workers have other amounts, that there is a
// place for what was given one.
func (h *history) judgePromoted() {
	for _, p := range h.promoted {
		if w := h.workers[p.worker]; !p.over && w != nil {
			h.judgeRoom(p.place, w)
		}
	}
	h.promoted = h.promoted[:0]
}

// promote gives a prefetched attempt a place.
func (h *history) promote(a *pastAttempt) {
	if !a.prefetched {
		return
	}
	a.prefetched = false
	w := h.workers[a.worker]
	w.used, w.running = w.used.Plus(a.needs), w.running+1
	if h.element(a.place).spent.Isolated() {
		w.alone++
	}
}

func (h *history) ended(e core.AttemptEnded) {
	a := h.current(e.Fence, "ends")
	at := a.place
	switch {
	case e.Awaits:
		h.awaits(e, a)
		return
	case h.task(at).Nodes > 0:
		h.rankEnded(e, a)
		return
	}
	el := h.settle(a, e.Promotes)
	if !el.state.Live() || !job.CanMove(el.state, e.Next) {
		h.fail(Legal, "%s goes from %s to %s", at, el.state, e.Next)
	}
	el.cause = e.Cause
	h.count(because(e.Cause.Kind))
	h.judgeSteady(e, at)
	el.spend(e.Cause.Kind, a.running || e.Started > 0)
	h.grows(e, a, e.Cause.Kind)
	if e.Cause.Kind == job.CauseRejected {
		el.started = false // by the worker's word it never ran
	}
	if e.Started > 0 || e.Ended == 0 || e.Cause.Kind == job.CauseWorkerLost { // who may have begun it unheard
		h.jobs[at.job].begun = true
	}
	h.judgeEnd(e, a)
	h.judgeBackoff(e, at, el.spent)
	el.state, el.retryAt = e.Next, e.RetryAt
	if e.Next == job.Succeeded {
		el.won = e.Fence
		h.jobs[at.job].tasks[at.task].ran = a.worker
	}
	h.noteFull(at)
	h.judgeTruth(e, at)
}

// judgeSteady wants nothing lost where nothing fails.
func (h *history) judgeSteady(e core.AttemptEnded, at place) {
	if lost := e.Cause.Kind == job.CauseWorkerLost || e.Cause.Kind == job.CauseRejected; lost && h.w.faults.calm {
		h.fail(Steady, "attempt %d of %s ends: %s; nothing has failed", e.Fence, at, e.Cause)
	}
}

// spend counts an end in.
func (el *pastElement) spend(by job.CauseKind, ran bool) {
	switch by {
	case job.CauseTimeout:
		el.spent.TimedOut++
	case job.CauseMemory:
		el.spent.Memory++
	case job.CauseWorkerLost, job.CauseRejected:
		el.spent.Lost++
		if by == job.CauseWorkerLost && ran {
			el.spent.LostRunning++
		}
	case job.CausePreempted, job.CauseNone:
	default:
		el.spent.Failed++
	}
}

// noteFull notes when too many elements of an array have failed.
func (h *history) noteFull(at place) {
	if t := &h.jobs[at.job].tasks[at.task]; t.full == 0 && h.full(at) {
		t.full = h.batches
	}
}

func (h *history) returned(e core.AttemptReturned) {
	a := h.current(e.Fence, "comes back")
	el := h.settle(a, e.Promotes)
	if ps := h.w.truth.byFence[e.Fence]; len(ps) > 0 && !ps[len(ps)-1].before {
		h.fail(Truthful, "attempt %d of %s comes back unstarted; its process: %+v", e.Fence, a.place, ps[0])
	}
	h.move(a.place, job.Assigned, job.Pending)
	el.tries, el.started = el.tries-1, false
}

// misread is BugNoFence: a result of an attempt that is over is taken for its element's
// current one.
func (h *history) misread(r *core.WorkerReport) {
	for i := range r.Report.Ended {
		a := h.attempts[r.Report.Ended[i].Fence]
		if a == nil || !a.over {
			continue
		}
		if now := h.attempts[h.element(a.place).fence]; now != nil {
			r.Worker, r.Report.Ended[i].Fence = now.worker, h.element(a.place).fence
		}
	}
}
