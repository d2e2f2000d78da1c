package plan

import (
	"cmp"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
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
		if s.lanes[plain].ready() || s.lanes[direct].ready() {
			continue
		}
		if !s.open() {
			continue
		}
		from, held := x.holders(s)
		found := c.places(s, min(limit, held))
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

func (l *lane) ready() bool { return l != nil && len(l.classes) > 0 }

type heldBy struct {
	w *worker
	n int
}

// holders is the workers that hold prefetched attempts of a shape and have no
// place for one themselves, those with the most first, and how many they hold.
func (x *Index) holders(s *shape) (out []heldBy, total int) {
	for i := range s.holders.leaves {
		w := x.workers[s.holders.leaves[i].id]
		if w == nil {
			continue
		}
		// A removed leaf has the id of no worker, or of another.
		h := w.find(s)
		if h == nil || int(h.leaf) != i {
			continue
		}
		if n := int(h.prefetched); n > 0 && !(h.matches && w.fitting(s, 0, job.Resources{}) > 0) {
			out = append(out, heldBy{w, n})
			total += n
		}
	}
	slices.SortFunc(out, func(a, b heldBy) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.w.ID, b.w.ID))
	})
	return out, total
}

// open reports whether any worker has a place for the shape.
func (s *shape) open() bool {
	for _, p := range s.kind.profiles {
		if p.all.open.find(s.Resources.CPU, s.Resources.Memory) != none {
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

// fitting is how many attempts of a shape a worker has places for, when so many
// places and so much are spoken for.
func (w *worker) fitting(s *shape, places int64, used job.Resources) int {
	n, room := w.places()-places, w.room().Minus(used)
	if !s.Resources.Fits(room) || n <= 0 {
		return 0
	}
	if c := s.Resources.CPU; c > 0 {
		n = min(n, room.CPU/c)
	}
	if m := s.Resources.Memory; m > 0 {
		n = min(n, room.Memory/m)
	}
	return int(n)
}

// claims is the places that one call has given away already, so that no two
// attempts come back for one.
type claims []claim

type claim struct {
	w    *worker
	n    int64
	used job.Resources
}

// places claims up to n places for a shape and returns how many there were. The
// places of a worker that holds the shape itself are for what it holds.
func (c *claims) places(s *shape, n int) int {
	found := 0
	for _, p := range s.kind.profiles {
		p.all.open.each(s.Resources.CPU, s.Resources.Memory, func(i int32) bool {
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
	var v claim
	if at >= 0 {
		v = (*c)[at]
	}
	n = min(n, w.fitting(s, v.n, v.used))
	if n == 0 {
		return 0
	}
	if at < 0 {
		at = len(*c)
		*c = append(*c, claim{w: w})
	}
	v = (*c)[at]
	(*c)[at] = claim{w, v.n + int64(n), v.used.Plus(job.Resources{
		CPU: s.Resources.CPU * int64(n), Memory: s.Resources.Memory * int64(n),
	})}
	return n
}
