package core

import (
	"maps"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// Image returns a copy of a job in memory that the caller may keep.
func (s *State) Image(id job.ID) (JobImage, bool) {
	j := s.jobs.get(id)
	if j == nil {
		return JobImage{}, false
	}
	m := s.jobImage(j)
	m.Waits = slices.Clone(m.Waits)
	return m, true
}

// SpecOf returns the spec of a job in memory, or nil.
func (s *State) SpecOf(id job.ID) *job.Spec {
	if j := s.jobs.get(id); j != nil {
		return j.spec.spec
	}
	return nil
}

// ByKey returns the job in memory that an idempotency key stands for, nil for none. It is
// a fact like one from the tables: the job may leave memory before a submit is decided.
func (s *State) ByKey(namespace, key string) *KeyFact {
	if j := s.keyed(nameKey{namespace, key}); j != nil {
		return &KeyFact{ID: j.id, Body: j.body}
	}
	return nil
}

// ElementView is what is known of one element.
type ElementView struct {
	Position, Index int64
	Record          element.Record
	// RetryAt is when the next attempt may start, 0 if it does not back off.
	RetryAt int64
	// Stopping: it was asked to end and still runs.
	Stopping bool
	// Lost is how many workers were lost while it ran: from job.IsolateAfter on it has
	// a worker to itself.
	Lost uint8
	// Fence and Assigned are of the live attempt, 0 for none.
	Fence    uint64
	Assigned int64
	// Devices are those that the live attempt has.
	Devices job.Devices
	// Given is what the live attempt was given, or the one that ended the element, nil if there
	// was none.
	Given  *job.Resources
	Worker string
}

// Elements returns up to limit elements of a task from a position on, in one of
// the states given or in any if none is, and the position to go on from, -1 at
// the end. It looks at a bounded number of elements.
func (s *State) Elements(id job.ID, ti uint32, from int64, states []job.ElementState, limit int) ([]ElementView, int64) {
	const most = 100_000
	j := s.jobs.get(id)
	if j == nil || int(ti) >= len(j.tasks) {
		return nil, -1
	}
	t := &j.tasks[ti]
	var out []ElementView
	n := max(t.n, 0)
	if t.arr == nil {
		n = 1
	}
	for p := max(from, 0); p < n; p++ {
		if len(out) == limit || p-from >= most {
			return out, p
		}
		if r := t.record(p); len(states) == 0 || slices.Contains(states, r.State) {
			out = append(out, s.elementView(j, ti, p, r))
		}
	}
	return out, -1
}

func (s *State) elementView(j *jobState, ti uint32, p int64, r element.Record) ElementView {
	t := &j.tasks[ti]
	retry := t.retryOf(p)
	v := ElementView{Position: p, Index: job.NoIndex, Record: r, RetryAt: retry.at, Lost: retry.spent.LostRunning}
	if t.arr != nil {
		v.Index = j.spec.spec.Tasks[ti].Array.Index(p)
	}
	if w := s.workers[r.Worker]; w != nil {
		v.Worker = w.hello.Name
	}
	if a := t.attempt(p); a != nil {
		v.Fence, v.Assigned, v.Stopping, v.Devices = uint64(a.fence), a.assigned, a.stop.Kind != job.CauseNone, a.devices
		v.Given = new(a.needs())
	} else if r.State.Terminal() && r.Attempts > 0 {
		v.Given = new(j.spec.spec.Tasks[ti].Asks(r.Way, r.Memory))
	}
	return v
}

// Outputs returns the outputs of an array's elements that have not been projected,
// by position.
func (s *State) Outputs(id job.ID, ti uint32) []OutputImage {
	j := s.jobs.get(id)
	if j == nil || int(ti) >= len(j.tasks) || j.tasks[ti].arr == nil {
		return nil
	}
	a := j.tasks[ti].arr
	out := make([]OutputImage, 0, len(a.outputs))
	for _, p := range slices.Sorted(maps.Keys(a.outputs)) {
		out = append(out, OutputImage{Job: id, Task: ti, Position: p, Outputs: a.outputs[p]})
	}
	return out
}

// Past returns the earlier attempts of an element that have not been projected.
func (s *State) Past(id job.ID, ti uint32, p int64) []PastAttempt {
	var out []PastAttempt
	for _, list := range [][]PastAttempt{s.flush.pastSent, s.flush.past} {
		for _, a := range list {
			if a.Job == id && a.Task == ti && a.Position == p {
				out = append(out, a)
			}
		}
	}
	return out
}

// Filter selects jobs; zero fields do not restrict. It means what store.Query
// means.
type Filter struct {
	Namespace, Queue, Name string
	States                 []job.State
	Labels                 []string
	After, Before          int64
	Below                  job.ID
}

// Matches reports whether a job is selected.
func (f *Filter) Matches(m *JobImage) bool {
	switch {
	case f.Namespace != "" && m.Namespace != f.Namespace,
		f.Queue != "" && m.Queue != f.Queue,
		f.Name != "" && m.Name != f.Name,
		len(f.States) > 0 && !slices.Contains(f.States, m.State),
		f.After > 0 && m.Submitted < f.After,
		f.Before > 0 && m.Submitted >= f.Before,
		f.Below > 0 && m.ID >= f.Below:
		return false
	}
	for _, want := range f.Labels {
		if !hasLabel(m.Labels, want) {
			return false
		}
	}
	return true
}

func hasLabel(labels map[string]string, want string) bool {
	for i := range len(want) {
		if want[i] == '=' {
			v, ok := labels[want[:i]]
			return ok && v == want[i+1:]
		}
	}
	_, ok := labels[want]
	return ok
}

// Horizon is the sequence by which every job that memory does not hold had changed for the
// last time, and had been projected.
func (s *State) Horizon() uint64 { return s.horizon }

// Unprojected returns the newest jobs selected by f that the tables lack or have
// in an older form, newest first, up to limit.
func (s *State) Unprojected(f Filter, limit int) []JobImage {
	var ids []job.ID
	for _, list := range [][]*jobState{s.flush.dirty, s.flush.pending} {
		for _, j := range list {
			if f.Below > 0 && j.id >= f.Below || f.Namespace != "" && j.queue.space.name != f.Namespace ||
				len(f.States) > 0 && !slices.Contains(f.States, j.state) {
				continue
			}
			ids = append(ids, j.id)
		}
	}
	slices.SortFunc(ids, func(a, b job.ID) int {
		if a > b {
			return -1
		}
		return 1
	})
	var out []JobImage
	for _, id := range slices.Compact(ids) {
		if len(out) == limit {
			break
		}
		if m, ok := s.Image(id); ok && f.Matches(&m) {
			out = append(out, m)
		}
	}
	return out
}

// QueueView is a queue with what is in it.
type QueueView struct {
	QueueSet
	// Jobs counts its unfinished jobs, Pending the elements of them that wait, Running the
	// attempts that workers have.
	Jobs, Pending, Running int64
}

func (q *queue) image() QueueImage {
	set := QueueSet{Namespace: q.space.name, Name: q.name, Paused: q.paused, Created: q.created, Policy: q.policy}
	return QueueImage{QueueSet: set, Paid: int64(q.meter)}
}

func (q *queue) view() QueueView {
	return QueueView{QueueSet: q.image().QueueSet, Jobs: q.jobs, Pending: q.pending, Running: q.running}
}

// Queues returns the queues of a namespace by name.
func (s *State) Queues(space string) ([]QueueView, error) {
	n, err := s.space(space)
	if err != nil {
		return nil, err
	}
	out := make([]QueueView, 0, len(n.names))
	for _, name := range n.names {
		out = append(out, n.queues[name].view())
	}
	return out, nil
}

// CheckQueue returns an error that lists the known ones unless a namespace has a
// queue.
func (s *State) CheckQueue(space, name string) error {
	n, err := s.space(space)
	if err != nil {
		return err
	}
	_, err = n.queue(name)
	return err
}

// NamespaceView is a namespace with what it has, counted as in a QueueView.
type NamespaceView struct {
	NamespaceSet
	Jobs, Pending, Running int64
}

func (n *namespace) image() NamespaceSet {
	return NamespaceSet{Name: n.name, Paused: n.paused, Created: n.created, Policy: n.policy}
}

func (n *namespace) view() NamespaceView {
	return NamespaceView{NamespaceSet: n.image(), Jobs: n.jobs, Pending: n.pending, Running: n.running}
}

// Namespaces returns the namespaces by name.
func (s *State) Namespaces() []NamespaceView {
	out := make([]NamespaceView, 0, len(s.spaceNames))
	for _, name := range s.spaceNames {
		out = append(out, s.spaces[name].view())
	}
	return out
}

// Tokens returns the tokens by id, hashes included.
func (s *State) Tokens() []Token {
	out := make([]Token, 0, len(s.tokenIDs))
	for _, id := range s.tokenIDs {
		out = append(out, *s.tokens[id])
	}
	return out
}

// WorkerView is a worker with what it does.
type WorkerView struct {
	WorkerImage
	// Used is what attempts have, Taken the devices among it.
	Used  job.Resources
	Taken job.Devices
	// Offers is its capacity by Overcommit, which is its pool's.
	Offers              job.Resources
	Overcommit          job.Factors
	Running, Prefetched int
	// Reserved is what it is set aside for, in order. The slice is shared and read-only.
	Reserved []plan.Window
}

// Knows reports whether a worker has not been forgotten.
func (s *State) Knows(worker uint64) bool { return s.workers[worker] != nil }

// Workers returns the workers by id.
func (s *State) Workers() []WorkerView {
	out := make([]WorkerView, 0, len(s.workerIDs))
	for _, id := range s.workerIDs {
		w := s.workers[id]
		v := WorkerView{WorkerImage: WorkerImage{ID: id, Hello: w.hello, Joined: w.joined, Draining: w.draining, Away: w.away}}
		_, v.Running, v.Prefetched = s.plan.Usage(id)
		v.Used, v.Taken, v.Offers, v.Overcommit = w.used, w.taken(), w.offers, w.over
		v.Reserved = w.windows
		out = append(out, v)
	}
	return out
}

// Totals is what a server says of itself.
type Totals struct {
	Jobs, Live       int64
	Attempts         int64
	Workers          int
	Generation       uint64
	Epoch, Seq       uint64
	UnprojectedCount int
	// UnprojectedBatches is how many batches have changed what the tables lack, and Covered the last
	// one up to which they lack nothing.
	UnprojectedBatches, Covered uint64
}

// Totals counts what is in memory.
func (s *State) Totals() Totals {
	t := Totals{
		Jobs: int64(s.jobs.len()), Live: s.live, Attempts: int64(len(s.attempts)), Workers: len(s.workers),
		Generation: s.generation, Epoch: s.epoch, Seq: s.seq, UnprojectedCount: s.Dirty(),
		UnprojectedBatches: s.flush.lag(), Covered: s.seq,
	}
	if lacking := s.flush.lacking; len(lacking) > 0 {
		t.Covered = lacking[0].first - 1
	}
	return t
}

// Attempts is how many attempts workers hold.
func (s *State) Attempts() int { return len(s.attempts) }

// Ready is how many tasks, arrays counted once, wait only for room on a worker.
func (s *State) Ready() int64 { return int64(s.plan.Groups()) }

// LiveAttempt is a live attempt as whoever checks what a worker sends about it needs it.
type LiveAttempt struct {
	Ref      job.Ref
	UID      UID
	Task     uint32
	Position int64
}

// AttemptAt is the live attempt of a fence.
func (s *State) AttemptAt(fence uint64) (LiveAttempt, bool) {
	a := s.attempts[fenceOf(fence)]
	if a == nil {
		return LiveAttempt{}, false
	}
	return LiveAttempt{s.refOf(a), a.job.uid, a.task, a.position}, true
}

func (s *State) refOf(a *attempt) job.Ref {
	spec := &a.job.spec.spec.Tasks[a.task]
	r := job.Ref{Job: a.job.id, Task: spec.Name, Index: job.NoIndex, Attempt: int(a.number)}
	if a.job.tasks[a.task].arr != nil {
		r.Index = spec.Array.Index(a.position)
	}
	return r
}
