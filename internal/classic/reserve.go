package classic

import (
	"math"
	"slices"
	"sort"
)

// reservations is what conservative backfilling keeps: how many processors are free
// from when on, by what runs and by what is reserved, and who has reserved from when.
type reservations struct {
	steps []step
	// start is by job the moment from which it has its processors reserved.
	start []int64
}

// forever is after all moments of a workload.
const forever = math.MaxInt64 / 4

// step is a moment from which a number of processors is free, until the next.
type step struct{ at, free int64 }

func newReservations(procs int64, jobs int) reservations {
	return reservations{steps: []step{{math.MinInt64, procs}}, start: make([]int64, jobs)}
}

// forget drops what is over.
func (r *reservations) forget(now int64) {
	n := 0
	for n+1 < len(r.steps) && r.steps[n+1].at <= now {
		n++
	}
	r.steps = slices.Delete(r.steps, 0, n)
	r.steps[0].at = now
}

// place reserves processors for a job, as early as can be.
func (r *reservations) place(i int, now, length, procs int64) {
	r.forget(now)
	r.start[i] = r.earliest(now, length, procs)
	r.add(r.start[i], r.start[i]+length, -procs)
}

// earliest is the first moment from now on at which a number of processors is free for
// long enough, forever if there never are.
func (r *reservations) earliest(now, length, procs int64) int64 {
	from := now
	for k := range r.steps {
		if r.steps[k].at >= from+length {
			break
		}
		if r.steps[k].free < procs {
			if k+1 == len(r.steps) {
				return forever
			}
			from = max(now, r.steps[k+1].at)
		}
	}
	return from
}

// add gives processors back, or takes them where procs is below 0, in a span of time.
func (r *reservations) add(from, to, procs int64) {
	if from >= to {
		return
	}
	for k := r.split(from); k < len(r.steps) && r.steps[k].at < to; k++ {
		if k+1 == len(r.steps) || r.steps[k+1].at > to {
			r.split(to)
		}
		r.steps[k].free += procs
	}
	r.join(from)
	r.join(to)
}

// split makes a step begin at a moment, and returns its place.
func (r *reservations) split(at int64) int {
	k := sort.Search(len(r.steps), func(k int) bool { return r.steps[k].at >= at })
	if k < len(r.steps) && r.steps[k].at == at {
		return k
	}
	if k == 0 {
		r.steps[0].at = at
		return 0
	}
	r.steps = slices.Insert(r.steps, k, step{at, r.steps[k-1].free})
	return k
}

// join drops the step at a moment if it changes nothing.
func (r *reservations) join(at int64) {
	k := sort.Search(len(r.steps), func(k int) bool { return r.steps[k].at >= at })
	if k > 0 && k < len(r.steps) && r.steps[k].at == at && r.steps[k].free == r.steps[k-1].free {
		r.steps = slices.Delete(r.steps, k, k+1)
	}
}

// release gives back what a job that ended early would have had, and moves those that
// wait forward into what is free, in order, until nobody can move: then each is to start
// when something ends. Who moves has its own place to move in, so that nobody moves back.
func (s *Scheduler) release(now, end, procs int64) {
	r := &s.reserve
	r.forget(now)
	r.add(now, end, procs)
	for moved := true; moved; {
		moved = false
		for _, i := range s.queue.all() {
			j, was := &s.jobs[i], r.start[i]
			if was <= now {
				continue
			}
			r.add(was, was+s.est[i], j.Procs)
			r.place(int(i), now, s.est[i], j.Procs)
			moved = moved || r.start[i] < was
		}
	}
}

// overdue makes all reservations anew once something has run longer than was expected:
// what was promised behind it can't be kept.
func (s *Scheduler) overdue(now int64) {
	late := s.correct(now)
	for _, i := range s.queue.all() {
		late = late || s.reserve.start[i] < now
	}
	if !late {
		return
	}
	r := &s.reserve
	r.steps = append(r.steps[:0], step{now, s.free})
	for _, u := range s.running {
		r.add(max(u.end, now), forever, s.jobs[u.job].Procs)
	}
	for _, i := range s.queue.all() {
		r.place(int(i), now, s.est[i], s.jobs[i].Procs)
	}
}

// nextReserved proposes a job whose time has come.
func (s *Scheduler) nextReserved(now int64) (int, bool) {
	s.overdue(now)
	for _, i := range s.queue.all() {
		if s.reserve.start[i] <= now && s.jobs[i].Procs <= s.free {
			return int(i), true
		}
	}
	return 0, false
}
