package core

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

func (s *State) applyElements(e Event) {
	switch e := e.(type) {
	case TaskReady:
		j := s.change(e.Job)
		t := &j.tasks[e.Task]
		before := t.counts()[job.Pending]
		if t.n < 0 {
			t.prepare(&j.spec.spec.Tasks[e.Task], e.Count, e.Items)
		}
		s.queued(j, t.counts()[job.Pending]-before)
		t.ready = true
		s.regroup(j, e.Task)
		s.follow.readied(j.id, e.Task)
	case ElementsOpened:
		j := s.change(e.Job)
		a := j.tasks[e.Task].arr
		for _, span := range e.Spans {
			for p := span.First; p <= span.Last; p++ {
				a.open.Add(p)
			}
			a.touch(span)
		}
		s.regroup(j, e.Task)
	case ElementsEnded:
		s.applyElementsEnded(e)
	case ElementWoken:
		j := s.change(e.Job)
		t := &j.tasks[e.Task]
		r := t.retryOf(e.Position)
		r.at = 0
		t.setRetry(e.Position, r)
		t.again(e.Position)
		s.regroup(j, e.Task)
	}
}

func (s *State) applyElementsEnded(e ElementsEnded) {
	j := s.change(e.Job)
	t := &j.tasks[e.Task]
	r := element.Record{State: e.State, Cause: e.Cause, Ended: e.At}
	j.spoil(e.Task, e.State, e.Cause)
	before := t.counts()[job.Pending]
	for _, span := range e.Spans {
		for _, run := range t.pending(span) { // others are in other states, or live
			s.endSpan(j, e.Task, run, r)
			s.follow.elements(j.id, e.Task, run)
		}
	}
	s.queued(j, t.counts()[job.Pending]-before)
	s.finishTask(j, e.Task, e.At)
	s.regroup(j, e.Task)
}

// endSpan ends a run of pending elements, those that back off or wait to start
// again among them. Their attempts so far stay on record.
func (s *State) endSpan(j *jobState, ti uint32, span element.Span, r element.Record) {
	t := &j.tasks[ti]
	if t.arr == nil {
		r.Attempts, r.Worker, r.Started = t.one.rec.Attempts, t.one.rec.Worker, t.one.rec.Started
		one := t.single()
		one.rec, one.retry.at = r, 0
		return
	}
	a := t.arr
	for _, set := range [...]*element.Set{&a.open, &a.alone, &a.larger} {
		for p := set.Next(span.First); p >= 0 && p <= span.Last; p = set.Next(p + 1) {
			set.Remove(p)
		}
	}
	if a.backoff > 0 {
		for p := a.table.NextPending(span.First); p >= 0 && p <= span.Last; p = a.table.NextPending(p + 1) {
			if old := a.retries[p]; old.at > 0 {
				old.at = 0
				t.setRetry(p, old)
			}
		}
	}
	a.table.SetPending(span, r)
	a.touch(span)
}

// finishTask notes the moment at which a task has wholly ended.
func (s *State) finishTask(j *jobState, ti uint32, at int64) {
	if t := &j.tasks[ti]; t.over() {
		t.single().ended = at
		s.follow.task(j.id, ti)
	}
}

func (s *State) applyAttempt(e Event) {
	switch e := e.(type) {
	case AttemptAssigned:
		s.applyAssigned(e)
	case AttemptStarted:
		a := s.held(uint64(e.Fence))
		a.started = e.At
		s.began(a.job)
		if a.prefetched { // its worker has a place for it, whatever we thought
			s.promoted(a)
		}
		s.expect(a)
		t := &a.job.tasks[a.task]
		r := t.record(a.position)
		r.State, r.Started = job.Running, e.At
		t.put(a.position, r)
	case AttemptEnded:
		s.applyEnded(e)
	case AttemptReturned:
		s.applyReturned(e)
	case AttemptRecalled:
		s.held(uint64(e.Fence)).recalled = true
	case AttemptStopped:
		a := s.held(uint64(e.Fence))
		a.stop, a.grace = e.Cause, e.Grace
		s.plan.Leave(a.run, a.grace)
	case AttemptsStopped:
		s.applyStopped(e)
	}
}

// applyStopped asks what is live of a task to end; Follow then tells the workers.
func (s *State) applyStopped(e AttemptsStopped) {
	j := s.change(e.Job)
	t := &j.tasks[e.Task]
	if e.Cause.Kind == job.CauseMaxFails {
		t.seldom().asked = e.Cause.Code
	}
	for a := t.nextLive(0); a != nil; a = t.nextLive(a.position + 1) {
		if !e.asks(a) {
			continue
		}
		a.stop, a.grace = e.Cause, e.Grace
		s.plan.Leave(a.run, a.grace)
		if t.arr != nil {
			t.arr.touched.Add(a.position / element.ChunkSize)
		}
	}
	s.follow.stopped(e)
}

// held returns a live attempt whose job is about to change.
func (s *State) held(fence uint64) *attempt {
	a := s.attempts[fenceOf(fence)]
	if a == nil {
		panic(fmt.Sprintf("core: no attempt has fence %d", fence))
	}
	s.touch(a.job)
	if t := &a.job.tasks[a.task]; t.arr != nil {
		t.arr.touched.Add(a.position / element.ChunkSize)
	}
	return a
}

func (s *State) applyAssigned(e AttemptAssigned) {
	j := s.change(e.Job)
	t := &j.tasks[e.Task]
	r := t.record(e.Position)
	r.State, r.Attempts, r.Worker, r.Started, r.Ended, r.Cause = job.Assigned, e.Attempt, e.Worker, 0, 0, job.Cause{}
	t.taken(e.Position)
	t.put(e.Position, r)
	a := &attempt{
		fence: e.Fence, job: j, task: e.Task, position: e.Position, number: e.Attempt,
		lease: e.Lease, assigned: e.At, prefetched: e.Prefetched, alone: e.Alone, devices: e.Devices, way: e.Way, memory: e.Memory,
	}
	s.hold(a, s.workers[e.Worker], e.At)
	s.queued(j, -1)
	s.nextFence = max(s.nextFence, e.Fence+1)
	if t.one.started == 0 {
		t.single().started = e.At
	}
	first := j.state == job.JobPending
	if first {
		j.state, j.started = job.JobRunning, e.At
	}
	if !a.gang() || e.Position == 0 { // the start of a gang is one
		s.begin(j, e.Task, first, e.At)
	}
	s.regroup(j, e.Task)
}

// hold puts a live attempt into every index, at a moment, or 0 where it only comes back to memory.
func (s *State) hold(a *attempt, w *worker, now int64) {
	a.job.tasks[a.task].setAttempt(a.position, a)
	s.attempts[a.fence] = a
	s.occupy(a)
	w.link(a)
	s.keepApart(a)
	if !a.prefetched {
		w.occupy(a)
	} else {
		a.job.queue.ahead.note(s.standing(a.job, a.task))
	}
	j := a.job
	a.run = s.plan.Take(w.id, plan.Attempt{
		Shape: a.shape(), Namespace: j.queue.space.name, Queue: j.queue.name, User: j.turn(), Prefetch: a.prefetched, Alone: a.alone,
		Apart: j.apart(a.task), Spread: j.spread(a.task), Job: j.id,
		Tier: j.tier(), Stays: j.spec.spec.Tasks[a.task].AtMostOnce, Nodes: int(j.spec.spec.Tasks[a.task].Nodes), Tag: uint64(a.fence), Began: a.assigned,
	}, s.useUntil(now))
	if a.stop.Kind != job.CauseNone {
		s.plan.Leave(a.run, a.grace)
	}
	s.expect(a)
}

// promoted notes that a prefetched attempt has a place.
func (s *State) promoted(a *attempt) {
	a.prefetched = false
	a.worker.occupy(a)
	s.plan.Promote(a.run)
}

// drop takes a live attempt out of every index, at a moment, 0 if that is unknown, and lets
// another take its place.
func (s *State) drop(a *attempt, promotes link.Fence, now int64) {
	delete(s.attempts, a.fence)
	a.job.tasks[a.task].setAttempt(a.position, nil)
	if a.ended == nil {
		s.release(a, promotes, now)
	} else {
		a.worker.awaits--
	}
}

// release takes from an attempt, at a moment, what it has of its worker and of limits, and lets
// another take its place.
func (s *State) release(a *attempt, promotes link.Fence, now int64) {
	s.plan.Give(a.run, s.useUntil(now))
	a.run = nil
	if !a.prefetched {
		a.worker.vacate(a)
	}
	a.worker.unlink(a)
	s.letNear(a)
	s.vacate(a)
	if promotes != 0 {
		s.promoted(s.held(uint64(promotes)))
	}
}

func (s *State) applyEnded(e AttemptEnded) {
	a := s.held(uint64(e.Fence))
	if e.Awaits {
		s.applyRankEnded(a, e)
		return
	}
	j, t := a.job, &a.job.tasks[a.task]
	s.drop(a, e.Promotes, e.At)
	r := t.record(a.position)
	r.State, r.Cause, r.Ended = e.Next, e.Cause, e.Ended
	if e.Started > 0 {
		r.Started = e.Started
	}
	if r.Ended == 0 {
		r.Ended = e.At
	}
	s.learn(a, &e, r)
	unheard := e.Ended == 0 || e.Cause.Kind == job.CauseWorkerLost // whether it started
	if e.Started > 0 || e.Next == job.Succeeded || unheard {
		s.began(j)
	}
	s.watchWindow(j)
	if e.Next == job.Pending {
		t.setRetry(a.position, retry{spent: e.Spent, at: e.RetryAt})
		if e.Memory > t.memory {
			t.seldom().memory = e.Memory
		}
		t.put(a.position, r)
		s.queued(j, 1)
		s.flush.attempt(s.seq+1, j, a, e, r)
		s.timers.push(timer{at: e.RetryAt, job: j.id, task: a.task, position: a.position, kind: timerBackoff})
		s.regroup(j, a.task)
		return
	}
	r.Usage, r.Way, r.Memory = element.Rounded(e.Usage), a.way, a.memory
	t.setRetry(a.position, retry{spent: e.Spent})
	if e.Next == job.Succeeded && t.arr != nil {
		t.setRetry(a.position, retry{})
	}
	t.put(a.position, r)
	if e.Outputs != nil {
		t.keepOutputs(a.position, e.Outputs)
	}
	if e.Next == job.Succeeded {
		s.succeeded(a)
	}
	j.spoil(a.task, e.Next, e.Cause)
	s.follow.elements(j.id, a.task, element.Span{First: a.position, Last: a.position})
	s.finishTask(j, a.task, e.At)
	s.regroup(j, a.task)
}

// spoil notes the first failure of a job, or else the first cancel, and the
// highest exit code of its failures.
func (j *jobState) spoil(ti uint32, state job.ElementState, c job.Cause) {
	failed := state == job.Failed || state == job.TimedOut
	if !failed && state != job.Cancelled {
		return
	}
	first := j.spoiled.Kind == job.CauseNone || failed && j.code == 0
	if failed {
		j.seldom().code = max(j.code, int32(c.ExitCode()), 1)
	}
	if !first {
		return
	}
	named := c.Kind != job.CauseCancelled && c.Kind != job.CauseKilled // whose detail is who did it
	if name := j.spec.spec.Tasks[ti].Name; len(j.tasks) > 1 && named {
		c.Detail = strings.TrimSuffix("task "+name+": "+c.Detail, ": ")
	}
	j.seldom().spoiled = c.Trim()
}

func (t *task) keepOutputs(p int64, outputs []byte) {
	if t.arr == nil || t.arr.gang {
		t.seldom().outputs = outputs
		return
	}
	if t.arr.outputs == nil {
		t.arr.outputs = map[int64][]byte{}
	}
	t.arr.outputs[p] = outputs
}

func (s *State) applyReturned(e AttemptReturned) {
	a := s.held(uint64(e.Fence))
	j, t := a.job, &a.job.tasks[a.task]
	s.drop(a, e.Promotes, 0)
	r := t.record(a.position)
	r.State, r.Worker = job.Pending, 0
	r.Attempts--
	t.put(a.position, r)
	s.queued(j, 1)
	t.again(a.position)
	s.watchWindow(j)
	s.regroup(j, a.task)
}

func (s *State) applyWorker(e Event) {
	switch e := e.(type) {
	case WorkerJoined:
		s.applyJoined(e)
	case WorkerAway:
		w := s.workers[e.ID]
		w.away = true
		s.offer(w)
	case WorkerDrained:
		w := s.workers[e.ID]
		w.draining = e.Draining
		s.offer(w)
	case WorkerUnfit:
		w := s.workers[e.ID]
		w.hello.Unfit = e.Why
		s.offer(w)
	case WorkerForgotten:
		w := s.workers[e.ID]
		delete(s.workers, e.ID)
		same := slices.DeleteFunc(s.instances[w.hello.Instance], func(id uint64) bool { return id == e.ID })
		if s.instances[w.hello.Instance] = same; len(same) == 0 {
			delete(s.instances, w.hello.Instance)
		}
		s.workerIDs = slices.DeleteFunc(s.workerIDs, func(id uint64) bool { return id == e.ID })
		s.plan.RemoveWorker(e.ID)
		s.flush.object(workerKey(e.ID))
	}
}

func (s *State) applyJoined(e WorkerJoined) {
	w := s.workers[e.ID]
	if w == nil {
		w = &worker{id: e.ID, joined: e.At}
		s.workers[e.ID] = w
		s.workerIDs = append(s.workerIDs, e.ID)
		s.nextWorker = max(s.nextWorker, e.ID+1)
		s.instances[e.Hello.Instance] = append(s.instances[e.Hello.Instance], e.ID)
	}
	s.hellos++
	w.hello, w.away, w.session = e.Hello, false, s.hellos
	s.offer(w)
}

// offer tells the plan what a worker has to give.
func (s *State) offer(w *worker) {
	s.present(w)
	s.flush.object(workerKey(w.id))
}
