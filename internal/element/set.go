// Package element packs the elements of array tasks: sets of positions, and
// tables of what became of each element, in chunks that cost nothing until they
// are touched. It is pure.
package element

import (
	"fmt"
	"math/bits"
)

// ChunkSize is how many elements a chunk holds: the unit of memory, row and flush.
const ChunkSize = 1024

const words = ChunkSize / 64

// Set is a set of positions, from 0 on. The zero value is empty. Chunks without a
// member cost one pointer.
type Set struct {
	chunks []*setChunk
	size   int64
	// least is a position that no member lies below: where Min looks first.
	least int64
}

type setChunk struct {
	bits [words]uint64
	n    int
}

// Len is the number of members.
func (s *Set) Len() int64 { return s.size }

// Has reports whether p is a member.
func (s *Set) Has(p int64) bool {
	c := p / ChunkSize
	if p < 0 || c >= int64(len(s.chunks)) || s.chunks[c] == nil {
		return false
	}
	return s.chunks[c].bits[p%ChunkSize/64]&(1<<(p%64)) != 0
}

// Add makes p a member and reports whether it was none.
func (s *Set) Add(p int64) bool {
	c := int(p / ChunkSize)
	for len(s.chunks) <= c {
		s.chunks = append(s.chunks, nil)
	}
	if s.chunks[c] == nil {
		s.chunks[c] = new(setChunk)
	}
	chunk, bit := s.chunks[c], uint64(1)<<(p%64)
	word := &chunk.bits[p%ChunkSize/64]
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	chunk.n++
	if s.size == 0 || p < s.least {
		s.least = p
	}
	s.size++
	return true
}

// Remove ends p's membership and reports whether it was a member.
func (s *Set) Remove(p int64) bool {
	if !s.Has(p) {
		return false
	}
	c := p / ChunkSize
	s.chunks[c].bits[p%ChunkSize/64] &^= 1 << (p % 64)
	s.size--
	if s.chunks[c].n--; s.chunks[c].n == 0 {
		s.chunks[c] = nil
	}
	return true
}

// Next returns the least member that is p or more, or -1.
func (s *Set) Next(p int64) int64 {
	if s.size == 0 {
		return -1
	}
	p = max(p, s.least, 0)
	for c := int(p / ChunkSize); c < len(s.chunks); c++ {
		if s.chunks[c] == nil {
			continue
		}
		from := int64(0)
		if c == int(p/ChunkSize) {
			from = p % ChunkSize
		}
		for w := int(from / 64); w < words; w++ {
			word := s.chunks[c].bits[w]
			if w == int(from/64) {
				word &= ^uint64(0) << (from % 64)
			}
			if word != 0 {
				return int64(c)*ChunkSize + int64(w)*64 + int64(bits.TrailingZeros64(word))
			}
		}
	}
	return -1
}

// Min returns the least member, or -1. Finding it again is cheap.
func (s *Set) Min() int64 {
	p := s.Next(0)
	if p >= 0 {
		s.least = p
	}
	return p
}

// Span is the positions First to Last, both included.
type Span struct{ First, Last int64 }

// Len is the number of positions.
func (s Span) Len() int64 { return s.Last - s.First + 1 }

// Spans returns the set as its maximal runs, in order.
func (s *Set) Spans() []Span {
	var out []Span
	for p := s.Next(0); p >= 0; p = s.Next(p + 1) {
		if n := len(out); n > 0 && out[n-1].Last == p-1 {
			out[n-1].Last = p
			continue
		}
		out = append(out, Span{p, p})
	}
	return out
}

// CheckSpans reports whether spans rise, do not overlap and lie within n
// positions.
func CheckSpans(spans []Span, n int64) error {
	next := int64(0)
	for _, s := range spans {
		if s.First < next || s.Last < s.First || s.Last >= n {
			return fmt.Errorf("positions %d to %d are not in order within %d", s.First, s.Last, n)
		}
		next = s.Last + 1
	}
	return nil
}
