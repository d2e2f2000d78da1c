package core

import (
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Command asks for a decision.
type Command interface{ command() }

// Submit asks for one job per item.
type Submit struct {
	Namespace string
	Spec      *job.Spec
	Hash      Hash
	Canonical []byte
	Items     []Item
	By        string
	Held      bool
	// Ended is what memory or the tables said of jobs in Spec.After that have ended.
	Ended []EndedJob
	// ReadSeq is the sequence that Ended and the items' Existing were read at, or an
	// earlier one.
	ReadSeq uint64
}

// Item is one job of a submit.
type Item struct {
	UID     UID
	Params  []byte
	Payload []byte
	Key     string
	Body    uint64
	// Existing is what memory or the tables say of Key, nil for nothing.
	Existing *KeyFact
	RetryOf  job.ID
	Carry    []Carry
}

// EndedJob is a job that is known to have ended.
type EndedJob struct {
	ID    job.ID
	State job.State
}

// KeyFact is a job that an idempotency key stands for.
type KeyFact struct {
	ID   job.ID
	Body uint64
}

// Submitted is the reply to Submit, by item.
type Submitted struct {
	ID      job.ID
	Existed bool
}

// Cancel asks a job, a task or elements to end.
type Cancel struct {
	Job job.ID
	// Task is NoTask for the job as a whole.
	Task uint32
	// Spans is positions of the task, nil for all.
	Spans  []element.Span
	Kill   bool
	By     string
	Reason string
}

// Cancelled is the reply to Cancel.
type Cancelled struct {
	Stopping, Cancelled int64
	AlreadyEnded        bool
}

// Hold holds or releases a job or a task.
type Hold struct {
	Job  job.ID
	Task uint32
	Held bool
}

// Update says where a job that has not ended stands from now on; what is nil stays as it is. What
// waits of it is ranked anew, what runs goes on. The reply is a Standing.
type Update struct {
	Job      job.ID
	Priority *int32
	// Queue is of the same namespace. In another the job stands like any other.
	Queue *string
	// Front puts the job before all others of its queue, or back to where it stood.
	Front *bool
	By    string
}

// Standing is where a job stands.
type Standing struct {
	Queue    string
	Priority int32
	// Front is when it was put before all others of its queue, in Unix milliseconds, 0 if it
	// was not.
	Front int64
}

// ReleaseSlot takes a slot of a concurrency key from its holder.
type ReleaseSlot struct {
	Namespace, Key string
	// Holder is a job, whose own slot it is, or the element of the attempt that holds one.
	Holder job.Ref
	By     string
}

// PutNamespace makes a namespace, or changes parts of one. The reply is a NamespaceView.
type PutNamespace struct {
	Name string
	// Create fails if it exists; otherwise it must exist.
	Create bool
	// Paused pauses or resumes it; nil leaves that as it is.
	Paused *bool
	Change job.NamespaceChange
}

// PutQueue makes a queue, or changes parts of one. The reply is a QueueView.
type PutQueue struct {
	Namespace, Name string
	// Create fails if it exists; otherwise it must exist.
	Create bool
	// Paused pauses or resumes it; nil leaves that as it is.
	Paused *bool
	Change job.QueueChange
}

// PutPool changes parts of how a pool is given away. The reply is a PoolView.
type PutPool struct {
	Name   string
	Change job.PoolChange
	// Known: it must have workers or a setting.
	Known bool
}

// PutReservation makes a reservation, or another of one of that name. One that begins at 0 does so
// now. The reply is a ReservationView.
type PutReservation struct{ ReservationSet }

// RemoveReservation ends a reservation.
type RemoveReservation struct{ Name string }

// PutToken makes a token.
type PutToken struct{ Token Token }

// RevokeToken ends a token by id or name.
type RevokeToken struct{ ID string }

// WorkerHello opens a worker's session.
type WorkerHello struct{ Hello link.Hello }

// WorkerHeld compares what a worker holds, by the word of its last session, with what it
// should hold.
type WorkerHeld struct {
	Worker  uint64
	Session uint64
	Held    []link.Held
}

// WorkerLeaving says that a worker, in a session of it, is about to end: it takes nothing
// more. Its next hello is that of one that does.
type WorkerLeaving struct{ Worker, Session uint64 }

// WorkerClosed says that a worker's session ended; Left that it said goodbye. Session is
// what the reply to its hello said: the end of a session that another has followed means
// nothing, however late it comes.
type WorkerClosed struct {
	Worker  uint64
	Session uint64
	Left    bool
}

// Leap begins a generation in the middle of a term, since it turned out that a history was
// lost. A generation that has begun already is no reason for another.
type Leap struct{ Generation uint64 }

// RaiseFormat raises the cluster's format: no server that knows less can follow any more.
// That all of them know it is for the caller to see to.
type RaiseFormat struct {
	To uint64
	By string
}

// Digest has it noted what a part of the state comes to.
type Digest struct{ Of StateDigested }

// WorkerSilent says how long nothing was heard of a worker, in milliseconds.
type WorkerSilent struct {
	Worker uint64
	For    int64
}

// WorkerReport is what happened on a worker. What it gives back it gives back in its last
// session alone: once another has begun, it holds again what it is sent again.
type WorkerReport struct {
	Worker  uint64
	Session uint64
	Report  link.Report
}

// Drain begins or ends a worker's drain, by id or name; Stop also asks what runs
// to end.
type Drain struct {
	Worker   string
	Draining bool
	Stop     bool
	By       string
}

// Tick decides what has come due.
type Tick struct{}

func (Submit) command()            {}
func (Cancel) command()            {}
func (Hold) command()              {}
func (Update) command()            {}
func (ReleaseSlot) command()       {}
func (PutNamespace) command()      {}
func (PutQueue) command()          {}
func (PutPool) command()           {}
func (PutReservation) command()    {}
func (RemoveReservation) command() {}
func (PutToken) command()          {}
func (RevokeToken) command()       {}
func (WorkerHello) command()       {}
func (WorkerHeld) command()        {}
func (WorkerLeaving) command()     {}
func (WorkerClosed) command()      {}
func (WorkerSilent) command()      {}
func (WorkerReport) command()      {}
func (Drain) command()             {}
func (Leap) command()              {}
func (RaiseFormat) command()       {}
func (Digest) command()            {}
func (Tick) command()              {}

// Send is a message for a worker, to go out once the decision is durable.
type Send struct {
	Worker uint64
	Msg    link.ToWorker
	// Assign names attempts whose assignments are to be put into the message after
	// the events are applied.
	Assign []link.Fence
}

// Decision is what Decide decided.
type Decision struct {
	Events []Event
	Reply  any
	Sends  []Send
	// More: Place stopped before it was done, and there may be more to place at once.
	More  bool
	bytes int             // about what those events take whose size has no other bound
	over  map[job.ID]bool // jobs that are given up for want of time
}
