package seal

import (
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// How packed bytes stand: their first byte. The numbers are stored.
const (
	plain   = 0
	squeeze = 1 // in the format of S2
)

// packs is from how many bytes on it pays to look for a shorter form.
const packs = 512

// Pack returns the column of a batch's payload where bytes are dear, because they travel to a
// database, into its log, and on to its standbys: events repeat themselves, and take a fifth
// of their length. It is made in buf.
func Pack(buf, payload []byte) []byte {
	if len(payload) == 0 {
		return nil
	}
	if len(payload) >= packs {
		buf = slices.Grow(buf[:0], 1+s2.MaxEncodedLen(len(payload)))
		short := s2.Encode(buf[1:cap(buf)], payload)
		if len(short) < len(payload) {
			packed := buf[:1+len(short)]
			packed[0] = squeeze
			return packed
		}
	}
	return append(append(buf[:0], plain), payload...)
}

// Unpack reads what Pack wrote, a copy; false when it didn't.
func Unpack(column []byte) ([]byte, bool) {
	if len(column) == 0 {
		return nil, true
	}
	switch rest := column[1:]; column[0] {
	case plain:
		return slices.Clone(rest), true
	case squeeze:
		n, err := s2.DecodedLen(rest)
		if err != nil || n > store.MaxBatch {
			return nil, false
		}
		payload, err := s2.Decode(nil, rest)
		return payload, err == nil
	}
	return nil, false
}
