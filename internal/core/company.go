package core

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// company is those that look at where others of them run, for what a task shares.
func (j *jobState) company(ti uint32, s job.Share) plan.Company {
	switch {
	case s.By == "":
		return plan.Company{}
	case s.Key != "":
		return plan.Company{Space: j.queue.space.name, Key: s.Key, By: s.By}
	}
	return plan.Company{Job: j.id, Task: ti, By: s.By}
}

// apart is those from which the elements of a task are to be apart, spread those that they are spread with.
func (j *jobState) apart(ti uint32) plan.Company {
	return j.company(ti, j.spec.spec.Tasks[ti].Apart)
}

func (j *jobState) spread(ti uint32) plan.Company {
	return j.company(ti, j.spec.spec.Tasks[ti].Spread)
}

// apart reports whether nothing that is live and that a company is to be apart from is where a worker is. On
// a worker there are few; of those that look at a label there are seldom more than it has values.
func (s *State) apart(c plan.Company, w *worker) bool {
	switch c.By {
	case "":
		return true
	case job.AtWorker:
		for a := w.first; a != nil; a = a.next {
			if a.job.apart(a.task) == c {
				return false
			}
		}
		return true
	}
	return !slices.ContainsFunc(s.kept[c], func(a *attempt) bool { return a.worker.label(c.By) == w.label(c.By) })
}

// keepApart puts a live attempt where those are looked for that are to be apart from it, by a label.
func (s *State) keepApart(a *attempt) {
	if c := a.job.apart(a.task); c.By != "" && c.By != job.AtWorker {
		s.kept[c] = append(s.kept[c], a)
	}
}

// letNear takes an attempt out of there.
func (s *State) letNear(a *attempt) {
	c := a.job.apart(a.task)
	list := s.kept[c]
	at, last := slices.Index(list, a), len(list)-1
	if at < 0 {
		return
	}
	list[at], list[last] = list[last], nil
	if s.kept[c] = list[:last]; last == 0 {
		delete(s.kept, c)
	}
}
