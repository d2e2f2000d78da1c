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
	"github.com/reeve-scheduler/reeve/internal/record/field"
)

func putCause(b []byte, f field.Number, c job.Cause) []byte {
	if c == (job.Cause{}) {
		return b
	}
	b, at := field.Begin(b, f)
	b = field.Uint(b, 1, uint64(c.Kind))
	b = field.Signed(b, 2, int64(c.Code))
	b = field.String(b, 3, c.Detail)
	return field.End(b, at)
}

func (r *reader) cause() (c job.Cause) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			c.Kind = job.CauseKind(m.Uint8())
		case 2:
			c.Code = m.Int32()
		case 3:
			c.Detail = m.String()
		default:
			m.unknown()
		}
	}
	return c
}

func putUsage(b []byte, f field.Number, u job.Usage) []byte {
	if u == (job.Usage{}) {
		return b
	}
	b, at := field.Begin(b, f)
	b = field.Int(b, 1, int64(u.CPU))
	b = field.Int(b, 2, u.Memory)
	return field.End(b, at)
}

func (r *reader) usage() (u job.Usage) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			u.CPU = time.Duration(m.Int())
		case 2:
			u.Memory = m.Int()
		default:
			m.unknown()
		}
	}
	return u
}

func putSpent(b []byte, f field.Number, s job.Spent) []byte {
	if s == (job.Spent{}) {
		return b
	}
	b, at := field.Begin(b, f)
	b = field.Uint(b, 1, uint64(s.Failed))
	b = field.Uint(b, 2, uint64(s.TimedOut))
	b = field.Uint(b, 3, uint64(s.Lost))
	b = field.Uint(b, 4, uint64(s.LostRunning))
	b = field.Uint(b, 5, uint64(s.Memory))
	return field.End(b, at)
}

func (r *reader) spent() (s job.Spent) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			s.Failed = m.Uint16()
		case 2:
			s.TimedOut = m.Uint16()
		case 3:
			s.Lost = m.Uint16()
		case 4:
			s.LostRunning = m.Uint8()
		case 5:
			s.Memory = m.Uint16()
		default:
			m.unknown()
		}
	}
	return s
}

func putSpans(b []byte, f field.Number, spans []element.Span) []byte {
	for _, s := range spans {
		var at int
		b, at = field.Begin(b, f)
		b = field.Int(b, 1, s.First)
		b = field.Int(b, 2, s.Last)
		b = field.End(b, at)
	}
	return b
}

func (r *reader) span() (s element.Span) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			s.First = m.Int()
		case 2:
			s.Last = m.Int()
		default:
			m.unknown()
		}
	}
	return s
}

func putWaits(b []byte, f field.Number, waits []core.Wait) []byte {
	for _, w := range waits {
		var at int
		b, at = field.Begin(b, f)
		b = field.Uint(b, 1, uint64(w.Job))
		b = field.Uint(b, 2, uint64(w.Condition))
		b = field.End(b, at)
	}
	return b
}

func (r *reader) wait() (w core.Wait) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			w.Job = job.ID(m.Uint())
		case 2:
			w.Condition = job.Condition(m.AtMost(uint64(job.OnAny)))
		default:
			m.unknown()
		}
	}
	return w
}

func putToken(b []byte, f field.Number, t *core.Token) []byte {
	b, at := field.Begin(b, f)
	b = field.String(b, 1, t.ID)
	b = field.String(b, 2, t.Name)
	b = field.Bytes(b, 3, t.Hash[:])
	b = field.Strings(b, 4, t.Scopes)
	b = field.Strings(b, 5, t.Namespaces)
	b = field.Int(b, 6, t.Created)
	b = field.Int(b, 7, t.Expires)
	b = field.Int(b, 8, t.Revoked)
	b = field.String(b, 9, t.By)
	return field.End(b, at)
}

func (r *reader) token() (t core.Token) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			t.ID = m.String()
		case 2:
			t.Name = m.String()
		case 3:
			m.Fill(t.Hash[:])
		case 4:
			t.Scopes = append(t.Scopes, m.String())
		case 5:
			t.Namespaces = append(t.Namespaces, m.String())
		case 6:
			t.Created = m.Int()
		case 7:
			t.Expires = m.Int()
		case 8:
			t.Revoked = m.Int()
		case 9:
			t.By = m.String()
		default:
			m.unknown()
		}
	}
	return t
}

func putHello(b []byte, f field.Number, h *link.Hello) []byte {
	b, at := field.Begin(b, f)
	b = field.Uint(b, 1, uint64(h.Protocol))
	b = field.String(b, 2, h.Name)
	b = field.String(b, 3, h.Instance)
	b = field.Random(b, 4, h.Incarnation)
	for _, key := range slices.Sorted(maps.Keys(h.Labels)) {
		var pair int
		b, pair = field.Begin(b, 5)
		b = field.String(b, 1, key)
		b = field.String(b, 2, h.Labels[key])
		b = field.End(b, pair)
	}
	b = putResources(b, 6, h.Capacity)
	b = field.Int(b, 7, int64(h.Slots))
	b = field.Int(b, 8, int64(h.Prefetch))
	b = field.Strings(b, 9, h.Executors)
	b = field.Strings(b, 10, h.Functions)
	b = field.String(b, 11, h.Version)
	b = field.String(b, 12, h.Host)
	b = field.Strings(b, 13, h.About)
	b = field.Uint(b, 14, h.Generation)
	b = field.Uint(b, 15, h.Seq)
	b = field.String(b, 16, h.Unfit)
	b = field.String(b, 17, h.Place)
	b = field.Uint(b, 18, h.Greeting)
	b = putDevices(b, 19, h.Devices)
	b = field.String(b, 20, h.Pool)
	return field.End(b, at)
}

func (r *reader) hello() (h link.Hello) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			h.Protocol = m.Uint32()
		case 2:
			h.Name = m.String()
		case 3:
			h.Instance = m.String()
		case 4:
			h.Incarnation = m.Random()
		case 5:
			if h.Labels == nil {
				h.Labels = map[string]string{}
			}
			key, value := m.pair()
			h.Labels[key] = value
		case 6:
			h.Capacity = m.resources()
		case 7:
			h.Slots = int(m.Int())
		case 8:
			h.Prefetch = int(m.Int())
		case 9:
			h.Executors = append(h.Executors, m.String())
		case 10:
			h.Functions = append(h.Functions, m.String())
		case 11:
			h.Version = m.String()
		case 12:
			h.Host = m.String()
		case 13:
			h.About = append(h.About, m.String())
		case 14:
			h.Generation = m.Uint()
		case 16:
			h.Unfit = m.String()
		case 17:
			h.Place = m.String()
		case 18:
			h.Greeting = m.Uint()
		case 19:
			h.Devices = m.devices(h.Devices)
		case 20:
			h.Pool = m.String()
		case 15:
			h.Seq = m.Uint()
		default:
			m.unknown()
		}
	}
	return h
}

func (r *reader) pair() (key, value string) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			key = m.String()
		case 2:
			value = m.String()
		default:
			m.unknown()
		}
	}
	return key, value
}

// putCounts leaves out zeros at the end; the list is packed.
func putCounts(b []byte, f field.Number, c *job.Counts) []byte {
	n := len(c)
	for n > 0 && c[n-1] == 0 {
		n--
	}
	if n == 0 {
		return b
	}
	b, at := field.Begin(b, f)
	for _, v := range c[:n] {
		b = protowire.AppendVarint(b, uint64(v))
	}
	return field.End(b, at)
}

func (r *reader) counts() (c job.Counts) {
	raw := r.Raw()
	for i := 0; len(raw) > 0; i++ {
		v, n := protowire.ConsumeVarint(raw)
		if n < 0 || i >= len(c) {
			r.Damaged()
			return c
		}
		c[i], raw = int64(v), raw[n:]
	}
	return c
}
