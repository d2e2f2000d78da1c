package core

import (
	"cmp"
	"math"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// limits is what may not be too much: who holds concurrency keys, and what is kept aside
// since a queue or namespace has as much as it may have.
type limits struct {
	*limit.Keys
	// again is groups that the plan is to be told of again, closed the queues that their
	// rate keeps closed.
	again  []limit.Group
	closed []*queue
}

// load is what a queue or a namespace has.
type load struct {
	// pending counts the elements that wait, running the attempts that workers have, those
	// sent ahead among them: they start without being asked for again. used is what those
	// attempts are given together.
	pending, running int64
	used             job.Resources
	// aside is groups that would have been too much: they wait until it has less.
	aside []plan.GroupID
}

// slot is a concurrency key of a job, or of the attempts of a task of it.
type slot struct {
	task uint32 // NoTask for the job as a whole
	key  *limit.Key
	// released: of a job, that its slot was taken from it.
	released bool
}

// slotOf returns the key of a task's attempts, or of the job for NoTask; nil for none.
func (j *jobState) slotOf(ti uint32) *slot {
	if len(j.slots) == 0 { // as of most jobs
		return nil
	}
	i, found := slices.BinarySearchFunc(j.slots, ti, func(s slot, ti uint32) int { return cmp.Compare(s.task, ti) })
	if !found {
		return nil
	}
	return &j.slots[i]
}

// concurrency is what the spec says of the key of a task, or of the job.
func (j *jobState) concurrency(ti uint32) *job.Concurrency {
	if ti == NoTask {
		return j.spec.spec.Concurrency
	}
	return j.spec.spec.Tasks[ti].Concurrency
}

// rateOf is how often one may start.
func rateOf(c *job.Concurrency) job.Rate {
	if c.Rate == nil {
		return job.Rate{}
	}
	return *c.Rate
}

// claim gives an unfinished job its keys, by task.
func (s *State) claim(j *jobState, keys []KeyOf) {
	if len(keys) == 0 {
		return
	}
	slots := make([]slot, len(keys))
	for i, k := range keys {
		name := limit.Name{Namespace: j.queue.space.name, Key: k.Key, Each: k.Task != NoTask}
		slots[i] = slot{task: k.Task, key: s.limits.Use(name)}
	}
	j.seldom().slots = slots
}

// disclaim takes them from a job that has ended.
func (s *State) disclaim(j *jobState) {
	if len(j.slots) == 0 {
		return
	}
	for i := range j.tasks {
		s.limited(j, uint32(i), startable{})
	}
	for i := range j.slots {
		s.limits.Free(j.slots[i].key, limit.Owner{Job: j.id})
		s.limits.Drop(j.slots[i].key)
	}
	j.seldom().slots = nil
}

// pending counts the elements of a job that wait.
func (j *jobState) pending() (n int64) {
	for i := range j.tasks {
		n += j.tasks[i].counts()[job.Pending]
	}
	return n
}

// queued notes that so many more elements of a job wait.
func (s *State) queued(j *jobState, more int64) {
	j.queue.pending += more
	j.queue.space.pending += more
}

// occupy counts a live attempt, and gives it the slot of its task's key.
func (s *State) occupy(a *attempt) {
	need := a.needs()
	for _, l := range [...]*load{&a.job.queue.load, &a.job.queue.space.load} {
		l.running++
		l.used = l.used.Plus(need)
	}
	if k := a.job.slotOf(a.task); k != nil && !a.released {
		s.limits.Hold(k.key, limit.Owner{Job: a.job.id, Fence: uint64(a.fence)})
	}
}

// vacate undoes occupy: once, as the attempt ends or comes back.
func (s *State) vacate(a *attempt) {
	need := a.needs()
	for _, l := range [...]*load{&a.job.queue.load, &a.job.queue.space.load} {
		l.running--
		l.used = l.used.Minus(need)
		s.limits.retry(l)
	}
	if k := a.job.slotOf(a.task); k != nil {
		s.limits.Free(k.key, limit.Owner{Job: a.job.id, Fence: uint64(a.fence)})
	}
}

// begin notes an assignment with what counts them: rates, and, if it is the job's first, the
// slot of its key.
func (s *State) begin(j *jobState, ti uint32, first bool, at int64) {
	if r := j.queue.policy.Rate; r.Count > 0 {
		q := j.queue
		q.meter = q.meter.Take(r, at)
		s.flush.object(objectKey{KindQueue, q.space.name + "/" + q.name})
		if next := q.meter.Next(r, at); next > at {
			s.closeQueue(q, next)
		}
	}
	if k := j.slotOf(NoTask); k != nil && first {
		s.limits.Hold(k.key, limit.Owner{Job: j.id})
		s.charge(k, j.concurrency(NoTask), at)
		s.regroupAll(j) // the rest waits for it no more
	}
	if k := j.slotOf(ti); k != nil {
		s.charge(k, j.concurrency(ti), at)
	}
}

// charge notes a start with a key's rate.
func (s *State) charge(k *slot, c *job.Concurrency, at int64) {
	if c.Rate == nil {
		return
	}
	for _, gone := range s.limits.Charge(k.key, *c.Rate, at) {
		s.flush.object(objectKey{KindKey, keyRow(gone)})
	}
	s.flush.object(objectKey{KindKey, keyRow(k.key.Name())})
}

// claimOf is what a group asks of a key of its own, or of its job's.
func (s *State) claimOf(j *jobState, ti, of uint32) limit.Claim {
	c := j.concurrency(of)
	return limit.Claim{
		Group: limit.Group{Job: j.id, Task: ti}, Queue: j.queue.name, Priority: j.precedence(),
		Limit: c.Limit, Rate: rateOf(c), Cancels: of == NoTask && c.Conflict == job.ConflictCancel,
	}
}

// limited bounds how many elements of a task could start by the keys that it and its job
// have, and notes what waits for them. It asks for the task's own only once it has the
// job's: nothing stands in a queue where it could not go on.
func (s *State) limited(j *jobState, ti uint32, n startable) startable {
	if len(j.slots) == 0 {
		return n
	}
	g := limit.Group{Job: j.id, Task: ti}
	if k := j.slotOf(NoTask); k != nil && (j.state != job.JobPending || n.all() == 0) {
		s.limits.Leave(k.key, g)
	} else if k != nil && s.limits.Ask(k.key, s.claimOf(j, ti, NoTask)) == 0 {
		n = startable{}
		if j.spec.spec.Concurrency.Conflict == job.ConflictCancel {
			s.follow.rival(g)
		}
	}
	k := j.slotOf(ti)
	switch {
	case k == nil:
	case n.all() == 0:
		s.limits.Leave(k.key, g)
	default:
		n = n.within(s.limits.Ask(k.key, s.claimOf(j, ti, ti)))
	}
	return n
}

// direct reports whether attempts of a task are not to be sent ahead of their place: they
// would hold a key while they wait.
func (s *State) direct(j *jobState, ti uint32) bool {
	return j.slotOf(ti) != nil || j.state == job.JobPending && j.slotOf(NoTask) != nil
}

// settleLimits tells the plan of groups anew whose turn may have come, or is over.
func (s *State) settleLimits() {
	for {
		g, more := s.limits.next()
		if !more {
			return
		}
		if j := s.jobs.get(g.Job); j != nil && !j.state.Terminal() {
			s.regroup(j, g.Task)
		}
	}
}

func (l *limits) next() (limit.Group, bool) {
	if last := len(l.again) - 1; last >= 0 {
		g := l.again[last]
		l.again = l.again[:last]
		return g, true
	}
	return l.Changed()
}

// retry has the plan told again of what was kept aside, since there may be room.
func (l *limits) retry(of *load) {
	for _, g := range of.aside {
		l.again = append(l.again, limit.Group{Job: g.Job, Task: g.Task})
	}
	of.aside = of.aside[:0]
}

// permits reports whether an element of a group may start at now, as far as limits go. The
// group of one that may not is kept aside until it may.
func (s *State) permits(j *jobState, g plan.GroupID, now int64) bool {
	spec, q := &j.spec.spec.Tasks[g.Task], j.queue
	n := max(spec.Nodes, 1)
	need, more := spec.Asks(g.Way, j.tasks[g.Task].memoryFor(g)).Times(n), n-1
	full := q.policy.Limit.Over(q.running+more, q.used, need) != ""
	over := &q.load
	if !full {
		full = q.space.policy.Limit.Over(q.space.running+more, q.space.used, need) != ""
		over = &q.space.load
	}
	if full {
		s.plan.SetReady(g, 0)
		over.aside = append(over.aside, g)
		return false
	}
	if next := q.meter.Next(q.policy.Rate, now); next > now {
		s.closeQueue(q, next)
		return false
	}
	ok := true
	if k := j.slotOf(NoTask); k != nil && j.state == job.JobPending {
		ok = s.allows(k, s.claimOf(j, g.Task, NoTask), now)
	}
	if k := j.slotOf(g.Task); k != nil && ok {
		ok = s.allows(k, s.claimOf(j, g.Task, g.Task), now)
	}
	if !ok {
		s.plan.SetReady(g, 0)
		s.settleLimits()
	}
	return ok
}

func (s *State) allows(k *slot, c limit.Claim, now int64) bool {
	return s.limits.Allows(k.key, &c, now)
}

// closeQueue keeps what waits in a queue from starting until a moment.
func (s *State) closeQueue(q *queue, until int64) {
	if q.opens == 0 {
		s.limits.closed = append(s.limits.closed, q)
		s.plan.SetClosed(q.space.name, q.name, true)
	}
	q.opens = until
}

func (s *State) openQueue(q *queue) {
	if q.opens == 0 {
		return
	}
	q.opens = 0
	s.limits.closed = slices.DeleteFunc(s.limits.closed, func(o *queue) bool { return o == q })
	s.plan.SetClosed(q.space.name, q.name, false)
}

// openDue lets go on what a rate held back until now.
func (s *State) openDue(now int64) {
	for _, q := range slices.Clone(s.limits.closed) {
		if q.opens <= now {
			s.openQueue(q)
		}
	}
	s.limits.Open(now)
	s.settleLimits()
}

// Reconsider lets everything start again that a rate or a quota holds back at the moment: what
// may not, Place finds out again. What is left to be ranked anew is ranked, and where the shortest
// goes first all, by what is known now, and so is until when it is waited for cheaper workers. That is the leader's business and no part of the state that
// servers share: whoever compares two copies of it calls this for both.
func (s *State) Reconsider() {
	for _, name := range s.spaceNames {
		for _, q := range s.spaces[name].names {
			if q := s.spaces[name].queues[q]; q.policy.Order == job.ByLength {
				s.rankQueue(q)
			}
		}
	}
	s.Rank(math.MaxInt)
	s.resetPatience()
	s.takeBack()
	s.openDue(math.MaxInt64)
}

// takeBack has the plan told again of all that was kept aside.
func (s *State) takeBack() {
	for _, name := range s.spaceNames {
		n := s.spaces[name]
		s.limits.retry(&n.load)
		for _, queue := range n.names {
			s.limits.retry(&n.queues[queue].load)
		}
	}
	s.settleLimits()
}

// opensNext is when openDue has something to do, 0 for never.
func (s *State) opensNext() int64 {
	at := s.limits.Opens()
	for _, q := range s.limits.closed {
		if at == 0 || q.opens < at {
			at = q.opens
		}
	}
	return at
}
