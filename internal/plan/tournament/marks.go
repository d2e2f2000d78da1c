package tournament

import "math/bits"

// Marks are bits of the leaves of trees that share their numbers, and of all that is below each node. They
// don't change with ranks and amounts.
type Marks struct {
	size int32
	// bits is by node, in the layout of trees.
	bits []uint64
}

// Set gives a leaf its bits. All leaves of a tree must have been given theirs before it is searched by them.
func (m *Marks) Set(i int32, marks uint64) {
	if i >= m.size {
		m.grow(i)
	}
	n := m.size + i
	m.bits[n] = marks
	for n /= 2; n >= 1; n /= 2 {
		m.bits[n] = m.bits[2*n] | m.bits[2*n+1]
	}
}

func (m *Marks) grow(i int32) {
	was := *m
	m.size = max(1, m.size)
	for m.size <= i {
		m.size *= 2
	}
	m.bits = make([]uint64, 2*m.size)
	copy(m.bits[m.size:], was.bits[was.size:])
	for n := m.size - 1; n >= 1; n-- {
		m.bits[n] = m.bits[2*n] | m.bits[2*n+1]
	}
}

// below is the bits of all below a node of a tree with room for so many leaves: the first of those that there is
// room for here.
func (m *Marks) below(n, size int32) uint64 {
	depth := bits.Len32(uint32(n)) - 1
	return m.bits[n+(m.size/size-1)<<depth]
}

// Filter leaves out leaves without any of some marks; without Marks it leaves out none.
type Filter struct {
	Marks *Marks
	Any   uint64
}

// admits reports whether it does not leave out all leaves below a node of a tree.
func (f *Filter) admits(n, size int32) bool {
	return f.Marks == nil || f.Marks.below(n, size)&f.Any != 0
}
