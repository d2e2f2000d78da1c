package core

import (
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// Reason is one thing that a task waits for.
type Reason struct {
	// Kind is a stable word, Text a sentence with numbers.
	Kind, Text string
}

// Explanation is every reason why a task waits, or what it does instead.
type Explanation struct {
	Task    string
	State   job.ElementState
	Reasons []Reason
	Foresight
}

// Explain says why the tasks of a job wait, one of them or all. now is in Unix
// milliseconds.
func (s *State) Explain(id job.ID, only string, now int64) []Explanation {
	j := s.jobs.get(id)
	if j == nil {
		return nil
	}
	var out []Explanation
	for i := range j.tasks {
		name := j.spec.spec.Tasks[i].Name
		if only != "" && only != name {
			continue
		}
		out = append(out, Explanation{
			Task: name, State: j.tasks[i].counts().TaskState(), Reasons: s.reasons(j, uint32(i), now), Foresight: s.foresight(j, uint32(i)),
		})
	}
	return out
}

func (s *State) reasons(j *jobState, ti uint32, now int64) []Reason {
	t := &j.tasks[ti]
	var out []Reason
	add := func(kind, format string, args ...any) {
		out = append(out, Reason{kind, fmt.Sprintf(format, args...)})
	}
	c := t.counts()
	switch {
	case t.over() && t.arr == nil:
		return []Reason{Ended(j.id, t.record(0))}
	case t.over():
		return []Reason{EndedArray(c)}
	case t.arr == nil && t.one.live != nil:
		s.living(t.one.live, add)
	case c[job.Running]+c[job.Assigned] > 0:
		add("running", "%d of %d run or are about to", c[job.Running]+c[job.Assigned], c.Total())
		s.isolated(t, add)
	}
	if c[job.Pending] == 0 {
		return out
	}
	s.gates(j, ti, now, add)
	if t.ready && t.arr != nil && t.arr.gated && t.arr.open.Len() == 0 {
		add("dependency", "its elements wait for the same elements of what it needs")
	}
	s.backoffs(t, now, add)
	if a := j.spec.spec.Tasks[ti].Array; a != nil && a.Throttle > 0 && t.arr != nil && int64(len(t.arr.live)) >= a.Throttle {
		add("throttle", "its throttle lets %d elements run at the same time, and %d do", a.Throttle, len(t.arr.live))
		return out
	}
	s.places(j, ti, now, add)
	if len(out) == 0 { // a copy may be between two batches
		add("settling", "nothing keeps it any more; what follows from that is being decided")
	}
	s.closest(j, ti, add)
	return out
}

// places are the reasons that lie in limits and with the workers, for what is ready. The plan
// need not know of what a key or a rate binds.
func (s *State) places(j *jobState, ti uint32, now int64, add func(kind, format string, args ...any)) {
	t := &j.tasks[ti]
	n := t.startable()
	if j.held || n.all() == 0 {
		return
	}
	var b bound
	b.any, b.key = s.bounds(j, ti, now, add)
	if n.alone > 0 {
		what := "it needs"
		if t.arr != nil && n.alone == 1 {
			what = "1 element needs"
		} else if t.arr != nil {
			what = fmt.Sprintf("%d elements each need", n.alone)
		}
		add("alone", "%s a worker to itself, since %d workers were lost while it ran; with %d it is quarantined", what, job.IsolateAfter, job.QuarantineAfter)
	}
	for _, group := range n.groups(j.id, ti) {
		s.waysTo(j, group, now, b, add)
	}
}

// bound is whether a rate or a concurrency key keeps a task, and whether a key does.
type bound struct{ any, key bool }

// waysTo are the reasons why a group has no place in any of the ways in which it can be served.
func (s *State) waysTo(j *jobState, group plan.GroupID, now int64, b bound, add func(kind, format string, args ...any)) {
	spec := &j.spec.spec.Tasks[group.Task]
	if memory := j.tasks[group.Task].memoryFor(group); memory > 0 {
		add("memory", "after it ran out of memory, it asks for %s", job.FormatSize(memory))
	}
	for way := range spec.Ways() {
		with := ""
		if len(spec.Either) > 0 {
			with = "with " + job.FormatResources(spec.Asks(uint8(way), j.tasks[group.Task].memoryFor(group))) + ": "
		}
		group.Way = uint8(way)
		y := s.plan.Explain(group, now)
		y.Patience, y.Now = max(j.tasks[group.Task].patience, 0), now
		for _, r := range y.Reasons() {
			switch {
			case r.Kind != "turn":
				add(r.Kind, "%s%s", with, r.Text)
			case way == 0 && !b.any: // a place is of no use to what is bound, and is the same in every way
				add(r.Kind, "%s", r.Text)
			}
		}
		if way == 0 && b.any && !b.key { // keys have an order of their own
			for _, r := range y.Order() {
				add(r.Kind, "%s", r.Text)
			}
		}
	}
}

// isolated says which attempts have a worker to themselves.
func (s *State) isolated(t *task, add func(kind, format string, args ...any)) {
	const most = 3
	n := 0
	for a := t.nextLive(0); a != nil; a = t.nextLive(a.position + 1) {
		if !a.alone {
			continue
		}
		if n++; n > most {
			add("alone", "and more")
			return
		}
		s.alone(a, add)
	}
}

func (s *State) alone(a *attempt, add func(kind, format string, args ...any)) {
	add("alone", "%s has worker %s to itself, since %d workers were lost while it ran; with %d it is quarantined",
		s.refOf(a), a.worker.hello.Name, a.job.tasks[a.task].retryOf(a.position).spent.LostRunning, job.QuarantineAfter)
}

// gates are the reasons that lie in the job and its graph.
func (s *State) gates(j *jobState, ti uint32, now int64, add func(kind, format string, args ...any)) {
	t, spec := &j.tasks[ti], &j.spec.spec.Tasks[ti]
	if j.held {
		add("hold", "the job is held; reeve release %d lets it go on", j.id)
	}
	if t.held {
		add("hold", "the task is held; reeve release %d.%s lets it go on", j.id, spec.Name)
	}
	if j.stop.Kind != job.CauseNone {
		add("cancel", "the job was asked to end: %s", j.stop)
	}
	if !j.woken {
		add("start_after", "start_after is %s away", away(j.startAfter, now))
	}
	for _, w := range j.waits {
		add("after", "job %d has not ended (after: %s)", w.Job, w.Condition)
	}
	if t.ready {
		return
	}
	for i, need := range spec.Needs {
		u := &j.tasks[j.spec.ups[ti][i]]
		if c := u.counts(); !u.over() {
			add("dependency", "task %s is %s (%d of %d ended; needs: %s)", need.Task, c.TaskState(), c.Ended(), c.Total(), need.Condition)
		}
	}
}

func (s *State) backoffs(t *task, now int64, add func(kind, format string, args ...any)) {
	if t.arr == nil {
		if at := t.one.retry.at; at > 0 {
			alone := ""
			if t.one.retry.spent.Isolated() {
				alone = fmt.Sprintf(", alone on a worker: %d were lost while it ran", t.one.retry.spent.LostRunning)
			}
			if t.memory > 0 && t.one.rec.Cause.Kind == job.CauseMemory {
				alone = fmt.Sprintf(", with %s of memory%s", job.FormatSize(t.memory), alone)
			}
			add("backoff", "attempt %d ended: %s; the next starts in %s at the earliest%s", t.one.rec.Attempts, t.one.rec.Cause, away(at, now), alone)
		}
		return
	}
	if t.arr.backoff > 0 {
		add("backoff", "%d elements wait for their backoff to pass", t.arr.backoff)
	}
}

func away(at, now int64) string {
	return job.FormatDuration(max(time.Duration(at-now)*time.Millisecond, time.Second).Round(time.Second))
}
