package element

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// The first byte of an encoded chunk. What was written before usages were kept is still read. What
// attempts asked for is there only where one asked for something else than its task does first.
const (
	codecWithoutUsage = 1
	codecPlain        = 2
	codecAsks         = 3
)

const (
	formUniform = 0
	formColumns = 1
)

// ErrChunk: the bytes are not a chunk of this table.
var ErrChunk = errors.New("element: damaged chunk")

// AppendChunk appends chunk c in its stored form: a version, then one record or
// run-length-coded columns. Causes travel with the chunk. Chunks that say the same are
// stored alike, whatever was done to them before.
func (t *Table) AppendChunk(dst []byte, c int) []byte {
	ch := t.chunks[c]
	version := byte(codecPlain)
	first := int64(c) * ChunkSize
	n := min(t.n-first, ChunkSize)
	if ch.asks(n) {
		version = codecAsks
	}
	dst = append(dst, version)
	if ch.cols == nil {
		dst = append(dst, formUniform)
		return appendRecord(dst, ch.uniform, version)
	}
	if r := t.Get(first); t.run(first, n) == n {
		dst = append(dst, formUniform)
		return appendRecord(dst, r, version)
	}
	dst = append(dst, formColumns)
	dst = binary.AppendUvarint(dst, uint64(n))
	for i := int64(0); i < n; {
		run := t.run(first+i, n-i)
		dst = binary.AppendUvarint(dst, uint64(run))
		dst = appendRecord(dst, t.Get(first+i), version)
		i += run
	}
	return dst
}

// Asks reports whether an encoded chunk says what attempts asked for.
func Asks(b []byte) bool { return len(b) > 0 && b[0] == codecAsks }

// asks reports whether an attempt of a chunk's n elements asked for something else than its task does first.
func (c *chunk) asks(n int64) bool {
	if c.cols == nil {
		return c.uniform.Way != 0 || c.uniform.Memory != 0
	}
	for i := range n {
		if get(c.ways, i) != 0 || get(c.more, i) != 0 {
			return true
		}
	}
	return false
}

// run is how many elements from p on are alike, of the next n.
func (t *Table) run(p, n int64) int64 {
	r, run := t.Get(p), int64(1)
	for run < n && t.Get(p+run) == r {
		run++
	}
	return run
}

// LoadChunk puts back what AppendChunk wrote for chunk c, which must be untouched.
// After an error the table is of no use.
func (t *Table) LoadChunk(c int, b []byte) error {
	if c < 0 || c >= t.Chunks() || t.Touched(c) || len(b) < 2 || b[0] < codecWithoutUsage || b[0] > codecAsks {
		return ErrChunk
	}
	first := int64(c) * ChunkSize
	n := min(t.n-first, ChunkSize)
	d := decoder{b: b[2:], version: b[0]}
	switch b[1] {
	case formUniform:
		r := d.record()
		if d.bad || len(d.b) > 0 {
			return ErrChunk
		}
		*t.open(first) = chunk{uniform: r}
		t.counts[job.Pending] -= n
		t.counts[r.State] += n
		return nil
	case formColumns:
		if d.uvarint() != uint64(n) {
			return ErrChunk
		}
		for i := int64(0); i < n; {
			run := int64(d.uvarint())
			r := d.record()
			if d.bad || run < 1 || run > n-i {
				return ErrChunk
			}
			for ; run > 0; run-- {
				t.Set(first+i, r)
				i++
			}
		}
		if len(d.b) > 0 {
			return ErrChunk
		}
		return nil
	}
	return ErrChunk
}

func appendRecord(dst []byte, r Record, version byte) []byte {
	state := byte(r.State)
	if r.Carried {
		state |= carriedBit
	}
	dst = append(dst, state, byte(r.Cause.Kind))
	dst = binary.AppendUvarint(dst, uint64(r.Attempts))
	dst = binary.AppendVarint(dst, int64(r.Cause.Code))
	dst = binary.AppendUvarint(dst, uint64(len(r.Cause.Detail)))
	dst = append(dst, r.Cause.Detail...)
	dst = binary.AppendUvarint(dst, r.Worker)
	dst = binary.AppendVarint(dst, r.Started)
	dst = binary.AppendVarint(dst, r.Ended-r.Started)
	cpu, memory := packed(r.Usage)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(cpu)), uint64(memory))
	if version < codecAsks {
		return dst
	}
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(r.Way)), uint64(r.Memory))
}

type decoder struct {
	b       []byte
	bad     bool
	version byte
}

func (d *decoder) record() Record {
	if len(d.b) < 2 || d.b[0]&^carriedBit > byte(job.Skipped) {
		d.bad = true
		return Record{}
	}
	r := Record{State: job.ElementState(d.b[0] &^ carriedBit), Carried: d.b[0]&carriedBit != 0}
	r.Cause.Kind = job.CauseKind(d.b[1])
	d.b = d.b[2:]
	attempts, code := d.uvarint(), d.varint()
	d.bad = d.bad || attempts > math.MaxUint16 || code != int64(int32(code))
	r.Attempts, r.Cause.Code = uint16(attempts), int32(code)
	r.Cause.Detail = d.text()
	r.Worker = d.uvarint()
	r.Started = d.varint()
	r.Ended = r.Started + d.varint()
	if d.version >= codecPlain {
		cpu, memory := d.uvarint(), d.uvarint()
		d.bad = d.bad || cpu > math.MaxUint32 || memory > math.MaxUint32
		r.Usage = unpacked(uint32(cpu), uint32(memory))
	}
	if d.version >= codecAsks {
		way, memory := d.uvarint(), d.uvarint()
		d.bad = d.bad || way > math.MaxUint8 || memory > math.MaxInt64
		r.Way, r.Memory = uint8(way), int64(memory)
	}
	return r
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}
