package core

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/forecast"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// Foresight is what a forecast says of what waits of a task.
type Foresight struct {
	// Groups is what planning calls that, Pending how many elements it is.
	Groups  []plan.GroupID
	Pending int64
	// Ready: some of that is.
	Ready bool
	// Learned: how long it runs is known from earlier ones.
	Learned bool
	// Expected is when it starts, as far as is known.
	Expected forecast.Expectation
	// Changes is what would let it start now.
	Changes []forecast.Change
}

// foresight is what to ask a forecast of a task.
func (s *State) foresight(j *jobState, ti uint32) Foresight {
	t := &j.tasks[ti]
	f := Foresight{Pending: t.counts()[job.Pending]}
	if f.Pending == 0 || t.over() {
		return f
	}
	_, f.Learned = s.predict(j, ti)
	n := t.startable()
	f.Ready = !j.held && n.all() > 0
	if f.Groups = n.groups(j.id, ti); f.Groups == nil {
		f.Groups = []plan.GroupID{{Job: j.id, Task: ti}}
	}
	return f
}

// Foresee adds to an explanation what a forecast says: when the task is expected to start, for
// whom places are kept that it could have, and what would let it start now. m may be a moment
// before or after the explanation's.
func (x *Explanation) Foresee(c *forecast.Course, m *forecast.Moment) {
	for _, id := range x.Groups {
		for _, r := range m.Kept(id) {
			x.Reasons = append(x.Reasons, Reason(r))
		}
		e := m.Expect(c, id, x.Pending)
		if x.Ready {
			e.Reasons = append(e.Reasons, m.Beyond(id)...)
		}
		for _, r := range e.Reasons {
			x.Reasons = append(x.Reasons, Reason(r))
		}
		if x.Expected.Started == 0 || e.Started > 0 && e.First < x.Expected.First {
			x.Expected = e
		}
		changes := m.Changes(id, x.Learned)
		for _, change := range changes {
			x.Reasons = append(x.Reasons, Reason{"would_start", change.String()})
		}
		x.Changes = append(x.Changes, changes...)
	}
	says := func(kinds ...string) bool {
		return slices.ContainsFunc(x.Reasons, func(r Reason) bool { return slices.Contains(kinds, r.Kind) })
	}
	if x.Ready && says("concurrency") && !says("expected", "unknown_start", "settling") {
		x.Reasons = append(x.Reasons, Reason{"unknown_start", "nobody knows when it starts: no forecast follows who gets a concurrency key"})
	}
}
