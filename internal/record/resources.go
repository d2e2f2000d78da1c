package record

import (
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
)

func putResources(b []byte, f field, v job.Resources) []byte {
	if v == (job.Resources{}) {
		return b
	}
	b, at := begin(b, f)
	b = putInt(b, 1, v.CPU)
	b = putInt(b, 2, v.Memory)
	for name, n := range v.Other.All {
		var pair int
		b, pair = begin(b, 3)
		b = putInt(putString(b, 1, name), 2, n)
		b = end(b, pair)
	}
	return end(b, at)
}

func (r *reader) resources() (v job.Resources) {
	m := r.message()
	for m.next() {
		switch m.field {
		case 1:
			v.CPU = m.int()
		case 2:
			v.Memory = m.int()
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
	for m.next() {
		switch m.field {
		case 1:
			name = m.string()
		case 2:
			n = m.int()
		default:
			m.unknown()
		}
	}
	if job.CheckResource(name) != nil {
		m.damaged()
	}
	return name, n
}

func putDevices(b []byte, f field, d job.Devices) []byte {
	for name, ids := range d.All {
		var pair int
		b, pair = begin(b, f)
		b = putString(putString(b, 1, name), 2, strings.Join(ids, ","))
		b = end(b, pair)
	}
	return b
}

// devices reads one entry and returns d with it.
func (r *reader) devices(d job.Devices) job.Devices {
	name, text := r.pair()
	ids := strings.Split(text, ",")
	if job.CheckDevices(name, ids) != nil {
		r.damaged()
		return d
	}
	return d.Set(name, ids)
}
