package core

import (
	"fmt"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// ExplainElement says why one element of a task waits, or what it does instead. It
// returns nothing if the job is not in memory. now is in Unix milliseconds.
func (s *State) ExplainElement(id job.ID, ti uint32, p, now int64) (Explanation, bool) {
	j := s.jobs.get(id)
	if j == nil || int(ti) >= len(j.tasks) {
		return Explanation{}, false
	}
	t, spec := &j.tasks[ti], &j.spec.spec.Tasks[ti]
	out := Explanation{Task: spec.Name, State: t.state(p)}
	if out.State == job.Pending {
		out.Foresight = s.foresight(j, ti)
	}
	if t.arr == nil {
		out.Reasons = s.reasons(j, ti, now)
		return out, true
	}
	add := func(kind, format string, args ...any) {
		out.Reasons = append(out.Reasons, Reason{kind, fmt.Sprintf(format, args...)})
	}
	r := t.record(p)
	if r.State.Terminal() {
		out.Reasons = []Reason{Ended(id, r)}
		return out, true
	}
	if a := t.attempt(p); a != nil {
		s.living(a, add)
		return out, true
	}
	s.gates(j, ti, now, add)
	waits := s.elementGates(j, ti, p, now, add)
	if a := spec.Array; a.Throttle > 0 && int64(len(t.arr.live)) >= a.Throttle {
		add("throttle", "its throttle lets %d elements run at the same time, and %d do", a.Throttle, len(t.arr.live))
	} else if !waits {
		s.places(j, ti, now, add)
		s.closest(j, ti, add)
	}
	return out, true
}

// elementGates are the reasons that are an element's alone: what it needs element by
// element, and its own backoff. It reports whether there are any.
func (s *State) elementGates(j *jobState, ti uint32, p, now int64, add func(kind, format string, args ...any)) bool {
	t, spec := &j.tasks[ti], &j.spec.spec.Tasks[ti]
	waits := false
	for i, need := range spec.Needs {
		u := &j.tasks[j.spec.ups[ti][i]]
		if !need.Each || !t.ready || u.n < 0 || u.state(p).Terminal() {
			continue
		}
		waits = true
		add("dependency", "%s is %s (needs: %s)", job.Ref{Job: j.id, Task: need.Task, Index: spec.Array.Index(p)}, u.state(p), need.Condition)
	}
	if at := t.retryOf(p).at; at > 0 {
		waits = true
		r := t.record(p)
		with := ""
		if t.memory > 0 && r.Cause.Kind == job.CauseMemory {
			with = fmt.Sprintf(", with %s of memory", job.FormatSize(t.memory))
		}
		add("backoff", "attempt %d ended: %s; the next starts in %s at the earliest%s", r.Attempts, r.Cause, away(at, now), with)
	}
	return waits
}

// living says what the attempt of an element does.
func (s *State) living(a *attempt, add func(kind, format string, args ...any)) {
	switch name := a.worker.hello.Name; {
	case a.ended != nil:
		how := "well"
		if a.ended.Cause.Kind != job.CauseNone {
			how = "with " + a.ended.Cause.String()
		}
		add("gang", "attempt %d on worker %s has ended %s, and awaits the others of its gang", a.number, name, how)
		return
	case a.stop.Kind != job.CauseNone:
		add("cancel", "attempt %d on worker %s is asked to end: %s", a.number, name, a.stop)
	case a.started > 0:
		add("running", "attempt %d runs on worker %s", a.number, name)
	case a.prefetched:
		add("no_room", "attempt %d is held ready by worker %s, and starts when a place is free there", a.number, name)
	default:
		add("running", "attempt %d is about to start on worker %s", a.number, name)
	}
	if a.alone {
		s.alone(a, add)
	}
}

// Ended says how an element ended, which never changes.
func Ended(id job.ID, r element.Record) Reason {
	text := "it has ended: " + r.State.String()
	if r.Carried {
		text += ", carried over by the retry"
	}
	if r.Cause.Kind != job.CauseNone {
		text += " (" + r.Cause.String() + ")"
	}
	if r.Cause.Kind == job.CauseQuarantined {
		text += fmt.Sprintf("; reeve retry %d tries it again, as a new job", id)
	}
	return Reason{"ended", text}
}

// EndedArray says how the elements of an array ended, by what became of how many.
func EndedArray(c job.Counts) Reason {
	text := "it has ended: " + c.TaskState().String()
	var parts []string
	for state, n := range c {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, job.ElementState(state)))
		}
	}
	if len(parts) > 1 {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	return Reason{"ended", text}
}
