package record

import (
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

func (r *reader) epochStarted() (e core.EpochStarted) {
	for r.next() {
		switch r.field {
		case 1:
			e.Epoch = r.uint()
		case 2:
			e.Generation = r.uint()
		case 3:
			e.At = r.int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) formatRaised() (e core.FormatRaised) {
	for r.next() {
		switch r.field {
		case 1:
			e.Format = r.uint()
		case 2:
			e.By = r.string()
		case 3:
			e.At = r.int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) stateDigested() (e core.StateDigested) {
	for r.next() {
		switch r.field {
		case 1:
			e.Round = r.uint()
		case 2:
			e.Slice = r.uint()
		case 3:
			e.From = job.ID(r.uint())
		case 4:
			e.To = job.ID(r.uint())
		case 5:
			r.fill(e.Sum[:])
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) namespaceSet() (e core.NamespaceSet) {
	for r.next() {
		switch r.field {
		case 1:
			e.Name = r.string()
		case 2:
			e.Paused = r.bool()
		case 3:
			e.Created = r.int()
		case 4:
			e.Policy = r.namespacePolicy()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) queueSet() (e core.QueueSet) {
	for r.next() {
		switch r.field {
		case 1:
			e.Namespace = r.string()
		case 2:
			e.Name = r.string()
		case 3:
			e.Paused = r.bool()
		case 4:
			e.Created = r.int()
		case 5:
			e.Policy = r.queuePolicy()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) tokenSet() (e core.TokenSet) {
	for r.next() {
		switch r.field {
		case 1:
			e.Token = r.token()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) specAdded() (e core.SpecAdded) {
	for r.next() {
		switch r.field {
		case 1:
			r.fill(e.Hash[:])
		case 2:
			e.Canonical = r.bytes()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) jobSubmitted() (e core.JobSubmitted) {
	for r.next() {
		switch r.field {
		case 1:
			e.ID = job.ID(r.uint())
		case 2:
			r.fill(e.UID[:])
		case 3:
			e.Namespace = r.shared(&r.d.namespace)
		case 4:
			r.fill(e.Spec[:])
		case 5:
			e.Params = r.bytes()
		case 6:
			e.Payload = r.bytes()
		case 7:
			e.Key = r.string()
		case 8:
			e.Body = r.random()
		case 9:
			e.By = r.shared(&r.d.by)
		case 10:
			e.At = r.int()
		case 11:
			e.Held = r.bool()
		case 12:
			e.StartAfter = r.int()
		case 13:
			e.StartBefore = r.int()
		case 14:
			e.Deadline = r.int()
		case 15:
			e.Waits = append(e.Waits, r.wait())
		case 16:
			e.RetryOf = job.ID(r.uint())
		case 17:
			e.Carry = append(e.Carry, r.carry())
		case 18:
			e.Keys = append(e.Keys, r.keyOf())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) carry() (c core.Carry) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			c.Task = m.uint32()
		case 2:
			c.Count = m.int()
		case 3:
			c.Items = append(c.Items, m.string())
		case 4:
			c.Spans = append(c.Spans, m.span())
		case 5:
			c.Outputs = m.bytes()
		default:
			m.unknown()
		}
	}
	return c
}

func (r *reader) jobWoken() (e core.JobWoken) {
	for r.next() {
		switch r.field {
		case 1:
			e.Job = job.ID(r.uint())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) afterMet() (e core.AfterMet) {
	for r.next() {
		switch r.field {
		case 1:
			e.Job = job.ID(r.uint())
		case 2:
			e.On = job.ID(r.uint())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) taskReady() (e core.TaskReady) {
	for r.next() {
		switch r.field {
		case 1:
			e.Job = job.ID(r.uint())
		case 2:
			e.Task = r.uint32()
		case 3:
			e.Count = r.int()
		case 4:
			e.Items = append(e.Items, r.string())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) elementsOpened() (e core.ElementsOpened) {
	for r.next() {
		switch r.field {
		case 1:
			e.Job = job.ID(r.uint())
		case 2:
			e.Task = r.uint32()
		case 3:
			e.Spans = append(e.Spans, r.span())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) elementsEnded() (e core.ElementsEnded) {
	for r.next() {
		switch r.field {
		case 1:
			e.Job = job.ID(r.uint())
		case 2:
			e.Task = r.uint32()
		case 3:
			e.Spans = append(e.Spans, r.span())
		case 4:
			e.State = r.elementState()
		case 5:
			e.Cause = r.cause()
		case 6:
			e.At = r.int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) elementWoken() (e core.ElementWoken) {
	for r.next() {
		switch r.field {
		case 1:
			e.Job = job.ID(r.uint())
		case 2:
			e.Task = r.uint32()
		case 3:
			e.Position = r.int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) jobEnded() (e core.JobEnded) {
	for r.next() {
		switch r.field {
		case 1:
			e.Job = job.ID(r.uint())
		case 2:
			e.State = r.state()
		case 3:
			e.Cause = r.cause()
		case 4:
			e.At = r.int()
		case 5:
			e.Code = r.int32()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptAssigned() (e core.AttemptAssigned) {
	for r.next() {
		switch r.field {
		case 1:
			e.Job = job.ID(r.uint())
		case 2:
			e.Task = r.uint32()
		case 3:
			e.Position = r.int()
		case 4:
			e.Attempt = r.uint16()
		case 5:
			e.Fence = link.Fence(r.uint())
		case 6:
			e.Worker = r.uint()
		case 7:
			e.Lease = r.int()
		case 8:
			e.At = r.int()
		case 9:
			e.Prefetched = r.bool()
		case 10:
			e.Alone = r.bool()
		case 11:
			e.Devices = r.devices(e.Devices)
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptStarted() (e core.AttemptStarted) {
	for r.next() {
		switch r.field {
		case 1:
			e.Fence = link.Fence(r.uint())
		case 2:
			e.At = r.int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptEnded() (e core.AttemptEnded) {
	for r.next() {
		switch r.field {
		case 1:
			e.Fence = link.Fence(r.uint())
		case 2:
			e.Cause = r.cause()
		case 3:
			e.Usage = r.usage()
		case 4:
			e.Started = r.int()
		case 5:
			e.Ended = r.int()
		case 6:
			e.At = r.int()
		case 7:
			e.Outputs = r.bytes()
		case 8:
			e.LogSize = r.int()
		case 9:
			e.Next = r.elementState()
		case 10:
			e.RetryAt = r.int()
		case 11:
			e.Spent = r.spent()
		case 12:
			e.Promotes = link.Fence(r.uint())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptReturned() (e core.AttemptReturned) {
	for r.next() {
		switch r.field {
		case 1:
			e.Fence = link.Fence(r.uint())
		case 2:
			e.Promotes = link.Fence(r.uint())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptRecalled() (e core.AttemptRecalled) {
	for r.next() {
		switch r.field {
		case 1:
			e.Fence = link.Fence(r.uint())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptStopped() (e core.AttemptStopped) {
	for r.next() {
		switch r.field {
		case 1:
			e.Fence = link.Fence(r.uint())
		case 2:
			e.Cause = r.cause()
		case 3:
			e.Grace = r.int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) cancelRequested() (e core.CancelRequested) {
	for r.next() {
		switch r.field {
		case 1:
			e.Job = job.ID(r.uint())
		case 2:
			e.Task = r.uint32()
		case 3:
			e.Kill = r.bool()
		case 4:
			e.Cause = r.cause()
		case 5:
			e.At = r.int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptsStopped() (e core.AttemptsStopped) {
	for r.next() {
		switch r.field {
		case 1:
			e.Job = job.ID(r.uint())
		case 2:
			e.Task = r.uint32()
		case 3:
			e.Spans = append(e.Spans, r.span())
		case 4:
			e.Cause = r.cause()
		case 5:
			e.Grace = r.int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) holdSet() (e core.HoldSet) {
	for r.next() {
		switch r.field {
		case 1:
			e.Job = job.ID(r.uint())
		case 2:
			e.Task = r.uint32()
		case 3:
			e.Held = r.bool()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) workerJoined() (e core.WorkerJoined) {
	for r.next() {
		switch r.field {
		case 1:
			e.ID = r.uint()
		case 2:
			e.Hello = r.hello()
		case 3:
			e.At = r.int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) workerAway() (e core.WorkerAway) {
	for r.next() {
		switch r.field {
		case 1:
			e.ID = r.uint()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) workerDrained() (e core.WorkerDrained) {
	for r.next() {
		switch r.field {
		case 1:
			e.ID = r.uint()
		case 2:
			e.Draining = r.bool()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) workerUnfit() (e core.WorkerUnfit) {
	for r.next() {
		switch r.field {
		case 1:
			e.ID = r.uint()
		case 2:
			e.Why = r.string()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) workerForgotten() (e core.WorkerForgotten) {
	for r.next() {
		switch r.field {
		case 1:
			e.ID = r.uint()
		case 2:
			e.Lost = r.bool()
		default:
			r.unknown()
		}
	}
	return e
}
