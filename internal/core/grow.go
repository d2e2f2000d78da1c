package core

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
	"github.com/reeve-scheduler/reeve/internal/predict"
)

// An element that ran out of memory asks for more when it is tried again. How much that is belongs
// to its task: what one element has found out, those need not try again that run out after it. The
// others ask for what they did.

// causeOf is why an attempt ended as its worker says, with what it was given, if it ran out of that.
func (a *attempt) causeOf(r link.Result) job.Cause {
	c := r.Cause.Trim()
	if had := a.needs().Memory; c.Kind == job.CauseMemory && c.Code == 0 {
		c.Code = int32(min(had>>20, 1<<30))
	}
	return c
}

// spend counts an attempt that ended. Programs that know the format before this one keep no count
// of their own of those that ran out of memory.
func (s *State) spend(spent job.Spent, c job.Cause, wasRunning bool) job.Spent {
	if c.Kind == job.CauseMemory && s.format < FormatAsks {
		spent.Failed++
		return spent
	}
	return spent.Count(c, wasRunning)
}

// grown is what elements of a task are to ask for, in bytes, after an attempt ran out of memory, 0 if
// others have found that out: no more than those workers have that could run it at all, since what waits
// for ever helps nobody.
func (s *State) grown(a *attempt) int64 {
	if s.format < FormatAsks {
		return 0
	}
	const far = 1 << 60
	spec, had := &a.job.spec.spec.Tasks[a.task], a.needs().Memory
	most := spec.Retry.MaxMemory
	if first := spec.Takes(a.way).Memory; most == 0 && first > 0 {
		most = min(first, far/job.DefaultGrowth) * job.DefaultGrowth
	}
	known := predict.Memory{}
	if j := a.job; j.spec.spec.Name != "" {
		known = s.learned.Memory(keyFor(j.queue.space.name, j.spec.spec, a.task, j.by))
	}
	next := known.Grow(had, most)
	if next <= a.job.tasks[a.task].memory {
		return 0
	}
	return max(min(next, s.largest(a.shape(), int(spec.Nodes))), had)
}

// largest is the most memory, in bytes, that as many workers have as are to run a shape, of those that
// could run it at all; 0 if fewer can. What a pool gives away beyond what its workers have is no remedy
// against running out of it, and may be taken back.
func (s *State) largest(shape plan.Shape, nodes int) int64 {
	var all []int64
	s.plan.Able(shape, func(id uint64) {
		if w := s.workers[id]; shape.Resources.Fits(w.hello.Capacity) {
			all = append(all, min(w.hello.Capacity.Memory, w.offers.Memory))
		}
	})
	if nodes = max(nodes, 1); len(all) < nodes {
		return 0
	}
	slices.Sort(all)
	return all[len(all)-nodes]
}
