package core

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/plan"
)

// A task that is near another would rather run where that one did last with success. That is kept of
// a task as long as its job is in memory or in the tables, if others are near it.

// placeNears works out which tasks are near which.
func (sp *spec) placeNears(places map[string]int) {
	tasks := sp.spec.Tasks
	sp.nears, sp.nearby = make([][]uint32, len(tasks)), make([][]uint32, len(tasks))
	for i := range tasks {
		for _, name := range tasks[i].Near {
			u := places[name]
			sp.nears[i] = append(sp.nears[i], uint32(u))
			sp.nearby[u] = append(sp.nearby[u], uint32(i))
		}
	}
}

// near is the workers that the elements of a task are near, for planning, which passes over those that
// are there no more.
func (j *jobState) near(ti uint32) string {
	of := j.spec.nears[ti]
	if len(of) == 0 {
		return ""
	}
	workers := make([]uint64, 0, len(of))
	for _, u := range of {
		if w := j.tasks[u].last; w != 0 {
			workers = append(workers, w)
		}
	}
	return plan.NearOf(workers...)
}

// succeeded notes where an element of a task ran that has succeeded, if others are near it; of a
// gang that is its first rank. Those of them that are ready already need the task element by element.
func (s *State) succeeded(a *attempt) {
	j := a.job
	if len(j.spec.nearby[a.task]) == 0 || a.gang() && a.position > 0 {
		return
	}
	t := &j.tasks[a.task]
	if t.last == a.worker.id {
		return
	}
	t.seldom().last = a.worker.id
	for _, ti := range j.spec.nearby[a.task] {
		if d := &j.tasks[ti]; d.ready && !d.over() {
			s.regroup(j, ti)
		}
	}
}

// closest says where the elements of a task that could start would rather run, which is in the way of
// nothing.
func (s *State) closest(j *jobState, ti uint32, add func(kind, format string, args ...any)) {
	if j.held || j.tasks[ti].startable().all() == 0 {
		return
	}
	var told []uint64
	var parts []string
	for _, u := range j.spec.nears[ti] {
		w := s.workers[j.tasks[u].last]
		if w == nil || slices.Contains(told, w.id) {
			continue
		}
		told = append(told, w.id)
		parts = append(parts, fmt.Sprintf("on worker %s, where task %s ran", w.hello.Name, j.spec.spec.Tasks[u].Name))
	}
	if parts != nil {
		add("near", "would rather run %s", strings.Join(parts, ", else "))
	}
}
