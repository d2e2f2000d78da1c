package core

import (
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
	"github.com/reeve-scheduler/reeve/internal/predict"
)

// Config is what decisions depend on beside state and command. It comes from the
// leader's settings; what follows from it is written into events.
type Config struct {
	// Lease is the lease of attempts whose task says nothing, in milliseconds.
	Lease int64
	// Retention is how long finished jobs are kept, in milliseconds.
	Retention int64
	// Format is the newest format that this server knows, which an empty state begins
	// with; 0 for the first.
	Format uint64
}

// State is all that is not finished, and what finished a moment ago.
type State struct {
	config     Config
	generation uint64
	epoch      uint64
	seq        uint64
	format     uint64

	nextJob    job.ID
	nextWorker uint64
	nextFence  link.Fence
	// termFence is the first fence of this term: clocks of two terms may disagree.
	termFence link.Fence

	specs      map[Hash]*spec
	jobs       jobTable
	spaces     map[string]*namespace
	spaceNames []string
	// pools is how pools are given away, where anybody has said so.
	pools     map[string]job.PoolPolicy
	poolNames []string
	// reservations are what workers are set aside for. cleared is those of which what had been sent
	// ahead to their workers was asked back, as far as this process knows: to ask twice does no harm.
	reservations     map[string]*ReservationSet
	reservationNames []string
	cleared          map[string]bool
	tokens           map[string]*Token
	tokenIDs         []string
	workers          map[uint64]*worker
	workerIDs        []uint64
	// instances is the workers that say they are the same: more than one while one that
	// was replaced from another place has not been forgotten.
	instances map[string][]uint64
	attempts  map[link.Fence]*attempt
	// kept is the live attempts that others are to be apart from by a label.
	kept    map[plan.Company][]*attempt
	keys    keyTable
	waiters map[job.ID][]job.ID
	timers  timers
	// patience is until when tasks wait for cheaper workers.
	patience timers
	plan     *plan.Index
	learned  *predict.Index
	limits   limits

	// hellos counts the sessions that this process has begun. Sessions end with the
	// process that has them, so that the count is kept nowhere else.
	hellos uint64

	follow  worklist
	flush   flush
	evict   []eviction
	ranks   []ranking
	horizon uint64
	live    int64
	// deadlines is how many of the live jobs have one.
	deadlines int64

	// plain is what most jobs, tasks and elements are like; see seldom.
	plain struct {
		job  jobSeldom
		task taskSeldom
		one  single
	}
}

// Token is a credential: its hash, never its secret.
type Token struct {
	ID, Name   string
	Hash       [32]byte
	Scopes     []string
	Namespaces []string
	// Created, Expires and Revoked are Unix milliseconds; Revoked is 0 for no.
	Created, Expires, Revoked int64
	By                        string
}

type namespace struct {
	name    string
	paused  bool
	created int64
	policy  job.NamespacePolicy
	queues  map[string]*queue
	names   []string
	jobs    int64
	load
}

type queue struct {
	space   *namespace
	name    string
	paused  bool
	created int64
	policy  job.QueuePolicy
	jobs    int64
	load
	// meter is what the queue's rate is owed, and opens when that lets the next one start,
	// 0 for now, in Unix milliseconds.
	meter limit.Meter
	opens int64
	// front is the highest that a job was put to the front with.
	front int64
	ahead sentAhead
}

type spec struct {
	hash      Hash
	canonical []byte
	spec      *job.Spec
	shapes    []plan.Shape
	prefers   []string
	// needed[i] lists the tasks that need task i; ups[i][k] is the task that need k
	// of task i names.
	needed [][]uint32
	ups    [][]uint32
	// uses[i] is the tasks whose outputs expressions of task i name.
	uses [][]uint32
	// nears[i] is the tasks that task i is near, nearby[i] those that are near task i.
	nears, nearby [][]uint32
	// refs counts the jobs in memory, live those that have not ended.
	refs, live int
	// recent is the input of the last job: the next one's is often the same. recentAway is
	// the last one whose payload is away.
	recent, recentAway *input
	// taught is, by task, what the last attempt of it taught; nil before there was one.
	taught []*predict.Entry
}

type jobState struct {
	id        job.ID
	uid       UID
	queue     *queue
	spec      *spec
	key       string
	body      uint64
	submitted int64
	started   int64
	ended     int64
	tasks     []task
	changed   uint64
	*input
	*jobSeldom

	state  job.State
	held   bool
	woken  bool // start_after has come, or there is none
	dirty  bool
	frozen bool
}

// jobSeldom is the part of a job that most jobs have nothing in. There are a
// million jobs, so those share one of the state's, which nobody writes to: read its
// fields as the job's, and write them through seldom.
type jobSeldom struct {
	startAfter, startBefore, deadline int64
	// begun: something has started, or may have; kept only where start_before asks.
	begun bool

	cause job.Cause
	code  int32 // the exit code so far: the highest of failed elements
	// spoiled is why the first element that did so failed, or else was cancelled.
	spoiled job.Cause
	killed  bool
	stop    job.Cause // why it was asked to end
	waits   []Wait
	retry   job.ID
	slots   []slot
	// raised is by how much the priority was raised since the submit, front when the job was
	// put before all others of its queue, 0 if it was not.
	raised int32
	front  int64
	// tails is how long that takes which follows from each task, once somebody asked.
	tails []int64
	// own: it is one job's alone.
	own bool
}

// says reports whether there is anything in it.
func (m *jobSeldom) says() bool {
	return m.startAfter != 0 || m.startBefore != 0 || m.deadline != 0 || m.code != 0 || m.raised != 0 || m.front != 0 || m.killed || m.retry != 0 || len(m.waits)+len(m.slots) > 0 ||
		m.cause.Kind != job.CauseNone || m.spoiled.Kind != job.CauseNone || m.stop.Kind != job.CauseNone
}

// seldom returns what j has for itself, to be written to.
func (j *jobState) seldom() *jobSeldom {
	if !j.own {
		mine := *j.jobSeldom
		mine.own = true
		j.jobSeldom = &mine
	}
	return j.jobSeldom
}

type task struct {
	n     int64 // number of elements, -1 until it is known
	ready bool  // its needs are met
	held  bool
	one   *single // shared, like taskSeldom, while the task is untouched
	arr   *array
	*taskSeldom
}

// taskSeldom is of a task what jobSeldom is of a job.
type taskSeldom struct {
	stop    job.Cause // why it was asked to end
	items   []string
	outputs []byte
	// memory is what elements ask for that ran out of what they asked for, 0 if none did.
	memory int64
	// last is the worker on which an element succeeded last, 0 for none; kept only if others are near it.
	last uint64
	// patience is until when it waits for a cheaper worker, in Unix milliseconds, impatient for no more, 0
	// before that was asked.
	patience int64
	// asked is how many elements had failed when what ran was asked to end for that.
	asked int32
	// own: it is one task's alone.
	own bool
}

// seldom returns what t has for itself, to be written to.
func (t *task) seldom() *taskSeldom {
	if !t.own {
		mine := *t.taskSeldom
		mine.own = true
		t.taskSeldom = &mine
	}
	return t.taskSeldom
}

// single returns what is the task's own once it is touched, to be written to.
func (t *task) single() *single {
	if !t.one.own {
		mine := *t.one
		mine.own = true
		t.one = &mine
	}
	return t.one
}

// newJob returns a job whose tasks are plain and not prepared. The only task of
// most jobs is one piece of memory with it.
func (s *State) newJob(tasks int) *jobState {
	var j *jobState
	if tasks == 1 {
		both := &struct {
			job  jobState
			task [1]task
		}{}
		j, both.job.tasks = &both.job, both.task[:]
	} else {
		j = &jobState{tasks: make([]task, tasks)}
	}
	j.jobSeldom = &s.plain.job
	for i := range j.tasks {
		j.tasks[i].one, j.tasks[i].taskSeldom = &s.plain.one, &s.plain.task
	}
	return j
}

// single is a task's times and, unless it is an array, its element.
type single struct {
	started, ended int64
	rec            element.Record
	retry          retry
	live           *attempt
	own            bool // it is one task's alone
}

type retry struct {
	spent job.Spent
	at    int64 // backing off until then; 0 if not
}

// array is the elements of an array task.
type array struct {
	table *element.Table
	// cursor: no element below it is pending unless it is in open, alone or
	// backing off. Unused when gated.
	cursor  int64
	gated   bool     // it has element-wise needs: only elements in open may start
	gang    bool     // its elements start together
	hosts   []string // of a gang that has started, by rank, once somebody asked
	open    element.Set
	alone   element.Set
	larger  element.Set // those that ask for more memory than the others
	backoff int64
	retries map[int64]retry
	live    map[int64]*attempt
	running element.Set      // the keys of live
	outputs map[int64][]byte // not yet projected
	touched element.Set      // chunks changed since the last flush
}

type attempt struct {
	fence      link.Fence
	job        *jobState
	task       uint32
	position   int64
	number     uint16
	worker     *worker
	lease      int64
	assigned   int64
	started    int64
	prefetched bool
	alone      bool
	recalled   bool
	way        uint8 // which of the ways to serve it this is
	memory     int64 // what it asks for, if that is more than its task does; else 0
	run        *plan.Run
	devices    job.Devices // what is its own of those that its worker has
	released   bool        // its slot was taken from it
	stop       job.Cause
	grace      int64
	ended      *AttemptEnded // it awaits the ends of the others of its gang, and has nothing any more
	prev, next *attempt      // of the same worker, oldest first
}

type worker struct {
	id       uint64
	hello    link.Hello
	joined   int64
	draining bool
	away     bool
	// session is the number of its last hello to this process: see State.hellos.
	session uint64
	first   *attempt
	last    *attempt
	held    int
	// offers is its capacity by over, the over-commit of its pool, used what of that attempts with
	// a place have.
	offers, used job.Resources
	over         job.Factors
	// windows is what it is reserved for.
	windows []plan.Window
	// awaits counts the attempts that ended here and await the others of their gang: they speak of it.
	awaits int
}

// accepts reports whether a worker may be given anything.
func (w *worker) accepts() bool { return !w.away && !w.draining && w.hello.Unfit == "" }

// New returns an empty state, before its first epoch.
func New(config Config) *State {
	s := &State{
		config: config, format: FirstFormat, nextJob: 1, nextWorker: 1, nextFence: 1,
		specs: map[Hash]*spec{}, spaces: map[string]*namespace{}, pools: map[string]job.PoolPolicy{},
		reservations: map[string]*ReservationSet{}, cleared: map[string]bool{},
		tokens: map[string]*Token{}, workers: map[uint64]*worker{}, instances: map[string][]uint64{},
		attempts: map[link.Fence]*attempt{}, kept: map[plan.Company][]*attempt{}, waiters: map[job.ID][]job.ID{},
		plan: plan.New(), learned: predict.New(predict.MaxKeys), limits: limits{Keys: limit.New()},
	}
	s.Batch(0)
	return s
}

// Seq is the last applied batch's sequence.
func (s *State) Seq() uint64 { return s.seq }

// Generation is the generation of ids; it rises when the past was lost.
func (s *State) Generation() uint64 { return s.generation }

// Epoch is the current leader's term.
func (s *State) Epoch() uint64 { return s.epoch }

// each element access goes through these, so that single tasks and arrays look alike.

func (t *task) state(p int64) job.ElementState {
	if t.arr == nil {
		return t.one.rec.State
	}
	return t.arr.table.State(p)
}

func (t *task) record(p int64) element.Record {
	if t.arr == nil {
		return t.one.rec
	}
	return t.arr.table.Get(p)
}

func (t *task) put(p int64, r element.Record) {
	if t.arr == nil {
		t.single().rec = r
		return
	}
	t.arr.table.Set(p, r)
	t.arr.touched.Add(p / element.ChunkSize)
}

func (t *task) retryOf(p int64) retry {
	if t.arr == nil {
		return t.one.retry
	}
	return t.arr.retries[p]
}

func (t *task) setRetry(p int64, r retry) {
	if t.arr == nil {
		if t.one.retry != r {
			t.single().retry = r
		}
		return
	}
	if old := t.arr.retries[p]; old.at > 0 {
		t.arr.backoff--
	}
	if r.at > 0 {
		t.arr.backoff++
	}
	t.arr.touched.Add(p / element.ChunkSize)
	if r == (retry{}) {
		delete(t.arr.retries, p)
		return
	}
	if t.arr.retries == nil {
		t.arr.retries = map[int64]retry{}
	}
	t.arr.retries[p] = r
}

func (t *task) attempt(p int64) *attempt {
	if t.arr == nil {
		return t.one.live
	}
	return t.arr.live[p]
}

func (t *task) setAttempt(p int64, a *attempt) {
	switch {
	case t.arr == nil:
		if t.one.live != a {
			t.single().live = a
		}
	case a == nil:
		delete(t.arr.live, p)
		t.arr.running.Remove(p)
	default:
		if t.arr.live == nil {
			t.arr.live = map[int64]*attempt{}
		}
		t.arr.live[p] = a
		t.arr.running.Add(p)
		t.arr.hosts = nil
	}
}

// nextLive returns the attempt of the first element from p on that has one.
func (t *task) nextLive(p int64) *attempt {
	if t.arr == nil {
		if p > 0 {
			return nil
		}
		return t.one.live
	}
	return t.arr.live[t.arr.running.Next(p)]
}

// counts is how many elements are in each state; before their number is known a
// task has one pending element.
func (t *task) counts() job.Counts {
	if t.arr != nil {
		return t.arr.table.Counts()
	}
	var c job.Counts
	if t.n != 0 {
		c[t.one.rec.State] = 1
	}
	return c
}

// pending is the pending elements within a span as runs.
func (t *task) pending(span element.Span) []element.Span {
	switch {
	case t.arr != nil:
		return t.arr.table.Pending(span)
	case t.one.rec.State == job.Pending && span.First == 0:
		return []element.Span{{}}
	}
	return nil
}

func (t *task) over() bool {
	c := t.counts()
	return c.Ended() == c.Total()
}

func (w *worker) link(a *attempt) {
	a.worker, a.prev, a.next = w, w.last, nil
	if w.last != nil {
		w.last.next = a
	} else {
		w.first = a
	}
	w.last = a
	w.held++
}

func (w *worker) unlink(a *attempt) {
	if a.prev != nil {
		a.prev.next = a.next
	} else {
		w.first = a.next
	}
	if a.next != nil {
		a.next.prev = a.prev
	} else {
		w.last = a.prev
	}
	a.prev, a.next = nil, nil
	w.held--
}
