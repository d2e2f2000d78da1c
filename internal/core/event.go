package core

import (
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Event is a fact that was decided. Everything that Apply needs is in it. Times
// are Unix milliseconds of the leader's clock unless they say otherwise.
type Event interface{ event() }

// Hash is the SHA-256 of a canonical spec.
type Hash [32]byte

// UID is a job's random identity, which blob keys use.
type UID [16]byte

// EpochStarted opens a leader's term: its first event.
type EpochStarted struct {
	Epoch, Generation uint64
	At                int64
}

// FormatRaised says that from the next batch on the journal and the tables may hold what
// only programs know that know this format: see State.Format. At is the leader's clock.
type FormatRaised struct {
	Format uint64
	By     string
	At     int64
}

// StateDigested says what a part of the leader's state came to where the event stands, so
// that whoever applies it can see whether its own is the same. Rounds of parts cover all.
type StateDigested struct {
	// Round counts the rounds of a term, Slice the parts of a round, both from 0.
	Round, Slice uint64
	// From and To are the first and last id of the part's jobs; To is LastJob at a round's end.
	From, To job.ID
	// Sum is what package record makes of the part.
	Sum Hash
}

// LastJob is an id that no job has: all are less.
const LastJob = ^job.ID(0)

// NamespaceSet makes or changes a namespace.
type NamespaceSet struct {
	Name    string
	Paused  bool
	Created int64
	Policy  job.NamespacePolicy
}

// QueueSet makes or changes a queue.
type QueueSet struct {
	Namespace, Name string
	Paused          bool
	Created         int64
	Policy          job.QueuePolicy
}

// PoolSet says how a pool's workers are given away; without anything in its policy the pool is
// like any other.
type PoolSet struct {
	Name   string
	Policy job.PoolPolicy
}

// ReservationSet sets workers aside from a moment until another, in Unix milliseconds.
type ReservationSet struct {
	Name string
	// Pool, Workers and Where say which: those of a pool, those of these names, or those that have all
	// of these labels, key=value or key alone.
	Pool           string
	Workers, Where []string
	From, Until    int64
	// Lead is how long before nothing of unknown length starts there, in milliseconds.
	Lead int64
	// Namespace and Queue are for whom: all of the namespace without a queue, nobody without both.
	Namespace, Queue string
}

// ReservationRemoved ends a reservation, or says that it is over.
type ReservationRemoved struct{ Name string }

// TokenSet makes, changes or revokes a token. It holds a hash, never a secret.
type TokenSet struct{ Token Token }

// SpecAdded interns a canonical spec.
type SpecAdded struct {
	Hash      Hash
	Canonical []byte
}

// Wait is a dependency on another job that has not ended.
type Wait struct {
	Job       job.ID
	Condition job.Condition
}

// Carry is elements that succeeded in the job that is retried.
type Carry struct {
	Task uint32
	// Count is the task's number of elements, worked out then.
	Count int64
	Items []string
	Spans []element.Span
	// Outputs of a task that is not an array.
	Outputs []byte
	// Worker is where an element succeeded last, if other tasks are near the task, else 0.
	Worker uint64
}

// JobSubmitted makes a job. Its spec was interned before.
type JobSubmitted struct {
	ID        job.ID
	UID       UID
	Namespace string
	Spec      Hash
	Params    []byte
	Payload   []byte
	Key       string
	// Body is a hash of spec, parameters and payload: same key, same body.
	Body uint64
	By   string
	At   int64
	Held bool
	// StartAfter, StartBefore and Deadline are 0 for none.
	StartAfter, StartBefore, Deadline int64
	Waits                             []Wait
	RetryOf                           job.ID
	Carry                             []Carry
	// Keys is the concurrency keys of the job and of its tasks.
	Keys []KeyOf
}

// KeyOf is the concurrency key of a job, or of the attempts of a task of it.
type KeyOf struct {
	// Task is NoTask for the job as a whole, whose key stands last.
	Task uint32
	Key  string
}

// SlotReleased says that a slot of a concurrency key was taken from its holder by force; it
// goes on without.
type SlotReleased struct {
	Job job.ID
	// Fence is of the attempt that held it, 0 for the job as a whole.
	Fence link.Fence
	By    string
	At    int64
}

// JobWoken says that start_after has come.
type JobWoken struct{ Job job.ID }

// AfterMet says that a job this one waits for has ended so that it may run.
type AfterMet struct{ Job, On job.ID }

// TaskReady says that a task's needs are met, and how many elements it has.
type TaskReady struct {
	Job   job.ID
	Task  uint32
	Count int64
	// Items of an array whose expression yielded a list.
	Items []string
}

// ElementsOpened says that element-wise needs of these positions are met.
type ElementsOpened struct {
	Job   job.ID
	Task  uint32
	Spans []element.Span
}

// ElementsEnded ends pending elements at once.
type ElementsEnded struct {
	Job   job.ID
	Task  uint32
	Spans []element.Span
	State job.ElementState
	Cause job.Cause
	At    int64
}

// ElementWoken says that an element's backoff is over.
type ElementWoken struct {
	Job      job.ID
	Task     uint32
	Position int64
}

// JobEnded is a job's one end.
type JobEnded struct {
	Job   job.ID
	State job.State
	Cause job.Cause
	At    int64
	// Code is what a command line that waits for it exits with.
	Code int32
}

// AttemptAssigned gives an attempt to a worker.
type AttemptAssigned struct {
	Job      job.ID
	Task     uint32
	Position int64
	Attempt  uint16
	Fence    link.Fence
	Worker   uint64
	// Lease is in milliseconds, 0 for never lost.
	Lease      int64
	At         int64
	Prefetched bool
	Alone      bool
	// Devices are its own of those that the worker has, until it has ended.
	Devices job.Devices
	// Way is which of the ways that its task can be served in it is: job.Task.Takes.
	Way uint8
	// Memory, in bytes, is what it asks for if that may be more than its task does, 0 if not.
	Memory int64
}

// AttemptStarted says that an attempt runs. At is the worker's clock.
type AttemptStarted struct {
	Fence link.Fence
	At    int64
}

// AttemptEnded ends an attempt, and its element unless Next is Pending.
type AttemptEnded struct {
	Fence link.Fence
	Cause job.Cause
	Usage job.Usage
	// Started and Ended are the worker's clock, moved to between the assignment and At. Started
	// is 0 if it did not start, or if that is unknown; then Ended is 0 too.
	Started, Ended int64
	At             int64
	Outputs        []byte
	LogSize        int64
	Next           job.ElementState
	// RetryAt is when the next attempt may start, if Next is Pending.
	RetryAt int64
	// Spent counts this attempt in.
	Spent job.Spent
	// Memory, in bytes, is what those of the task ask for from now on that ran out of memory, 0 if
	// that stays as it was.
	Memory int64
	// Promotes names the prefetched attempt that takes the place, 0 for none.
	Promotes link.Fence
	// Awaits: it is one of a gang's, and only gives back what it had. Another event ends it when all
	// have ended, and says what Next and the rest are.
	Awaits bool
}

// AttemptReturned gives an unstarted attempt back: it does not count as a try.
type AttemptReturned struct {
	Fence    link.Fence
	Promotes link.Fence
}

// AttemptRecalled says that a prefetched attempt was asked back.
type AttemptRecalled struct{ Fence link.Fence }

// AttemptStopped says that an attempt was asked to end, and why.
type AttemptStopped struct {
	Fence link.Fence
	Cause job.Cause
	// Grace is in milliseconds; 0 kills.
	Grace int64
}

// AttemptsStopped says that all that was live of a task, or of some of its elements, was
// asked to end, and why: in one event, however much it is.
type AttemptsStopped struct {
	Job  job.ID
	Task uint32
	// Spans is positions, nil for all.
	Spans []element.Span
	Cause job.Cause
	// Grace is in milliseconds; 0 kills, also what was asked to end with a grace before.
	Grace int64
}

// asks reports whether the event is for a live attempt of its task. One that is preempted
// would be tried again, unless what asks now is the reason for its end.
func (e *AttemptsStopped) asks(a *attempt) bool {
	return within(e.Spans, a.position) && a.ended == nil && (a.stop.Kind == job.CauseNone || a.stop.Kind == job.CausePreempted || e.Grace == 0 && a.grace > 0)
}

func within(spans []element.Span, p int64) bool {
	if spans == nil {
		return true
	}
	for _, s := range spans {
		if p >= s.First && p <= s.Last {
			return true
		}
	}
	return false
}

// NoTask in a field Task means the job as a whole.
const NoTask = ^uint32(0)

// CancelRequested records that somebody asked a job or a task to end.
type CancelRequested struct {
	Job  job.ID
	Task uint32
	// Kill skips clean-up tasks.
	Kill  bool
	Cause job.Cause
	At    int64
}

// HoldSet holds or releases a job or a task.
type HoldSet struct {
	Job  job.ID
	Task uint32
	Held bool
}

// JobChanged says where a job stands from now on.
type JobChanged struct {
	Job job.ID
	// Queue, Priority and Front are as in a Standing.
	Queue    string
	Priority int32
	Front    int64
	By       string
	At       int64
}

// WorkerJoined makes a worker known, or begins another of its incarnations.
type WorkerJoined struct {
	ID    uint64
	Hello link.Hello // without Held
	At    int64
}

// WorkerAway says that a worker's session ended, or is about to: nothing is given to
// it, what it holds goes on.
type WorkerAway struct{ ID uint64 }

// WorkerDrained begins or ends a drain.
type WorkerDrained struct {
	ID       uint64
	Draining bool
}

// WorkerUnfit says why a worker can take nothing, or, with an empty Why, that it can
// again.
type WorkerUnfit struct {
	ID  uint64
	Why string
}

// WorkerForgotten removes a worker that is away and holds nothing.
type WorkerForgotten struct {
	ID uint64
	// Lost: its lease ran out; otherwise it left in good order.
	Lost bool
}

func (EpochStarted) event()       {}
func (FormatRaised) event()       {}
func (StateDigested) event()      {}
func (NamespaceSet) event()       {}
func (QueueSet) event()           {}
func (PoolSet) event()            {}
func (ReservationSet) event()     {}
func (ReservationRemoved) event() {}
func (TokenSet) event()           {}
func (SpecAdded) event()          {}
func (JobSubmitted) event()       {}
func (JobWoken) event()           {}
func (AfterMet) event()           {}
func (TaskReady) event()          {}
func (ElementsOpened) event()     {}
func (ElementsEnded) event()      {}
func (ElementWoken) event()       {}
func (JobEnded) event()           {}
func (AttemptAssigned) event()    {}
func (AttemptStarted) event()     {}
func (AttemptEnded) event()       {}
func (AttemptReturned) event()    {}
func (AttemptRecalled) event()    {}
func (AttemptStopped) event()     {}
func (AttemptsStopped) event()    {}
func (CancelRequested) event()    {}
func (HoldSet) event()            {}
func (JobChanged) event()         {}
func (SlotReleased) event()       {}
func (WorkerJoined) event()       {}
func (WorkerAway) event()         {}
func (WorkerDrained) event()      {}
func (WorkerUnfit) event()        {}
func (WorkerForgotten) event()    {}
