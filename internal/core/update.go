package core

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

func (s *State) decideUpdate(in Input, c Update) (d Decision, err error) {
	j, err := s.find(c.Job, NoTask)
	if err != nil {
		return d, err
	}
	if j.state.Terminal() {
		return d, refuse(job.Refused, "job %d has ended; only what has not can be changed", j.id)
	}
	was := Standing{Queue: j.queue.name, Priority: j.priority(), Front: j.front}
	to, q := was, j.queue
	if c.Queue != nil && *c.Queue != q.name {
		if q, err = j.queue.space.queue(*c.Queue); err != nil {
			return d, err
		}
		to.Queue, to.Front = q.name, 0
	}
	if c.Priority != nil {
		to.Priority = *c.Priority
		if err := job.CheckPriority(to.Priority); err != nil {
			return d, refuse(job.Invalid, "%s", err)
		}
	}
	switch {
	case c.Front == nil:
	case !*c.Front:
		to.Front = 0
	case to.Front == 0 || to.Front < q.front: // else it is the first already
		to.Front = max(in.Now, q.front+1)
	}
	d.Reply = to
	if to == was {
		return d, nil
	}
	if err := s.checkFormat(FormatChanges, "a change of job "+j.id.String()); err != nil {
		return Decision{}, err
	}
	d.Events = []Event{JobChanged{Job: j.id, Queue: to.Queue, Priority: to.Priority, Front: to.Front, By: c.By, At: in.Now}}
	return d, nil
}

func (s *State) applyChanged(e JobChanged) {
	j := s.change(e.Job)
	if q := j.queue.space.queues[e.Queue]; q != j.queue {
		s.requeue(j, q)
	}
	if raised := e.Priority - j.spec.spec.Priority; raised != j.raised || e.Front != j.front {
		more := j.seldom()
		more.raised, more.front = raised, e.Front
	}
	j.queue.front = max(j.queue.front, e.Front)
	for i := range j.tasks {
		t := &j.tasks[i]
		for a := t.nextLive(0); a != nil; a = t.nextLive(a.position + 1) {
			s.moved(a, e.At)
		}
	}
	s.ranks = slices.DeleteFunc(s.ranks, func(r ranking) bool { return r.one && r.from == j.id })
	if r := (ranking{from: j.id, one: true}); s.rankSome(&r, rankSlice) == 0 {
		s.ranks = append(s.ranks, r)
	}
	s.follow.overtaken(overtaken{queue: j.queue, job: j.id})
}

// moved tells the plan whose an attempt is since a moment, 0 if that is unknown. Not later than
// that, and not in slices: who has used how much is the same at all servers.
func (s *State) moved(a *attempt, now int64) {
	j := a.job
	s.plan.Move(a.run, j.queue.space.name, j.queue.name, j.turn(), j.tier(), s.useUntil(now))
}

// movedAll is moved for all attempts of a queue, after its users began or ceased to take turns.
func (s *State) movedAll(q *queue) {
	for _, id := range s.workerIDs {
		for a := s.workers[id].first; a != nil; a = a.next {
			if a.job.queue == q {
				s.moved(a, 0)
			}
		}
	}
}

// overtaken is what was sent ahead of its place and is to be asked back, so that it is given out
// anew in the order that there is now: what is of a job, or comes after it in its queue; or all
// of a queue, if job is 0; or all on workers of a pool that give away more than they have.
type overtaken struct {
	queue  *queue
	pool   string
	job    job.ID
	worker int // the place of the first worker that is to be looked at
	// came: the job did just now, so that only what is of use to it is asked back.
	came bool
}

func (w *worklist) overtaken(o overtaken) { w.ahead = append(w.ahead, o) }

// followOvertaken asks a slice of the workers for what was overtaken.
func (s *State) followOvertaken(d *Decision, o overtaken) {
	j := s.jobs.get(o.job)
	if o.job != 0 && (j == nil || j.state.Terminal()) {
		return
	}
	score, waits := int64(0), false
	if j != nil {
		score, waits = s.foremost(j)
	}
	back := func(a *attempt) bool {
		if !a.prefetched || a.recalled || a.stop.Kind != job.CauseNone || o.pool == "" && a.job.queue != o.queue {
			return false
		}
		if o.came {
			return a.job != j && waits && s.overtakes(j, score, a) && s.gives(j, a)
		}
		return j == nil || a.job == j || waits && s.overtakes(j, score, a)
	}
	if o.came && o.worker == 0 {
		o.queue.ahead.any = false // it is found anew
	}
	for seen := 0; o.worker < len(s.workerIDs); o.worker++ {
		if seen > sliceElements || len(d.Events) >= sliceEvents {
			s.follow.overtaken(o)
			return
		}
		w := s.workers[s.workerIDs[o.worker]]
		if seen++; o.pool != "" && (w.pool() != o.pool || (job.Resources{}).Fits(w.room())) {
			continue
		}
		seen += w.held
		var fences []link.Fence
		for a := w.first; a != nil; a = a.next {
			if back(a) {
				fences = append(fences, a.fence)
				d.Events = append(d.Events, AttemptRecalled{Fence: a.fence})
			} else if o.came && a.job.queue == o.queue && a.prefetched && !a.recalled && !s.brief(a) {
				o.queue.ahead.note(s.standing(a.job, a.task))
			}
		}
		if fences != nil {
			d.Sends = append(d.Sends, Send{Worker: w.id, Msg: link.ToWorker{Recall: fences}})
		}
	}
}

// foremost is the highest score of what waits of a job or was sent ahead; false if there is none.
func (s *State) foremost(j *jobState) (score int64, ok bool) {
	for i := range j.tasks {
		t := &j.tasks[i]
		if j.held || t.startable().all()+t.counts()[job.Assigned] == 0 {
			continue
		}
		if of := s.groupOf(j, plan.GroupID{Job: j.id, Task: uint32(i)}).Score; !ok || of > score {
			score, ok = of, true
		}
	}
	return score, ok
}

// overtakes reports whether a job, whose highest score that is, comes before an attempt of another
// in its queue.
func (s *State) overtakes(j *jobState, score int64, a *attempt) bool {
	o := a.job
	if o.turn() != j.turn() || (j.tier() == 0) != (o.tier() == 0) {
		return j.tier() > 0 && o.tier() == 0
	}
	of := s.groupOf(o, plan.GroupID{Job: o.id, Task: a.task}).Score
	return score > of || score == of && j.id < o.id
}

// requeue moves a job to another queue of its namespace, with all that is counted of it.
func (s *State) requeue(j *jobState, q *queue) {
	from := &j.queue.load
	j.queue.jobs--
	q.jobs++
	waits := j.pending()
	from.pending -= waits
	q.pending += waits
	for i := range j.tasks {
		for a := j.tasks[i].nextLive(0); a != nil; a = j.tasks[i].nextLive(a.position + 1) {
			if a.ended != nil {
				continue // of a gang, and counts no more
			}
			need := a.needs()
			from.running--
			from.used = from.used.Minus(need)
			q.running++
			q.used = q.used.Plus(need)
		}
	}
	s.limits.retry(from)
	j.queue = q
}

// ranking is jobs of which the plan is to be told anew, since what waits of them may stand elsewhere.
// That is a cache's business, and no part of what events say: each
// server does it for itself, and one that starts has it done.
type ranking struct {
	// queue is whose jobs are meant, or one: the first alone.
	queue *queue
	one   bool
	// from and task are where to go on.
	from job.ID
	task int
}

// rankSlice bounds how many groups are ranked anew at once.
const rankSlice = 1000

// rankQueue has all jobs of a queue ranked anew.
func (s *State) rankQueue(q *queue) {
	s.ranks = slices.DeleteFunc(s.ranks, func(r ranking) bool { return r.queue == q })
	if q.jobs > 0 {
		s.ranks = append(s.ranks, ranking{queue: q})
	}
}

// Ranking reports whether Rank has something to do.
func (s *State) Ranking() bool { return len(s.ranks) > 0 }

// Rank tells the plan of up to about so many groups that may stand elsewhere since a queue has
// another order or a job was changed. Leaders have Place do it; servers that follow
// call it with each batch.
func (s *State) Rank(most int) {
	for most > 0 && len(s.ranks) > 0 {
		if most = s.rankSome(&s.ranks[0], most); most > 0 {
			s.ranks = slices.Delete(s.ranks, 0, 1)
		}
	}
	s.settleLimits()
}

// rankSome goes on with a ranking for about so many groups. It returns how many are left, 0 if it
// is not through.
func (s *State) rankSome(r *ranking, left int) int {
	const passed = 32 // so many jobs are passed in the time of one group
	if r.one {
		if j := s.jobs.get(r.from); j != nil && !j.state.Terminal() {
			left = s.rankJob(r, j, left)
		}
		return left
	}
	seen := 0
	for j := range s.jobs.from(r.from) {
		if j.id != r.from {
			r.from, r.task = j.id, 0
		}
		if seen++; seen%passed == 0 {
			left--
		}
		if j.queue == r.queue && !j.state.Terminal() {
			left = s.rankJob(r, j, left)
		}
		if left <= 0 {
			return 0
		}
	}
	return left
}

// rankJob is rankSome within a job.
func (s *State) rankJob(r *ranking, j *jobState, left int) int {
	for ; r.task < len(j.tasks); r.task++ {
		if left <= 0 {
			return 0
		}
		s.regroup(j, uint32(r.task))
		left--
	}
	return left
}
