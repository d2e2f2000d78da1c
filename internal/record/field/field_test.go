package field

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// TestFieldsComeBack writes one field of each type, within messages, and reads them back.
func TestFieldsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := func(most uint64) uint64 {
			return rapid.OneOf(rapid.Just(uint64(0)), rapid.Just(most), rapid.Uint64Range(0, most)).Draw(t, "number")
		}
		first := Number(rapid.SampledFrom([]int{1, 15, 16, 2000}).Draw(t, "first"))
		u, i, signed, random := number(math.MaxUint64), int64(number(math.MaxUint64)), int64(number(math.MaxUint64)), number(math.MaxUint64)
		yes, text, raw := rapid.Bool().Draw(t, "yes"), rapid.StringN(0, 300, 300).Draw(t, "text"), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")
		short := int32(number(math.MaxUint32))
		b, outer := Begin(nil, first)
		b, inner := Begin(b, first)
		b = Bool(Random(Signed(Int(Uint(b, 1, u), 2, i), 3, signed), 4, random), 5, yes)
		b = End(b, inner)
		b = Strings(Bytes(String(b, 6, text), 7, raw), 8, []string{text, ""})
		b = Signed(b, 9, int64(short))
		b = End(b, outer)

		var p Payload
		r := p.Read(b)
		if !r.Next() || r.Field != first {
			t.Fatalf("field %d, %v", r.Field, p.Err)
		}
		whole, list := r.Message(), []string(nil)
		for whole.Next() {
			switch whole.Field {
			case first:
				m := whole.Message()
				same(t, m, map[Number]func(*Reader) bool{
					1: func(r *Reader) bool { return r.Uint() == u },
					2: func(r *Reader) bool { return r.Int() == i },
					3: func(r *Reader) bool { return r.Signed() == signed },
					4: func(r *Reader) bool { return r.Random() == random },
					5: func(r *Reader) bool { return r.Bool() == yes },
				})
			case 6:
				if whole.Shared(1) != text || whole.String() != text {
					t.Fatalf("%q is another text than %q", whole.String(), text)
				}
			case 7:
				if got := whole.Bytes(); got == nil || !bytes.Equal(got, raw) {
					t.Fatalf("% x are other bytes than % x", got, raw)
				}
			case 8:
				list = append(list, whole.String())
			case 9:
				if whole.Int32() != short {
					t.Fatalf("%d is another number than %d", whole.Int32(), short)
				}
			}
		}
		if r.Next() || p.Err != nil || r.Left() != 0 || first != 8 && (len(list) != 2 || list[0] != text || list[1] != "") {
			t.Fatalf("%d bytes and %q are left, %v", r.Left(), list, p.Err)
		}
		for n := range len(b) - 1 { // each is cut off within a field
			if n > 0 && !errors.Is(walk(b[:n]), store.ErrCorrupt) {
				t.Fatalf("%d of %d bytes are read", n, len(b))
			}
		}
	})
}

func same(t *rapid.T, r Reader, by map[Number]func(*Reader) bool) {
	for r.Next() {
		if !by[r.Field](&r) {
			t.Fatalf("field %d has another value", r.Field)
		}
	}
}

// walk reads what is there of one message.
func walk(b []byte) error {
	var p Payload
	r := p.Read(b)
	for r.Next() {
		r.Raw()
	}
	return p.Err
}

// TestDamage: what is not what it must be ends the reading with one error, the first.
func TestDamage(t *testing.T) {
	varint := func(v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), v)
	}
	text := String(nil, 1, "text")
	for name, test := range map[string]struct {
		b    []byte
		read func(r *Reader)
	}{
		"text for a number":     {text, func(r *Reader) { r.Uint() }},
		"text for bits":         {text, func(r *Reader) { r.Random() }},
		"a number for text":     {varint(3), func(r *Reader) { _ = r.String() }},
		"a number for a field":  {varint(3), func(r *Reader) { r.Message() }},
		"a yes of 2":            {varint(2), func(r *Reader) { r.Bool() }},
		"more than 8 bits":      {varint(256), func(r *Reader) { r.Uint8() }},
		"more than 16 bits":     {varint(1 << 16), func(r *Reader) { r.Uint16() }},
		"more than 32 bits":     {varint(1 << 32), func(r *Reader) { r.Uint32() }},
		"more than 31 bits":     {varint(protowire.EncodeZigZag(1 << 31)), func(r *Reader) { r.Int32() }},
		"four bytes for five":   {text, func(r *Reader) { r.Fill(make([]byte, 5)) }},
		"field 0":               {[]byte{0, 1}, func(*Reader) {}},
		"a group":               {[]byte{0x0b, 0x0c}, func(*Reader) {}},
		"a tag without end":     {[]byte{0xff}, func(*Reader) {}},
		"a number without end":  {[]byte{8, 0xff}, func(*Reader) {}},
		"text without its end":  {text[:3], func(*Reader) {}},
		"a tag beyond the last": {protowire.AppendVarint(nil, 1<<33), func(*Reader) {}},
	} {
		var p Payload
		r := p.Read(append(bytes.Clone(test.b), text...))
		for r.Next() && r.Err() == nil {
			test.read(&r)
		}
		first := p.Err
		r.Fail(errors.New("a second error"))
		if !errors.Is(first, store.ErrCorrupt) || !errors.Is(p.Err, first) || r.Next() {
			t.Errorf("%s: %v, and then %v", name, first, p.Err)
		}
	}
}
