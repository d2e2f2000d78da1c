package core

import (
	"math"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// sentAhead is what a queue knows of what was sent ahead of it: nothing of that stands lower than the
// lowest, if there is any. It follows from what is live, and only spares searches in vain.
type sentAhead struct {
	any    bool
	lowest int64
	// called is when something was asked back for a job the last time, in Unix milliseconds.
	called int64
	by     job.ID
}

func (a *sentAhead) note(standing int64) {
	if !a.any || standing < a.lowest {
		a.any, a.lowest = true, standing
	}
}

const (
	// brief is how long something may be known to take, in milliseconds, so that what comes first may wait
	// for it: it is not asked back from the worker that it was sent ahead to.
	brief = 1000
	// maxComers bounds the jobs that are noted at a time; of more the queues are.
	maxComers = 64
	// mostAhead bounds the attempts of a job that are asked whether they wait on a worker.
	mostAhead = 64
)

// standing is where what is ready of a task stands in its queue, higher first: what is of the class
// background below all else.
func (s *State) standing(j *jobState, ti uint32) int64 {
	length := int64(0)
	if j.queue.policy.Order == job.ByLength {
		length = s.length(j, ti)
	}
	score := j.score(length, j.spec.spec.Tasks[ti].Takes(0).CPU)
	if j.tier() == 0 {
		score -= 2 * atFront
	}
	return score
}

// came notes a job of which something is ready that comes before what was sent ahead of its queue.
func (s *State) came(j *jobState, ti uint32) {
	q := j.queue
	if !q.ahead.any || s.standing(j, ti) <= q.ahead.lowest || slices.Contains(s.follow.comers, j.id) || slices.Contains(s.follow.crowds, q) {
		return
	}
	if len(s.follow.comers) < maxComers {
		s.follow.comers = append(s.follow.comers, j.id)
	} else {
		s.follow.crowds = append(s.follow.crowds, q)
	}
}

// highest is the highest standing of a job's tasks.
func (s *State) highest(j *jobState) int64 {
	out := int64(math.MinInt64)
	for i := range j.tasks {
		out = max(out, s.standing(j, uint32(i)))
	}
	return out
}

// callBack lets what was sent ahead be asked back for jobs that come before it and have to wait: of those of
// one queue, or of one user where users take turns, for the first, since what comes after that one comes
// after the others. Nothing can be placed any more. Where too many came to note them, all of their queue is asked back.
func (s *State) callBack(now int64) {
	const again = 1000 // milliseconds between two times for one job
	w := &s.follow
	var first []*jobState
	for _, id := range w.comers {
		j := s.jobs.get(id)
		if j == nil || j.state.Terminal() || !j.waitsForPlace() {
			continue
		}
		switch at := slices.IndexFunc(first, func(o *jobState) bool { return o.queue == j.queue && o.turn() == j.turn() }); {
		case at < 0:
			first = append(first, j)
		case s.highest(j) > s.highest(first[at]):
			first[at] = j
		}
	}
	w.comers = w.comers[:0]
	for _, j := range first {
		switch a := &j.queue.ahead; {
		case slices.Contains(w.crowds, j.queue):
		case a.by == j.id && now < a.called+again:
			w.comers = append(w.comers, j.id)
		default:
			a.by, a.called = j.id, now
			w.overtaken(overtaken{queue: j.queue, job: j.id, came: true})
		}
	}
	for _, q := range w.crowds {
		w.overtaken(overtaken{queue: q})
	}
	w.crowds = w.crowds[:0]
}

// waitsForPlace reports whether something of a job could start but for a place, be it on the worker that it was
// sent ahead to.
func (j *jobState) waitsForPlace() bool {
	if j.held {
		return false
	}
	for i := range j.tasks {
		t := &j.tasks[i]
		if t.startable().all() > 0 {
			return true
		}
		seen := 0
		for a := t.nextLive(0); a != nil && seen < mostAhead; a = t.nextLive(a.position + 1) {
			if seen++; a.prefetched {
				return true
			}
		}
	}
	return false
}

// brief reports whether an attempt is known to take so little time that what comes first may wait for it.
func (s *State) brief(a *attempt) bool {
	e, ok := s.predict(a.job, a.task)
	return ok && e.Run < brief
}

// gives reports whether it is of use to a job that came if an attempt is asked back from its worker.
func (s *State) gives(j *jobState, a *attempt) bool {
	if s.brief(a) {
		return false
	}
	for i := range j.tasks {
		t := &j.tasks[i]
		for _, id := range t.startable().groups(j.id, uint32(i)) {
			for way := range j.spec.spec.Tasks[i].Ways() {
				if id.Way = uint8(way); s.plan.Fit(id, a.worker.id).Could {
					return true
				}
			}
		}
		seen := 0
		for o := t.nextLive(0); o != nil && seen < mostAhead; o = t.nextLive(o.position + 1) {
			if seen++; o.prefetched && o.worker == a.worker && a.fence < o.fence {
				return true // it waits behind it
			}
		}
	}
	return false
}
