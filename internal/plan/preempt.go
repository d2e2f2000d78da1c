package plan

import (
	"cmp"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
)

// Eviction is a proposal to stop attempts on a worker, so that a group that waits has room.
type Eviction struct {
	Group  GroupID
	Worker uint64
	// Tags names the attempts, in the order in which they are to be told: those first that were
	// sent ahead and would take a place that becomes free.
	Tags []uint64
}

const (
	// maxVictims bounds the attempts that are stopped for one.
	maxVictims = 64
	// maxSearch bounds the workers that are searched for victims.
	maxSearch = 256
)

// Evict proposes what must make room for the first group that waits and may ask for that: where
// the least work is lost. It looks once for each kind, when Next has said false, and a caller
// carries out what it proposes with Leave. now is in Unix milliseconds.
func (x *Index) Evict(now int64) (Eviction, bool) {
	if !x.stirred || x.background == 0 && x.preempting == 0 {
		return Eviction{}, false
	}
	x.at(now)
	x.now = now
	above := func(c *class) bool { return !x.shut(c) && c.tier > 0 && !c.later }
	for _, k := range x.kindList {
		for _, f := range waitingForms {
			c := x.first(x.root, k.blocked(f), x.everything, above)
			if c == nil || x.awaited(c) {
				continue
			}
			if e, ok := x.evictFor(c); ok {
				return e, true
			}
		}
	}
	x.stirred = false
	return Eviction{}, false
}

// mayEvict reports whether something makes room for a class, or would have to: then it does not
// queue up behind that.
func (x *Index) mayEvict(c *class) bool {
	if x.background == 0 && x.preempting == 0 || c.tier == 0 || c.later {
		return false
	}
	_, ok := x.evictFor(c)
	return ok || x.awaited(c)
}

// Leave says that an attempt was asked to end and has so long, in milliseconds, to do so.
func (x *Index) Leave(r *Run, grace int64) {
	if r != nil && r.worker != nil {
		r.grace = grace
		x.shift(r)
		x.leave(r, true)
	}
}

func (x *Index) leave(r *Run, leaving bool) {
	w := r.worker
	if r.leaving == leaving {
		return
	}
	r.leaving = leaving
	if leaving {
		w.leaving++
	} else {
		w.leaving--
	}
	at := slices.Index(x.leaving, w)
	switch {
	case w.leaving > 0 && at < 0:
		x.leaving = append(x.leaving, w)
	case w.leaving == 0 && at >= 0:
		x.leaving = slices.Delete(x.leaving, at, at+1)
	}
}

// awaited reports whether a class has room once what leaves has left.
func (x *Index) awaited(c *class) bool {
	if c.gang() {
		return len(x.leaving) > 0 && x.ready(c) >= c.nodes
	}
	for _, w := range x.leaving {
		if w.profile.serves(c.shape.kind) && x.clears(c, w, func(r *Run) bool { return r.leaving }) {
			return true
		}
	}
	return false
}

// clears is roomFor at the moment of this pass, in which windows may keep a class from a worker.
func (x *Index) clears(c *class, w *worker, gone func(r *Run) bool) bool {
	return x.roomFor(c, w, gone) && x.admits(c, c.groups[0], w.profile)
}

// roomFor reports whether a class has room on a worker when some of its runs are gone.
func (x *Index) roomFor(c *class, w *worker, gone func(r *Run) bool) bool {
	if !w.Accepts || c.shape.short != "" || !c.admits(w) || x.belowFloor(c, w) {
		return false
	}
	x.spare = append(x.spare[:0], w.free...)
	running, alone := w.running, w.alone
	for _, r := range w.runs {
		if r.prefetch || !gone(r) {
			continue
		}
		running--
		if r.alone {
			alone--
		}
		for i, n := range r.shape.need {
			x.spare[i] += n
		}
	}
	return alone == 0 && running < w.Slots && tournament.Within(c.shape.need, x.spare) && (c.form != exclusive || running == 0)
}

// evictFor finds the worker on which the least work is lost if a class gets its room there.
func (x *Index) evictFor(c *class) (Eviction, bool) {
	if c.gang() {
		return x.evictForGang(c)
	}
	var best []*Run
	least, searched := never, 0
	for _, w := range x.workerList {
		if searched == maxSearch {
			break
		}
		if !x.couldClear(c, w) {
			continue
		}
		searched++
		victims, lost := x.victims(c, w)
		if victims != nil && lost < least {
			best, least = victims, lost
		}
	}
	if best == nil {
		return Eviction{}, false
	}
	return x.eviction(c, best), true
}

// couldClear reports whether a worker could run a class if nothing else ran, and nothing makes room
// there yet.
func (x *Index) couldClear(c *class, w *worker) bool {
	return w.leaving == 0 && tournament.Within(c.shape.need, w.capacity) && w.profile.serves(c.shape.kind) && !x.belowFloor(c, w)
}

// eviction stops victims, all on one worker.
func (x *Index) eviction(c *class, victims []*Run) Eviction {
	w := victims[0].worker
	e := Eviction{Group: x.nameOf(c, c.groups[0]), Worker: w.ID}
	for _, r := range w.runs { // or these would take the places
		if r.prefetch && !r.leaving && slices.ContainsFunc(victims, func(v *Run) bool { return v.shape == r.shape }) {
			e.Tags = append(e.Tags, r.tag)
		}
	}
	for _, r := range victims {
		e.Tags = append(e.Tags, r.tag)
	}
	return e
}

// victims is what must go of a worker to make room for a class, and how much work is lost by
// that, in milliseconds; nil if that is not enough. The lowest go first, and of these those with
// the least work, which are the youngest; what turns out not to be needed stays.
func (x *Index) victims(c *class, w *worker) ([]*Run, int64) {
	var list []*Run
	for _, r := range w.runs {
		if c.evicts(r) {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b *Run) int {
		return cmp.Or(cmp.Compare(a.tier, b.tier), cmp.Compare(a.work(x.now), b.work(x.now)), cmp.Compare(a.tag, b.tag))
	})
	list = list[:min(len(list), maxVictims)]
	n := 1
	for ; n <= len(list); n++ {
		if x.clears(c, w, func(r *Run) bool { return slices.Contains(list[:n], r) }) {
			break
		}
	}
	if n > len(list) {
		return nil, 0
	}
	list = list[:n]
	for i := 0; i < len(list); i++ {
		rest := slices.Delete(slices.Clone(list), i, i+1)
		if x.clears(c, w, func(r *Run) bool { return slices.Contains(rest, r) }) {
			list, i = rest, i-1
		}
	}
	if len(list) == 0 {
		return nil, 0 // it has room as it is
	}
	lost := int64(0)
	for _, r := range list {
		lost += r.work(x.now)
	}
	return list, lost
}

// work is what is lost with a run, in milliseconds: the others of a gang are tried again with it.
func (r *Run) work(now int64) int64 { return max(now-r.began, 0) * int64(r.nodes) }

// evicts reports whether a run has to make room for a class.
func (c *class) evicts(r *Run) bool {
	if r.prefetch || r.stays || r.leaving || r.tier >= c.tier {
		return false
	}
	q := c.queue()
	return r.tier == 0 || q.preempts && r.flow.up.up == q.up
}

// zero is 1 for the tier of background attempts.
func zero(tier uint8) int {
	if tier == 0 {
		return 1
	}
	return 0
}
