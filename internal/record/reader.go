package record

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// decoding is what the readers of one payload share.
type decoding struct {
	err error
	// The strings that most jobs of a batch have in common, read last.
	namespace, by string
}

// reader walks over the fields of one message. After next has returned true, field
// is the field's number and one of the methods that are named for types returns
// its value. The first error ends every loop over next.
type reader struct {
	d     *decoding
	b     []byte
	field field
	kind  protowire.Type
	num   uint64
	data  []byte
}

// open begins to read a payload, whose format comes first.
func open(b []byte) reader { return openWith(&decoding{}, b) }

// openWith is open for one of many payloads, one after the other.
func openWith(d *decoding, b []byte) reader {
	d.err = nil
	r := reader{d: d, b: b}
	if !r.next() || r.field != formatField || r.kind != protowire.VarintType {
		r.d.err = fmt.Errorf("record: no format at the beginning of %d bytes: %w", len(b), store.ErrCorrupt)
	} else if r.num == 0 || r.num > Newest {
		r.d.err = fmt.Errorf("format %d, of which this program knows 1 to %d: %w", r.num, Newest, ErrFormat)
	}
	return r
}

func (r *reader) next() bool {
	if len(r.b) == 0 || r.d.err != nil {
		return false
	}
	tag, n := uint64(r.b[0]), 1 // all but a few tags are one byte
	if tag >= 0x80 {
		if tag, n = protowire.ConsumeVarint(r.b); n < 0 {
			return r.damaged()
		}
	}
	r.field, r.kind = field(tag>>3), protowire.Type(tag&7)
	if tag>>3 == 0 || tag>>3 > uint64(protowire.MaxValidNumber) {
		return r.damaged()
	}
	return r.value(n)
}

// value reads what follows a tag of n bytes.
func (r *reader) value(n int) bool {
	var size int
	switch rest := r.b[n:]; r.kind {
	case protowire.VarintType:
		if len(rest) > 0 && rest[0] < 0x80 {
			r.num, size = uint64(rest[0]), 1
		} else {
			r.num, size = protowire.ConsumeVarint(rest)
		}
	case protowire.BytesType:
		if len(rest) > 0 && rest[0] < 0x80 && int(rest[0]) < len(rest) {
			size = int(rest[0]) + 1
			r.data = rest[1:size]
		} else {
			r.data, size = protowire.ConsumeBytes(rest)
		}
	case protowire.Fixed64Type:
		r.num, size = protowire.ConsumeFixed64(rest)
	default:
		size = -1
	}
	if size < 0 {
		return r.damaged()
	}
	r.b = r.b[n+size:]
	return true
}

func (r *reader) damaged() bool {
	if r.d.err == nil {
		r.d.err = fmt.Errorf("field %d, with %d bytes left: %w", r.field, len(r.b), store.ErrCorrupt)
	}
	return false
}

// unknown refuses a field that the message's reader has no case for.
func (r *reader) unknown() {
	if r.d.err == nil {
		r.d.err = fmt.Errorf("field %d is not known: %w", r.field, ErrFormat)
	}
}

func (r *reader) uint() uint64 { return r.atMost(math.MaxUint64) }

func (r *reader) int() int64 { return int64(r.atMost(math.MaxUint64)) }

func (r *reader) signed() int64 { return protowire.DecodeZigZag(r.atMost(math.MaxUint64)) }

func (r *reader) uint32() uint32 { return uint32(r.atMost(math.MaxUint32)) }

func (r *reader) uint16() uint16 { return uint16(r.atMost(math.MaxUint16)) }

func (r *reader) uint8() uint8 { return uint8(r.atMost(math.MaxUint8)) }

func (r *reader) bool() bool { return r.atMost(1) != 0 }

func (r *reader) elementState() job.ElementState {
	return job.ElementState(r.atMost(uint64(job.Skipped)))
}

func (r *reader) state() job.State { return job.State(r.atMost(uint64(job.JobCancelled))) }

func (r *reader) atMost(limit uint64) uint64 {
	if r.kind != protowire.VarintType || r.num > limit {
		r.damaged()
		return 0
	}
	return r.num
}

func (r *reader) int32() int32 {
	v := r.signed()
	if v < math.MinInt32 || v > math.MaxInt32 {
		r.damaged()
		return 0
	}
	return int32(v)
}

func (r *reader) random() uint64 {
	if r.kind != protowire.Fixed64Type {
		r.damaged()
		return 0
	}
	return r.num
}

// raw returns the field's bytes, which belong to the payload.
func (r *reader) raw() []byte {
	if r.kind != protowire.BytesType {
		r.damaged()
		return nil
	}
	return r.data
}

// bytes returns a copy of the field's bytes, never nil, so that what lives on does
// not keep the whole payload in memory.
func (r *reader) bytes() []byte { return append([]byte{}, r.raw()...) }

func (r *reader) string() string { return string(r.raw()) }

// shared is string for a value that is likely the one that last holds.
func (r *reader) shared(last *string) string {
	if raw := r.raw(); string(raw) != *last {
		*last = string(raw)
	}
	return *last
}

// fill copies a field of fixed length.
func (r *reader) fill(dst []byte) {
	if raw := r.raw(); len(raw) != len(dst) {
		r.damaged()
	} else {
		copy(dst, raw)
	}
}

// message returns a reader of a nested message.
func (r *reader) message() reader { return reader{d: r.d, b: r.raw()} }
