package field

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// Reader walks over the fields of one message. After Next has returned true, Field is the
// field's number and one of the methods that are named for types returns its value. The
// first error ends every loop over Next, also that of messages within others.
type Reader struct {
	on   *Payload
	b    []byte
	kind protowire.Type
	num  uint64
	data []byte
	// Field is the number of the field that is read.
	Field Number
}

// Payload is what the readers of one payload share.
type Payload struct {
	// Err is their first error.
	Err error
	// the strings that Shared read last
	last [shares]string
}

// shares is for how many fields a payload remembers what it held last.
const shares = 2

// Read begins to read a payload. An error of one before is forgotten, not so what Shared
// read.
func (p *Payload) Read(b []byte) Reader {
	p.Err = nil
	return Reader{on: p, b: b}
}

// Next goes to the next field, and is false after the last one or an error.
func (r *Reader) Next() bool {
	if len(r.b) == 0 || r.on.Err != nil {
		return false
	}
	tag, n := uint64(r.b[0]), 1 // all but a few tags are one byte
	if tag >= 0x80 {
		if tag, n = protowire.ConsumeVarint(r.b); n < 0 {
			return r.Damaged()
		}
	}
	r.Field, r.kind = Number(tag>>3), protowire.Type(tag&7)
	if tag>>3 == 0 || tag>>3 > uint64(protowire.MaxValidNumber) {
		return r.Damaged()
	}
	return r.value(n)
}

// value reads what follows a tag of n bytes.
func (r *Reader) value(n int) bool {
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
		return r.Damaged()
	}
	r.b = r.b[n+size:]
	return true
}

// Damaged ends the reading at a field that is not what it must be. It is false.
func (r *Reader) Damaged() bool {
	if r.on.Err == nil {
		r.on.Err = fmt.Errorf("field %d, with %d bytes left: %w", r.Field, len(r.b), store.ErrCorrupt)
	}
	return false
}

// Fail ends the reading, if nothing has before.
func (r *Reader) Fail(err error) {
	if r.on.Err == nil {
		r.on.Err = err
	}
}

// Err is the first error of the payload.
func (r *Reader) Err() error { return r.on.Err }

// Left is how many bytes follow the field.
func (r *Reader) Left() int { return len(r.b) }

// Uint returns any number.
func (r *Reader) Uint() uint64 { return r.AtMost(math.MaxUint64) }

// Int returns a number that Int wrote.
func (r *Reader) Int() int64 { return int64(r.AtMost(math.MaxUint64)) }

// Signed returns a number that Signed wrote.
func (r *Reader) Signed() int64 { return protowire.DecodeZigZag(r.AtMost(math.MaxUint64)) }

// Uint32 returns a number of 32 bits.
func (r *Reader) Uint32() uint32 { return uint32(r.AtMost(math.MaxUint32)) }

// Uint16 returns a number of 16 bits.
func (r *Reader) Uint16() uint16 { return uint16(r.AtMost(math.MaxUint16)) }

// Uint8 returns a number of 8 bits.
func (r *Reader) Uint8() uint8 { return uint8(r.AtMost(math.MaxUint8)) }

// Bool returns whether it is so.
func (r *Reader) Bool() bool { return r.AtMost(1) != 0 }

// AtMost returns a number up to limit.
func (r *Reader) AtMost(limit uint64) uint64 {
	if r.kind != protowire.VarintType || r.num > limit {
		r.Damaged()
		return 0
	}
	return r.num
}

// Int32 returns a number of 32 bits that Signed wrote.
func (r *Reader) Int32() int32 {
	v := r.Signed()
	if v < math.MinInt32 || v > math.MaxInt32 {
		r.Damaged()
		return 0
	}
	return int32(v)
}

// Random returns a number that Random wrote.
func (r *Reader) Random() uint64 {
	if r.kind != protowire.Fixed64Type {
		r.Damaged()
		return 0
	}
	return r.num
}

// Raw returns the field's bytes, which belong to the payload.
func (r *Reader) Raw() []byte {
	if r.kind != protowire.BytesType {
		r.Damaged()
		return nil
	}
	return r.data
}

// Bytes returns a copy of the field's bytes, never nil, so that what lives on does
// not keep the whole payload in memory.
func (r *Reader) Bytes() []byte { return append([]byte{}, r.Raw()...) }

// String returns a copy of the field as text.
func (r *Reader) String() string { return string(r.Raw()) }

// Shared is String for a value that is likely the one that the nth such field held last.
func (r *Reader) Shared(n int) string {
	last := &r.on.last[n]
	if raw := r.Raw(); string(raw) != *last {
		*last = string(raw)
	}
	return *last
}

// Fill copies a field of fixed length.
func (r *Reader) Fill(dst []byte) {
	if raw := r.Raw(); len(raw) != len(dst) {
		r.Damaged()
	} else {
		copy(dst, raw)
	}
}

// Message returns a reader of the message that the field is.
func (r *Reader) Message() Reader {
	if r.kind != protowire.BytesType {
		r.Damaged()
	}
	return Reader{on: r.on, b: r.data}
}
