package sim

import "time"

// event is something that will happen at a moment of true time.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

// events is a binary heap by time, then by the order in which they were planned, so
// that a run depends on nothing but its seed.
type events []event

func (h events) less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].seq < h[j].seq
}

func (h *events) push(e event) {
	*h = append(*h, e)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if !s.less(i, up) {
			return
		}
		s[i], s[up] = s[up], s[i]
		i = up
	}
}

func (h *events) pop() event {
	s := *h
	top, last := s[0], len(s)-1
	s[0], s[last] = s[last], event{}
	s = s[:last]
	*h = s
	for i := 0; ; {
		least, left := i, 2*i+1
		if left < last && s.less(left, least) {
			least = left
		}
		if right := left + 1; right < last && s.less(right, least) {
			least = right
		}
		if least == i {
			return top
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
}
