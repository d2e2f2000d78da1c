package core

import (
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// CarryOver is what a retry of a job that has ended takes along, by task: its
// succeeded elements, but for those that need something that runs again. A sum over
// what failed here and there is worked out anew, a handler and a clean-up task run
// again for what they follow.
func (s *State) CarryOver(id job.ID) []Carry {
	j := s.jobs.get(id)
	if j == nil {
		return nil
	}
	staying := make([]*staying, len(j.tasks))
	var out []Carry
	for i := range j.tasks {
		t := &j.tasks[i]
		stay := j.stay(uint32(i), staying)
		var done element.Set
		for p := range max(t.n, 0) {
			if t.state(p) == job.Succeeded && stay.elements.Has(p) {
				done.Add(p)
			}
		}
		if done.Len() > 0 {
			out = append(out, Carry{Task: uint32(i), Count: t.n, Items: t.items, Spans: done.Spans(), Outputs: t.outputs, Worker: t.last})
		}
	}
	return out
}

// staying is the elements of a task whose end a retry does not change.
type staying struct {
	elements element.Set
	all      bool
}

// stay works out what stays of a task: what succeeded, or was skipped for what it
// needs, if all that it needs stays too. known has what is worked out already.
func (j *jobState) stay(ti uint32, known []*staying) *staying {
	if known[ti] != nil {
		return known[ti]
	}
	out := &staying{}
	known[ti] = out // needs have no circles: nobody reads it before it is filled
	t, needs := &j.tasks[ti], j.spec.spec.Tasks[ti].Needs
	var partly []*staying // needed element by element
	for i, u := range j.spec.ups[ti] {
		up := j.stay(u, known)
		if !up.all && !needs[i].Each {
			return out
		}
		if !up.all {
			partly = append(partly, up)
		}
	}
	n := t.n
	if n < 0 {
		n = 1 // it ended before it was known how many it has, as one
	}
	for p := range n {
		if t.stays(p, len(needs) > 0) && allHave(partly, p) {
			out.elements.Add(p)
		}
	}
	out.all = out.elements.Len() == n
	return out
}

// stays reports whether an element's own end is one that a retry keeps. Without
// needs it was skipped for another job, which a retry does not wait for.
func (t *task) stays(p int64, needs bool) bool {
	switch t.state(p) {
	case job.Succeeded:
		return true
	case job.Skipped:
		return needs && t.record(p).Cause.Kind == job.CauseDependency
	}
	return false
}

func allHave(sets []*staying, p int64) bool {
	for _, s := range sets {
		if !s.elements.Has(p) {
			return false
		}
	}
	return true
}
