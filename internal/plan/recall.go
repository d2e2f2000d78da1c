package plan

import (
	"cmp"
	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
	"slices"
)

// Recalls proposes up to limit attempts to ask back: those that wait on a worker
// without a place while another worker has one, and nothing that is ready needs
// it. The answer depends on the state alone, so that what was asked for already
// is in it again until it has come back. Call it after Next has said false.
func (x *Index) Recalls(limit int) []Recall {
	var out []Recall
	var c claims
	for _, s := range x.ahead {
		if limit <= 0 {
			break
		}
		if s.waitsFor(plain) || s.waitsFor(direct) {
			continue
		}
		if !x.roomy(s) {
			continue
		}
		from, held := x.holders(s)
		found := c.places(s, min(limit, held), x.clock)
		for _, h := range from {
			n := min(h.n, found)
			if n == 0 {
				break
			}
			out = append(out, Recall{From: h.w.ID, Shape: s.Shape, N: n})
			found -= n
			limit -= n
		}
	}
	return out
}

type heldBy struct {
	w *worker
	n int
}

// holders is the workers that hold prefetched attempts of a shape and have no
// place for one themselves, those with the most first, and how many they hold.
func (x *Index) holders(s *shape) (out []heldBy, total int) {
	for _, w := range s.owners {
		if w == nil {
			continue
		}
		h := w.find(s)
		if n := int(h.prefetched); n > 0 && !(h.matches && w.fitting(s, claim{}) > 0) {
			out = append(out, heldBy{w, n})
			total += n
		}
	}
	slices.SortFunc(out, func(a, b heldBy) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.w.ID, b.w.ID))
	})
	return out, total
}

// roomy reports whether any worker has a place for the shape. On one that is reserved not all of it
// may start.
func (x *Index) roomy(s *shape) bool {
	if s.short != "" {
		return false
	}
	for _, p := range s.kind.profiles {
		if p.calendar.over(x.clock) && p.all.open.Find(s.need) != tournament.None {
			return true
		}
	}
	return false
}

func (w *worker) find(s *shape) *holding {
	for i := range w.holdings {
		if w.holdings[i].shape == s {
			return &w.holdings[i]
		}
	}
	return nil
}

// fitting is how many attempts of a shape a worker has places for, beside what is claimed.
func (w *worker) fitting(s *shape, c claim) int {
	n := w.places() - c.n
	for i, need := range s.need {
		free := w.free[i]
		if c.used != nil {
			free -= c.used[i]
		}
		switch {
		case need > free:
			return 0
		case need > 0:
			n = min(n, free/need)
		}
	}
	return int(max(n, 0))
}

// claims is the places that one call has given away already, so that no two
// attempts come back for one.
type claims []claim

type claim struct {
	w    *worker
	n    int64
	used []int64
}

// places claims up to n places for a shape and returns how many there were. The
// places of a worker that holds the shape itself are for what it holds.
func (c *claims) places(s *shape, n int, now int64) int {
	found := 0
	for _, p := range s.kind.profiles {
		if !p.calendar.over(now) {
			continue
		}
		p.all.open.Each(s.need, func(i int32) bool {
			w := p.workers[i]
			if h := w.find(s); h == nil || h.prefetched == 0 {
				found += c.take(w, s, n-found)
			}
			return found < n
		})
	}
	return found
}

func (c *claims) take(w *worker, s *shape, n int) int {
	at := slices.IndexFunc(*c, func(v claim) bool { return v.w == w })
	v := claim{w: w, used: make([]int64, len(s.need))}
	if at >= 0 {
		v = (*c)[at]
	}
	n = min(n, w.fitting(s, v))
	if n == 0 {
		return 0
	}
	v.n += int64(n)
	for i, need := range s.need {
		v.used[i] += need * int64(n)
	}
	if at < 0 {
		*c = append(*c, v)
	} else {
		(*c)[at] = v
	}
	return n
}
