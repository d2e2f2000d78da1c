package record

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/reeve-scheduler/reeve/internal/core"
)

// The functions here append one field. Those of scalars leave out the zero value,
// as proto3 does; a field number below 16 costs one byte.

type field = protowire.Number

// formatField is the number of the format's field, in every payload.
const formatField field = 1

// putFormat begins a payload that programs of every format can read.
func putFormat(b []byte) []byte { return putUint(b, formatField, core.FirstFormat) }

func putUint(b []byte, f field, v uint64) []byte {
	switch {
	case v == 0:
		return b
	case v < 0x80 && f < 16:
		return append(b, byte(f)<<3|byte(protowire.VarintType), byte(v))
	}
	b = protowire.AppendTag(b, f, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

func putInt(b []byte, f field, v int64) []byte { return putUint(b, f, uint64(v)) }

// putSigned is for numbers that are often negative.
func putSigned(b []byte, f field, v int64) []byte { return putUint(b, f, protowire.EncodeZigZag(v)) }

// putRandom is for numbers that use all of their bits.
func putRandom(b []byte, f field, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, f, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, v)
}

func putBool(b []byte, f field, v bool) []byte {
	if !v {
		return b
	}
	return append(protowire.AppendTag(b, f, protowire.VarintType), 1)
}

func putString(b []byte, f field, v string) []byte {
	if v == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, f, protowire.BytesType), v)
}

func putStrings(b []byte, f field, list []string) []byte {
	for _, v := range list {
		b = protowire.AppendString(protowire.AppendTag(b, f, protowire.BytesType), v)
	}
	return b
}

// putBytes leaves out nil, but not what is merely empty.
func putBytes(b []byte, f field, v []byte) []byte {
	if v == nil {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, f, protowire.BytesType), v)
}

// begin opens a nested message; end, given the place that begin returned, closes
// it. One byte is set aside for the length, which is nearly always enough.
func begin(b []byte, f field) ([]byte, int) {
	if f < 16 {
		return append(b, byte(f)<<3|byte(protowire.BytesType), 0), len(b) + 1
	}
	b = protowire.AppendTag(b, f, protowire.BytesType)
	return append(b, 0), len(b)
}

func end(b []byte, at int) []byte {
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
