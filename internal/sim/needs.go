package sim

import (
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
	if e.Way > 0 {
		h.count("attempt takes another way")
	}
	return needs
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
