package plan

// order ranks what a heap holds. The heap tells it where each thing lies, -1 for
// out of the heap, so that a thing can be moved or taken out without a search.
type order interface {
	before(a, b uint32) bool
	moved(id uint32, at int32)
}

// heap is a heap of ids with four children to a node: half as deep as a binary
// one, for compares that mostly hit one cache line. The order comes with each
// call, so that a heap costs its slice and nothing more.
type heap []uint32

const (
	fan = 4
	// keep is the room for ids that an empty heap may hold on to.
	keep = 1024
)

func (h *heap) push(o order, id uint32) {
	*h = append(*h, id)
	h.up(o, len(*h)-1)
}

// remove takes out what lies at a position. It never compares the thing taken out,
// which may have lost its rank already.
func (h *heap) remove(o order, at int32) {
	s := *h
	last := len(s) - 1
	o.moved(s[at], -1)
	moved := s[last]
	*h = s[:last]
	if last == 0 && cap(s) > keep {
		*h = nil
	}
	if int(at) < last {
		s[at] = moved
		h.fix(o, at)
	}
}

// fix restores the order after the thing at a position changed its rank.
func (h *heap) fix(o order, at int32) {
	if !h.up(o, int(at)) {
		h.down(o, int(at))
	}
}

func (h *heap) up(o order, at int) bool {
	s, id, start := *h, (*h)[at], at
	for at > 0 {
		parent := (at - 1) / fan
		if !o.before(id, s[parent]) {
			break
		}
		s[at] = s[parent]
		o.moved(s[at], int32(at))
		at = parent
	}
	s[at] = id
	o.moved(id, int32(at))
	return at != start
}

func (h *heap) down(o order, at int) {
	s, id := *h, (*h)[at]
	for {
		first := at*fan + 1
		if first >= len(s) {
			break
		}
		best := first
		for i := first + 1; i < min(first+fan, len(s)); i++ {
			if o.before(s[i], s[best]) {
				best = i
			}
		}
		if !o.before(s[best], id) {
			break
		}
		s[at] = s[best]
		o.moved(s[at], int32(at))
		at = best
	}
	s[at] = id
	o.moved(id, int32(at))
}
