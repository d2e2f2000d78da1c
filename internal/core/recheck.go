package core

import "github.com/reeve-scheduler/reeve/internal/limit"

// Recheck makes Follow look at everything again, slice by slice. A new leader calls it once, so that
// no consequence is lost between two leaders; where there is none Follow decides
// nothing.
func (s *State) Recheck() { s.follow.again = 1 }

// recheckSlice is how many jobs one call of Follow looks at again.
const recheckSlice = 256

// recheck puts the next jobs that are to be looked at again on the list.
func (s *State) recheck() {
	w := &s.follow
	from, n := w.again, 0
	w.again = 0
	for j := range s.jobs.from(from) {
		if n++; n > recheckSlice {
			w.again = j.id
			return
		}
		w.at = j.id
		if j.state.Terminal() {
			if len(s.waiters[j.id]) > 0 {
				w.ended(j.id)
			}
			continue
		}
		w.job(j.id)
		for i := range j.tasks {
			ti := uint32(i)
			if g := (limit.Group{Job: j.id, Task: ti}); s.rivals(j, g) {
				w.rival(g)
			}
			if j.spec.spec.Tasks[i].Nodes > 0 {
				w.gang(j.id, ti)
			}
			if j.tasks[i].ready {
				w.readied(j.id, ti)
			}
			if j.tasks[i].over() {
				w.task(j.id, ti)
			}
		}
	}
}
