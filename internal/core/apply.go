package core

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/expr"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// Apply makes the state the one after e. The event was decided against this very
// state, so that nothing here can be refused: what does not fit is a fault of
// Reeve's own and panics.
func (s *State) Apply(e Event) {
	switch e := e.(type) {
	case EpochStarted:
		s.leap(e.Generation)
		s.epoch, s.termFence = e.Epoch, s.nextFence
	case StateDigested: // for whoever compares
	case FormatRaised:
		s.format = e.Format
	case NamespaceSet:
		s.applyNamespace(e)
	case QueueSet:
		s.applyQueue(e)
	case PoolSet:
		s.applyPool(e)
	case ReservationSet:
		s.applyReservation(e)
	case ReservationRemoved:
		s.applyUnreserved(e.Name)
	case TokenSet:
		s.applyToken(e.Token)
	case SpecAdded:
		s.intern(e.Hash, e.Canonical, nil)
	case JobSubmitted:
		s.applySubmitted(e)
	case JobWoken:
		j := s.change(e.Job)
		j.woken = true
		s.follow.job(j.id)
	case AfterMet:
		j := s.change(e.Job)
		rest := slices.DeleteFunc(slices.Clone(j.waits), func(w Wait) bool { return w.Job == e.On })
		if len(rest) == 0 {
			rest = nil // as recovery makes it
		}
		j.seldom().waits = rest
		s.follow.job(j.id)
	case HoldSet:
		s.applyHold(e)
	case JobChanged:
		s.applyChanged(e)
	case CancelRequested:
		s.applyCancel(e)
	case JobEnded:
		s.applyJobEnded(e)
	case TaskReady, ElementsOpened, ElementsEnded, ElementWoken:
		s.applyElements(e)
	case AttemptAssigned, AttemptStarted, AttemptEnded, AttemptReturned, AttemptRecalled, AttemptStopped, AttemptsStopped:
		s.applyAttempt(e)
	case WorkerJoined, WorkerAway, WorkerDrained, WorkerUnfit, WorkerForgotten:
		s.applyWorker(e)
	case SlotReleased:
		s.applySlotReleased(e)
	default:
		panic(fmt.Sprintf("core: event %T has no rule", e))
	}
	s.settleLimits()
}

// leapBits is how far, in bits, ids jump at a new generation: further than any history can
// have come that was lost.
const leapBits = 40

// leap begins a generation. The history that was lost may have given out ids that this one
// has not: none of them is given out again. Of a state that is empty, in a generation that is not
// the first, all of it was lost.
func (s *State) leap(generation uint64) {
	if generation > max(s.generation, 1) {
		far := func(next uint64) uint64 { return (next>>leapBits + 1) << leapBits }
		s.nextJob = job.ID(far(uint64(s.nextJob)))
		s.nextWorker, s.nextFence = far(s.nextWorker), link.Fence(far(uint64(s.nextFence)))
	}
	s.generation = generation
}

// Batch notes that every event up to the batch at seq has been applied.
func (s *State) Batch(seq uint64) {
	s.seq = seq
	s.plan.Stamp(seq + 1)
	s.flush.ended(seq)
}

// change returns a job that is about to change.
func (s *State) change(id job.ID) *jobState {
	j := s.jobs.get(id)
	if j == nil {
		panic(fmt.Sprintf("core: job %d is not in memory", id))
	}
	s.touch(j)
	return j
}

func (s *State) applyNamespace(e NamespaceSet) {
	n := s.spaces[e.Name]
	if n == nil {
		n = &namespace{name: e.Name, queues: map[string]*queue{}}
		s.spaces[e.Name] = n
		s.spaceNames = insert(s.spaceNames, e.Name)
	}
	n.paused, n.created, n.policy = e.Paused, e.Created, e.Policy
	s.plan.SetPaused(e.Name, "", e.Paused)
	s.plan.SetNamespace(e.Name, e.Policy)
	s.limits.retry(&n.load)
	s.flush.object(objectKey{KindNamespace, e.Name})
}

func (s *State) applyQueue(e QueueSet) {
	n := s.spaces[e.Namespace]
	q := n.queues[e.Name]
	if q == nil {
		q = &queue{space: n, name: e.Name}
		n.queues[e.Name] = q
		n.names = insert(n.names, e.Name)
	}
	old := q.policy
	q.paused, q.created, q.policy = e.Paused, e.Created, e.Policy
	if old.Order != e.Policy.Order || old.Ageing != e.Policy.Ageing {
		if (old.Order == job.ByShare) != (e.Policy.Order == job.ByShare) {
			s.movedAll(q)
		}
		s.rankQueue(q)
		s.follow.overtaken(overtaken{queue: q})
	}
	s.plan.SetPaused(e.Namespace, e.Name, e.Paused)
	s.plan.SetQueue(e.Namespace, e.Name, e.Policy)
	s.openQueue(q)
	s.limits.retry(&q.load)
	s.flush.object(objectKey{KindQueue, e.Namespace + "/" + e.Name})
}

func (s *State) applyToken(t Token) {
	s.tokens[t.ID] = &t
	s.tokenIDs = insert(s.tokenIDs, t.ID)
	s.flush.object(objectKey{KindToken, t.ID})
}

func insert(names []string, name string) []string {
	i, found := slices.BinarySearch(names, name)
	if found {
		return names
	}
	return slices.Insert(names, i, name)
}

// intern makes a spec known. parsed may be nil.
func (s *State) intern(h Hash, canonical []byte, parsed *job.Spec) {
	if s.specs[h] != nil {
		return
	}
	if parsed == nil {
		var err error
		if parsed, err = parseSpec(canonical); err != nil {
			panic("core: an interned spec can't be read: " + err.Error())
		}
	}
	sp := weave(parsed)
	sp.hash, sp.canonical = h, canonical
	s.specs[h] = sp
}

// weave works out how the tasks of a spec hang together.
func weave(parsed *job.Spec) *spec {
	sp := &spec{spec: parsed}
	sp.needed = make([][]uint32, len(parsed.Tasks))
	places := make(map[string]int, len(parsed.Tasks))
	for i := range parsed.Tasks {
		places[parsed.Tasks[i].Name] = i
	}
	for i := range parsed.Tasks {
		t := &parsed.Tasks[i]
		where := slices.Clone(t.Where)
		slices.Sort(where)
		sp.shapes = append(sp.shapes, plan.Shape{
			Resources: t.Takes(0), Executor: t.Executor(), Function: t.Function, Where: strings.Join(where, "\n"),
		})
		sp.prefers = append(sp.prefers, plan.PreferOf(t.Prefer))
		ups := make([]uint32, len(t.Needs))
		for k, n := range t.Needs {
			u := places[n.Task]
			ups[k] = uint32(u)
			sp.needed[u] = append(sp.needed[u], uint32(i))
		}
		sp.ups = append(sp.ups, ups)
		var uses []uint32
		for _, name := range expr.Uses(parsed, t) {
			uses = append(uses, uint32(places[name]))
		}
		sp.uses = append(sp.uses, uses)
	}
	sp.placeNears(places)
	return sp
}

func (s *State) applySubmitted(e JobSubmitted) {
	sp := s.specs[e.Spec]
	sp.refs++
	j := s.newJob(len(sp.spec.Tasks))
	j.id, j.uid, j.spec, j.key, j.body, j.submitted = e.ID, e.UID, sp, e.Key, e.Body, e.At
	j.queue, j.input = s.spaces[e.Namespace].queues[queueName(sp.spec)], sp.inputOf(input{params: e.Params, payload: e.Payload, by: e.By})
	j.held, j.woken = e.Held, e.StartAfter <= e.At
	if e.StartAfter != 0 || e.StartBefore != 0 || e.Deadline != 0 || len(e.Waits) > 0 || e.RetryOf != 0 {
		more := j.seldom()
		more.startAfter, more.startBefore, more.deadline = e.StartAfter, e.StartBefore, e.Deadline
		more.waits, more.retry = slices.Clone(e.Waits), e.RetryOf
	}
	for i := range j.tasks {
		j.tasks[i].prepare(&sp.spec.Tasks[i], sp.spec.Tasks[i].Array.Len(), nil)
	}
	for _, c := range e.Carry {
		j.tasks[c.Task].carry(&sp.spec.Tasks[c.Task], c, e.At)
	}
	s.claim(j, e.Keys)
	s.adopt(j)
	s.queued(j, j.pending())
	s.nextJob = e.ID + 1
	s.touch(j)
	s.flush.fresh += len(e.Payload)
	s.follow.job(j.id)
	for i := range j.tasks {
		if j.tasks[i].over() {
			s.follow.task(j.id, uint32(i))
		}
	}
}

// adopt puts a job into every index but the plan's.
func (s *State) adopt(j *jobState) {
	s.jobs.put(j)
	if j.key != "" {
		s.addKey(j)
	}
	if j.state.Terminal() {
		return
	}
	s.live++
	j.spec.live++
	j.queue.jobs++
	j.queue.space.jobs++
	for _, w := range j.waits {
		s.waiters[w.Job] = append(s.waiters[w.Job], j.id)
	}
	if !j.woken {
		s.timers.push(timer{at: j.startAfter, job: j.id, kind: timerWake})
	}
	s.watchWindow(j)
	if j.deadline > 0 {
		s.deadlines++
		s.timers.push(timer{at: j.deadline, job: j.id, kind: timerDeadline})
	}
}

// watchWindow sets the timer for the moment by which something must have started. It is set
// again when what was given out comes back unstarted: nothing was decided while that was out.
func (s *State) watchWindow(j *jobState) {
	if j.startBefore > 0 && !j.begun {
		s.timers.push(timer{at: j.startBefore, job: j.id, kind: timerWindow})
	}
}

// began notes that something of a job has started, or may have.
func (s *State) began(j *jobState) {
	if j.startBefore > 0 && !j.begun {
		j.seldom().begun = true
		s.regroupAll(j) // the rest may be prefetched
	}
}

// out reports whether a worker has anything of a job, which it starts at once.
func (j *jobState) out() bool {
	for i := range j.tasks {
		if c := j.tasks[i].counts(); c[job.Assigned]+c[job.Running] > 0 {
			return true
		}
	}
	return false
}

// prepare sets the task's number of elements, which may still be unknown.
func (t *task) prepare(spec *job.Task, n int64, items []string) {
	t.n = n
	if items != nil {
		t.seldom().items = items
	}
	if spec.Array != nil && n >= 0 {
		t.arr = &array{table: element.NewTable(n), gang: spec.Nodes > 0}
		for _, need := range spec.Needs {
			t.arr.gated = t.arr.gated || need.Each
		}
	}
}

func (t *task) carry(spec *job.Task, c Carry, at int64) {
	if t.n < 0 {
		t.prepare(spec, c.Count, c.Items)
	}
	if c.Outputs != nil {
		t.seldom().outputs = c.Outputs
	}
	if c.Worker != 0 {
		t.seldom().last = c.Worker
	}
	r := element.Record{State: job.Succeeded, Carried: true, Ended: at}
	if t.arr == nil {
		t.single().rec = r
	} else {
		for _, span := range c.Spans {
			t.arr.table.SetPending(span, r)
			t.arr.touch(span)
		}
	}
	if t.over() {
		t.single().ended = at
	}
}

func (a *array) touch(span element.Span) {
	for c := span.First / element.ChunkSize; c <= span.Last/element.ChunkSize; c++ {
		a.touched.Add(c)
	}
}

func (s *State) applyHold(e HoldSet) {
	j := s.change(e.Job)
	if e.Task == NoTask {
		j.held = e.Held
	} else {
		j.tasks[e.Task].held = e.Held
	}
	s.regroupAll(j)
}

func (s *State) applyCancel(e CancelRequested) {
	j := s.change(e.Job)
	if e.Task == NoTask {
		more := j.seldom()
		more.stop, more.killed = e.Cause, more.killed || e.Kill
		s.follow.job(j.id)
		return
	}
	j.tasks[e.Task].seldom().stop = e.Cause
	s.regroup(j, e.Task)
}

func (s *State) applyJobEnded(e JobEnded) {
	j := s.change(e.Job)
	j.state, j.ended = e.State, e.At
	if j.own || e.Cause.Kind != job.CauseNone || e.Code != 0 {
		more := j.seldom()
		more.cause, more.code, more.waits = e.Cause, e.Code, nil
	}
	s.disclaim(j)
	s.live--
	if j.deadline > 0 {
		s.deadlines--
	}
	j.spec.live--
	j.queue.jobs--
	j.queue.space.jobs--
	for i := range j.tasks {
		s.ungroup(j, uint32(i))
	}
	s.follow.ended(j.id)
}

// regroup tells the plan how many elements of a task could start now.
func (s *State) regroup(j *jobState, ti uint32) {
	t := &j.tasks[ti]
	var n startable
	if !j.held && !j.state.Terminal() {
		n = t.startable()
		if a := j.spec.spec.Tasks[ti].Array; a != nil && a.Throttle > 0 && t.arr != nil {
			n = n.within(max(a.Throttle-int64(len(t.arr.live)), 0))
		}
	}
	n = s.limited(j, ti, n)
	s.group(j, plan.GroupID{Job: j.id, Task: ti}, n.plain)
	if n.larger > 0 || t.arr != nil && len(t.arr.retries) > 0 {
		s.group(j, plan.GroupID{Job: j.id, Task: ti, Larger: true}, n.larger)
	}
	if n.alone > 0 || t.arr == nil && t.one.retry.spent.Isolated() || t.arr != nil && len(t.arr.retries) > 0 {
		s.group(j, plan.GroupID{Job: j.id, Task: ti, Alone: true}, n.alone)
	}
}

// group tells the plan of elements that are ready, in each of the ways in which they can be served.
func (s *State) group(j *jobState, id plan.GroupID, ready int64) {
	spec := &j.spec.spec.Tasks[id.Task]
	if spec.Nodes > 0 {
		ready = min(ready, 1)
	}
	if ready > 0 {
		s.setPatience(j, id.Task)
		s.came(j, id.Task)
	}
	for way := range spec.Ways() {
		if id.Way = uint8(way); ready == 0 {
			s.plan.SetReady(id, 0)
		} else {
			s.plan.SetGroup(s.groupOf(j, id), ready)
		}
	}
}

// groupOf is what planning is told of a group.
func (s *State) groupOf(j *jobState, id plan.GroupID) plan.Group {
	length, spec := s.length(j, id.Task), &j.spec.spec.Tasks[id.Task]
	shape := j.spec.shape(id.Task, id.Way, j.tasks[id.Task].memoryFor(id))
	return plan.Group{
		ID: id, Namespace: j.queue.space.name, Queue: j.queue.name, User: j.turn(),
		// All ways to serve the same elements stand alike, whatever they take.
		Background: j.tier() == 0, Tier: j.tier(), Score: j.score(length, spec.Takes(0).CPU), Length: length,
		// What must begin by a moment can't wait on a worker until it is past, and what can be served in
		// another way need not.
		Shape: shape, NoPrefetch: spec.AtMostOnce || spec.Nodes > 0 || j.startBefore > 0 && !j.begun || len(spec.Either) > 0 ||
			mayHaveIDs(shape.Resources) || s.direct(j, id.Task),
		Apart: j.apart(id.Task), Spread: j.spread(id.Task), Near: j.near(id.Task), Nodes: int(spec.Nodes), Prefer: j.spec.prefers[id.Task],
		Patient: j.tasks[id.Task].patience > 0 && !id.Alone,
	}
}

func (s *State) regroupAll(j *jobState) {
	for i := range j.tasks {
		s.regroup(j, uint32(i))
	}
}

func (s *State) ungroup(j *jobState, ti uint32) {
	for _, id := range [...]plan.GroupID{{}, {Larger: true}, {Alone: true}} {
		id.Job, id.Task = j.id, ti
		s.group(j, id, 0)
	}
}
