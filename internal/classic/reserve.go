package classic

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
)

// reservations is what conservative backfilling keeps: how many processors are free
// from when on, by what runs and by what is reserved, and who has reserved from when.
type reservations struct {
	profile profile
	agenda
	// queue is who waits, in order, and width the processors of each; who has left stays in
	// it until many have, and is too wide for everything.
	queue []int32
	width []int32
	left  int
	// due is who has a reservation from now on, or from before, in order.
	due []int32
}

// gone is the width of who has left.
const gone = math.MaxInt32

func newReservations(procs int64, jobs int) reservations {
	return reservations{profile: newProfile(math.MinInt64, procs), agenda: agenda{start: make([]int64, jobs), place: make([]int32, jobs)}}
}

// reserveFor reserves processors for a job, as early as can be.
func (s *Scheduler) reserveFor(i int, now int64) {
	r := &s.reserve
	s.hold(i, r.profile.earliest(now, forever, s.est[i], forever, s.jobs[i].Procs))
}

// hold reserves processors for a job from a moment on.
func (s *Scheduler) hold(i int, at int64) {
	r := &s.reserve
	r.start[i] = at
	r.profile.add(at, at+s.est[i], -s.jobs[i].Procs)
	if k := r.agenda.place[i]; k > 0 {
		heap.Fix(&r.agenda, int(k-1))
	} else {
		heap.Push(&r.agenda, int32(i))
	}
}

// wait puts a job into the queue, and reserves its processors.
func (s *Scheduler) wait(i int, now int64) {
	r := &s.reserve
	r.profile.forget(now)
	at, _ := slices.BinarySearchFunc(r.queue, int32(i), s.inOrder)
	r.queue, r.width = slices.Insert(r.queue, at, int32(i)), slices.Insert(r.width, at, int32(min(s.jobs[i].Procs, gone-1)))
	s.reserveFor(i, now)
}

func (s *Scheduler) inOrder(a, b int32) int {
	return cmp.Or(cmp.Compare(s.key[a], s.key[b]), cmp.Compare(a, b))
}

// leave takes a job out of the queue that starts. Its processors stay reserved for it.
func (s *Scheduler) leave(i int) {
	r := &s.reserve
	at, _ := slices.BinarySearchFunc(r.queue, int32(i), s.inOrder)
	r.width[at] = gone
	r.due = slices.DeleteFunc(r.due, func(d int32) bool { return d == int32(i) })
	if r.left++; r.left < 64 || r.left < len(r.queue)/2 {
		return
	}
	n := 0
	for k, w := range r.width {
		if w != gone {
			r.queue[n], r.width[n] = r.queue[k], w
			n++
		}
	}
	r.queue, r.width, r.left = r.queue[:n], r.width[:n], 0
}

// release gives back what a job that ended early would have had, and moves those that
// wait forward into what is free, in order, until nobody can move: then each is to start
// when something ends. Nobody moves back.
func (s *Scheduler) release(now, end, procs int64) {
	r := &s.reserve
	r.profile.forget(now)
	r.profile.add(now, end, procs)
	for more := (span{now, end}); more.from < more.to; {
		more = s.advance(now, more)
	}
}

// span is from a moment until before another.
type span struct{ from, to int64 }

func (a span) with(b span) span {
	if a.from >= a.to {
		return b
	}
	return span{min(a.from, b.from), max(a.to, b.to)}
}

// advance moves those forward, in order, that can move into a span in which more has
// become free, and returns the span in which more has become free by that. Whoever could
// not move before can only by what has become free: it has to be wide enough for it, and
// some of it has to lie before what the job has.
func (s *Scheduler) advance(now int64, more span) (again span) {
	r := &s.reserve
	most := int32(min(r.profile.most(more.from, more.to), gone-1))
	for k, w := range r.width {
		if w > most {
			continue
		}
		i := r.queue[k]
		was, length, procs := r.start[i], s.est[i], s.jobs[i].Procs
		if was <= more.from || was <= now {
			continue
		}
		limit := min(was, more.to)
		at := r.profile.earliest(max(now, more.from-length+1), limit, length, was, procs)
		if at == limit {
			continue
		}
		r.profile.add(was, was+length, procs)
		s.hold(int(i), at)
		left := span{max(was, at+length), was + length}
		again, more = again.with(left), more.with(left)
		most = int32(min(r.profile.most(more.from, more.to), gone-1))
	}
	return again
}

// overdue makes all reservations anew once something has run longer than was expected:
// what was promised behind it can't be kept.
func (s *Scheduler) overdue(now int64) {
	r := &s.reserve
	s.call(now)
	late := s.correct(now)
	for _, i := range r.due {
		late = late || r.start[i] < now
	}
	if !late {
		return
	}
	r.profile, r.due = newProfile(now, s.free), r.due[:0]
	for _, u := range s.running {
		r.profile.add(max(u.end, now), forever, s.jobs[u.job].Procs)
	}
	for k, i := range r.queue {
		if r.width[k] != gone {
			s.reserveFor(int(i), now)
		}
	}
	s.call(now)
}

// call takes note of those whose time has come.
func (s *Scheduler) call(now int64) {
	r := &s.reserve
	for r.agenda.Len() > 0 && r.start[r.agenda.jobs[0]] <= now {
		i := heap.Pop(&r.agenda).(int32)
		at, _ := slices.BinarySearchFunc(r.due, i, s.inOrder)
		r.due = slices.Insert(r.due, at, i)
	}
}

// nextReserved proposes a job whose time has come.
func (s *Scheduler) nextReserved(now int64) (int, bool) {
	if s.free == 0 {
		return 0, false
	}
	s.overdue(now)
	for _, i := range s.reserve.due {
		if s.jobs[i].Procs <= s.free {
			return int(i), true
		}
	}
	return 0, false
}

// agenda is a heap of jobs that have processors reserved, the first to start on top.
type agenda struct {
	// start is by job the moment from which it has its processors reserved, place where in
	// jobs it is, from 1 on, 0 if it is not.
	start []int64
	place []int32
	jobs  []int32
}

func (a *agenda) Len() int           { return len(a.jobs) }
func (a *agenda) Less(i, j int) bool { return a.start[a.jobs[i]] < a.start[a.jobs[j]] }

func (a *agenda) Swap(i, j int) {
	a.jobs[i], a.jobs[j] = a.jobs[j], a.jobs[i]
	a.place[a.jobs[i]], a.place[a.jobs[j]] = int32(i+1), int32(j+1)
}

func (a *agenda) Push(x any) {
	a.jobs = append(a.jobs, x.(int32))
	a.place[x.(int32)] = int32(len(a.jobs))
}

func (a *agenda) Pop() any {
	n := len(a.jobs) - 1
	last := a.jobs[n]
	a.jobs, a.place[last] = a.jobs[:n], 0
	return last
}
