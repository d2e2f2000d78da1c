package record

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

func putCause(b []byte, f field, c job.Cause) []byte {
	if c == (job.Cause{}) {
		return b
	}
	b, at := begin(b, f)
	b = putUint(b, 1, uint64(c.Kind))
	b = putSigned(b, 2, int64(c.Code))
	b = putString(b, 3, c.Detail)
	return end(b, at)
}

func (r *reader) cause() (c job.Cause) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			c.Kind = job.CauseKind(m.uint8())
		case 2:
			c.Code = m.int32()
		case 3:
			c.Detail = m.string()
		default:
			m.unknown()
		}
	}
	return c
}

func putUsage(b []byte, f field, u job.Usage) []byte {
	if u == (job.Usage{}) {
		return b
	}
	b, at := begin(b, f)
	b = putInt(b, 1, int64(u.CPU))
	b = putInt(b, 2, u.Memory)
	return end(b, at)
}

func (r *reader) usage() (u job.Usage) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			u.CPU = time.Duration(m.int())
		case 2:
			u.Memory = m.int()
		default:
			m.unknown()
		}
	}
	return u
}

func putSpent(b []byte, f field, s job.Spent) []byte {
	if s == (job.Spent{}) {
		return b
	}
	b, at := begin(b, f)
	b = putUint(b, 1, uint64(s.Failed))
	b = putUint(b, 2, uint64(s.TimedOut))
	b = putUint(b, 3, uint64(s.Lost))
	b = putUint(b, 4, uint64(s.LostRunning))
	return end(b, at)
}

func (r *reader) spent() (s job.Spent) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			s.Failed = m.uint16()
		case 2:
			s.TimedOut = m.uint16()
		case 3:
			s.Lost = m.uint16()
		case 4:
			s.LostRunning = m.uint8()
		default:
			m.unknown()
		}
	}
	return s
}

func putSpans(b []byte, f field, spans []element.Span) []byte {
	for _, s := range spans {
		var at int
		b, at = begin(b, f)
		b = putInt(b, 1, s.First)
		b = putInt(b, 2, s.Last)
		b = end(b, at)
	}
	return b
}

func (r *reader) span() (s element.Span) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			s.First = m.int()
		case 2:
			s.Last = m.int()
		default:
			m.unknown()
		}
	}
	return s
}

func putWaits(b []byte, f field, waits []core.Wait) []byte {
	for _, w := range waits {
		var at int
		b, at = begin(b, f)
		b = putUint(b, 1, uint64(w.Job))
		b = putUint(b, 2, uint64(w.Condition))
		b = end(b, at)
	}
	return b
}

func (r *reader) wait() (w core.Wait) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			w.Job = job.ID(m.uint())
		case 2:
			w.Condition = job.Condition(m.atMost(uint64(job.OnAny)))
		default:
			m.unknown()
		}
	}
	return w
}

func putToken(b []byte, f field, t *core.Token) []byte {
	b, at := begin(b, f)
	b = putString(b, 1, t.ID)
	b = putString(b, 2, t.Name)
	b = putBytes(b, 3, t.Hash[:])
	b = putStrings(b, 4, t.Scopes)
	b = putStrings(b, 5, t.Namespaces)
	b = putInt(b, 6, t.Created)
	b = putInt(b, 7, t.Expires)
	b = putInt(b, 8, t.Revoked)
	b = putString(b, 9, t.By)
	return end(b, at)
}

func (r *reader) token() (t core.Token) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			t.ID = m.string()
		case 2:
			t.Name = m.string()
		case 3:
			m.fill(t.Hash[:])
		case 4:
			t.Scopes = append(t.Scopes, m.string())
		case 5:
			t.Namespaces = append(t.Namespaces, m.string())
		case 6:
			t.Created = m.int()
		case 7:
			t.Expires = m.int()
		case 8:
			t.Revoked = m.int()
		case 9:
			t.By = m.string()
		default:
			m.unknown()
		}
	}
	return t
}

func putHello(b []byte, f field, h *link.Hello) []byte {
	b, at := begin(b, f)
	b = putUint(b, 1, uint64(h.Protocol))
	b = putString(b, 2, h.Name)
	b = putString(b, 3, h.Instance)
	b = putRandom(b, 4, h.Incarnation)
	for _, key := range slices.Sorted(maps.Keys(h.Labels)) {
		var pair int
		b, pair = begin(b, 5)
		b = putString(b, 1, key)
		b = putString(b, 2, h.Labels[key])
		b = end(b, pair)
	}
	b = putResources(b, 6, h.Capacity)
	b = putInt(b, 7, int64(h.Slots))
	b = putInt(b, 8, int64(h.Prefetch))
	b = putStrings(b, 9, h.Executors)
	b = putStrings(b, 10, h.Functions)
	b = putString(b, 11, h.Version)
	b = putString(b, 12, h.Host)
	b = putStrings(b, 13, h.About)
	b = putUint(b, 14, h.Generation)
	b = putUint(b, 15, h.Seq)
	b = putString(b, 16, h.Unfit)
	b = putString(b, 17, h.Place)
	b = putUint(b, 18, h.Greeting)
	b = putDevices(b, 19, h.Devices)
	b = putString(b, 20, h.Pool)
	return end(b, at)
}

func (r *reader) hello() (h link.Hello) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			h.Protocol = m.uint32()
		case 2:
			h.Name = m.string()
		case 3:
			h.Instance = m.string()
		case 4:
			h.Incarnation = m.random()
		case 5:
			if h.Labels == nil {
				h.Labels = map[string]string{}
			}
			key, value := m.pair()
			h.Labels[key] = value
		case 6:
			h.Capacity = m.resources()
		case 7:
			h.Slots = int(m.int())
		case 8:
			h.Prefetch = int(m.int())
		case 9:
			h.Executors = append(h.Executors, m.string())
		case 10:
			h.Functions = append(h.Functions, m.string())
		case 11:
			h.Version = m.string()
		case 12:
			h.Host = m.string()
		case 13:
			h.About = append(h.About, m.string())
		case 14:
			h.Generation = m.uint()
		case 16:
			h.Unfit = m.string()
		case 17:
			h.Place = m.string()
		case 18:
			h.Greeting = m.uint()
		case 19:
			h.Devices = m.devices(h.Devices)
		case 20:
			h.Pool = m.string()
		case 15:
			h.Seq = m.uint()
		default:
			m.unknown()
		}
	}
	return h
}

func (r *reader) pair() (key, value string) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			key = m.string()
		case 2:
			value = m.string()
		default:
			m.unknown()
		}
	}
	return key, value
}

// putCounts leaves out zeros at the end; the list is packed.
func putCounts(b []byte, f field, c *job.Counts) []byte {
	n := len(c)
	for n > 0 && c[n-1] == 0 {
		n--
	}
	if n == 0 {
		return b
	}
	b, at := begin(b, f)
	for _, v := range c[:n] {
		b = protowire.AppendVarint(b, uint64(v))
	}
	return end(b, at)
}

func (r *reader) counts() (c job.Counts) {
	raw := r.raw()
	for i := 0; len(raw) > 0; i++ {
		v, n := protowire.ConsumeVarint(raw)
		if n < 0 || i >= len(c) {
			r.damaged()
			return c
		}
		c[i], raw = int64(v), raw[n:]
	}
	return c
}
