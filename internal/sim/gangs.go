package sim

import (
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// gangEnd is what the ends of a gang's ranks must agree on, by the first of them.
type gangEnd struct {
	core.AttemptEnded
	ran bool
}

// touchGang notes a gang that is to be looked at once the batch is taken in.
func (h *history) touchGang(at place) {
	if h.task(at).Nodes > 0 {
		h.gangs = append(h.gangs, taskAt{at.job, at.task})
	}
}

// judgeGangs wants each gang that the batch was about out as a whole, on workers of its own, or all of
// it in one state.
func (h *history) judgeGangs() {
	for _, g := range h.gangs {
		t := &h.jobs[g.job].tasks[g.task]
		first := h.element(place{g.job, g.task, 0})
		on := map[uint64]bool{}
		for p := range t.n {
			at := place{g.job, g.task, p}
			el := h.element(at)
			if el.state.Live() != first.state.Live() || !el.state.Live() && el.state != first.state || el.tries != first.tries {
				h.fail(Together, "%s is %s after %d tries, and the first rank is %s after %d", at, el.state, el.tries, first.state, first.tries)
			}
			if a := h.attempts[el.fence]; el.fence != 0 {
				if on[a.worker] {
					h.fail(Together, "worker %d has two ranks of %s", a.worker, at)
				}
				on[a.worker] = true
			}
		}
		t.end = nil
		if first.state == job.Assigned {
			h.count("gang starts")
			if first.tries > 1 {
				h.count("gang is tried again")
			}
		}
	}
	h.gangs = h.gangs[:0]
}

// awaits takes in that a rank has ended, and gives back what it had.
func (h *history) awaits(e core.AttemptEnded, a *pastAttempt) {
	if h.task(a.place).Nodes == 0 || a.ended != nil {
		h.fail(Together, "attempt %d of %s is to await others: %+v", e.Fence, a.place, a.ended)
	}
	h.count("rank awaits its gang")
	h.vacate(a, e.Promotes)
	delete(h.held, e.Fence)
	a.ended = &e
	h.judgeSteady(e, a.place)
	h.judgeTruth(e, a.place)
}

// rankEnded takes in what becomes of a rank whose gang has ended: the same as of the first of its
// ranks that is told, by whose rules it is judged.
func (h *history) rankEnded(e core.AttemptEnded, a *pastAttempt) {
	at := a.place
	t, j := &h.jobs[at.job].tasks[at.task], h.jobs[at.job]
	if a.ended == nil {
		h.fail(Together, "attempt %d of %s ends (%s) by itself", e.Fence, at, e.Cause)
	}
	if t.end == nil {
		t.end = &gangEnd{e, a.running || e.Started > 0}
		for p := range t.n {
			if o := h.attempts[h.element(place{at.job, at.task, p}).fence]; o == nil || o.ended == nil {
				h.fail(Together, "%s ends (%s), and rank %d of its gang has not", at, e.Cause, p)
			}
		}
		h.judgeEnd(e, a)
	}
	el := h.settle(a, e.Promotes)
	h.touchGang(at)
	if !el.state.Live() || !job.CanMove(el.state, e.Next) {
		h.fail(Legal, "%s goes from %s to %s", at, el.state, e.Next)
	}
	if e.Next != t.end.Next || e.RetryAt != t.end.RetryAt {
		h.fail(Together, "%s is %s until %d, the first of its gang %s until %d", at, e.Next, e.RetryAt, t.end.Next, t.end.RetryAt)
	}
	if e.Next == job.Succeeded && a.ended.Cause.Kind != job.CauseNone {
		h.fail(Together, "%s ended (%s) and its gang is said to have succeeded", at, a.ended.Cause)
	}
	h.count(because(e.Cause.Kind))
	el.spend(t.end.Cause.Kind, t.end.ran)
	h.grows(e, a, t.end.Cause.Kind)
	if t.end.Fence == e.Fence {
		h.judgeBackoff(e, at, el.spent)
	}
	lost := a.ended.Cause.Kind == job.CauseWorkerLost
	if !lost && !a.running && a.ended.Started == 0 {
		el.started = false // by the worker's word it never ran
	}
	if a.ended.Started > 0 || a.ended.Ended == 0 || lost {
		j.begun = true
	}
	el.cause, el.state, el.retryAt = e.Cause, e.Next, e.RetryAt
	if e.Next == job.Succeeded {
		el.won = e.Fence
		if at.position == 0 {
			t.ran = a.worker
		}
	}
}

// judgeGangStop wants a rank asked to end for its gang only once another has ended badly.
func (h *history) judgeGangStop(e core.AttemptStopped, a *pastAttempt) {
	if e.Cause.Kind != job.CauseGang {
		return
	}
	for p := range h.jobs[a.place.job].tasks[a.place.task].n {
		at := place{a.place.job, a.place.task, p}
		if o := h.attempts[h.element(at).fence]; o != nil && o.ended != nil && o.ended.Cause.Kind != job.CauseNone {
			return
		}
	}
	h.fail(Together, "attempt %d of %s is asked to end (%s), and no rank has ended badly", e.Fence, a.place, e.Cause)
}

// judgeGangStart wants nothing of an earlier attempt of a gang alive when a rank starts.
func (h *history) judgeGangStart(p *process, a *pastAttempt) {
	for _, on := range h.w.nodes {
		for o := range h.w.truth.running[on] {
			b := h.attempts[o.fence]
			if b != nil && !o.orphan && b.place.job == a.place.job && b.place.task == a.place.task && b.number != a.number {
				h.w.fail(Together, "attempt %d of %s starts while attempt %d of %s lives on", p.fence, p.place, o.fence, o.place)
			}
		}
	}
}

// keepsPlaces reports whether a gang waits for more workers than idle: then one that does may be kept
// for it. That its turn comes Ends sees to.
func (h *history) keepsPlaces() bool {
	for id := range h.unfinished() {
		j := h.jobs[id]
		for ti := range j.tasks {
			spec := &j.spec.Tasks[ti]
			if spec.Nodes > 1 && j.tasks[ti].ready && h.gangWaits(j, uint32(ti)) && !h.idleFor(spec, j.tasks[ti].grown) {
				return true
			}
		}
	}
	return false
}

// gangWaits reports whether all of a gang could start.
func (h *history) gangWaits(j *pastJob, ti uint32) bool {
	for p := range j.tasks[ti].n {
		if el := h.element(place{j.id, ti, p}); el.state != job.Pending || el.retryAt != 0 {
			return false
		}
	}
	return true
}
