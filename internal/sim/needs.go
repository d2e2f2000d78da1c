package sim

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// judgeNeeds is what an attempt takes of its worker, by what its user wrote. It wants more memory
// given to an element that ran out of it, and to no other.
func (h *history) judgeNeeds(e core.AttemptAssigned, at place) job.Resources {
	spec, el := h.task(at), h.element(at)
	if int(e.Way) >= spec.Ways() {
		h.fail(Room, "attempt %d of %s is of way %d, of %d", e.Fence, at, e.Way, spec.Ways())
	}
	needs := spec.Asks(e.Way, e.Memory)
	if e.Memory > 0 && el.spent.Memory == 0 && !e.Alone {
		h.fail(Room, "attempt %d of %s asks for %d bytes of memory, and none has run out of any", e.Fence, at, e.Memory)
	}
	if needs.Memory < el.lacked {
		h.fail(Room, "attempt %d of %s asks for %d bytes of memory, and one before ran out of %d", e.Fence, at, needs.Memory, el.lacked)
	}
	if e.Memory > spec.Takes(e.Way).Memory {
		h.count("attempt asks for more memory")
	}
	h.judgeApart(e, at)
	h.judgeNear(e, at)
	if e.Way > 0 {
		h.count("attempt takes another way")
	}
	return needs
}

// judgeNear wants nothing sent ahead that has a worker where it would rather run.
func (h *history) judgeNear(e core.AttemptAssigned, at place) {
	for _, name := range h.task(at).Near {
		j := h.jobs[at.job]
		u := slices.IndexFunc(j.spec.Tasks, func(t job.Task) bool { return t.Name == name })
		switch ran := j.tasks[u].ran; {
		case ran == 0:
		case e.Prefetched:
			h.fail(Room, "%s is sent ahead to worker %d, and would rather run on worker %d, where %s ran", at, e.Worker, ran, name)
		case ran == e.Worker:
			h.count("attempt runs near another")
		}
	}
}

// judgeApart wants no two elements that are live where a task says that they must not be.
func (h *history) judgeApart(e core.AttemptAssigned, at place) {
	by := h.task(at).Apart.By
	if by == "" {
		return
	}
	on := h.workers[e.Worker].hello.Labels[by]
	for f, a := range h.held {
		if f == e.Fence || a.ended != nil || !h.shuns(at, a.place) {
			continue
		}
		h.count("elements are kept apart")
		if a.place.job != at.job {
			h.count("jobs are kept apart")
		}
		if a.worker == e.Worker || by != job.AtWorker && h.workers[a.worker].hello.Labels[by] == on {
			h.fail(Room, "%s is given to worker %d, and %s to worker %d, which are not apart by %s", at, e.Worker, a.place, a.worker, by)
		}
	}
}

// shuns reports whether an element is to be apart from another: of its task, or of its key.
func (h *history) shuns(at, other place) bool {
	if h.task(at).Apart.Key == "" {
		return at.job == other.job && at.task == other.task
	}
	return h.jobs[at.job].space == h.jobs[other.job].space && h.task(at).Apart == h.task(other).Apart
}

// grows takes in that an attempt ended, for what counts for its element, and what is asked for after
// it.
func (h *history) grows(e core.AttemptEnded, a *pastAttempt, by job.CauseKind) {
	t, spec := &h.jobs[a.place.job].tasks[a.place.task], h.task(a.place)
	if el := h.element(a.place); by == job.CauseMemory {
		el.lacked = max(el.lacked, a.needs.Memory)
	}
	most := spec.Retry.MaxMemory
	for way := range spec.Ways() {
		if spec.Retry.MaxMemory == 0 {
			most = max(most, job.DefaultGrowth*spec.Takes(uint8(way)).Memory)
		}
	}
	if most > 0 && e.Memory > max(most, a.needs.Memory) {
		h.fail(Room, "after attempt %d of %s %d bytes of memory are to be asked for; at most %d are allowed", e.Fence, a.place, e.Memory, most)
	}
	t.grown = max(t.grown, e.Memory)
}
