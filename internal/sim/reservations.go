package sim

import (
	"cmp"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/core"
)

// reserveSome sets a worker or all of them aside for a while, for a queue or for nobody, or ends that.
func (u *users) reserveSome() {
	w := u.w
	name := pick(w, "night", "repair")
	if w.oneIn(4) {
		u.unreserve(name)
		return
	}
	from, length, lead := w.rnd.Int64N(60_000), 1000+w.rnd.Int64N(60_000), w.rnd.Int64N(20_000)
	e := core.ReservationSet{Name: name, Pool: core.DefaultName, Lead: lead}
	if w.oneIn(2) {
		e.Pool, e.Workers = "", []string{w.nodes[w.rnd.IntN(len(w.nodes))].name}
	}
	if w.oneIn(2) {
		e.Namespace, e.Queue = core.DefaultName, pick(w, "night", core.DefaultName, "")
	}
	u.ask(&call{what: "reserve", lane: laneControl, heard: func(any, error) {}, command: func(s *server) core.Command {
		e.From = s.time() + from
		e.Until = e.From + length
		return core.PutReservation{ReservationSet: e}
	}})
}

func (u *users) unreserve(name string) {
	u.ask(&call{what: "unreserve", lane: laneControl, heard: func(any, error) {}, command: func(*server) core.Command {
		return core.RemoveReservation{Name: name}
	}})
}

// reserved takes in that workers are set aside.
func (h *history) reserved(e core.ReservationSet) { h.reservations[e.Name] = e }

// unreserved takes in that workers are set aside no more.
func (h *history) unreserved(e core.ReservationRemoved) {
	if _, known := h.reservations[e.Name]; !known {
		h.fail(Legal, "reservation %s is removed, and there is none", e.Name)
	}
	delete(h.reservations, e.Name)
}

func isOf(r *core.ReservationSet, w *pastWorker) bool {
	return r.Pool != "" && r.Pool == cmp.Or(w.hello.Pool, core.DefaultName) || slices.Contains(r.Workers, w.hello.Name)
}

// isReserved reports whether a worker is set aside, now or later: then it may rightly be idle.
func (h *history) isReserved(w *pastWorker) bool {
	for _, r := range h.reservations {
		if isOf(&r, w) {
			return true
		}
	}
	return false
}

// judgeReserved wants no attempt to be given to a worker that is set aside for others. What is known to
// end before may be; how long anything lasts, this knows nothing of.
func (h *history) judgeReserved(e core.AttemptAssigned) {
	w, j := h.workers[e.Worker], h.jobs[e.Job]
	for _, name := range []string{"night", "repair"} {
		r, known := h.reservations[name]
		isFor := r.Namespace == core.DefaultName && (r.Queue == "" || core.DefaultName+"/"+r.Queue == j.at)
		if known && isOf(&r, w) && !isFor && e.At >= r.From && e.At < r.Until {
			h.fail(Legal, "%d of %s is given to worker %s at %d, which is reserved by %+v", e.Fence, j.at, w.hello.Name, e.At, r)
		}
	}
	if len(h.reservations) > 0 {
		h.count("attempt is given beside reservations")
	}
}
