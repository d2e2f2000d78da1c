package record

import (
	"fmt"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/store"
)

func putJob(b []byte, m *core.JobImage) []byte {
	b = putUint(b, formatField, needsOfJob(m))
	b = putBytes(b, 2, m.UID[:])
	b = putSigned(b, 3, int64(m.Priority))
	b = putBytes(b, 4, m.Params)
	b = putBool(b, 5, m.Away || m.Payload != nil)
	b = putString(b, 6, m.Key)
	b = putRandom(b, 7, m.Body)
	b = putString(b, 8, m.By)
	b = putInt(b, 9, m.Started)
	b = putInt(b, 10, m.StartAfter)
	b = putInt(b, 11, m.StartBefore)
	b = putInt(b, 12, m.Deadline)
	b = putCause(b, 13, m.Cause)
	b = putCause(b, 14, m.Spoiled)
	b = putCause(b, 15, m.Stop)
	b = putSigned(b, 16, int64(m.Code))
	b = putBool(b, 17, m.Held)
	b = putBool(b, 18, m.Woken)
	b = putBool(b, 19, m.Killed)
	b = putWaits(b, 20, m.Waits)
	b = putUint(b, 21, uint64(m.RetryOf))
	for i := range m.Tasks {
		b = putTaskImage(b, 22, &m.Tasks[i])
	}
	b = putBool(b, 23, m.Begun)
	b = putKeys(b, 24, m.Keys)
	return putBool(b, 25, m.Released)
}

// Job returns the image of a job that Rows made the row of. It needs the row's
// blob; nothing in the image aliases it. A payload is away: store.History.Payloads has it.
func Job(row store.JobRow) (core.JobImage, error) { return jobOf(&decoding{}, row) }

func jobOf(d *decoding, row store.JobRow) (core.JobImage, error) {
	m := core.JobImage{
		ID: job.ID(row.ID), Namespace: row.Namespace, Queue: row.Queue, Name: row.Name, Labels: labelsOf(row.Labels),
		Spec: row.Spec, Submitted: row.Submitted, Ended: row.Ended, KeepUntil: row.KeepUntil, State: job.State(row.State),
		Changed: row.Changed,
	}
	r := openWith(d, row.Blob)
	for r.next() {
		r.jobField(&m)
	}
	if r.d.err == nil && m.State > job.JobCancelled {
		r.d.err = fmt.Errorf("state %d: %w", m.State, store.ErrCorrupt)
	}
	if r.d.err != nil {
		return core.JobImage{}, fmt.Errorf("record: row of job %d: %w", row.ID, r.d.err)
	}
	return m, nil
}

func (r *reader) jobField(m *core.JobImage) {
	switch r.field {
	case 2:
		r.fill(m.UID[:])
	case 3:
		m.Priority = r.int32()
	case 4:
		m.Params = r.bytes()
	case 5:
		m.Away = r.bool()
	case 6:
		m.Key = r.string()
	case 7:
		m.Body = r.random()
	case 8:
		m.By = r.shared(&r.d.by)
	case 9:
		m.Started = r.int()
	case 10:
		m.StartAfter = r.int()
	case 11:
		m.StartBefore = r.int()
	case 12:
		m.Deadline = r.int()
	case 13:
		m.Cause = r.cause()
	case 14:
		m.Spoiled = r.cause()
	case 15:
		m.Stop = r.cause()
	case 16:
		m.Code = r.int32()
	case 17:
		m.Held = r.bool()
	case 18:
		m.Woken = r.bool()
	case 19:
		m.Killed = r.bool()
	case 20:
		m.Waits = append(m.Waits, r.wait())
	case 21:
		m.RetryOf = job.ID(r.uint())
	case 22:
		m.Tasks = append(m.Tasks, r.taskImage())
	case 23:
		m.Begun = r.bool()
	case 24:
		m.Keys = append(m.Keys, r.keyOf())
	case 25:
		m.Released = r.bool()
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

func putTaskImage(b []byte, f field, t *core.TaskImage) []byte {
	b, at := begin(b, f)
	b = putSigned(b, 1, t.N)
	b = putBool(b, 2, t.Ready)
	b = putBool(b, 3, t.Held)
	b = putCause(b, 4, t.Stop)
	b = putStrings(b, 5, t.Items)
	b = putBytes(b, 6, t.Outputs)
	b = putInt(b, 7, t.Started)
	b = putInt(b, 8, t.Ended)
	b = putCounts(b, 9, &t.Counts)
	b = putElement(b, 10, &t.Record)
	if t.Retry != (core.RetryImage{}) {
		b = putRetry(b, 11, &t.Retry)
	}
	if t.Live != nil {
		b = putAttempt(b, 12, t.Live)
	}
	b = putSigned(b, 13, int64(t.Asked))
	return end(b, at)
}

func (r *reader) taskImage() (t core.TaskImage) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			t.N = m.signed()
		case 2:
			t.Ready = m.bool()
		case 3:
			t.Held = m.bool()
		case 4:
			t.Stop = m.cause()
		case 5:
			t.Items = append(t.Items, m.string())
		case 6:
			t.Outputs = m.bytes()
		case 7:
			t.Started = m.int()
		case 8:
			t.Ended = m.int()
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
			t.Asked = m.int32()
		default:
			m.unknown()
		}
	}
	return t
}

func putElement(b []byte, f field, e *element.Record) []byte {
	if *e == (element.Record{}) {
		return b
	}
	b, at := begin(b, f)
	b = putUint(b, 1, uint64(e.State))
	b = putUint(b, 2, uint64(e.Attempts))
	b = putCause(b, 3, e.Cause)
	b = putUint(b, 4, e.Worker)
	b = putInt(b, 5, e.Started)
	b = putInt(b, 6, e.Ended)
	b = putBool(b, 7, e.Carried)
	b = putUsage(b, 8, e.Usage)
	return end(b, at)
}

func (r *reader) element() (e element.Record) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			e.State = m.elementState()
		case 2:
			e.Attempts = m.uint16()
		case 3:
			e.Cause = m.cause()
		case 4:
			e.Worker = m.uint()
		case 5:
			e.Started = m.int()
		case 6:
			e.Ended = m.int()
		case 7:
			e.Carried = m.bool()
		case 8:
			e.Usage = m.usage()
		default:
			m.unknown()
		}
	}
	return e
}

func putRetry(b []byte, f field, t *core.RetryImage) []byte {
	b, at := begin(b, f)
	b = putInt(b, 1, t.Position)
	b = putSpent(b, 2, t.Spent)
	b = putInt(b, 3, t.At)
	return end(b, at)
}

func (r *reader) retry() (t core.RetryImage) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			t.Position = m.int()
		case 2:
			t.Spent = m.spent()
		case 3:
			t.At = m.int()
		default:
			m.unknown()
		}
	}
	return t
}

func putAttempt(b []byte, f field, a *core.AttemptImage) []byte {
	b, at := begin(b, f)
	b = putUint(b, 1, uint64(a.Fence))
	b = putInt(b, 2, a.Position)
	b = putUint(b, 3, uint64(a.Number))
	b = putUint(b, 4, a.Worker)
	b = putInt(b, 5, a.Lease)
	b = putInt(b, 6, a.Assigned)
	b = putInt(b, 7, a.Started)
	b = putBool(b, 8, a.Prefetched)
	b = putBool(b, 9, a.Alone)
	b = putBool(b, 10, a.Recalled)
	b = putCause(b, 11, a.Stop)
	b = putInt(b, 12, a.Grace)
	b = putDevices(b, 13, a.Devices)
	b = putBool(b, 14, a.Released)
	return end(b, at)
}

func (r *reader) attempt() (a core.AttemptImage) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			a.Fence = link.Fence(m.uint())
		case 2:
			a.Position = m.int()
		case 3:
			a.Number = m.uint16()
		case 4:
			a.Worker = m.uint()
		case 5:
			a.Lease = m.int()
		case 6:
			a.Assigned = m.int()
		case 7:
			a.Started = m.int()
		case 8:
			a.Prefetched = m.bool()
		case 9:
			a.Alone = m.bool()
		case 10:
			a.Recalled = m.bool()
		case 11:
			a.Stop = m.cause()
		case 12:
			a.Grace = m.int()
		case 13:
			a.Devices = m.devices(a.Devices)
		case 14:
			a.Released = m.bool()
		default:
			m.unknown()
		}
	}
	return a
}
