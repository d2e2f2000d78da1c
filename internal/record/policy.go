package record

import (
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

func putQueuePolicy(b []byte, f field, p *job.QueuePolicy) []byte {
	if *p == (job.QueuePolicy{}) {
		return b
	}
	b, at := begin(b, f)
	b = putUint(b, 1, uint64(p.Order))
	b = putUint(b, 2, uint64(p.Backfill))
	b = putInt(b, 3, int64(p.Ageing))
	b = putInt(b, 4, p.Weight)
	b = putResources(b, 5, p.Guarantee)
	b = putLimit(b, 6, p.Limit)
	b = putRate(b, 7, p.Rate)
	b = putInt(b, 8, int64(p.HalfLife))
	b = putBool(b, 9, p.Preempt)
	return end(b, at)
}

func (r *reader) queuePolicy() (p job.QueuePolicy) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			p.Order = job.Order(m.atMost(uint64(job.ByShare)))
		case 2:
			p.Backfill = job.Backfill(m.atMost(uint64(job.BackfillNone)))
		case 3:
			p.Ageing = job.Duration(m.int())
		case 4:
			p.Weight = m.int()
		case 5:
			p.Guarantee = m.resources()
		case 6:
			p.Limit = m.limit()
		case 7:
			p.Rate = m.rate()
		case 8:
			p.HalfLife = job.Duration(m.int())
		case 9:
			p.Preempt = m.bool()
		default:
			m.unknown()
		}
	}
	return p
}

func putNamespacePolicy(b []byte, f field, p *job.NamespacePolicy) []byte {
	if *p == (job.NamespacePolicy{}) {
		return b
	}
	b, at := begin(b, f)
	b = putInt(b, 1, p.Weight)
	b = putResources(b, 2, p.Guarantee)
	b = putLimit(b, 3, p.Limit)
	b = putInt(b, 4, p.Pending)
	b = putInt(b, 5, int64(p.HalfLife))
	return end(b, at)
}

func (r *reader) namespacePolicy() (p job.NamespacePolicy) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			p.Weight = m.int()
		case 2:
			p.Guarantee = m.resources()
		case 3:
			p.Limit = m.limit()
		case 4:
			p.Pending = m.int()
		case 5:
			p.HalfLife = job.Duration(m.int())
		default:
			m.unknown()
		}
	}
	return p
}

func putLimit(b []byte, f field, l job.Limit) []byte {
	if l == (job.Limit{}) {
		return b
	}
	b, at := begin(b, f)
	b = putInt(b, 1, l.Running)
	b = putResources(b, 2, l.Resources)
	return end(b, at)
}

func (r *reader) limit() (l job.Limit) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			l.Running = m.int()
		case 2:
			l.Resources = m.resources()
		default:
			m.unknown()
		}
	}
	return l
}

func putRate(b []byte, f field, v job.Rate) []byte {
	if v == (job.Rate{}) {
		return b
	}
	b, at := begin(b, f)
	b = putInt(b, 1, v.Count)
	b = putInt(b, 2, int64(v.Per))
	b = putInt(b, 3, v.Burst)
	return end(b, at)
}

func (r *reader) rate() (v job.Rate) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			v.Count = m.int()
		case 2:
			v.Per = job.Duration(m.int())
		case 3:
			v.Burst = m.int()
		default:
			m.unknown()
		}
	}
	return v
}

func putKeys(b []byte, f field, keys []core.KeyOf) []byte {
	for _, k := range keys {
		var at int
		b, at = begin(b, f)
		b = putString(putUint(b, 1, uint64(k.Task)), 2, k.Key)
		b = end(b, at)
	}
	return b
}

func (r *reader) keyOf() (k core.KeyOf) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			k.Task = m.uint32()
		case 2:
			k.Key = m.string()
		default:
			m.unknown()
		}
	}
	return k
}

func (r *reader) slotReleased() (e core.SlotReleased) {
	for r.next() {
		switch r.field {
		case 1:
			e.Job = job.ID(r.uint())
		case 2:
			e.Fence = link.Fence(r.uint())
		case 3:
			e.By = r.string()
		case 4:
			e.At = r.int()
		default:
			r.unknown()
		}
	}
	return e
}

func (r *reader) key() (m core.KeyImage) {
	for r.next() {
		switch r.field {
		case 2:
			m.Namespace = r.string()
		case 3:
			m.Key = r.string()
		case 4:
			m.Each = r.bool()
		case 5:
			m.Paid = r.int()
		default:
			r.unknown()
		}
	}
	return m
}

// queue reads a queue's row.
func (r *reader) queue() (m core.QueueImage) {
	for r.next() {
		switch r.field {
		case 2:
			q := r.message()
			m.QueueSet = q.queueSet()
		case 3:
			m.Paid = r.int()
		default:
			r.unknown()
		}
	}
	return m
}
