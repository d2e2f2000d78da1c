package predict

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// What is wrong with bytes that an entry can't be read from.
var (
	// ErrVersion is returned for what a later program wrote.
	ErrVersion = errors.New("it is of a version that this program does not know")
	// ErrDamaged is returned for what no program wrote.
	ErrDamaged = errors.New("it is not what was written")
)

// version is what encoded entries begin with.
const version = 1

// AppendTo appends what is known of the entry's key, without the key: equal knowledge gives
// equal bytes. Restore reads it.
func (e *Entry) AppendTo(b []byte) []byte { return e.learned.appendTo(b) }

func (l *learned) appendTo(b []byte) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, l.taught)
	b = append(b, l.n)
	for _, run := range l.last[:l.n] {
		b = binary.AppendUvarint(b, uint64(run))
	}
	return l.memory.appendTo(l.runs.appendTo(b))
}

// appendTo appends the number of buckets, and of each how far it is above the one before and
// how many numbers it counts.
func (s *Sketch) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.buckets)))
	at := uint16(0)
	for _, k := range s.buckets {
		b = binary.AppendUvarint(b, uint64(k.at-at))
		b = binary.AppendUvarint(b, uint64(k.n))
		at = k.at
	}
	return b
}

func (l *learned) decode(b []byte) error {
	d := decoder{b}
	if v := d.uint(math.MaxUint8); d.b != nil && v != version {
		return fmt.Errorf("what was learned, version %d: %w", v, ErrVersion)
	}
	l.taught = d.uint(math.MaxUint64)
	l.n = uint8(d.uint(uint64(len(l.last))))
	for i := range l.last[:l.n] {
		l.last[i] = int64(d.uint(math.MaxInt64))
	}
	d.sketch(&l.runs)
	d.sketch(&l.memory)
	if d.b == nil || len(d.b) > 0 || l.taught == 0 || int64(l.n) > l.runs.Count() {
		return fmt.Errorf("what was learned, %d bytes: %w", len(b), ErrDamaged)
	}
	return nil
}

// decoder reads numbers; b is nil once something was wrong.
type decoder struct{ b []byte }

func (d *decoder) uint(most uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > most {
		d.b = nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) sketch(s *Sketch) {
	n := d.uint(maxWeight)
	if n == 0 {
		return
	}
	s.buckets = make([]bucket, 0, n)
	at := uint64(0)
	for i := range n {
		more, count := d.uint(lastBucket), d.uint(maxWeight)
		at += more
		s.total += uint32(count)
		if d.b == nil || count == 0 || i > 0 && more == 0 || at > lastBucket || s.total > maxWeight {
			d.b = nil
			return
		}
		s.buckets = append(s.buckets, bucket{uint16(at), uint16(count)})
	}
}
