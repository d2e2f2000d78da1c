package record

import (
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/record/field"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// DecodeBatch returns the events of a payload that EncodeBatch wrote. Nothing in
// them aliases b. It fails with ErrFormat for what a newer version may have
// written, else with store.ErrCorrupt.
func DecodeBatch(b []byte) ([]core.Event, error) {
	const typical = 32 // bytes of an event
	r := open(b)
	events := make([]core.Event, 0, len(b)/typical+1)
	for r.Next() {
		if r.Field != eventsField {
			r.unknown()
			break
		}
		if e := r.event(); r.Err() == nil {
			events = append(events, e)
		}
	}
	if r.Err() != nil {
		return nil, fmt.Errorf("record: event %d of a batch: %w", len(events), r.Err())
	}
	return events, nil
}

// Decoder reads single events back. It belongs to one goroutine; the zero value is
// ready. Strings that most jobs have in common are the same in all that it reads.
type Decoder struct{ payload field.Payload }

// Event returns the event that AppendEvent appended as b. Nothing in it aliases b.
func (d *Decoder) Event(b []byte) (core.Event, error) {
	r := reader{d.payload.Read(b)}
	var e core.Event
	if r.Next() && r.Field == eventsField {
		e = r.event()
	} else {
		r.Damaged()
	}
	if r.Left() > 0 {
		r.Damaged()
	}
	if d.payload.Err != nil {
		return nil, fmt.Errorf("record: an event of %d bytes: %w", len(b), d.payload.Err)
	}
	return e, nil
}

// event reads the message Event, which has exactly one field.
func (r *reader) event() core.Event {
	one := r.message()
	if !one.Next() {
		r.Fail(fmt.Errorf("an event of no kind: %w", store.ErrCorrupt))
		return nil
	}
	e := one.kindOfEvent()
	if one.Next() {
		one.Damaged()
	}
	return e
}

func (r *reader) kindOfEvent() core.Event {
	m := r.message()
	switch r.Field {
	case kindEpochStarted:
		return m.epochStarted()
	case kindStateDigested:
		return m.stateDigested()
	case kindFormatRaised:
		return m.formatRaised()
	case kindNamespaceSet:
		return m.namespaceSet()
	case kindQueueSet:
		return m.queueSet()
	case kindPoolSet:
		return m.poolSet()
	case kindReservationSet:
		return m.reservationSet()
	case kindReservationRemoved:
		return m.reservationRemoved()
	case kindTokenSet:
		return m.tokenSet()
	case kindAttemptAssigned:
		return m.attemptAssigned()
	case kindAttemptStarted:
		return m.attemptStarted()
	case kindAttemptEnded:
		return m.attemptEnded()
	case kindAttemptReturned:
		return m.attemptReturned()
	case kindAttemptRecalled:
		return m.attemptRecalled()
	case kindAttemptStopped:
		return m.attemptStopped()
	case kindWorkerJoined:
		return m.workerJoined()
	case kindWorkerAway:
		return m.workerAway()
	case kindWorkerDrained:
		return m.workerDrained()
	case kindWorkerUnfit:
		return m.workerUnfit()
	case kindWorkerForgotten:
		return m.workerForgotten()
	}
	return r.kindOfJobEvent(m)
}

func (r *reader) kindOfJobEvent(m reader) core.Event {
	switch r.Field {
	case kindSpecAdded:
		return m.specAdded()
	case kindJobSubmitted:
		return m.jobSubmitted()
	case kindJobWoken:
		return m.jobWoken()
	case kindAfterMet:
		return m.afterMet()
	case kindTaskReady:
		return m.taskReady()
	case kindElementsOpened:
		return m.elementsOpened()
	case kindElementsEnded:
		return m.elementsEnded()
	case kindElementWoken:
		return m.elementWoken()
	case kindJobEnded:
		return m.jobEnded()
	case kindCancelRequested:
		return m.cancelRequested()
	case kindAttemptsStopped:
		return m.attemptsStopped()
	case kindHoldSet:
		return m.holdSet()
	case kindJobChanged:
		return m.jobChanged()
	case kindSlotReleased:
		return m.slotReleased()
	}
	r.unknown()
	return nil
}
