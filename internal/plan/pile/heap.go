package pile

import "fmt"

// Order ranks what a heap holds. The heap tells it where each thing lies, -1 for
// out of the heap, so that a thing can be moved or taken out without a search.
type Order interface {
	Before(a, b uint32) bool
	Moved(id uint32, at int32)
}

// Heap is a heap of ids with four children to a node: half as deep as a binary
// one, for compares that mostly hit one cache line. The order comes with each
// call, so that a heap costs its slice and nothing more.
type Heap []uint32

const (
	// Fan is how many children a node has: those of i are from i*Fan+1 on.
	Fan = 4
	// keep is the room for ids that an empty heap may hold on to.
	keep = 1024
)

// Push adds an id.
func (h *Heap) Push(o Order, id uint32) {
	*h = append(*h, id)
	h.up(o, len(*h)-1)
}

// Remove takes out what lies at a position. It never compares the thing taken out,
// which may have lost its rank already.
func (h *Heap) Remove(o Order, at int32) {
	s := *h
	last := len(s) - 1
	o.Moved(s[at], -1)
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
func (h *Heap) fix(o Order, at int32) {
	if !h.up(o, int(at)) {
		h.down(o, int(at))
	}
}

func (h *Heap) up(o Order, at int) bool {
	s, id, start := *h, (*h)[at], at
	for at > 0 {
		parent := (at - 1) / Fan
		if !o.Before(id, s[parent]) {
			break
		}
		s[at] = s[parent]
		o.Moved(s[at], int32(at))
		at = parent
	}
	s[at] = id
	o.Moved(id, int32(at))
	return at != start
}

func (h *Heap) down(o Order, at int) {
	s, id := *h, (*h)[at]
	for {
		first := at*Fan + 1
		if first >= len(s) {
			break
		}
		best := first
		for i := first + 1; i < min(first+Fan, len(s)); i++ {
			if o.Before(s[i], s[best]) {
				best = i
			}
		}
		if !o.Before(s[best], id) {
			break
		}
		s[at] = s[best]
		o.Moved(s[at], int32(at))
		at = best
	}
	s[at] = id
	o.Moved(id, int32(at))
}

// Ranked goes through a heap in order, as far as a bound goes, without changing it.
func (h Heap) Ranked(o Order, most int) func(yield func(id uint32) bool) {
	return func(yield func(id uint32) bool) {
		// Whatever comes next is a child of what came before.
		front := make([]int32, 0, 16)
		if len(h) > 0 {
			front = append(front, 0)
		}
		for ; len(front) > 0 && most > 0; most-- {
			best := 0
			for i := range front {
				if o.Before(h[front[i]], h[front[best]]) {
					best = i
				}
			}
			at := int(front[best])
			front[best] = front[len(front)-1]
			front = front[:len(front)-1]
			for i := at*Fan + 1; i < min(at*Fan+1+Fan, len(h)); i++ {
				front = append(front, int32(i))
			}
			if !yield(h[at]) {
				return
			}
		}
	}
}

// Check looks for ids that are out of order or do not know where they lie, for tests.
func (h Heap) Check(o Order, at func(id uint32) int32) error {
	for i, id := range h {
		if at(id) != int32(i) {
			return fmt.Errorf("pile: %d lies at %d and thinks %d", id, i, at(id))
		}
		if parent := (i - 1) / Fan; i > 0 && o.Before(id, h[parent]) {
			return fmt.Errorf("pile: %d is below %d and before it", id, h[parent])
		}
	}
	return nil
}
