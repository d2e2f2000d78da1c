package record

import (
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// fields reads a message that seldom comes, by what reads each of its fields: the first is number 1.
func (r *reader) fields(read ...func()) {
	for r.Next() {
		if n := int(r.Field); n <= len(read) {
			read[n-1]()
		} else {
			r.unknown()
		}
	}
}

func (r *reader) epochStarted() (e core.EpochStarted) {
	r.fields(func() { e.Epoch = r.Uint() }, func() { e.Generation = r.Uint() }, func() { e.At = r.Int() })
	return e
}

func (r *reader) formatRaised() (e core.FormatRaised) {
	r.fields(func() { e.Format = r.Uint() }, func() { e.By = r.String() }, func() { e.At = r.Int() })
	return e
}

func (r *reader) stateDigested() (e core.StateDigested) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Round = r.Uint()
		case 2:
			e.Slice = r.Uint()
		case 3:
			e.From = job.ID(r.Uint())
		case 4:
			e.To = job.ID(r.Uint())
		case 5:
			r.Fill(e.Sum[:])
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) namespaceSet() (e core.NamespaceSet) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Name = r.String()
		case 2:
			e.Paused = r.Bool()
		case 3:
			e.Created = r.Int()
		case 4:
			e.Policy = r.namespacePolicy()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) queueSet() (e core.QueueSet) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Namespace = r.String()
		case 2:
			e.Name = r.String()
		case 3:
			e.Paused = r.Bool()
		case 4:
			e.Created = r.Int()
		case 5:
			e.Policy = r.queuePolicy()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) tokenSet() (e core.TokenSet) {
	r.fields(func() { e.Token = r.token() })
	return e
}

func (r *reader) specAdded() (e core.SpecAdded) {
	for r.Next() {
		switch r.Field {
		case 1:
			r.Fill(e.Hash[:])
		case 2:
			e.Canonical = r.Bytes()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) jobSubmitted() (e core.JobSubmitted) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.ID = job.ID(r.Uint())
		case 2:
			r.Fill(e.UID[:])
		case 3:
			e.Namespace = r.Shared(sharedNamespace)
		case 4:
			r.Fill(e.Spec[:])
		case 5:
			e.Params = r.Bytes()
		case 6:
			e.Payload = r.Bytes()
		case 7:
			e.Key = r.String()
		case 8:
			e.Body = r.Random()
		case 9:
			e.By = r.Shared(sharedBy)
		case 10:
			e.At = r.Int()
		case 11:
			e.Held = r.Bool()
		case 12:
			e.StartAfter = r.Int()
		case 13:
			e.StartBefore = r.Int()
		case 14:
			e.Deadline = r.Int()
		case 15:
			e.Waits = append(e.Waits, r.wait())
		case 16:
			e.RetryOf = job.ID(r.Uint())
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
	for m.Next() {
		switch m.Field {
		case 1:
			c.Task = m.Uint32()
		case 2:
			c.Count = m.Int()
		case 3:
			c.Items = append(c.Items, m.String())
		case 4:
			c.Spans = append(c.Spans, m.span())
		case 5:
			c.Outputs = m.Bytes()
		case 6:
			c.Worker = m.Uint()
		default:
			m.unknown()
		}
	}
	return c
}

func (r *reader) jobWoken() (e core.JobWoken) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Job = job.ID(r.Uint())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) afterMet() (e core.AfterMet) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Job = job.ID(r.Uint())
		case 2:
			e.On = job.ID(r.Uint())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) taskReady() (e core.TaskReady) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Job = job.ID(r.Uint())
		case 2:
			e.Task = r.Uint32()
		case 3:
			e.Count = r.Int()
		case 4:
			e.Items = append(e.Items, r.String())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) elementsOpened() (e core.ElementsOpened) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Job = job.ID(r.Uint())
		case 2:
			e.Task = r.Uint32()
		case 3:
			e.Spans = append(e.Spans, r.span())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) elementsEnded() (e core.ElementsEnded) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Job = job.ID(r.Uint())
		case 2:
			e.Task = r.Uint32()
		case 3:
			e.Spans = append(e.Spans, r.span())
		case 4:
			e.State = r.elementState()
		case 5:
			e.Cause = r.cause()
		case 6:
			e.At = r.Int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) elementWoken() (e core.ElementWoken) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Job = job.ID(r.Uint())
		case 2:
			e.Task = r.Uint32()
		case 3:
			e.Position = r.Int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) jobEnded() (e core.JobEnded) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Job = job.ID(r.Uint())
		case 2:
			e.State = r.state()
		case 3:
			e.Cause = r.cause()
		case 4:
			e.At = r.Int()
		case 5:
			e.Code = r.Int32()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptAssigned() (e core.AttemptAssigned) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Job = job.ID(r.Uint())
		case 2:
			e.Task = r.Uint32()
		case 3:
			e.Position = r.Int()
		case 4:
			e.Attempt = r.Uint16()
		case 5:
			e.Fence = link.Fence(r.Uint())
		case 6:
			e.Worker = r.Uint()
		case 7:
			e.Lease = r.Int()
		case 8:
			e.At = r.Int()
		case 9:
			e.Prefetched = r.Bool()
		case 10:
			e.Alone = r.Bool()
		case 11:
			e.Devices = r.devices(e.Devices)
		case 12:
			e.Way = r.Uint8()
		case 13:
			e.Memory = r.Int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptStarted() (e core.AttemptStarted) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Fence = link.Fence(r.Uint())
		case 2:
			e.At = r.Int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptEnded() (e core.AttemptEnded) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Fence = link.Fence(r.Uint())
		case 2:
			e.Cause = r.cause()
		case 3:
			e.Usage = r.usage()
		case 4:
			e.Started = r.Int()
		case 5:
			e.Ended = r.Int()
		case 6:
			e.At = r.Int()
		case 7:
			e.Outputs = r.Bytes()
		case 8:
			e.LogSize = r.Int()
		case 9:
			e.Next = r.elementState()
		case 10:
			e.RetryAt = r.Int()
		case 11:
			e.Spent = r.spent()
		case 12:
			e.Promotes = link.Fence(r.Uint())
		case 13:
			e.Awaits = r.Bool()
		case 14:
			e.Memory = r.Int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptReturned() (e core.AttemptReturned) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Fence = link.Fence(r.Uint())
		case 2:
			e.Promotes = link.Fence(r.Uint())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptRecalled() (e core.AttemptRecalled) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Fence = link.Fence(r.Uint())
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptStopped() (e core.AttemptStopped) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Fence = link.Fence(r.Uint())
		case 2:
			e.Cause = r.cause()
		case 3:
			e.Grace = r.Int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) cancelRequested() (e core.CancelRequested) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Job = job.ID(r.Uint())
		case 2:
			e.Task = r.Uint32()
		case 3:
			e.Kill = r.Bool()
		case 4:
			e.Cause = r.cause()
		case 5:
			e.At = r.Int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) attemptsStopped() (e core.AttemptsStopped) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Job = job.ID(r.Uint())
		case 2:
			e.Task = r.Uint32()
		case 3:
			e.Spans = append(e.Spans, r.span())
		case 4:
			e.Cause = r.cause()
		case 5:
			e.Grace = r.Int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) holdSet() (e core.HoldSet) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Job = job.ID(r.Uint())
		case 2:
			e.Task = r.Uint32()
		case 3:
			e.Held = r.Bool()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) workerJoined() (e core.WorkerJoined) {
	r.fields(func() { e.ID = r.Uint() }, func() { e.Hello = r.hello() }, func() { e.At = r.Int() })
	return e
}

func (r *reader) workerAway() (e core.WorkerAway) {
	r.fields(func() { e.ID = r.Uint() })
	return e
}

func (r *reader) workerDrained() (e core.WorkerDrained) {
	r.fields(func() { e.ID = r.Uint() }, func() { e.Draining = r.Bool() })
	return e
}

func (r *reader) workerUnfit() (e core.WorkerUnfit) {
	r.fields(func() { e.ID = r.Uint() }, func() { e.Why = r.String() })
	return e
}

func (r *reader) workerForgotten() (e core.WorkerForgotten) {
	r.fields(func() { e.ID = r.Uint() }, func() { e.Lost = r.Bool() })
	return e
}
