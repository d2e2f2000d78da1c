package core

import (
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Notice is what those who watch are told of an event.
type Notice struct {
	// At is the leader's clock in Unix milliseconds, 0 where the event has none.
	At int64
	// Kind is a stable word such as attempt_ended.
	Kind      string
	Namespace string
	Ref       job.Ref
	State     string
	Cause     job.Cause
	Worker    string
}

// Describe says in a notice what an event did. Call it before Apply for events
// that end an attempt or forget a worker: Before tells.
func (s *State) Describe(e Event) (Notice, bool) {
	switch e := e.(type) {
	case JobSubmitted:
		return s.jobNotice("job_submitted", e.ID, NoTask, e.At, job.JobPending.String(), job.Cause{}), true
	case JobEnded:
		return s.jobNotice("job_ended", e.Job, NoTask, e.At, e.State.String(), e.Cause), true
	case TaskReady:
		return s.jobNotice("task_ready", e.Job, e.Task, 0, job.Pending.String(), job.Cause{}), true
	case ElementsEnded:
		return s.jobNotice("elements_ended", e.Job, e.Task, e.At, e.State.String(), e.Cause), true
	case CancelRequested:
		return s.jobNotice("cancel_requested", e.Job, e.Task, e.At, "", e.Cause), true
	case SlotReleased:
		return s.releaseNotice(e), true
	case HoldSet:
		kind := "released"
		if e.Held {
			kind = "held"
		}
		return s.jobNotice(kind, e.Job, e.Task, 0, "", job.Cause{}), true
	case JobChanged:
		return s.jobNotice("job_changed", e.Job, NoTask, e.At, "", job.Cause{}), true
	case AttemptAssigned:
		n := s.attemptNotice("attempt_assigned", s.attempts[e.Fence])
		n.At, n.State = e.At, job.Assigned.String()
		return n, true
	case AttemptStarted:
		n := s.attemptNotice("attempt_started", s.attempts[e.Fence])
		n.At, n.State = e.At, job.Running.String()
		return n, true
	case AttemptEnded:
		if e.Awaits { // the end that counts comes with those of its gang
			return Notice{}, false
		}
		n := s.attemptNotice("attempt_ended", s.attempts[e.Fence])
		n.At, n.State, n.Cause = e.At, e.Next.String(), e.Cause
		return n, true
	case WorkerJoined:
		return Notice{At: e.At, Kind: "worker_joined", Worker: e.Hello.Name, Ref: job.Ref{Index: job.NoIndex}}, true
	case WorkerAway:
		return s.workerNotice("worker_away", e.ID), true
	case WorkerDrained:
		return s.workerNotice("worker_changed", e.ID), true
	case WorkerUnfit:
		return s.workerNotice("worker_changed", e.ID), true
	case WorkerForgotten:
		if e.Lost {
			return s.workerNotice("worker_lost", e.ID), true
		}
		return s.workerNotice("worker_left", e.ID), true
	}
	return Notice{}, false
}

// Before reports whether an event must be described before it is applied, since
// it takes away what it speaks of.
func Before(e Event) bool {
	switch e.(type) {
	case AttemptEnded, WorkerForgotten:
		return true
	}
	return false
}

func (s *State) jobNotice(kind string, id job.ID, ti uint32, at int64, state string, c job.Cause) Notice {
	n := Notice{At: at, Kind: kind, Ref: job.Ref{Job: id, Index: job.NoIndex}, State: state, Cause: c}
	if j := s.jobs.get(id); j != nil {
		n.Namespace = j.queue.space.name
		if ti != NoTask {
			n.Ref.Task = j.spec.spec.Tasks[ti].Name
		}
	}
	return n
}

func (s *State) attemptNotice(kind string, a *attempt) Notice {
	if a == nil {
		return Notice{Kind: kind, Ref: job.Ref{Index: job.NoIndex}}
	}
	return Notice{Kind: kind, Namespace: a.job.queue.space.name, Ref: s.refOf(a), Worker: a.worker.hello.Name}
}

func (s *State) releaseNotice(e SlotReleased) Notice {
	n := s.jobNotice("slot_released", e.Job, NoTask, e.At, "", job.Cause{})
	if a := s.attempts[e.Fence]; a != nil {
		n = s.attemptNotice(n.Kind, a)
		n.At = e.At
	}
	return n
}

func (s *State) workerNotice(kind string, id uint64) Notice {
	n := Notice{Kind: kind, Ref: job.Ref{Index: job.NoIndex}}
	if w := s.workers[id]; w != nil {
		n.Worker = w.hello.Name
	}
	return n
}
