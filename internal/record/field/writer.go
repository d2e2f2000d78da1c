// Package field is the fields of protobuf messages, written and read by hand. What writes
// appends one field; what writes scalars leaves out the zero value, as proto3 does; a field
// number below 16 costs one byte.
package field

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// Number is the number of a field in its message.
type Number = protowire.Number

// Uint appends a number.
func Uint(b []byte, f Number, v uint64) []byte {
	switch {
	case v == 0:
		return b
	case v < 0x80 && f < 16:
		return append(b, byte(f)<<3|byte(protowire.VarintType), byte(v))
	}
	b = protowire.AppendTag(b, f, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

// Int appends a number that is rarely negative.
func Int(b []byte, f Number, v int64) []byte { return Uint(b, f, uint64(v)) }

// Signed is for numbers that are often negative.
func Signed(b []byte, f Number, v int64) []byte { return Uint(b, f, protowire.EncodeZigZag(v)) }

// Random is for numbers that use all of their bits.
func Random(b []byte, f Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, f, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, v)
}

// Bool appends a yes.
func Bool(b []byte, f Number, v bool) []byte {
	if !v {
		return b
	}
	return append(protowire.AppendTag(b, f, protowire.VarintType), 1)
}

// String appends a text.
func String(b []byte, f Number, v string) []byte {
	if v == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, f, protowire.BytesType), v)
}

// Strings appends a list of texts, which may be empty ones.
func Strings(b []byte, f Number, list []string) []byte {
	for _, v := range list {
		b = protowire.AppendString(protowire.AppendTag(b, f, protowire.BytesType), v)
	}
	return b
}

// Bytes leaves out nil, but not what is merely empty.
func Bytes(b []byte, f Number, v []byte) []byte {
	if v == nil {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, f, protowire.BytesType), v)
}

// Begin opens a nested message; End, given the place that Begin returned, closes
// it. One byte is set aside for the length, which is nearly always enough.
func Begin(b []byte, f Number) ([]byte, int) {
	if f < 16 {
		return append(b, byte(f)<<3|byte(protowire.BytesType), 0), len(b) + 1
	}
	b = protowire.AppendTag(b, f, protowire.BytesType)
	return append(b, 0), len(b)
}

// End closes the message that Begin opened at a place.
func End(b []byte, at int) []byte {
	n := uint64(len(b) - at - 1)
	if n < 0x80 {
		b[at] = byte(n)
		return b
	}
	more := protowire.SizeVarint(n) - 1
	var room [10]byte
	b = append(b, room[:more]...)
	copy(b[at+1+more:], b[at+1:])
	protowire.AppendVarint(b[:at], n)
	return b
}
