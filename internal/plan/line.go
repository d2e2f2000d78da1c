package plan

import (
	"cmp"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
)

// step is a moment at which what a worker has free changes.
type step struct {
	at int64
	// by is how much becomes free, times sign.
	by     []int64
	places int64
	sign   int64
	// class and record are for what a place is kept, if that is what changes it.
	class  *class
	record uint32
}

// before orders steps. What ends at a moment makes room for what begins then.
func (s *step) before(o *step) int {
	return cmp.Or(cmp.Compare(s.at, o.at), cmp.Compare(o.sign, s.sign))
}

// expected is when a run ends, as far as is known by now. What has outlived its prediction is
// expected to take what it may (Tsafrir, Etsion and Feitelson, "Backfilling Using
// System-Generated Predictions Rather than User Runtime Estimates", 2007).
func (r *Run) expected(now int64) int64 {
	switch {
	case r.leaving:
		return min(now+r.grace, r.limit)
	case r.ends > now:
		return min(r.ends, r.limit)
	case r.limit > now:
		return r.limit
	}
	return never
}

// endsOf is when what runs on a worker is expected to end, first to last. It is worked out once
// a pass, and again when something else runs.
func (x *Index) endsOf(w *worker) []step {
	if w.known && w.knownAt == x.now {
		return w.ends
	}
	w.known, w.knownAt, w.ends = true, x.now, w.ends[:0]
	for _, r := range w.runs {
		if end := r.expected(x.now); !r.prefetch && end < never {
			w.ends = append(w.ends, step{at: end, by: r.shape.need, places: 1, sign: 1})
		}
	}
	slices.SortFunc(w.ends, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return w.ends
}

// line adds to the steps of a worker what is kept there.
func (w *worker) line(h *hold) {
	for _, s := range [...]step{{h.from, h.need, h.places, -1, h.class, h.record}, {h.until, h.need, h.places, 1, h.class, h.record}} {
		at, _ := slices.BinarySearchFunc(w.kept, s, func(a, b step) int {
			if c := a.before(&b); c != 0 {
				return c
			}
			return -1 // behind those of the same moment
		})
		w.kept = slices.Insert(w.kept, at, s)
	}
}

// after is what is kept on a worker for groups that come before one of a class, first to last. It is good
// until the next call.
func (x *Index) after(w *worker, c *class, record uint32) []step {
	x.steps = x.steps[:0]
	for i := range w.kept {
		if s := &w.kept[i]; x.goesBefore(s.class, s.record, c, record) {
			x.steps = append(x.steps, *s)
		}
	}
	return x.steps
}

// earliest is the first moment from which on a worker has an amount free for so long, beside
// what is kept; never if there is tournament.None. A length of 0 is unknown and lasts for ever.
func (x *Index) earliest(w *worker, kept []step, need []int64, places, length int64) int64 {
	x.spare = append(x.spare[:0], w.free...)
	ends, free, open, since := x.endsOf(w), x.spare, w.places(), never
	for at := x.now; ; {
		// Ends first: what ends at a moment makes room for what begins then.
		for ; len(ends) > 0 && ends[0].at <= at; ends = ends[1:] {
			open += ends[0].apply(free)
		}
		for ; len(kept) > 0 && kept[0].at <= at; kept = kept[1:] {
			open += kept[0].apply(free)
		}
		if !tournament.Within(need, free) || open < places {
			since = never
		} else if since == never {
			since = at
		}
		next := never
		if len(ends) > 0 {
			next = ends[0].at
		}
		if len(kept) > 0 {
			next = min(next, kept[0].at)
		}
		if next == never || since < never && length > 0 && next >= since+length {
			return since
		}
		at = next
	}
}

func (s *step) apply(free []int64) int64 {
	for i, n := range s.by {
		free[i] += s.sign * n
	}
	return s.sign * s.places
}
