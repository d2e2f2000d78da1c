package plan

import (
	"cmp"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
)

// hold keeps a place for a group that waits: from a moment on it has its amounts on a worker.
// Holds are made when something that comes later could start, and last for a pass: the next
// one works them out anew from what is known by then.
type hold struct {
	class  *class
	record uint32
	worker *worker
	// from and until are in Unix milliseconds; a from of eventually is a moment that nobody
	// knows, after everything of which the end is known.
	from, until int64
	need        []int64
	places      int64
}

const (
	// eventually is before never and after all that is known.
	eventually = never - 1
	// maxHolds bounds the places that are kept in one pass.
	maxHolds = 128
	// maxLook bounds the workers of a profile that are looked at to find a place to keep.
	maxLook = 64
	// maxTry bounds the groups of one class that are tried in a place that is kept for another.
	maxTry = 1000
)

// keep keeps a place for what waits, comes before a class and could use the worker that it was
// about to take. It reports whether that changed anything.
func (x *Index) keep(c *class, w *worker) bool {
	if w.reserved && !x.replan {
		return false
	}
	for {
		h := x.passed(c, w)
		if h == nil {
			return false
		}
		q := h.queue()
		switch {
		case q.backfill == job.BackfillConservative:
			q.planned = true
			x.planned = append(x.planned, q)
			x.holds = slices.DeleteFunc(x.holds, func(h hold) bool { return h.class.queue() == q })
			for _, w := range x.reserved {
				w.kept = slices.DeleteFunc(w.kept, func(s step) bool { return s.class.queue() == q })
			}
			if x.holdQueue(q) {
				return true
			}
		case q.backfill == job.BackfillNone && q == c.queue():
			if !x.held(h, h.groups[0]) {
				x.hold1(h, h.groups[0])
			}
			x.bar(q)
			return true
		case x.held(h, h.groups[0]):
			return false
		case x.hold1(h, h.groups[0]):
			return true
		default:
			h.futile = true
			x.futile = append(x.futile, h)
		}
		// Who can be kept no place is in nobody's way, but others who come first may be.
	}
}

func (c *class) queue() *account { return c.flow.account.up }

// passed is the first class in order that waits, could run on a worker if that were empty, and
// comes before c. On a worker on which a place is kept already, only a queue all of which is to be
// kept places is looked at.
func (x *Index) passed(c *class, w *worker) *class {
	var found *class
	accept := func(o *class) bool {
		q := o.queue()
		return o != c && !o.futile && !x.twin(o, c) && o.admits(w) && !x.belowFloor(o, w) && o.shape.short == "" && q.backfill != job.BackfillAny && !q.planned && (!w.reserved || q.backfill == job.BackfillConservative) && x.admits(o, o.groups[0], w.profile)
	}
	for _, k := range w.profile.kinds {
		for _, f := range waitingForms {
			if f == patient && !x.worthPatience(w) {
				continue
			}
			o := x.first(x.root, k.blocked(f), x.ask(w.capacity), accept)
			if o != nil && x.inOrder(o, c) && (found == nil || x.inOrder(o, found)) {
				found = o
			}
		}
	}
	return found
}

// held reports whether a place is kept for a group of a class, be it by another of the ways in which
// its elements can be served.
func (x *Index) held(c *class, record uint32) bool {
	r := x.groups.Get(record)
	return slices.ContainsFunc(x.holds, func(h hold) bool {
		return h.record == record || (h.class.form == exclusive) == (c.form == exclusive) && twins(x.groups.Get(h.record), r)
	})
}

// bar closes a queue for the rest of the pass.
func (x *Index) bar(q *account) {
	q.barred = true
	x.barred = append(x.barred, q)
	x.rerankAll(q)
}

// holdQueue keeps places for all that waits in a queue, in order, as far as the bound goes.
func (x *Index) holdQueue(q *account) bool {
	type waiting struct {
		class  *class
		record uint32
	}
	var all []waiting
	for _, u := range q.kids {
		for _, flow := range u.nodes {
			if flow == nil {
				continue
			}
			for _, c := range flow.classes {
				if c == nil || !c.waits() {
					continue
				}
				for id := range x.ranked(c, maxHolds) {
					all = append(all, waiting{c, id})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b waiting) int {
		if x.goesBefore(a.class, a.record, b.class, b.record) {
			return -1
		}
		return 1
	})
	held := false
	for _, g := range all {
		if x.held(g.class, g.record) {
			continue
		}
		for range min(x.groups.Get(g.record).Ready, maxHolds) {
			if len(x.holds) >= maxHolds || !x.hold1(g.class, g.record) {
				break
			}
			held = true
		}
	}
	return held
}

// hold1 keeps a place for one element of a group, where it can start first, and reports
// whether there is a worker for it at all.
func (x *Index) hold1(c *class, record uint32) bool {
	if len(x.holds) >= maxHolds {
		return false
	}
	if c.gang() {
		return x.holdGang(c, record)
	}
	best, least := hold{}, int64(0)
	length := x.groups.Get(record).Lasts()
	x.look(c, func(w *worker) {
		h := x.prospect(c, record, w, length)
		if !x.keepable(&h) {
			return
		}
		lacks := x.lacks(&h)
		if best.worker == nil || cmp.Or(cmp.Compare(h.from, best.from), cmp.Compare(lacks, least), cmp.Compare(w.ID, best.worker.ID)) < 0 {
			best, least = h, lacks
		}
	})
	if best.worker == nil {
		return false
	}
	x.reserve(best)
	return true
}

// prospect is what would be kept for a group on a worker.
func (x *Index) prospect(c *class, record uint32, w *worker, length int64) hold {
	h := hold{class: c, record: record, worker: w, need: c.shape.need, places: 1, until: never}
	if c.form == exclusive {
		h.need, h.places = w.capacity, int64(w.Slots)
	}
	h.from = min(x.earliest(w, w.kept, h.need, h.places, length), eventually)
	if length > 0 && h.from < eventually {
		h.until = h.from + length
	}
	return h
}

// reserve takes a worker out of the trees of rooms for what is kept on it.
func (x *Index) reserve(h hold) {
	x.holds = append(x.holds, h)
	h.worker.line(&h)
	if w := h.worker; !w.reserved {
		w.reserved = true
		x.reserved = append(x.reserved, w)
		x.refresh(w)
	}
}

// lacks is how far a worker is from having room for a hold, in parts of all there is. Where
// nobody knows when anything ends, the place is kept where the least must end.
func (x *Index) lacks(h *hold) int64 {
	sum := ratio(h.places-h.worker.places(), x.places)
	for i, n := range h.need {
		sum += ratio(n-h.worker.free[i], x.total[i])
	}
	return sum
}

// look visits workers that could run a class if they were empty: the last one for which a place
// was kept, those with the most free places, and others up to a bound.
func (x *Index) look(c *class, visit func(w *worker)) {
	if c.shape.short != "" {
		return
	}
	for _, id := range x.keptOn {
		if w := x.workers[id]; w != nil && w.Accepts && w.profile.serves(c.shape.kind) && tournament.Within(c.shape.need, w.capacity) && c.admits(w) && !x.belowFloor(c, w) {
			visit(w)
		}
	}
	for _, p := range c.shape.kind.profiles {
		left := max(maxLook, 2*c.nodes)
		x.sized(c, p, func(w *worker) bool {
			if c.admits(w) {
				visit(w)
			}
			left--
			return left > 0
		})
	}
}

// beside finds a worker that is kept for something and may be taken by a class all the same,
// and the first of its groups that may: it ends in time, or there is room beside.
func (x *Index) beside(c *class) (*worker, uint32) {
	for _, w := range x.reserved {
		if !w.profile.serves(c.shape.kind) || !w.takes(c.shape, c.form) || !c.admits(w) || x.belowFloor(c, w) {
			continue
		}
		if id, ok := x.mayTake(c, w); ok {
			return w, id
		}
	}
	return nil, 0
}

// mayTake finds the first group of a class that may start now on a worker that is kept for
// something.
func (x *Index) mayTake(c *class, w *worker) (uint32, bool) {
	refused := int64(0) // a length; what lasts as long needs no look
	for id := range x.ranked(c, maxTry) {
		length := x.groups.Get(id).Lasts()
		if refused > 0 && length >= refused {
			continue
		}
		if x.mayHave(c, id, w) {
			return id, true
		}
		if c.lengths == 0 || refused == 0 && (!x.mayAdmit(c, w.profile) || !x.inTime(c, id, w, c.shortest())) {
			return 0, false
		}
		refused = length
	}
	return 0, false
}

// mayHave reports whether a group may start now on a worker that is kept for something.
func (x *Index) mayHave(c *class, group uint32, w *worker) bool {
	return x.admits(c, group, w.profile) && x.inTime(c, group, w, x.groups.Get(group).Lasts())
}

// inTime reports whether what takes so long, and has the place in order of a group, delays nothing for
// which a worker is kept.
func (x *Index) inTime(c *class, group uint32, w *worker, length int64) bool {
	need, places := c.shape.need, int64(1)
	if c.form == exclusive {
		need, places = w.capacity, int64(w.Slots)
	}
	return x.earliest(w, x.after(w, c, group), need, places, length) == x.now
}

// goesBefore reports whether a group comes before another in order.
func (x *Index) goesBefore(a *class, r uint32, b *class, o uint32) bool {
	if a.flow == b.flow {
		return r != o && x.groups.Get(r).Before(x.groups.Get(o))
	}
	return x.inOrder(a, b)
}

// unhold ends what is kept in this pass, and lets the workers be looked at again in the next.
func (x *Index) unhold() {
	if len(x.holds) > 0 {
		x.kept, x.keptOn = x.kept[:0], x.keptOn[:0]
		for _, w := range x.reserved {
			x.keptOn = append(x.keptOn, w.ID)
		}
	}
	for i := range x.holds {
		h := &x.holds[i]
		x.kept = append(x.kept, Kept{x.nameOf(h.class, h.record), h.worker.ID, h.from})
	}
	clear(x.holds)
	x.holds = x.holds[:0]
	for _, w := range x.reserved {
		w.reserved = false
		clear(w.kept)
		w.kept = w.kept[:0]
		if w.profile != nil {
			x.refresh(w)
			x.arrivals.note(w)
			x.again = append(x.again, w)
		}
	}
	x.replan = false
	clear(x.reserved)
	x.reserved = x.reserved[:0]
	for _, q := range x.planned {
		q.planned = false
	}
	x.planned = x.planned[:0]
	for _, q := range x.barred {
		q.barred = false
		x.reopen(q)
	}
	x.barred = x.barred[:0]
	for _, c := range x.futile {
		c.futile = false
	}
	clear(x.futile)
	x.futile = x.futile[:0]
	for _, c := range x.yielding {
		c.yielding = false
		x.refreshClass(c)
	}
	clear(x.yielding)
	x.yielding = x.yielding[:0]
}

// letGo ends what is kept when a group goes for which something is. If it did not take that, but
// was sent ahead, say, others may.
func (x *Index) letGo(record uint32) {
	at := slices.IndexFunc(x.holds, func(h hold) bool { return h.record == record })
	switch {
	case at < 0:
	case x.holds[at].from > x.now:
		x.rehold()
	default:
		x.unhold()
	}
}

// rehold ends what is kept in the middle of a pass, and lets what was held back be looked at
// again.
func (x *Index) rehold() {
	x.unhold()
	x.regain()
}

// regain lets the workers be looked at again on which something was kept.
func (x *Index) regain() {
	for _, w := range x.again {
		if w.profile != nil {
			x.gain(w)
			x.refresh(w)
		}
	}
	clear(x.again)
	x.again = x.again[:0]
}

// Kept is a place that was kept for a group when there was nothing more to place.
type Kept struct {
	Group  GroupID
	Worker uint64
	// From is when it is expected to be free, in Unix milliseconds.
	From int64
}

// Kept is what was kept when there was nothing more to place. It is good until the next change.
func (x *Index) Kept() []Kept {
	if !x.keeps {
		return nil
	}
	return x.kept
}

// Known reports whether anybody knows when the place will be free.
func (k Kept) Known() bool { return k.From < eventually }

// ask is a room as boards are asked for it: in negative amounts. It is good until the next call.
func (x *Index) ask(room []int64) []int64 {
	for i, v := range room {
		x.asked[i] = -v
	}
	return x.asked
}
