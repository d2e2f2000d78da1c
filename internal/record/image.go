package record

import (
	"fmt"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/record/field"
	"github.com/reeve-scheduler/reeve/internal/record/format"
	"github.com/reeve-scheduler/reeve/internal/store"
)

func putJob(b []byte, m *core.JobImage) []byte {
	b = field.Uint(b, formatField, format.OfJob(m))
	b = field.Bytes(b, 2, m.UID[:])
	b = field.Signed(b, 3, int64(m.Priority))
	b = field.Bytes(b, 4, m.Params)
	b = field.Bool(b, 5, m.Away || m.Payload != nil)
	b = field.String(b, 6, m.Key)
	b = field.Random(b, 7, m.Body)
	b = field.String(b, 8, m.By)
	b = field.Int(b, 9, m.Started)
	b = field.Int(b, 10, m.StartAfter)
	b = field.Int(b, 11, m.StartBefore)
	b = field.Int(b, 12, m.Deadline)
	b = putCause(b, 13, m.Cause)
	b = putCause(b, 14, m.Spoiled)
	b = putCause(b, 15, m.Stop)
	b = field.Signed(b, 16, int64(m.Code))
	b = field.Bool(b, 17, m.Held)
	b = field.Bool(b, 18, m.Woken)
	b = field.Bool(b, 19, m.Killed)
	b = putWaits(b, 20, m.Waits)
	b = field.Uint(b, 21, uint64(m.RetryOf))
	for i := range m.Tasks {
		b = putTaskImage(b, 22, &m.Tasks[i])
	}
	b = field.Bool(b, 23, m.Begun)
	b = putKeys(b, 24, m.Keys)
	b = field.Bool(b, 25, m.Released)
	return field.Int(b, 26, m.Front)
}

// Job returns the image of a job that Rows made the row of. It needs the row's
// blob; nothing in the image aliases it. A payload is away: store.History.Payloads has it.
func Job(row store.JobRow) (core.JobImage, error) { return jobOf(&field.Payload{}, row) }

func jobOf(d *field.Payload, row store.JobRow) (core.JobImage, error) {
	m := core.JobImage{
		ID: job.ID(row.ID), Namespace: row.Namespace, Queue: row.Queue, Name: row.Name, Labels: labelsOf(row.Labels),
		Spec: row.Spec, Submitted: row.Submitted, Ended: row.Ended, KeepUntil: row.KeepUntil, State: job.State(row.State),
		Changed: row.Changed,
	}
	r := openWith(d, row.Blob)
	for r.Next() {
		r.jobField(&m)
	}
	if r.Err() == nil && m.State > job.JobCancelled {
		r.Fail(fmt.Errorf("state %d: %w", m.State, store.ErrCorrupt))
	}
	if r.Err() != nil {
		return core.JobImage{}, fmt.Errorf("record: row of job %d: %w", row.ID, r.Err())
	}
	return m, nil
}

func (r *reader) jobField(m *core.JobImage) {
	switch r.Field {
	case 2:
		r.Fill(m.UID[:])
	case 3:
		m.Priority = r.Int32()
	case 4:
		m.Params = r.Bytes()
	case 5:
		m.Away = r.Bool()
	case 6:
		m.Key = r.String()
	case 7:
		m.Body = r.Random()
	case 8:
		m.By = r.Shared(sharedBy)
	case 9:
		m.Started = r.Int()
	case 10:
		m.StartAfter = r.Int()
	case 11:
		m.StartBefore = r.Int()
	case 12:
		m.Deadline = r.Int()
	case 13:
		m.Cause = r.cause()
	case 14:
		m.Spoiled = r.cause()
	case 15:
		m.Stop = r.cause()
	case 16:
		m.Code = r.Int32()
	case 17:
		m.Held = r.Bool()
	case 18:
		m.Woken = r.Bool()
	case 19:
		m.Killed = r.Bool()
	case 20:
		m.Waits = append(m.Waits, r.wait())
	case 21:
		m.RetryOf = job.ID(r.Uint())
	case 22:
		m.Tasks = append(m.Tasks, r.taskImage())
	case 23:
		m.Begun = r.Bool()
	case 24:
		m.Keys = append(m.Keys, r.keyOf())
	case 25:
		m.Released = r.Bool()
	case 26:
		m.Front = r.Int()
	default:
		r.unknown()
	}
}

func labelsOf(pairs []string) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	labels := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		labels[key] = value
	}
	return labels
}

func putTaskImage(b []byte, f field.Number, t *core.TaskImage) []byte {
	b, at := field.Begin(b, f)
	b = field.Signed(b, 1, t.N)
	b = field.Bool(b, 2, t.Ready)
	b = field.Bool(b, 3, t.Held)
	b = putCause(b, 4, t.Stop)
	b = field.Strings(b, 5, t.Items)
	b = field.Bytes(b, 6, t.Outputs)
	b = field.Int(b, 7, t.Started)
	b = field.Int(b, 8, t.Ended)
	b = putCounts(b, 9, &t.Counts)
	b = putElement(b, 10, &t.Record)
	if t.Retry != (core.RetryImage{}) {
		b = putRetry(b, 11, &t.Retry)
	}
	if t.Live != nil {
		b = putAttempt(b, 12, t.Live)
	}
	b = field.Signed(b, 13, int64(t.Asked))
	b = field.Int(b, 14, t.Memory)
	b = field.Uint(b, 15, t.Last)
	return field.End(b, at)
}

func (r *reader) taskImage() (t core.TaskImage) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			t.N = m.Signed()
		case 2:
			t.Ready = m.Bool()
		case 3:
			t.Held = m.Bool()
		case 4:
			t.Stop = m.cause()
		case 5:
			t.Items = append(t.Items, m.String())
		case 6:
			t.Outputs = m.Bytes()
		case 7:
			t.Started = m.Int()
		case 8:
			t.Ended = m.Int()
		case 9:
			t.Counts = m.counts()
		case 10:
			t.Record = m.element()
		case 11:
			t.Retry = m.retry()
		case 12:
			live := m.attempt()
			t.Live = &live
		case 13:
			t.Asked = m.Int32()
		case 14:
			t.Memory = m.Int()
		case 15:
			t.Last = m.Uint()
		default:
			m.unknown()
		}
	}
	return t
}

func putElement(b []byte, f field.Number, e *element.Record) []byte {
	if *e == (element.Record{}) {
		return b
	}
	b, at := field.Begin(b, f)
	b = field.Uint(b, 1, uint64(e.State))
	b = field.Uint(b, 2, uint64(e.Attempts))
	b = putCause(b, 3, e.Cause)
	b = field.Uint(b, 4, e.Worker)
	b = field.Int(b, 5, e.Started)
	b = field.Int(b, 6, e.Ended)
	b = field.Bool(b, 7, e.Carried)
	b = putUsage(b, 8, e.Usage)
	b = field.Uint(b, 9, uint64(e.Way))
	b = field.Int(b, 10, e.Memory)
	return field.End(b, at)
}

func (r *reader) element() (e element.Record) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			e.State = m.elementState()
		case 2:
			e.Attempts = m.Uint16()
		case 3:
			e.Cause = m.cause()
		case 4:
			e.Worker = m.Uint()
		case 5:
			e.Started = m.Int()
		case 6:
			e.Ended = m.Int()
		case 7:
			e.Carried = m.Bool()
		case 8:
			e.Usage = m.usage()
		case 9:
			e.Way = m.Uint8()
		case 10:
			e.Memory = m.Int()
		default:
			m.unknown()
		}
	}
	return e
}

func putRetry(b []byte, f field.Number, t *core.RetryImage) []byte {
	b, at := field.Begin(b, f)
	b = field.Int(b, 1, t.Position)
	b = putSpent(b, 2, t.Spent)
	b = field.Int(b, 3, t.At)
	return field.End(b, at)
}

func (r *reader) retry() (t core.RetryImage) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			t.Position = m.Int()
		case 2:
			t.Spent = m.spent()
		case 3:
			t.At = m.Int()
		default:
			m.unknown()
		}
	}
	return t
}

func putAttempt(b []byte, f field.Number, a *core.AttemptImage) []byte {
	b, at := field.Begin(b, f)
	b = field.Uint(b, 1, uint64(a.Fence))
	b = field.Int(b, 2, a.Position)
	b = field.Uint(b, 3, uint64(a.Number))
	b = field.Uint(b, 4, a.Worker)
	b = field.Int(b, 5, a.Lease)
	b = field.Int(b, 6, a.Assigned)
	b = field.Int(b, 7, a.Started)
	b = field.Bool(b, 8, a.Prefetched)
	b = field.Bool(b, 9, a.Alone)
	b = field.Bool(b, 10, a.Recalled)
	b = putCause(b, 11, a.Stop)
	b = field.Int(b, 12, a.Grace)
	b = putDevices(b, 13, a.Devices)
	b = field.Bool(b, 14, a.Released)
	if a.Ended != nil {
		var ended int
		b, ended = field.Begin(b, 15)
		b = field.End(putEnded(b, a.Ended), ended)
	}
	b = field.Uint(b, 16, uint64(a.Way))
	b = field.Int(b, 17, a.Memory)
	return field.End(b, at)
}

func (r *reader) attempt() (a core.AttemptImage) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			a.Fence = link.Fence(m.Uint())
		case 2:
			a.Position = m.Int()
		case 3:
			a.Number = m.Uint16()
		case 4:
			a.Worker = m.Uint()
		case 5:
			a.Lease = m.Int()
		case 6:
			a.Assigned = m.Int()
		case 7:
			a.Started = m.Int()
		case 8:
			a.Prefetched = m.Bool()
		case 9:
			a.Alone = m.Bool()
		case 10:
			a.Recalled = m.Bool()
		case 11:
			a.Stop = m.cause()
		case 12:
			a.Grace = m.Int()
		case 13:
			a.Devices = m.devices(a.Devices)
		case 14:
			a.Released = m.Bool()
		case 15:
			ended := m.message()
			e := ended.attemptEnded()
			a.Ended = &e
		case 16:
			a.Way = m.Uint8()
		case 17:
			a.Memory = m.Int()
		default:
			m.unknown()
		}
	}
	return a
}
