package sim

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// history is what the journal says, read by rules of its own: a model of jobs that is
// much simpler than the core, and a follower that applies each batch as it becomes
// durable. Both are held against whatever the server does.
type history struct {
	w        *world
	batches  uint64
	follower *core.State
	alone    bool // there is no follower, since what is taken in makes no sense to it
	specs    map[core.Hash]*job.Spec
	jobs     map[job.ID]*pastJob
	last     job.ID
	// epoch and generation are of the last leader.
	epoch, generation uint64
	fence             link.Fence
	attempts          map[link.Fence]*pastAttempt
	held              map[link.Fence]*pastAttempt // those that have not ended
	promoted          []*pastAttempt              // in this batch
	uids              map[core.UID]job.ID
	paused            map[string]bool   // namespaces, and queues as namespace/queue
	resumed           map[string]uint64 // the last batch that made or resumed one of them
	limits            pastLimits
	asked             uint64 // the last batch when what is answered was asked for
	workers           map[uint64]*pastWorker
	pools             map[string]job.Factors         // where they are not given away as they are
	reservations      map[string]core.ReservationSet // that are not over
	pooledAt          uint64                         // the last batch in which that was changed
	live              int                            // jobs that have not ended
	// at is when the event that is taken in was decided, by the leader's clock.
	at int64
	// latest is the latest that clock has shown: a leader that starts on a wall clock that was
	// set back begins earlier.
	latest int64
	// waits is how long retries wait, each as a part of what they wait at most, and how
	// many there were of those.
	waits  float64
	waited int
	// paced is when attempts started by keys with a rate, in the term pacedIn.
	paced   map[string][]int64
	pacedIn uint64
	// hungry is since when a queue has had work and an idle worker that takes it.
	hungry map[string]time.Duration
	// told is what watchers are to be told, and first where each batch begins in it.
	told  []replica.Notice
	first map[uint64]int
	// entries is all that was durable, and is; now, awake and epochs are of the one that is
	// taken in: its moment, how long the server that had it appended had been awake, and the
	// term of that one.
	entries []*entry
	now     time.Duration
	awake   time.Duration
	// again: what is taken in was judged before.
	again bool
	// gangs are those that the batch which is taken in is about.
	gangs []taskAt
	gap   gap
	by    *server // whose batch is taken in
}

// entry is a batch at the moment at which it is durable.
type entry struct {
	mark   store.Mark
	epoch  uint64 // of the leader that it is of
	events []core.Event
	at     []int64 // when each of its events was decided
	now    time.Duration
	by     *server
	awake  time.Duration // how long that leader had been awake
}

type pastJob struct {
	id    job.ID
	spec  *job.Spec
	key   string
	at    string // namespace/queue
	space string
	tasks []pastTask
	waits []core.Wait
	state job.State
	held  bool
	// letGo is the last batch in which it, or a task of it, was released.
	letGo  uint64
	woken  bool
	stop   job.CauseKind
	killed bool
	// cancels is those that were acknowledged.
	cancels []core.Cancel
	// stands is where it stands in its queue, updated the last batch in which that was changed.
	stands  core.Standing
	updated uint64
	// turned counts how often it was held or released.
	turned int
	// startAfter, startBefore and deadline are 0 for none.
	startAfter, startBefore, deadline int64
	begun                             bool
	// given: an attempt of it was given to a worker.
	given bool
}

type pastTask struct {
	n      int64
	ready  bool
	held   bool
	stop   bool
	items  map[int64]*pastElement
	others job.ElementState // of elements that are not in items
	live   int64
	// full is the batch in which too many had failed, 0 for none.
	full uint64
	// grown is what those ask for that ran out of memory, as far as is said.
	grown int64
	// end is the first of the ends of a gang's ranks while the others are taken in, nil else.
	end *gangEnd
}

type pastElement struct {
	state job.ElementState
	tries uint16
	fence link.Fence // of the live attempt, 0 for none
	won   link.Fence // of the attempt that it succeeded by, 0 for none
	cause job.Cause  // of the last end
	spent job.Spent
	// lacked is the most memory that an attempt of it ran out of.
	lacked int64
	// retryAt is until when it backs off, 0 if it does not.
	retryAt int64
	// started: an attempt of it may have started.
	started bool
}

type pastAttempt struct {
	place      place
	worker     uint64
	needs      job.Resources
	devices    job.Devices
	batch      uint64 // in which it was given out
	prefetched bool
	// running: it is known to have started.
	running bool
	over    bool
	number  uint16
	// ended is how a rank ended that awaits its gang.
	ended  *core.AttemptEnded
	stop   job.CauseKind
	lease  time.Duration // 0 for never lost
	at     int64         // when it was given out, by the leader's clock
	given  time.Duration // the same, as time that the server was awake
	moment time.Duration // and the world's
	epoch  uint64
	// stopBy is when it must have ended at the latest in a calm run, stopAnyhow in any: 0
	// if it was not asked to, or has no lease.
	stopBy, stopAnyhow time.Duration
	// stopGrace is within what it was asked to end, in milliseconds.
	stopGrace int64
}

type pastWorker struct {
	name     string
	hello    link.Hello
	used     job.Resources
	running  int
	holds    int // attempts, those that wait included
	alone    int // attempts in a place that must have the worker to themselves
	draining bool
	away     bool
	// short: it may have been given more than it has, and is given nothing more until it is not.
	short bool
}

func newHistory(w *world) *history {
	return &history{
		w: w, specs: map[core.Hash]*job.Spec{}, jobs: map[job.ID]*pastJob{}, attempts: map[link.Fence]*pastAttempt{},
		held: map[link.Fence]*pastAttempt{}, uids: map[core.UID]job.ID{}, paused: map[string]bool{}, resumed: map[string]uint64{}, limits: newPastLimits(), workers: map[uint64]*pastWorker{},
		pools:        map[string]job.Factors{},
		reservations: map[string]core.ReservationSet{},
		hungry:       map[string]time.Duration{}, first: map[uint64]int{},
	}
}

// unfinished is the jobs that have not ended, in no order.
func (h *history) unfinished() iter.Seq[job.ID] {
	return func(yield func(job.ID) bool) {
		for id, j := range h.jobs {
			if !j.state.Terminal() && !yield(id) {
				return
			}
		}
	}
}

// task is the spec of a place, as the user wrote it.
func (h *history) task(p place) *job.Task {
	j := h.jobs[p.job]
	if j == nil || int(p.task) >= len(j.spec.Tasks) {
		return nil
	}
	return &j.spec.Tasks[p.task]
}

func (h *history) element(p place) *pastElement {
	t := &h.jobs[p.job].tasks[p.task]
	e := t.items[p.position]
	if e == nil {
		e = &pastElement{state: t.others}
		t.items[p.position] = e
	}
	return e
}

// enter takes in a batch at the moment at which it is durable.
func (h *history) enter(x *entry) {
	if h.follower == nil {
		h.follower = core.New(h.w.server.config)
	}
	if x.mark.Seq != h.batches+1 {
		h.fail(Legal, "batch %d is durable after batch %d", x.mark.Seq, h.batches)
	}
	if _, begins := x.events[0].(core.EpochStarted); !begins && x.epoch != h.epoch {
		h.fail(Fenced, "batch %d is of epoch %d, and that of epoch %d has begun", x.mark.Seq, x.epoch, h.epoch)
	}
	h.entries, h.by = append(h.entries, x), x.by
	if h.gap.only == x.mark && x.mark.Seq > 0 {
		h.restored()
	}
	h.now, h.awake = x.now, x.awake
	h.batches, h.first[x.mark.Seq] = x.mark.Seq, len(h.told)
	for i, e := range x.events {
		h.at, h.latest = x.at[i], max(h.latest, x.at[i])
		if !h.again {
			h.w.trace("journal %d: %T %+v", x.mark.Seq, e, brief(e))
		}
		h.count(kindOf(e))
		h.follow(e)
		h.take(e)
		h.judgeSums()
	}
	h.judgeGangs()
	h.judgePromoted()
	if !h.alone {
		h.follower.Batch(x.mark.Seq)
		h.follower.Rank(1 + int(x.mark.Seq%7)) // as it comes, so that it is seldom through
		h.follower.Forget()
	}
}

// fail and count are the world's, where what is taken in was not judged before.
func (h *history) fail(p Promise, format string, args ...any) {
	if !h.again {
		h.w.fail(p, format, args...)
	}
}

func (h *history) count(name string) {
	if !h.again {
		h.w.count(name)
	}
}

// follow has the follower apply an event, and notes what watchers are to be told of it.
func (h *history) follow(e core.Event) {
	if h.alone {
		return
	}
	if core.Before(e) {
		h.tell(e)
	}
	h.follower.Apply(e)
	if !core.Before(e) {
		h.tell(e)
	}
}

// brief leaves out of an event what would fill a screen.
func brief(e core.Event) any {
	switch e := e.(type) {
	case core.SpecAdded:
		return string(e.Canonical)
	case core.WorkerJoined:
		return []any{e.ID, e.Hello.Name, e.Hello.Incarnation}
	}
	return e
}

func (h *history) take(e core.Event) {
	if id := jobOf(e); id != 0 {
		if j := h.jobs[id]; j == nil || j.state.Terminal() {
			h.fail(OneEnd, "%T %+v: the job is %+v", e, brief(e), j)
		}
	}
	switch e := e.(type) {
	case core.EpochStarted:
		if e.Epoch < h.epoch || e.Epoch == h.epoch && e.Generation <= h.generation || e.Generation < h.generation {
			h.fail(Fenced, "epoch %d of generation %d follows epoch %d of generation %d", e.Epoch, e.Generation, h.epoch, h.generation)
		}
		h.epoch, h.generation = e.Epoch, e.Generation
		h.judgeKnown(e)
	case core.SpecAdded:
		h.specs[e.Hash] = h.w.users.original(e.Hash, e.Canonical)
	case core.NamespaceSet:
		h.pause(e.Name, e.Paused)
		h.limit(e.Name, e.Policy.Limit, e.Policy.Pending)
	case core.QueueSet:
		h.pause(e.Namespace+"/"+e.Name, e.Paused)
		h.limit(e.Namespace+"/"+e.Name, e.Policy.Limit, 0)
	case core.PoolSet:
		h.judgePromoted() // while workers have what they had when it was promoted
		h.pooled(e)
	case core.ReservationSet:
		h.reserved(e)
	case core.ReservationRemoved:
		h.unreserved(e)
	case core.WorkerJoined:
		h.judgePromoted()
		h.joined(e)
	case core.WorkerAway:
		h.workers[e.ID].away = true
	case core.WorkerDrained:
		h.workers[e.ID].draining = e.Draining
	case core.WorkerUnfit:
		h.workers[e.ID].hello.Unfit = e.Why
		h.count("worker is unfit")
	case core.WorkerForgotten:
		if w := h.workers[e.ID]; w.running > 0 {
			h.fail(Room, "worker %s is forgotten and holds %d attempts", w.name, w.running)
		}
		delete(h.workers, e.ID)
	case core.AttemptAssigned:
		h.assigned(e)
	case core.AttemptEnded:
		h.ended(e)
	case core.AttemptReturned:
		h.returned(e)
	case core.AttemptStarted, core.AttemptStopped, core.AttemptsStopped, core.AttemptRecalled:
		h.marked(e)
	default:
		h.takeJob(e)
	}
}

func (h *history) pause(at string, paused bool) {
	if h.paused[at] = paused; !paused {
		h.resumed[at] = h.batches
	}
}

func (h *history) joined(e core.WorkerJoined) {
	w := h.workers[e.ID]
	if w == nil {
		w = &pastWorker{name: e.Hello.Name}
		h.workers[e.ID] = w
	}
	w.hello, w.away = e.Hello, false
	w.short = true // if it has less than before: else judgeSums takes that back at once
}

func (h *history) takeJob(e core.Event) {
	switch e := e.(type) {
	case core.JobSubmitted:
		h.submitted(e)
	case core.JobWoken:
		j := h.jobs[e.Job]
		if h.at < j.startAfter {
			h.fail(InTime, "job %d may start at %d, %d ms before its start_after", e.Job, h.at, j.startAfter-h.at)
		}
		if j.woken {
			h.fail(Legal, "%+v, again", e)
		}
		j.woken = true
	case core.ElementWoken:
		el := h.element(place{e.Job, e.Task, e.Position})
		if h.at < el.retryAt {
			h.fail(Backoff, "%+v %d ms before its backoff is over", e, el.retryAt-h.at)
		}
		if el.retryAt == 0 {
			h.fail(Legal, "%+v, which does not back off", e)
		}
		el.retryAt = 0
	case core.AfterMet:
		h.afterMet(e)
	case core.HoldSet:
		j := h.jobs[e.Job]
		if *j.hold(e.Task) == e.Held {
			h.fail(Legal, "%+v, again", e)
		}
		*j.hold(e.Task) = e.Held
		j.turned++
		if !e.Held {
			j.letGo = h.batches
		}
	case core.JobChanged:
		h.changed(e)
	case core.CancelRequested:
		if j := h.jobs[e.Job]; e.Task == core.NoTask {
			h.judgeDoom(j, e)
			j.stop, j.killed = e.Cause.Kind, j.killed || e.Kill
		} else {
			j.tasks[e.Task].stop = true
		}
	case core.TaskReady:
		t := &h.jobs[e.Job].tasks[e.Task]
		if t.ready || t.n >= 0 && t.n != e.Count {
			h.fail(Legal, "task %d of job %d is ready with %d elements, and has %d (ready %v)", e.Task, e.Job, e.Count, t.n, t.ready)
		}
		t.n, t.ready = e.Count, true
	case core.ElementsEnded:
		h.elementsEnded(e)
	case core.JobEnded:
		h.jobEnded(e)
	}
}

// hold is whether a job, or a task of it, is held.
func (j *pastJob) hold(task uint32) *bool {
	if task == core.NoTask {
		return &j.held
	}
	return &j.tasks[task].held
}

func (h *history) submitted(e core.JobSubmitted) {
	if e.ID <= h.last {
		h.fail(Durable, "job %d is submitted after job %d", e.ID, h.last)
	}
	h.judgeNew("job", uint64(e.ID), uint64(h.gap.job))
	h.last = e.ID
	if same := h.uids[e.UID]; same != 0 || !h.w.users.sent[e.UID] {
		h.fail(NoPhantom, "job %d, whose item %s nobody sent, or is job %d already", e.ID, e.UID, same)
	}
	h.uids[e.UID] = e.ID
	spec := h.specs[e.Spec]
	j := &pastJob{id: e.ID, spec: spec, key: e.Key, space: e.Namespace, waits: slices.Clone(e.Waits), held: e.Held,
		startAfter: spec.StartAfter.Resolve(e.At), startBefore: spec.StartBefore.Resolve(e.At), deadline: spec.Deadline.Resolve(e.At)}
	j.woken = j.startAfter <= e.At
	j.stands = core.Standing{Queue: cmp.Or(spec.Queue, core.DefaultName), Priority: spec.Priority}
	j.at = e.Namespace + "/" + j.stands.Queue
	for i := range spec.Tasks {
		j.tasks = append(j.tasks, pastTask{n: spec.Tasks[i].Array.Len(), items: map[int64]*pastElement{}})
	}
	h.jobs[e.ID] = j
	if e.RetryOf != 0 {
		h.count("job is retried")
	}
	for _, c := range e.Carry {
		t := &j.tasks[c.Task]
		t.n = c.Count
		for _, s := range c.Spans {
			for p := s.First; p <= s.Last; p++ {
				*h.element(place{e.ID, c.Task, p}) = pastElement{state: job.Succeeded}
			}
		}
	}
	h.live++
	h.judgeWaiting(j)
	if !h.again {
		h.w.users.submitted(e)
	}
}

func (h *history) afterMet(e core.AfterMet) {
	j := h.jobs[e.Job]
	on := h.jobs[e.On]
	for _, w := range j.waits {
		if w.Job == e.On && (!on.state.Terminal() || job.Decide(w.Condition, job.AfterJob(on.state)) != job.Run) {
			h.fail(Order, "job %d no longer waits for job %d (%s), which is %s", e.Job, e.On, w.Condition, on.state)
		}
	}
	j.waits = slices.DeleteFunc(j.waits, func(w core.Wait) bool { return w.Job == e.On })
}

func (h *history) elementsEnded(e core.ElementsEnded) {
	h.count(because(e.Cause.Kind))
	t := &h.jobs[e.Job].tasks[e.Task]
	for _, s := range e.Spans {
		for p := s.First; p <= s.Last; p++ {
			if t.n >= 0 && p >= t.n && p > 0 {
				break
			}
			at := place{e.Job, e.Task, p}
			if el := h.element(at); el.state == job.Pending {
				h.judgeSkip(e, at)
				h.move(at, job.Pending, e.State)
				el.cause, el.retryAt = e.Cause, 0
			}
		}
	}
	if t.n < 0 { // it never came to have elements
		h.judgeSkip(e, place{e.Job, e.Task, 0})
		t.others = e.State
		return
	}
	h.noteFull(place{e.Job, e.Task, 0})
}

func (h *history) jobEnded(e core.JobEnded) {
	j := h.jobs[e.Job]
	j.state = e.State
	h.live--
	ends := make([]job.End, len(j.tasks))
	code := 1
	for ti := range j.tasks {
		c := h.counts(j, uint32(ti))
		if c.Ended() < c.Total() {
			h.fail(OneEnd, "job %d ends as %s and task %d is %v", e.Job, e.State, ti, c)
		}
		ends[ti].State = c.TaskState()
		for _, el := range j.tasks[ti].items {
			if el.state == job.Failed || el.state == job.TimedOut {
				code = max(code, el.cause.ExitCode())
			}
		}
	}
	for ti := range j.tasks {
		for _, need := range j.spec.Tasks[ti].Needs {
			if u := j.task(need.Task); job.Handles(need.Condition) && ends[ti].State == job.Succeeded {
				ends[u].Handled = true
			}
		}
	}
	if want := job.Outcome(ends, j.stop); e.State != want {
		h.fail(Truthful, "job %d ends as %s; by how its tasks ended it is %s: %v", e.Job, e.State, want, ends)
	}
	if e.State == job.JobFailed && j.stop != job.CauseDeadline && int(e.Code) != code {
		h.fail(Truthful, "job %d ends with %d; by its attempts with %d", e.Job, e.Code, code)
	}
	if late := e.At - j.deadline; h.w.faults.calm && j.deadline > 0 && late > 1000 && j.stop == job.CauseNone {
		h.fail(InTime, "job %d ends %d ms after its deadline, which asked nothing of it", e.Job, late)
	}
}

// jobOf is the job that an event changes, 0 if it does not say.
func jobOf(e core.Event) job.ID {
	switch e := e.(type) {
	case core.JobWoken:
		return e.Job
	case core.AfterMet:
		return e.Job
	case core.TaskReady:
		return e.Job
	case core.ElementsOpened:
		return e.Job
	case core.ElementsEnded:
		return e.Job
	case core.ElementWoken:
		return e.Job
	case core.JobEnded:
		return e.Job
	case core.AttemptAssigned:
		return e.Job
	case core.AttemptsStopped:
		return e.Job
	case core.CancelRequested:
		return e.Job
	case core.HoldSet:
		return e.Job
	case core.JobChanged:
		return e.Job
	}
	return 0
}

// task is the number of a task, by its name.
func (j *pastJob) task(name string) int {
	return slices.IndexFunc(j.spec.Tasks, func(t job.Task) bool { return t.Name == name })
}

// counts is how many elements of a task are in each state.
func (h *history) counts(j *pastJob, ti uint32) (c job.Counts) {
	t := &j.tasks[ti]
	n := t.n
	if n < 0 {
		n = 1
	}
	for p := range n {
		if e := t.items[p]; e != nil {
			c[e.state]++
		} else {
			c[t.others]++
		}
	}
	return c
}
