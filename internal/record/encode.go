package record

import (
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record/field"
)

// The numbers of the kinds of events are stored. Numbers are never used again.
const (
	kindEpochStarted       field.Number = 1
	kindNamespaceSet       field.Number = 2
	kindQueueSet           field.Number = 3
	kindTokenSet           field.Number = 4
	kindSpecAdded          field.Number = 5
	kindJobSubmitted       field.Number = 6
	kindJobWoken           field.Number = 7
	kindAfterMet           field.Number = 8
	kindTaskReady          field.Number = 9
	kindElementsOpened     field.Number = 10
	kindElementsEnded      field.Number = 11
	kindElementWoken       field.Number = 12
	kindJobEnded           field.Number = 13
	kindAttemptAssigned    field.Number = 14
	kindAttemptStarted     field.Number = 15
	kindAttemptEnded       field.Number = 16
	kindAttemptReturned    field.Number = 17
	kindAttemptRecalled    field.Number = 18
	kindAttemptStopped     field.Number = 19
	kindCancelRequested    field.Number = 20
	kindHoldSet            field.Number = 21
	kindWorkerJoined       field.Number = 22
	kindWorkerAway         field.Number = 23
	kindWorkerDrained      field.Number = 24
	kindWorkerForgotten    field.Number = 25
	kindWorkerUnfit        field.Number = 26
	kindAttemptsStopped    field.Number = 27
	kindFormatRaised       field.Number = 28
	kindStateDigested      field.Number = 29
	kindSlotReleased       field.Number = 30
	kindJobChanged         field.Number = 31
	kindPoolSet            field.Number = 32
	kindReservationSet     field.Number = 33
	kindReservationRemoved field.Number = 34
)

// eventsField is the number of the events in a batch.
const eventsField field.Number = 2

// EncodeBatch appends the payload that holds events, in the least format that all of
// them allow. Equal events give equal bytes. It fails, with dst as it was, for an event
// that has no rule here.
func EncodeBatch(dst []byte, events []core.Event) ([]byte, error) {
	format := uint64(core.FirstFormat)
	for _, e := range events {
		format = max(format, Needs(e))
	}
	b := BeginBatch(dst, format)
	for i, e := range events {
		var err error
		if b, err = AppendEvent(b, e); err != nil {
			return dst, fmt.Errorf("event %d of %d: %w", i, len(events), err)
		}
	}
	return b, nil
}

// BeginBatch appends what a payload begins with: the cluster's format. AppendEvent adds its
// events.
func BeginBatch(dst []byte, format uint64) []byte { return field.Uint(dst, formatField, format) }

// AppendEvent adds one event to a payload that BeginBatch began. It fails, with dst
// as it was, for an event that has no rule here.
func AppendEvent(dst []byte, e core.Event) ([]byte, error) {
	b, at := field.Begin(dst, eventsField)
	b, known := putEvent(b, e)
	if !known {
		return dst, fmt.Errorf("record: %T can't be encoded", e)
	}
	return field.End(b, at), nil
}

// putEvent appends the event's field of the message Event.
func putEvent(b []byte, e core.Event) ([]byte, bool) {
	var at int
	switch e := e.(type) {
	case core.AttemptAssigned:
		b, at = field.Begin(b, kindAttemptAssigned)
		b = putAssigned(b, &e)
	case core.AttemptStarted:
		b, at = field.Begin(b, kindAttemptStarted)
		b = field.Int(field.Uint(b, 1, uint64(e.Fence)), 2, e.At)
	case core.AttemptEnded:
		b, at = field.Begin(b, kindAttemptEnded)
		b = putEnded(b, &e)
	case core.AttemptReturned:
		b, at = field.Begin(b, kindAttemptReturned)
		b = field.Uint(field.Uint(b, 1, uint64(e.Fence)), 2, uint64(e.Promotes))
	case core.AttemptRecalled:
		b, at = field.Begin(b, kindAttemptRecalled)
		b = field.Uint(b, 1, uint64(e.Fence))
	case core.AttemptStopped:
		b, at = field.Begin(b, kindAttemptStopped)
		b = field.Int(putCause(field.Uint(b, 1, uint64(e.Fence)), 2, e.Cause), 3, e.Grace)
	case core.WorkerJoined:
		b, at = field.Begin(b, kindWorkerJoined)
		b = field.Int(putHello(field.Uint(b, 1, e.ID), 2, &e.Hello), 3, e.At)
	case core.WorkerAway:
		b, at = field.Begin(b, kindWorkerAway)
		b = field.Uint(b, 1, e.ID)
	case core.WorkerDrained:
		b, at = field.Begin(b, kindWorkerDrained)
		b = field.Bool(field.Uint(b, 1, e.ID), 2, e.Draining)
	case core.WorkerUnfit:
		b, at = field.Begin(b, kindWorkerUnfit)
		b = field.String(field.Uint(b, 1, e.ID), 2, e.Why)
	case core.WorkerForgotten:
		b, at = field.Begin(b, kindWorkerForgotten)
		b = field.Bool(field.Uint(b, 1, e.ID), 2, e.Lost)
	case core.EpochStarted:
		b, at = field.Begin(b, kindEpochStarted)
		b = field.Int(field.Uint(field.Uint(b, 1, e.Epoch), 2, e.Generation), 3, e.At)
	case core.StateDigested:
		b, at = field.Begin(b, kindStateDigested)
		b = field.Uint(field.Uint(b, 1, e.Round), 2, e.Slice)
		b = field.Bytes(field.Uint(field.Uint(b, 3, uint64(e.From)), 4, uint64(e.To)), 5, e.Sum[:])
	case core.FormatRaised:
		b, at = field.Begin(b, kindFormatRaised)
		b = field.Int(field.String(field.Uint(b, 1, e.Format), 2, e.By), 3, e.At)
	case core.NamespaceSet:
		b, at = field.Begin(b, kindNamespaceSet)
		b = putNamespace(b, &e)
	case core.QueueSet:
		b, at = field.Begin(b, kindQueueSet)
		b = putQueue(b, &e)
	case core.PoolSet:
		b, at = field.Begin(b, kindPoolSet)
		b = putPool(b, &e)
	case core.ReservationSet:
		b, at = field.Begin(b, kindReservationSet)
		b = putReservation(b, &e)
	case core.ReservationRemoved:
		b, at = field.Begin(b, kindReservationRemoved)
		b = field.String(b, 1, e.Name)
	case core.TokenSet:
		b, at = field.Begin(b, kindTokenSet)
		b = putToken(b, 1, &e.Token)
	default:
		return putJobEvent(b, e)
	}
	return field.End(b, at), true
}

// putJobEvent is putEvent for what happens to jobs and elements.
func putJobEvent(b []byte, e core.Event) ([]byte, bool) {
	var at int
	switch e := e.(type) {
	case core.SpecAdded:
		b, at = field.Begin(b, kindSpecAdded)
		b = field.Bytes(field.Bytes(b, 1, e.Hash[:]), 2, e.Canonical)
	case core.JobSubmitted:
		b, at = field.Begin(b, kindJobSubmitted)
		b = putSubmitted(b, &e)
	case core.JobWoken:
		b, at = field.Begin(b, kindJobWoken)
		b = field.Uint(b, 1, uint64(e.Job))
	case core.AfterMet:
		b, at = field.Begin(b, kindAfterMet)
		b = field.Uint(field.Uint(b, 1, uint64(e.Job)), 2, uint64(e.On))
	case core.TaskReady:
		b, at = field.Begin(b, kindTaskReady)
		b = field.Strings(field.Int(putTask(b, uint64(e.Job), e.Task), 3, e.Count), 4, e.Items)
	case core.ElementsOpened:
		b, at = field.Begin(b, kindElementsOpened)
		b = putSpans(putTask(b, uint64(e.Job), e.Task), 3, e.Spans)
	case core.ElementsEnded:
		b, at = field.Begin(b, kindElementsEnded)
		b = putSpans(putTask(b, uint64(e.Job), e.Task), 3, e.Spans)
		b = field.Int(putCause(field.Uint(b, 4, uint64(e.State)), 5, e.Cause), 6, e.At)
	case core.ElementWoken:
		b, at = field.Begin(b, kindElementWoken)
		b = field.Int(putTask(b, uint64(e.Job), e.Task), 3, e.Position)
	case core.JobEnded:
		b, at = field.Begin(b, kindJobEnded)
		b = putCause(field.Uint(field.Uint(b, 1, uint64(e.Job)), 2, uint64(e.State)), 3, e.Cause)
		b = field.Signed(field.Int(b, 4, e.At), 5, int64(e.Code))
	case core.CancelRequested:
		b, at = field.Begin(b, kindCancelRequested)
		b = field.Bool(putTask(b, uint64(e.Job), e.Task), 3, e.Kill)
		b = field.Int(putCause(b, 4, e.Cause), 5, e.At)
	case core.AttemptsStopped:
		b, at = field.Begin(b, kindAttemptsStopped)
		b = putSpans(putTask(b, uint64(e.Job), e.Task), 3, e.Spans)
		b = field.Int(putCause(b, 4, e.Cause), 5, e.Grace)
	case core.SlotReleased:
		b, at = field.Begin(b, kindSlotReleased)
		b = field.Uint(field.Uint(b, 1, uint64(e.Job)), 2, uint64(e.Fence))
		b = field.Int(field.String(b, 3, e.By), 4, e.At)
	case core.JobChanged:
		b, at = field.Begin(b, kindJobChanged)
		b = field.Signed(field.String(field.Uint(b, 1, uint64(e.Job)), 2, e.Queue), 3, int64(e.Priority))
		b = field.Int(field.String(field.Int(b, 4, e.Front), 5, e.By), 6, e.At)
	case core.HoldSet:
		b, at = field.Begin(b, kindHoldSet)
		b = field.Bool(putTask(b, uint64(e.Job), e.Task), 3, e.Held)
	default:
		return b, false
	}
	return field.End(b, at), true
}

// putTask appends what many events begin with.
func putTask(b []byte, id uint64, task uint32) []byte {
	return field.Uint(field.Uint(b, 1, id), 2, uint64(task))
}

func putNamespace(b []byte, e *core.NamespaceSet) []byte {
	b = field.Int(field.Bool(field.String(b, 1, e.Name), 2, e.Paused), 3, e.Created)
	return putNamespacePolicy(b, 4, &e.Policy)
}

func putQueue(b []byte, e *core.QueueSet) []byte {
	b = field.String(field.String(b, 1, e.Namespace), 2, e.Name)
	b = field.Int(field.Bool(b, 3, e.Paused), 4, e.Created)
	return putQueuePolicy(b, 5, &e.Policy)
}

func putReservation(b []byte, e *core.ReservationSet) []byte {
	b = field.String(field.String(b, 1, e.Name), 2, e.Pool)
	b = field.Strings(field.Strings(b, 3, e.Workers), 4, e.Where)
	b = field.Int(field.Int(field.Int(b, 5, e.From), 6, e.Until), 7, e.Lead)
	return field.String(field.String(b, 8, e.Namespace), 9, e.Queue)
}

func putPool(b []byte, e *core.PoolSet) []byte {
	b, at := field.Begin(field.String(b, 1, e.Name), 2)
	return field.End(putResources(b, 1, job.Resources(e.Policy.Overcommit)), at)
}

func putSubmitted(b []byte, e *core.JobSubmitted) []byte {
	b = field.Uint(b, 1, uint64(e.ID))
	b = field.Bytes(b, 2, e.UID[:])
	b = field.String(b, 3, e.Namespace)
	b = field.Bytes(b, 4, e.Spec[:])
	b = field.Bytes(b, 5, e.Params)
	b = field.Bytes(b, 6, e.Payload)
	b = field.String(b, 7, e.Key)
	b = field.Random(b, 8, e.Body)
	b = field.String(b, 9, e.By)
	b = field.Int(b, 10, e.At)
	b = field.Bool(b, 11, e.Held)
	b = field.Int(b, 12, e.StartAfter)
	b = field.Int(b, 13, e.StartBefore)
	b = field.Int(b, 14, e.Deadline)
	b = putWaits(b, 15, e.Waits)
	b = field.Uint(b, 16, uint64(e.RetryOf))
	for i := range e.Carry {
		c := &e.Carry[i]
		var at int
		b, at = field.Begin(b, 17)
		b = field.Uint(b, 1, uint64(c.Task))
		b = field.Int(b, 2, c.Count)
		b = field.Strings(b, 3, c.Items)
		b = putSpans(b, 4, c.Spans)
		b = field.Bytes(b, 5, c.Outputs)
		b = field.Uint(b, 6, c.Worker)
		b = field.End(b, at)
	}
	return putKeys(b, 18, e.Keys)
}

func putAssigned(b []byte, e *core.AttemptAssigned) []byte {
	b = putTask(b, uint64(e.Job), e.Task)
	b = field.Int(b, 3, e.Position)
	b = field.Uint(b, 4, uint64(e.Attempt))
	b = field.Uint(b, 5, uint64(e.Fence))
	b = field.Uint(b, 6, e.Worker)
	b = field.Int(b, 7, e.Lease)
	b = field.Int(b, 8, e.At)
	b = field.Bool(b, 9, e.Prefetched)
	b = field.Bool(b, 10, e.Alone)
	b = putDevices(b, 11, e.Devices)
	b = field.Uint(b, 12, uint64(e.Way))
	return field.Int(b, 13, e.Memory)
}

func putEnded(b []byte, e *core.AttemptEnded) []byte {
	b = field.Uint(b, 1, uint64(e.Fence))
	b = putCause(b, 2, e.Cause)
	b = putUsage(b, 3, e.Usage)
	b = field.Int(b, 4, e.Started)
	b = field.Int(b, 5, e.Ended)
	b = field.Int(b, 6, e.At)
	b = field.Bytes(b, 7, e.Outputs)
	b = field.Int(b, 8, e.LogSize)
	b = field.Uint(b, 9, uint64(e.Next))
	b = field.Int(b, 10, e.RetryAt)
	b = putSpent(b, 11, e.Spent)
	b = field.Uint(b, 12, uint64(e.Promotes))
	b = field.Bool(b, 13, e.Awaits)
	return field.Int(b, 14, e.Memory)
}
