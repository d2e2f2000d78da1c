package record

import (
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/record/field"
)

func putQueuePolicy(b []byte, f field.Number, p *job.QueuePolicy) []byte {
	if *p == (job.QueuePolicy{}) {
		return b
	}
	b, at := field.Begin(b, f)
	b = field.Uint(b, 1, uint64(p.Order))
	b = field.Uint(b, 2, uint64(p.Backfill))
	b = field.Int(b, 3, int64(p.Ageing))
	b = field.Int(b, 4, p.Weight)
	b = putResources(b, 5, p.Guarantee)
	b = putLimit(b, 6, p.Limit)
	b = putRate(b, 7, p.Rate)
	b = field.Int(b, 8, int64(p.HalfLife))
	b = field.Bool(b, 9, p.Preempt)
	return field.End(b, at)
}

func (r *reader) queuePolicy() (p job.QueuePolicy) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			p.Order = job.Order(m.AtMost(uint64(job.ByShare)))
		case 2:
			p.Backfill = job.Backfill(m.AtMost(uint64(job.BackfillNone)))
		case 3:
			p.Ageing = job.Duration(m.Int())
		case 4:
			p.Weight = m.Int()
		case 5:
			p.Guarantee = m.resources()
		case 6:
			p.Limit = m.limit()
		case 7:
			p.Rate = m.rate()
		case 8:
			p.HalfLife = job.Duration(m.Int())
		case 9:
			p.Preempt = m.Bool()
		default:
			m.unknown()
		}
	}
	return p
}

func putNamespacePolicy(b []byte, f field.Number, p *job.NamespacePolicy) []byte {
	if *p == (job.NamespacePolicy{}) {
		return b
	}
	b, at := field.Begin(b, f)
	b = field.Int(b, 1, p.Weight)
	b = putResources(b, 2, p.Guarantee)
	b = putLimit(b, 3, p.Limit)
	b = field.Int(b, 4, p.Pending)
	b = field.Int(b, 5, int64(p.HalfLife))
	return field.End(b, at)
}

func (r *reader) namespacePolicy() (p job.NamespacePolicy) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			p.Weight = m.Int()
		case 2:
			p.Guarantee = m.resources()
		case 3:
			p.Limit = m.limit()
		case 4:
			p.Pending = m.Int()
		case 5:
			p.HalfLife = job.Duration(m.Int())
		default:
			m.unknown()
		}
	}
	return p
}

func (r *reader) poolSet() (e core.PoolSet) {
	r.fields(func() { e.Name = r.String() }, func() {
		m := r.message()
		m.fields(func() { e.Policy.Overcommit = job.Factors(m.resources()) })
	})
	return e
}

func (r *reader) reservationSet() (e core.ReservationSet) {
	r.fields(func() { e.Name = r.String() }, func() { e.Pool = r.String() }, func() { e.Workers = append(e.Workers, r.String()) },
		func() { e.Where = append(e.Where, r.String()) }, func() { e.From = r.Int() }, func() { e.Until = r.Int() }, func() { e.Lead = r.Int() },
		func() { e.Namespace = r.String() }, func() { e.Queue = r.String() })
	return e
}

func (r *reader) reservationRemoved() (e core.ReservationRemoved) {
	r.fields(func() { e.Name = r.String() })
	return e
}

func putLimit(b []byte, f field.Number, l job.Limit) []byte {
	if l == (job.Limit{}) {
		return b
	}
	b, at := field.Begin(b, f)
	b = field.Int(b, 1, l.Running)
	b = putResources(b, 2, l.Resources)
	return field.End(b, at)
}

func (r *reader) limit() (l job.Limit) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			l.Running = m.Int()
		case 2:
			l.Resources = m.resources()
		default:
			m.unknown()
		}
	}
	return l
}

func putRate(b []byte, f field.Number, v job.Rate) []byte {
	if v == (job.Rate{}) {
		return b
	}
	b, at := field.Begin(b, f)
	b = field.Int(b, 1, v.Count)
	b = field.Int(b, 2, int64(v.Per))
	b = field.Int(b, 3, v.Burst)
	return field.End(b, at)
}

func (r *reader) rate() (v job.Rate) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			v.Count = m.Int()
		case 2:
			v.Per = job.Duration(m.Int())
		case 3:
			v.Burst = m.Int()
		default:
			m.unknown()
		}
	}
	return v
}

func putKeys(b []byte, f field.Number, keys []core.KeyOf) []byte {
	for _, k := range keys {
		var at int
		b, at = field.Begin(b, f)
		b = field.String(field.Uint(b, 1, uint64(k.Task)), 2, k.Key)
		b = field.End(b, at)
	}
	return b
}

func (r *reader) keyOf() (k core.KeyOf) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			k.Task = m.Uint32()
		case 2:
			k.Key = m.String()
		default:
			m.unknown()
		}
	}
	return k
}

func (r *reader) jobChanged() (e core.JobChanged) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Job = job.ID(r.Uint())
		case 2:
			e.Queue = r.String()
		case 3:
			e.Priority = r.Int32()
		case 4:
			e.Front = r.Int()
		case 5:
			e.By = r.String()
		case 6:
			e.At = r.Int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) slotReleased() (e core.SlotReleased) {
	for r.Next() {
		switch r.Field {
		case 1:
			e.Job = job.ID(r.Uint())
		case 2:
			e.Fence = link.Fence(r.Uint())
		case 3:
			e.By = r.String()
		case 4:
			e.At = r.Int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) key() (m core.KeyImage) {
	for r.Next() {
		switch r.Field {
		case 2:
			m.Namespace = r.String()
		case 3:
			m.Key = r.String()
		case 4:
			m.Each = r.Bool()
		case 5:
			m.Paid = r.Int()
		default:
			r.unknown()
		}
	}
	return m
}

// use reads the row of what somebody has used.
func (r *reader) use() (m core.UseImage) {
	for r.Next() {
		switch r.Field {
		case 2:
			m.Namespace = r.String()
		case 3:
			m.Queue = r.String()
		case 4:
			m.User = r.String()
		case 5:
			m.Amount = r.Int()
		case 6:
			m.At = r.Int()
		default:
			r.unknown()
		}
	}
	return m
}

// queue reads a queue's row.
func (r *reader) queue() (m core.QueueImage) {
	for r.Next() {
		switch r.Field {
		case 2:
			q := r.message()
			m.QueueSet = q.queueSet()
		case 3:
			m.Paid = r.Int()
		default:
			r.unknown()
		}
	}
	return m
}
