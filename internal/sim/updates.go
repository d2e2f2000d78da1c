package sim

import (
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// updateSome changes where a job stands, or the order of a queue.
func (u *users) updateSome() {
	w := u.w
	if w.oneIn(3) {
		u.orderSome()
		return
	}
	c := core.Update{Job: u.some(), By: "anna"}
	if w.oneIn(2) {
		c.Priority = new(pick[int32](w, job.PriorityBackground, job.PriorityLow, job.PriorityNormal, 7, job.PriorityCritical))
	}
	if w.oneIn(2) {
		c.Queue = new(pick(w, "night", core.DefaultName))
	}
	if w.oneIn(2) {
		c.Front = new(!w.oneIn(4))
	}
	u.ask(&call{
		what: "update", lane: laneControl, command: func(*server) core.Command { return c }, heard: func(any, error) {},
		leaves: func(reply any, err error) {
			if err == nil {
				w.past.judgeUpdate(c.Job, reply.(core.Standing))
			}
		},
	})
}

// orderSome gives a queue another order: all that waits in it is ranked anew.
func (u *users) orderSome() {
	change := job.QueueChange{
		Order:  new(pick(u.w, job.ByPriority, job.ByAge, job.ByLength, job.ByDeadline, job.ByShare)),
		Ageing: new(pick(u.w, job.Duration(0), job.DefaultHalfLife)),
	}
	c := core.PutQueue{Namespace: core.DefaultName, Name: pick(u.w, "night", core.DefaultName), Change: change}
	u.ask(&call{what: "order", lane: laneControl, command: func(*server) core.Command { return c }, heard: func(any, error) {}})
}

// changed takes in where a job stands from now on.
func (h *history) changed(e core.JobChanged) {
	j := h.jobs[e.Job]
	to, at := core.Standing{Queue: e.Queue, Priority: e.Priority, Front: e.Front}, j.space+"/"+e.Queue
	if to == j.stands {
		h.fail(Legal, "%+v changes nothing", e)
	}
	if e.Front != 0 && e.Front != j.stands.Front {
		for id := range h.unfinished() {
			if o := h.jobs[id]; id != e.Job && o.at == at && o.stands.Front >= e.Front {
				h.fail(Legal, "job %d is put to the front of %s with %d, and job %d is there with %d", e.Job, at, e.Front, id, o.stands.Front)
			}
		}
	}
	j.stands, j.at, j.updated = to, at, h.batches
}

// judgeUpdate wants a job to stand where that is answered. It may have been changed again since
// that was asked for.
func (h *history) judgeUpdate(id job.ID, to core.Standing) {
	if j := h.jobs[id]; j.stands != to && j.updated <= h.asked {
		h.fail(Durable, "that job %d stands at %+v is answered and not durable; it stands at %+v", id, to, j.stands)
	}
}
