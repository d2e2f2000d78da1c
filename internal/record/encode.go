package record

import (
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
)

// The numbers of the kinds of events are stored. Numbers are never used again.
const (
	kindEpochStarted    field = 1
	kindNamespaceSet    field = 2
	kindQueueSet        field = 3
	kindTokenSet        field = 4
	kindSpecAdded       field = 5
	kindJobSubmitted    field = 6
	kindJobWoken        field = 7
	kindAfterMet        field = 8
	kindTaskReady       field = 9
	kindElementsOpened  field = 10
	kindElementsEnded   field = 11
	kindElementWoken    field = 12
	kindJobEnded        field = 13
	kindAttemptAssigned field = 14
	kindAttemptStarted  field = 15
	kindAttemptEnded    field = 16
	kindAttemptReturned field = 17
	kindAttemptRecalled field = 18
	kindAttemptStopped  field = 19
	kindCancelRequested field = 20
	kindHoldSet         field = 21
	kindWorkerJoined    field = 22
	kindWorkerAway      field = 23
	kindWorkerDrained   field = 24
	kindWorkerForgotten field = 25
	kindWorkerUnfit     field = 26
	kindAttemptsStopped field = 27
	kindFormatRaised    field = 28
	kindStateDigested   field = 29
	kindSlotReleased    field = 30
)

// eventsField is the number of the events in a batch.
const eventsField field = 2

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
func BeginBatch(dst []byte, format uint64) []byte { return putUint(dst, formatField, format) }

// AppendEvent adds one event to a payload that BeginBatch began. It fails, with dst
// as it was, for an event that has no rule here.
func AppendEvent(dst []byte, e core.Event) ([]byte, error) {
	b, at := begin(dst, eventsField)
	b, known := putEvent(b, e)
	if !known {
		return dst, fmt.Errorf("record: %T can't be encoded", e)
	}
	return end(b, at), nil
}

// putEvent appends the event's field of the message Event.
func putEvent(b []byte, e core.Event) ([]byte, bool) {
	var at int
	switch e := e.(type) {
	case core.AttemptAssigned:
		b, at = begin(b, kindAttemptAssigned)
		b = putAssigned(b, &e)
	case core.AttemptStarted:
		b, at = begin(b, kindAttemptStarted)
		b = putInt(putUint(b, 1, uint64(e.Fence)), 2, e.At)
	case core.AttemptEnded:
		b, at = begin(b, kindAttemptEnded)
		b = putEnded(b, &e)
	case core.AttemptReturned:
		b, at = begin(b, kindAttemptReturned)
		b = putUint(putUint(b, 1, uint64(e.Fence)), 2, uint64(e.Promotes))
	case core.AttemptRecalled:
		b, at = begin(b, kindAttemptRecalled)
		b = putUint(b, 1, uint64(e.Fence))
	case core.AttemptStopped:
		b, at = begin(b, kindAttemptStopped)
		b = putInt(putCause(putUint(b, 1, uint64(e.Fence)), 2, e.Cause), 3, e.Grace)
	case core.WorkerJoined:
		b, at = begin(b, kindWorkerJoined)
		b = putInt(putHello(putUint(b, 1, e.ID), 2, &e.Hello), 3, e.At)
	case core.WorkerAway:
		b, at = begin(b, kindWorkerAway)
		b = putUint(b, 1, e.ID)
	case core.WorkerDrained:
		b, at = begin(b, kindWorkerDrained)
		b = putBool(putUint(b, 1, e.ID), 2, e.Draining)
	case core.WorkerUnfit:
		b, at = begin(b, kindWorkerUnfit)
		b = putString(putUint(b, 1, e.ID), 2, e.Why)
	case core.WorkerForgotten:
		b, at = begin(b, kindWorkerForgotten)
		b = putBool(putUint(b, 1, e.ID), 2, e.Lost)
	case core.EpochStarted:
		b, at = begin(b, kindEpochStarted)
		b = putInt(putUint(putUint(b, 1, e.Epoch), 2, e.Generation), 3, e.At)
	case core.StateDigested:
		b, at = begin(b, kindStateDigested)
		b = putUint(putUint(b, 1, e.Round), 2, e.Slice)
		b = putBytes(putUint(putUint(b, 3, uint64(e.From)), 4, uint64(e.To)), 5, e.Sum[:])
	case core.FormatRaised:
		b, at = begin(b, kindFormatRaised)
		b = putInt(putString(putUint(b, 1, e.Format), 2, e.By), 3, e.At)
	case core.NamespaceSet:
		b, at = begin(b, kindNamespaceSet)
		b = putNamespace(b, &e)
	case core.QueueSet:
		b, at = begin(b, kindQueueSet)
		b = putQueue(b, &e)
	case core.TokenSet:
		b, at = begin(b, kindTokenSet)
		b = putToken(b, 1, &e.Token)
	default:
		return putJobEvent(b, e)
	}
	return end(b, at), true
}

// putJobEvent is putEvent for what happens to jobs and elements.
func putJobEvent(b []byte, e core.Event) ([]byte, bool) {
	var at int
	switch e := e.(type) {
	case core.SpecAdded:
		b, at = begin(b, kindSpecAdded)
		b = putBytes(putBytes(b, 1, e.Hash[:]), 2, e.Canonical)
	case core.JobSubmitted:
		b, at = begin(b, kindJobSubmitted)
		b = putSubmitted(b, &e)
	case core.JobWoken:
		b, at = begin(b, kindJobWoken)
		b = putUint(b, 1, uint64(e.Job))
	case core.AfterMet:
		b, at = begin(b, kindAfterMet)
		b = putUint(putUint(b, 1, uint64(e.Job)), 2, uint64(e.On))
	case core.TaskReady:
		b, at = begin(b, kindTaskReady)
		b = putStrings(putInt(putTask(b, uint64(e.Job), e.Task), 3, e.Count), 4, e.Items)
	case core.ElementsOpened:
		b, at = begin(b, kindElementsOpened)
		b = putSpans(putTask(b, uint64(e.Job), e.Task), 3, e.Spans)
	case core.ElementsEnded:
		b, at = begin(b, kindElementsEnded)
		b = putSpans(putTask(b, uint64(e.Job), e.Task), 3, e.Spans)
		b = putInt(putCause(putUint(b, 4, uint64(e.State)), 5, e.Cause), 6, e.At)
	case core.ElementWoken:
		b, at = begin(b, kindElementWoken)
		b = putInt(putTask(b, uint64(e.Job), e.Task), 3, e.Position)
	case core.JobEnded:
		b, at = begin(b, kindJobEnded)
		b = putCause(putUint(putUint(b, 1, uint64(e.Job)), 2, uint64(e.State)), 3, e.Cause)
		b = putSigned(putInt(b, 4, e.At), 5, int64(e.Code))
	case core.CancelRequested:
		b, at = begin(b, kindCancelRequested)
		b = putBool(putTask(b, uint64(e.Job), e.Task), 3, e.Kill)
		b = putInt(putCause(b, 4, e.Cause), 5, e.At)
	case core.AttemptsStopped:
		b, at = begin(b, kindAttemptsStopped)
		b = putSpans(putTask(b, uint64(e.Job), e.Task), 3, e.Spans)
		b = putInt(putCause(b, 4, e.Cause), 5, e.Grace)
	case core.SlotReleased:
		b, at = begin(b, kindSlotReleased)
		b = putUint(putUint(b, 1, uint64(e.Job)), 2, uint64(e.Fence))
		b = putInt(putString(b, 3, e.By), 4, e.At)
	case core.HoldSet:
		b, at = begin(b, kindHoldSet)
		b = putBool(putTask(b, uint64(e.Job), e.Task), 3, e.Held)
	default:
		return b, false
	}
	return end(b, at), true
}

// putTask appends what many events begin with.
func putTask(b []byte, id uint64, task uint32) []byte {
	return putUint(putUint(b, 1, id), 2, uint64(task))
}

func putNamespace(b []byte, e *core.NamespaceSet) []byte {
	b = putInt(putBool(putString(b, 1, e.Name), 2, e.Paused), 3, e.Created)
	return putNamespacePolicy(b, 4, &e.Policy)
}

func putQueue(b []byte, e *core.QueueSet) []byte {
	b = putString(putString(b, 1, e.Namespace), 2, e.Name)
	b = putInt(putBool(b, 3, e.Paused), 4, e.Created)
	return putQueuePolicy(b, 5, &e.Policy)
}

func putSubmitted(b []byte, e *core.JobSubmitted) []byte {
	b = putUint(b, 1, uint64(e.ID))
	b = putBytes(b, 2, e.UID[:])
	b = putString(b, 3, e.Namespace)
	b = putBytes(b, 4, e.Spec[:])
	b = putBytes(b, 5, e.Params)
	b = putBytes(b, 6, e.Payload)
	b = putString(b, 7, e.Key)
	b = putRandom(b, 8, e.Body)
	b = putString(b, 9, e.By)
	b = putInt(b, 10, e.At)
	b = putBool(b, 11, e.Held)
	b = putInt(b, 12, e.StartAfter)
	b = putInt(b, 13, e.StartBefore)
	b = putInt(b, 14, e.Deadline)
	b = putWaits(b, 15, e.Waits)
	b = putUint(b, 16, uint64(e.RetryOf))
	for i := range e.Carry {
		c := &e.Carry[i]
		var at int
		b, at = begin(b, 17)
		b = putUint(b, 1, uint64(c.Task))
		b = putInt(b, 2, c.Count)
		b = putStrings(b, 3, c.Items)
		b = putSpans(b, 4, c.Spans)
		b = putBytes(b, 5, c.Outputs)
		b = end(b, at)
	}
	return putKeys(b, 18, e.Keys)
}

func putAssigned(b []byte, e *core.AttemptAssigned) []byte {
	b = putTask(b, uint64(e.Job), e.Task)
	b = putInt(b, 3, e.Position)
	b = putUint(b, 4, uint64(e.Attempt))
	b = putUint(b, 5, uint64(e.Fence))
	b = putUint(b, 6, e.Worker)
	b = putInt(b, 7, e.Lease)
	b = putInt(b, 8, e.At)
	b = putBool(b, 9, e.Prefetched)
	b = putBool(b, 10, e.Alone)
	return putDevices(b, 11, e.Devices)
}

func putEnded(b []byte, e *core.AttemptEnded) []byte {
	b = putUint(b, 1, uint64(e.Fence))
	b = putCause(b, 2, e.Cause)
	b = putUsage(b, 3, e.Usage)
	b = putInt(b, 4, e.Started)
	b = putInt(b, 5, e.Ended)
	b = putInt(b, 6, e.At)
	b = putBytes(b, 7, e.Outputs)
	b = putInt(b, 8, e.LogSize)
	b = putUint(b, 9, uint64(e.Next))
	b = putInt(b, 10, e.RetryAt)
	b = putSpent(b, 11, e.Spent)
	return putUint(b, 12, uint64(e.Promotes))
}
