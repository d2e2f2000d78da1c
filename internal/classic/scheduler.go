package classic

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/workload"
)

// Scheduler decides for one machine. It is not safe for concurrent use.
type Scheduler struct {
	policy Policy
	jobs   []workload.Job
	free   int64
	users  map[string]*user

	// est is by job what it was expected to take as it came; key and byKey are its rank in
	// the two orders, where these stay.
	est        []int64
	key, byKey []float64
	// until is by job when it is expected to end, once it runs.
	until []int64
	// queue is who waits, in order, or as they came if the order moves; by is the same in
	// the order of backfilling, nil if that is the same order.
	queue, by line
	sameOrder bool
	running   []run

	// kept is the head that stays, and lead the one that was proposed last; none if there
	// is none.
	kept, lead int
	pass       pass
	// fresh is who came since the pass ended.
	fresh []int32
	// leaving is who ends now, whose processors are free already, and idle says that nobody
	// is looked for until something else happens. Both are for Pyss.
	leaving []int32
	idle    bool
	reserve reservations
}

const none = -1

// run is a job that runs.
type run struct {
	job         int32
	corrections int
	start, end  int64 // end is when it is expected to end
}

// pass is a look through those that could start before the head.
type pass struct {
	valid bool
	head  int
	// shadow is when the head is expected to fit, spare how many processors it leaves
	// then.
	shadow, spare int64
	// at is how far it has come, done that it has come to the end.
	at   int
	done bool
}

// New returns the scheduler of a policy for a machine of a number of processors. Jobs
// are named by their place in jobs, which must not change meanwhile.
func New(p Policy, procs int64, jobs []workload.Job) *Scheduler {
	s := &Scheduler{
		policy: p, jobs: jobs, free: procs, kept: none, lead: none, users: map[string]*user{},
		est: make([]int64, len(jobs)), key: make([]float64, len(jobs)), until: make([]int64, len(jobs)),
	}
	s.queue.key = s.key
	if s.policy.Order == s.policy.By && !p.Order.moves() {
		s.sameOrder = true
	} else {
		s.byKey = make([]float64, len(jobs))
		s.by.key = s.byKey
	}
	if p.Backfill == Conservative {
		s.reserve = newReservations(procs, len(jobs))
	}
	return s
}

// Arrive says that a job has come.
func (s *Scheduler) Arrive(i int, now int64) {
	j := &s.jobs[i]
	switch {
	case s.policy.Backfill == Conservative:
		s.overdue(now)
	case s.policy.Events == Pyss:
		s.vacate(now)
		s.idle = s.policy.By == FCFS && j.Procs > s.free
	}
	s.enqueue(i, now)
	if s.policy.Anew {
		u := s.of(i)
		u.waiting = append(u.waiting, int32(i))
	}
	switch {
	case s.policy.Backfill == Conservative: // nobody passes
	case s.pass.valid && s.pass.done:
		at, _ := slices.BinarySearchFunc(s.fresh, int32(i), s.byBackfill().compare)
		s.fresh = slices.Insert(s.fresh, at, int32(i))
	default:
		s.pass.valid = false
	}
}

// enqueue puts a job that waits in its places, by what is known of it now.
func (s *Scheduler) enqueue(i int, now int64) {
	j := &s.jobs[i]
	s.est[i] = s.estimate(i)
	if !s.policy.Order.moves() {
		s.key[i] = s.policy.Order.score(j, s.est[i], now)
	}
	if s.policy.Backfill == Conservative {
		s.wait(i, now)
		return
	}
	s.queue.insert(int32(i))
	if !s.sameOrder {
		s.byKey[i] = s.policy.By.score(j, s.est[i], now)
		s.by.insert(int32(i))
	}
}

func (s *Scheduler) dequeue(i int) {
	if s.policy.Backfill == Conservative {
		s.leave(i)
		return
	}
	s.queue.remove(int32(i))
	if !s.sameOrder {
		s.by.remove(int32(i))
	}
}

// End says that a job has ended.
func (s *Scheduler) End(i int, now int64) {
	if s.policy.Events == Pyss {
		s.vacate(now)
		s.idle = false
		if k := slices.Index(s.leaving, int32(i)); k >= 0 {
			s.leaving = slices.Delete(s.leaving, k, k+1)
			s.pass.valid = false
			s.learn(i, now)
			return
		}
	}
	at, ok := slices.BinarySearchFunc(s.running, run{job: int32(i), end: s.until[i]}, sooner)
	if !ok {
		panic(fmt.Sprintf("classic: job %d ends and does not run", i))
	}
	r := s.running[at]
	s.running = slices.Delete(s.running, at, at+1)
	s.free += s.jobs[i].Procs
	s.pass.valid = false
	s.learn(i, now)
	if s.policy.Backfill == Conservative && r.end > now {
		s.release(now, r.end, s.jobs[i].Procs)
	}
}

// Next proposes a job to start now, and false if none can. A proposal that is not
// started comes again.
func (s *Scheduler) Next(now int64) (int, bool) {
	if s.policy.Backfill == Conservative {
		return s.nextReserved(now)
	}
	if s.queue.len() == 0 || s.free == 0 && !s.policy.Keep || s.idle {
		return 0, false
	}
	head := s.head(now)
	if s.lead = none; s.jobs[head].Procs <= s.free {
		s.lead = head
		return head, true
	}
	if s.policy.Keep && s.kept == none {
		s.kept = head
		s.pass.valid = false
	}
	switch s.policy.Backfill {
	case Easy, Scan:
		return s.backfill(head, now)
	}
	return 0, false
}

// Start says that a job that Next proposed has started.
func (s *Scheduler) Start(i int, now int64) {
	j := &s.jobs[i]
	end := now + s.est[i]
	if i == s.kept {
		s.kept = none
	}
	switch p := &s.pass; {
	case i == s.lead: // a head may delay whoever was the head before
		p.valid = false
	case end > p.shadow:
		p.spare -= j.Procs
	}
	s.dequeue(i)
	if s.policy.Anew {
		u := s.of(i)
		u.waiting = slices.DeleteFunc(u.waiting, func(w int32) bool { return w == int32(i) })
	}
	s.free -= j.Procs
	s.expect(run{job: int32(i), start: now, end: end})
}

// expect puts a job among those that run, by when it is expected to end.
func (s *Scheduler) expect(r run) {
	at, _ := slices.BinarySearchFunc(s.running, r, sooner)
	s.running = slices.Insert(s.running, at, r)
	s.until[r.job] = r.end
}

func sooner(a, b run) int { return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.job, b.job)) }

// head is who is first in order.
func (s *Scheduler) head(now int64) int {
	if s.kept != none {
		return s.kept
	}
	waiting := s.queue.all()
	if !s.policy.Order.moves() {
		return int(waiting[0])
	}
	first, least := none, math.Inf(1)
	for _, i := range waiting {
		score := s.policy.Order.score(&s.jobs[i], s.est[i], now)
		if first == none || score < least {
			first, least = int(i), score
		}
	}
	return first
}

// backfill looks for a job that may start before the head. What did not fit in a pass
// does not fit as long as nothing ends and the head stays: it would end later, into as
// little. So only those that have come since are looked at.
func (s *Scheduler) backfill(head int, now int64) (int, bool) {
	if s.correct(now) || !s.pass.valid || s.pass.head != head {
		s.begin(head)
	}
	p := &s.pass
	for !p.done {
		waiting := s.byBackfill().all()
		for ; p.at < len(waiting); p.at++ {
			i := int(waiting[p.at])
			if s.passes(i, now) {
				return i, true // once it has started another stands in its place
			}
			if s.policy.By == SJF && p.spare < 1 && now+s.est[i] > p.shadow {
				break // nor does any that is longer
			}
		}
		p.done = true
	}
	for len(s.fresh) > 0 {
		i := int(s.fresh[0])
		if s.byBackfill().has(s.fresh[0]) && s.passes(i, now) {
			return i, true
		}
		s.fresh = s.fresh[1:]
	}
	return 0, false
}

func (s *Scheduler) byBackfill() *line {
	if s.sameOrder {
		return &s.queue
	}
	return &s.by
}

// begin begins a pass: when will the head fit, and what is left beside it then?
func (s *Scheduler) begin(head int) {
	p := pass{valid: true, head: head, shadow: math.MaxInt64}
	need, free := s.jobs[head].Procs, s.free
	for _, r := range s.running {
		if free >= need && r.end > p.shadow {
			break
		}
		free += s.jobs[r.job].Procs
		p.shadow = r.end
	}
	if p.spare = free - need; p.spare < 0 { // more than the machine has
		p.spare = s.free
	}
	s.pass, s.fresh = p, s.fresh[:0]
}

// passes reports whether a job may start before the head.
func (s *Scheduler) passes(i int, now int64) bool {
	j, p := &s.jobs[i], &s.pass
	if i == p.head || j.Procs > s.free {
		return false
	}
	end := now + s.est[i]
	if s.policy.Backfill == Scan {
		return end < p.shadow
	}
	return end <= p.shadow || j.Procs <= p.spare
}

// vacate takes the processors of jobs that end now, as was expected of them, to be free.
func (s *Scheduler) vacate(now int64) {
	if s.correct(now) {
		s.pass.valid = false
	}
	n := 0
	for ; n < len(s.running) && s.running[n].end <= now; n++ {
		s.leaving = append(s.leaving, s.running[n].job)
		s.free += s.jobs[s.running[n].job].Procs
		s.pass.valid = false
	}
	s.running = slices.Delete(s.running, 0, n)
}

// correct raises the predictions that running jobs have outlived. Where arrivals are
// seen before ends, what should end now may yet do so.
func (s *Scheduler) correct(now int64) bool {
	late := now
	if s.policy.Events == Each {
		late--
	}
	n := 0
	for n < len(s.running) && s.running[n].end <= late {
		n++
	}
	if n == 0 {
		return false
	}
	outlived := slices.Clone(s.running[:n])
	s.running = slices.Delete(s.running, 0, n)
	for _, r := range outlived {
		ends := s.policy.Events == Pyss && r.start+s.jobs[r.job].Run == now
		for !(ends && r.end == now) && r.end <= late && r.end-r.start < s.jobs[r.job].Request {
			r.end = r.start + s.corrected(&r)
			r.corrections++
		}
		r.end = max(r.end, now)
		s.expect(r)
	}
	return true
}
