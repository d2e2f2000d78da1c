package record

import (
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record/field"
)

func putResources(b []byte, f field.Number, v job.Resources) []byte {
	if v == (job.Resources{}) {
		return b
	}
	b, at := field.Begin(b, f)
	b = field.Int(b, 1, v.CPU)
	b = field.Int(b, 2, v.Memory)
	for name, n := range v.Other.All {
		var pair int
		b, pair = field.Begin(b, 3)
		b = field.Int(field.String(b, 1, name), 2, n)
		b = field.End(b, pair)
	}
	return field.End(b, at)
}

func (r *reader) resources() (v job.Resources) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			v.CPU = m.Int()
		case 2:
			v.Memory = m.Int()
		case 3:
			name, n := m.amount()
			v.Other = v.Other.Set(name, n)
		default:
			m.unknown()
		}
	}
	return v
}

func (r *reader) amount() (name string, n int64) {
	m := r.message()
	for m.Next() {
		switch m.Field {
		case 1:
			name = m.String()
		case 2:
			n = m.Int()
		default:
			m.unknown()
		}
	}
	if job.CheckResource(name) != nil {
		m.Damaged()
	}
	return name, n
}

func putDevices(b []byte, f field.Number, d job.Devices) []byte {
	for name, ids := range d.All {
		var pair int
		b, pair = field.Begin(b, f)
		b = field.String(field.String(b, 1, name), 2, strings.Join(ids, ","))
		b = field.End(b, pair)
	}
	return b
}

// devices reads one entry and returns d with it.
func (r *reader) devices(d job.Devices) job.Devices {
	name, text := r.pair()
	ids := strings.Split(text, ",")
	if job.CheckDevices(name, ids) != nil {
		r.Damaged()
		return d
	}
	return d.Set(name, ids)
}
