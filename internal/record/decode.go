package record

import (
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// DecodeBatch returns the events of a payload that EncodeBatch wrote. Nothing in
// them aliases b. It fails with ErrFormat for what a newer version may have
// written, else with store.ErrCorrupt.
func DecodeBatch(b []byte) ([]core.Event, error) {
	const typical = 32 // bytes of an event
	r := open(b)
	events := make([]core.Event, 0, len(b)/typical+1)
	for r.next() {
		if r.field != eventsField {
			r.unknown()
			break
		}
		if e := r.event(); r.d.err == nil {
			events = append(events, e)
		}
	}
	if r.d.err != nil {
		return nil, fmt.Errorf("record: event %d of a batch: %w", len(events), r.d.err)
	}
	return events, nil
}

// Decoder reads single events back. It belongs to one goroutine; the zero value is
// ready. Strings that most jobs have in common are the same in all that it reads.
type Decoder struct{ d decoding }

// Event returns the event that AppendEvent appended as b. Nothing in it aliases b.
func (d *Decoder) Event(b []byte) (core.Event, error) {
	d.d.err = nil
	r := reader{d: &d.d, b: b}
	var e core.Event
	if r.next() && r.field == eventsField {
		e = r.event()
	} else {
		r.damaged()
	}
	if len(r.b) > 0 {
		r.damaged()
	}
	if d.d.err != nil {
		return nil, fmt.Errorf("record: an event of %d bytes: %w", len(b), d.d.err)
	}
	return e, nil
}

// event reads the message Event, which has exactly one field.
func (r *reader) event() core.Event {
	one := r.message()
	if !one.next() {
		if r.d.err == nil {
			r.d.err = fmt.Errorf("an event of no kind: %w", store.ErrCorrupt)
		}
		return nil
	}
	e := one.kindOfEvent()
	if one.next() {
		one.damaged()
	}
	return e
}

func (r *reader) kindOfEvent() core.Event {
	m := r.message()
	switch r.field {
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
	switch r.field {
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
	case kindSlotReleased:
		return m.slotReleased()
	}
	r.unknown()
	return nil
}
