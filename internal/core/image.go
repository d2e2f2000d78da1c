package core

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// String is the uid in hexadecimal, as blob keys have it.
func (u UID) String() string { return hex.EncodeToString(u[:]) }

// Kinds of objects, as the tables number them. The numbers are stored.
const (
	KindCounters    uint8 = 1
	KindNamespace   uint8 = 2
	KindQueue       uint8 = 3
	KindToken       uint8 = 4
	KindWorker      uint8 = 5
	KindLearned     uint8 = 6
	KindKey         uint8 = 7
	KindUse         uint8 = 9
	KindPool        uint8 = 10
	KindReservation uint8 = 11
)

// CountersImage is the core's own counters as the tables keep them.
type CountersImage struct {
	Epoch, Generation uint64
	NextJob           job.ID
	NextWorker        uint64
	NextFence         link.Fence
	// Format is the cluster's, 0 in rows from before it was ever raised.
	Format uint64
}

// countersImage is the counters as they are; the first format is left out.
func (s *State) countersImage() CountersImage {
	m := CountersImage{Epoch: s.epoch, Generation: s.generation, NextJob: s.nextJob, NextWorker: s.nextWorker, NextFence: s.nextFence}
	if s.format > FirstFormat {
		m.Format = s.format
	}
	return m
}

// QueueImage is a queue as the tables keep it.
type QueueImage struct {
	QueueSet
	// Paid is how far the starts that its rate counts are paid for: a limit.Meter.
	Paid int64
}

// KeyImage is a concurrency key that something may be owed for, as the tables keep it. Who
// holds it is with the jobs.
type KeyImage struct {
	Namespace, Key string
	// Each: single attempts hold it, not whole jobs.
	Each bool
	// Paid is how far the starts that a rate counts are paid for: a limit.Meter.
	Paid int64
}

// Row is the image's key among objects.
func (m *KeyImage) Row() string {
	return keyRow(limit.Name{Namespace: m.Namespace, Key: m.Key, Each: m.Each})
}

// keyRow is a key's row: namespace, kind and text.
func keyRow(n limit.Name) string {
	kind := "/job/"
	if n.Each {
		kind = "/task/"
	}
	return n.Namespace + kind + n.Key
}

// keyName is the inverse of keyRow.
func keyName(row string) limit.Name {
	space, rest, _ := strings.Cut(row, "/")
	kind, key, _ := strings.Cut(rest, "/")
	return limit.Name{Namespace: space, Key: key, Each: kind == "task"}
}

// WorkerImage is a worker as the tables keep it. What it holds is with the jobs.
type WorkerImage struct {
	ID             uint64
	Hello          link.Hello
	Joined         int64
	Draining, Away bool
}

// JobImage is a job as the tables keep it. Slices are shared with the state and
// hold only until the next Apply.
type JobImage struct {
	ID        job.ID
	UID       UID
	Namespace string
	// Name and Labels repeat the spec, for lists; so do Queue and Priority, unless somebody has
	// said otherwise since.
	Queue    string
	Name     string
	Labels   map[string]string
	Priority int32
	// Front is when the job was put before all others of its queue, 0 if it was not.
	Front           int64
	Spec            Hash
	Params, Payload []byte
	// Away: it has a payload, and only the tables have that; Payload is nil.
	Away                              bool
	Key                               string
	Body                              uint64
	By                                string
	Submitted, Started, Ended         int64
	StartAfter, StartBefore, Deadline int64
	KeepUntil                         int64
	State                             job.State
	Cause, Spoiled, Stop              job.Cause
	Code                              int32
	Held, Woken, Killed               bool
	// Begun: something of a job with a StartBefore has started, or may have.
	Begun   bool
	Waits   []Wait
	RetryOf job.ID
	// Keys is the concurrency keys of an unfinished job and of its tasks.
	Keys  []KeyOf
	Tasks []TaskImage
	// Released: the slot of the job's own key was taken from it.
	Released bool
	Changed  uint64
}

// TaskImage is a task within a JobImage. Of an array it has only what is not in
// chunks.
type TaskImage struct {
	N           int64
	Ready, Held bool
	Stop        job.Cause
	// Asked is how many elements had failed when what ran was asked to end for that.
	Asked int32
	// Memory is what elements ask for that ran out of what they asked for, 0 if none did.
	Memory int64
	// Last is the worker on which an element succeeded last, if other tasks are near it, else 0.
	Last           uint64
	Items          []string
	Outputs        []byte
	Started, Ended int64
	// Counts is of all elements, for lists.
	Counts job.Counts
	// Of a task that is not an array.
	Record element.Record
	Retry  RetryImage
	Live   *AttemptImage
}

// RetryImage is what an element's earlier attempts have spent.
type RetryImage struct {
	Position int64
	Spent    job.Spent
	// At is when it may start again, 0 if it does not back off.
	At int64
}

// AttemptImage is a live attempt.
type AttemptImage struct {
	Fence                       link.Fence
	Position                    int64
	Number                      uint16
	Worker                      uint64
	Lease, Assigned, Started    int64
	Prefetched, Alone, Recalled bool
	Stop                        job.Cause
	Grace                       int64
	Devices                     job.Devices
	// Released: the slot of its task's key was taken from it.
	Released bool
	// Way and Memory are as in AttemptAssigned.
	Way    uint8
	Memory int64
	// Ended is how it ended, if it awaits the ends of the others of its gang.
	Ended *AttemptEnded
}

// ChunkImage is a chunk of an array's elements.
type ChunkImage struct {
	Job     job.ID
	Task    uint32
	Chunk   int
	Columns []byte
	// Open and Alone are elements that may start out of turn.
	Open    []element.Span
	Retries []RetryImage
	Live    []AttemptImage
}

// PastAttempt is an attempt that was not its element's last.
type PastAttempt struct {
	Job      job.ID
	Task     uint32
	Position int64
	Number   uint16
	Worker   string
	Cause    job.Cause
	Usage    job.Usage
	Assigned int64
	Started  int64
	Ended    int64
	// Way and Memory are as in AttemptAssigned.
	Way    uint8
	Memory int64
}

// OutputImage is the outputs of an array's element.
type OutputImage struct {
	Job      job.ID
	Task     uint32
	Position int64
	Outputs  []byte
}

func (s *State) jobImage(j *jobState) JobImage {
	sp := j.spec.spec
	m := JobImage{
		ID: j.id, UID: j.uid, Namespace: j.queue.space.name, Queue: j.queue.name, Name: sp.Name, Labels: sp.Labels, Priority: j.priority(), Front: j.front,
		Spec: j.spec.hash, Params: j.params, Payload: j.payload, Away: j.away, Key: j.key, Body: j.body, By: j.by,
		Submitted: j.submitted, Started: j.started, Ended: j.ended,
		StartAfter: j.startAfter, StartBefore: j.startBefore, Deadline: j.deadline,
		State: j.state, Cause: j.cause, Spoiled: j.spoiled, Stop: j.stop, Code: j.code, Held: j.held, Woken: j.woken, Killed: j.killed, Begun: j.begun,
		Waits: j.waits, RetryOf: j.retry, Tasks: make([]TaskImage, len(j.tasks)), Changed: j.changed,
	}
	if j.ended > 0 {
		m.KeepUntil = j.ended + s.config.Retention
		if sp.Retention > 0 {
			m.KeepUntil = j.ended + millis(sp.Retention)
		}
	}
	for i := range j.slots {
		m.Keys = append(m.Keys, KeyOf{Task: j.slots[i].task, Key: j.slots[i].key.Name().Key})
		m.Released = m.Released || j.slots[i].released
	}
	for i := range j.tasks {
		t := &j.tasks[i]
		m.Tasks[i] = TaskImage{
			N: t.n, Ready: t.ready, Held: t.held, Stop: t.stop, Asked: t.asked, Memory: t.memory, Last: t.last, Items: t.items, Outputs: t.outputs,
			Started: t.one.started, Ended: t.one.ended, Counts: t.counts(), Record: t.one.rec,
			Retry: RetryImage{Spent: t.one.retry.spent, At: t.one.retry.at},
		}
		if a := t.one.live; a != nil {
			image := attemptImage(a)
			m.Tasks[i].Live = &image
		}
	}
	return m
}

func attemptImage(a *attempt) AttemptImage {
	return AttemptImage{
		Fence: a.fence, Position: a.position, Number: a.number, Worker: a.worker.id, Lease: a.lease, Assigned: a.assigned,
		Started: a.started, Prefetched: a.prefetched, Alone: a.alone, Recalled: a.recalled, Stop: a.stop, Grace: a.grace,
		Devices: a.devices, Released: a.released, Way: a.way, Memory: a.memory, Ended: a.ended,
	}
}

func (s *State) chunkImage(j *jobState, ti uint32, c int) ChunkImage {
	a := j.tasks[ti].arr
	m := ChunkImage{Job: j.id, Task: ti, Chunk: c}
	if a.table.Touched(c) {
		m.Columns = a.table.AppendChunk(nil, c)
	}
	first := int64(c) * element.ChunkSize
	last := min(first+element.ChunkSize, a.table.Len()) - 1
	var open element.Set
	for p := a.open.Next(first); p >= 0 && p <= last; p = a.open.Next(p + 1) {
		open.Add(p)
	}
	m.Open = open.Spans()
	for p := first; len(a.retries) > 0 && p <= last; p++ {
		if r, ok := a.retries[p]; ok {
			m.Retries = append(m.Retries, RetryImage{Position: p, Spent: r.spent, At: r.at})
		}
	}
	for p := a.running.Next(first); p >= 0 && p <= last; p = a.running.Next(p + 1) {
		m.Live = append(m.Live, attemptImage(a.live[p]))
	}
	return m
}

// Loaded rebuilds a state from images. Call its methods in the order in which
// recovery reads: counters, namespaces, queues, tokens, workers, what was learned, pools and reservations, then for each
// job its spec, the job, its chunks; Finish at the end.
type Loaded struct{ s *State }

// Load begins to rebuild a state.
func Load(config Config) *Loaded { return &Loaded{s: New(config)} }

// Counters restores the core's counters.
func (l *Loaded) Counters(m CountersImage) {
	l.s.epoch, l.s.generation, l.s.format = m.Epoch, m.Generation, max(m.Format, FirstFormat)
	l.s.nextJob, l.s.nextWorker, l.s.nextFence = m.NextJob, m.NextWorker, m.NextFence
}

// Namespace restores a namespace.
func (l *Loaded) Namespace(e NamespaceSet) { l.s.applyNamespace(e) }

// Queue restores a queue of a namespace restored before.
func (l *Loaded) Queue(m QueueImage) error {
	if l.s.spaces[m.Namespace] == nil {
		return fmt.Errorf("core: queue %s is of namespace %s, which is missing", m.Name, m.Namespace)
	}
	l.s.applyQueue(m.QueueSet)
	l.s.spaces[m.Namespace].queues[m.Name].meter = limit.Meter(m.Paid)
	return nil
}

// Key restores a concurrency key that something may be owed for.
func (l *Loaded) Key(m KeyImage) {
	l.s.limits.Restore(limit.Name{Namespace: m.Namespace, Key: m.Key, Each: m.Each}, limit.Meter(m.Paid))
}

// Pool restores how a pool is given away.
func (l *Loaded) Pool(e PoolSet) { l.s.applyPool(e) }

// Reservation restores a reservation.
func (l *Loaded) Reservation(e ReservationSet) { l.s.applyReservation(e) }

// Token restores a token.
func (l *Loaded) Token(t Token) { l.s.applyToken(t) }

// Worker restores a worker.
func (l *Loaded) Worker(m WorkerImage) {
	w := &worker{id: m.ID, hello: m.Hello, joined: m.Joined, draining: m.Draining, away: m.Away}
	l.s.workers[m.ID] = w
	l.s.workerIDs = append(l.s.workerIDs, m.ID)
	l.s.instances[m.Hello.Instance] = append(l.s.instances[m.Hello.Instance], m.ID)
	l.s.present(w)
}

// Spec restores an interned spec.
func (l *Loaded) Spec(h Hash, canonical []byte) error {
	if l.s.specs[h] != nil {
		return nil
	}
	parsed, err := parseSpec(canonical)
	if err != nil {
		return fmt.Errorf("core: spec %x: %w", h[:8], err)
	}
	l.s.intern(h, canonical, parsed)
	return nil
}

// Job restores a job whose spec and queue were restored before.
func (l *Loaded) Job(m JobImage) error {
	sp, space := l.s.specs[m.Spec], l.s.spaces[m.Namespace]
	if sp == nil || space == nil || space.queues[m.Queue] == nil || len(m.Tasks) != len(sp.spec.Tasks) {
		return fmt.Errorf("core: job %d: its spec, namespace %s or queue %s is missing", m.ID, m.Namespace, m.Queue)
	}
	sp.refs++
	j := l.s.newJob(len(m.Tasks))
	j.id, j.uid, j.queue, j.spec, j.input = m.ID, m.UID, space.queues[m.Queue], sp, sp.inputOf(input{params: m.Params, payload: m.Payload, by: m.By, away: m.Away})
	j.key, j.body, j.submitted, j.started, j.ended = m.Key, m.Body, m.Submitted, m.Started, m.Ended
	j.state, j.held, j.woken, j.changed = m.State, m.Held, m.Woken, m.Changed
	more := jobSeldom{
		startAfter: m.StartAfter, startBefore: m.StartBefore, deadline: m.Deadline, begun: m.Begun, cause: m.Cause, code: m.Code,
		spoiled: m.Spoiled, killed: m.Killed, stop: m.Stop, waits: m.Waits, retry: m.RetryOf, own: true,
		raised: m.Priority - sp.spec.Priority, front: m.Front,
	}
	j.queue.front = max(j.queue.front, m.Front)
	if more.says() {
		j.jobSeldom = &more
	}
	if !m.State.Terminal() {
		l.s.claim(j, m.Keys)
	}
	if k := j.slotOf(NoTask); k != nil {
		if k.released = m.Released; m.State == job.JobRunning && !m.Released {
			l.s.limits.Hold(k.key, limit.Owner{Job: j.id})
		}
	}
	for i := range j.tasks {
		t, image := &j.tasks[i], &m.Tasks[i]
		t.prepare(&sp.spec.Tasks[i], image.N, image.Items)
		t.ready, t.held = image.Ready, image.Held
		if image.Started != 0 || image.Ended != 0 {
			t.single().started, t.single().ended = image.Started, image.Ended
		}
		if image.Stop.Kind != job.CauseNone || image.Outputs != nil || image.Asked != 0 || image.Memory != 0 || image.Last != 0 {
			more := t.seldom()
			more.stop, more.outputs, more.asked, more.memory, more.last = image.Stop, image.Outputs, image.Asked, image.Memory, image.Last
		}
		if t.arr != nil {
			continue
		}
		if spent := (retry{image.Retry.Spent, image.Retry.At}); image.Record != (element.Record{}) || spent != (retry{}) {
			t.single().rec, t.single().retry = image.Record, spent
		}
		if err := l.retry(j, uint32(i), image.Retry); err != nil {
			return err
		}
		if image.Live != nil {
			if err := l.attempt(j, uint32(i), *image.Live); err != nil {
				return err
			}
		}
	}
	l.s.adopt(j)
	return nil
}

func (l *Loaded) retry(j *jobState, ti uint32, r RetryImage) error {
	if r.At > 0 {
		l.s.timers.push(timer{at: r.At, job: j.id, task: ti, position: r.Position, kind: timerBackoff})
	}
	return nil
}

func (l *Loaded) attempt(j *jobState, ti uint32, m AttemptImage) error {
	w := l.s.workers[m.Worker]
	if w == nil {
		return fmt.Errorf("core: job %d has an attempt on worker %d, which is missing", j.id, m.Worker)
	}
	a := &attempt{
		fence: m.Fence, job: j, task: ti, position: m.Position, number: m.Number, lease: m.Lease, assigned: m.Assigned,
		started: m.Started, prefetched: m.Prefetched, alone: m.Alone, recalled: m.Recalled, stop: m.Stop, grace: m.Grace,
		devices: m.Devices, released: m.Released, way: m.Way, memory: m.Memory, ended: m.Ended,
	}
	if a.ended != nil {
		a.worker, l.s.attempts[a.fence] = w, a
		w.awaits++
		j.tasks[ti].setAttempt(a.position, a)
		return nil
	}
	l.s.hold(a, w, 0)
	return nil
}

// Chunk restores a chunk of a job restored before.
func (l *Loaded) Chunk(m ChunkImage) error {
	j := l.s.jobs.get(m.Job)
	if j == nil || int(m.Task) >= len(j.tasks) || j.tasks[m.Task].arr == nil {
		return fmt.Errorf("core: chunk %d of job %d task %d has no array", m.Chunk, m.Job, m.Task)
	}
	t := &j.tasks[m.Task]
	if m.Columns != nil {
		if err := t.arr.table.LoadChunk(m.Chunk, m.Columns); err != nil {
			return fmt.Errorf("core: job %d task %d chunk %d: %w", m.Job, m.Task, m.Chunk, err)
		}
	}
	for _, span := range m.Open {
		for p := span.First; p <= span.Last; p++ {
			t.arr.open.Add(p)
		}
	}
	for _, r := range m.Retries {
		t.setRetry(r.Position, retry{r.Spent, r.At})
		if set := t.outOfTurn(r.Spent); r.At == 0 && set != &t.arr.open && t.state(r.Position) == job.Pending {
			t.arr.open.Remove(r.Position)
			set.Add(r.Position)
		}
		if err := l.retry(j, m.Task, r); err != nil {
			return err
		}
	}
	for _, a := range m.Live {
		if err := l.attempt(j, m.Task, a); err != nil {
			return err
		}
	}
	return nil
}

// Finish returns the state at the projected sequence seq, ready for the batches
// that follow.
func (l *Loaded) Finish(seq uint64) *State {
	s := l.s
	s.flush.changed = false // what is loaded is there
	s.Batch(seq)
	s.horizon = seq
	s.learned.Restored()
	slices.Sort(s.workerIDs)
	for _, id := range s.workerIDs {
		s.workers[id].sort()
	}
	for j := range s.jobs.all {
		for i := range j.tasks {
			if t := &j.tasks[i]; t.arr != nil {
				t.arr.touched = element.Set{}
			}
		}
		if !j.state.Terminal() {
			s.queued(j, j.pending())
		}
		s.regroupAll(j)
	}
	s.settleLimits()
	s.flush = flush{}
	s.Forget()
	return s
}

// sort puts what a worker holds into the order in which it was assigned.
func (w *worker) sort() {
	var all []*attempt
	for a := w.first; a != nil; a = a.next {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *attempt) int {
		if a.fence < b.fence {
			return -1
		}
		return 1
	})
	w.first, w.last, w.held = nil, nil, 0
	for _, a := range all {
		w.link(a)
	}
}
