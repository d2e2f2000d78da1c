package limit

// heap is a binary heap, least first, whose items know their places.
type heap[T any] struct {
	items []T
	// before is the order, and moved is told where an item is now, -1 for nowhere.
	before func(a, b T) bool
	moved  func(item T, at int)
}

func (h *heap[T]) push(item T) {
	h.items = append(h.items, item)
	h.up(len(h.items) - 1)
}

// pop takes the least out of a heap that is not empty.
func (h *heap[T]) pop() T {
	least := h.items[0]
	h.remove(0)
	return least
}

// remove takes out what is at a place.
func (h *heap[T]) remove(at int) {
	last := len(h.items) - 1
	gone := h.items[at]
	h.items[at] = h.items[last]
	var zero T
	h.items[last] = zero
	h.items = h.items[:last]
	if at < last {
		h.up(at)
		h.down(at)
	}
	h.moved(gone, -1)
}

func (h *heap[T]) up(at int) {
	item := h.items[at]
	for at > 0 {
		above := (at - 1) / 2
		if !h.before(item, h.items[above]) {
			break
		}
		h.set(at, h.items[above])
		at = above
	}
	h.set(at, item)
}

func (h *heap[T]) down(at int) {
	item := h.items[at]
	for {
		below := 2*at + 1
		if below >= len(h.items) {
			break
		}
		if right := below + 1; right < len(h.items) && h.before(h.items[right], h.items[below]) {
			below = right
		}
		if !h.before(h.items[below], item) {
			break
		}
		h.set(at, h.items[below])
		at = below
	}
	h.set(at, item)
}

func (h *heap[T]) set(at int, item T) {
	h.items[at] = item
	h.moved(item, at)
}
