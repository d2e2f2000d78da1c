package sim

import (
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Bounds of what is judged now and then.
const (
	judgeEvery = time.Second
	// leaseSlack is how long an attempt may live on once its lease is over: the server
	// looks now and then, believes in no step of its clock longer than two seconds, and has
	// to append what it decides. A lease may be over from one moment to the next, when a clock
	// is set forward.
	leaseSlack = 10 * time.Second
	// hungerMost is how long a queue may have work and an idle worker that takes it.
	hungerMost = 10 * time.Second
)

// judgeNow judges what must hold at any moment while the server is up.
func (s *server) judgeNow() {
	s.loop(judgeEvery, s.judgeNow)
	if s.unreachable() != nil || !s.holds() { // nothing can be given out or given up
		clear(s.w.past.hungry)
		clear(s.overdue)
		return
	}
	s.judgeLeases()
	s.judgeProgress()
}

// heard notes that something came from a worker.
func (s *server) heard(worker uint64) {
	s.live.Heard(worker)
	s.lastHeard[worker] = s.awake()
}

// asleep is until when it does nothing, or its loop does not.
func (s *server) asleep() time.Duration { return max(s.stalled, s.busy) }

// awake is how long it has been awake in all: time without that in which it was stalled.
func (s *server) awake() time.Duration { return s.waking + max(s.w.now-s.asleep(), 0) }

// judgeLeases wants everything given up whose worker was not heard for a lease.
func (s *server) judgeLeases() {
	for fence, a := range s.w.past.held {
		if a.lease == 0 {
			continue
		}
		quiet := s.awake() - s.lastHeard[a.worker]
		if a.epoch == s.w.past.epoch { // by the clock of this term, which goes slowly where it was ahead
			awake := s.awake() - a.given
			asleep := s.w.now - a.moment - awake
			quiet = min(quiet, awake, time.Duration(s.time()-a.at)*time.Millisecond-asleep)
		}
		if quiet <= a.lease+a.lease/10 {
			delete(s.overdue, fence)
			continue
		}
		if _, known := s.overdue[fence]; !known {
			s.overdue[fence] = s.awake()
		}
		if s.awake()-s.overdue[fence] > leaseSlack {
			s.w.fail(Renewed, "attempt %d of %s counts as live, and its worker %d was not heard for %v; its lease is %v", fence, a.place, a.worker, quiet, a.lease)
		}
	}
}

// judgeProgress wants work that may start to start where a worker idles that takes it.
func (s *server) judgeProgress() {
	h := s.w.past
	if h.keepsPlaces() {
		clear(h.hungry)
		return
	}
	fed := map[string]bool{}
	for id := range h.unfinished() {
		j := h.jobs[id]
		if !fed[j.at] && h.hasWork(j, s.time()) {
			fed[j.at] = true
		}
	}
	for _, q := range queues() {
		since, known := h.hungry[q]
		switch {
		case !fed[q]:
			delete(h.hungry, q)
		case !known:
			h.hungry[q] = s.awake()
		case s.awake()-since > hungerMost:
			s.w.fail(Progress, "for %v queue %s has had work and an idle worker that takes it:\n%s", s.awake()-since, q, s.w.stuck())
		}
	}
}

// hasWork reports whether an element of a job may start and a worker idles that takes it.
func (h *history) hasWork(j *pastJob, now int64) bool {
	if h.limited(j) { // as with keys
		return false
	}
	if j.held || j.stop != job.CauseNone || h.paused[j.space] || h.paused[j.at] || now < j.startAfter ||
		j.mustBegin() && now >= j.startBefore || j.deadline > 0 && now >= j.deadline {
		return false
	}
	for ti := range j.tasks {
		t, spec := &j.tasks[ti], &j.spec.Tasks[ti]
		if spec.Concurrency != nil || j.spec.Concurrency != nil && !j.given {
			continue // whose turn it is, is the keys' business: that it comes Ends sees to
		}
		if !t.ready || t.held || t.stop || spec.Array != nil && spec.Array.Throttle > 0 && t.live >= spec.Array.Throttle || spec.Apart.By != "" && (t.live > 0 || spec.Apart.Key != "") || !h.idleFor(spec, t.grown) {
			continue
		}
		if spec.Nodes > 0 && !h.gangWaits(j, uint32(ti)) {
			continue
		}
		for p := range t.n {
			at := place{j.id, uint32(ti), p}
			if el := h.element(at); el.state == job.Pending && el.retryAt == 0 && h.forbids(j, uint32(ti), p) == "" {
				return true
			}
		}
	}
	return false
}

// idleFor reports whether a worker holds nothing and takes a task, or as many as a gang needs, in one
// of its ways and with so much memory.
func (h *history) idleFor(spec *job.Task, grown int64) bool {
	for way := range spec.Ways() {
		n, asks := int64(0), spec.Asks(uint8(way), grown)
		for _, w := range h.workers {
			if w.holds == 0 && !w.away && !w.draining && w.hello.Unfit == "" && w.has(spec.Where) && asks.Fits(h.offers(w)) && !h.isReserved(w) {
				n++
			}
		}
		if n >= max(spec.Nodes, 1) {
			return true
		}
	}
	return false
}

// queues is where jobs wait.
func queues() []string {
	return []string{core.DefaultName + "/" + core.DefaultName, core.DefaultName + "/night"}
}
