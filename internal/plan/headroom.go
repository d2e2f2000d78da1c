package plan

import (
	"cmp"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
)

// Room is kept in limits as places are on workers: what waits for room in the limit of its queue or of its
// namespace is passed by nothing that would have it wait longer, unless its queue lets anything pass. When
// there is room for it follows from when what the limit counts is expected to end.

// counted is what a limit counts, if there is one, and when it is expected to end, first to last, if that is
// known as of a moment.
type counted struct {
	runs  []*Run
	ends  []step
	known bool
	asOf  int64
}

// The levels of accounts that have limits.
const (
	queueLevel = iota
	spaceLevel
	levels
)

const (
	// maxCounted is how many attempts a limit may count for room to be kept in it: they are sorted when that
	// is asked for and one of them has ended.
	maxCounted = 10_000
	// maxYielding bounds the classes that are put aside one by one in a pass; then their queues are.
	maxYielding = 64
)

// level is that of an account of a queue or a namespace.
func (a *account) level() int {
	if a.up == nil {
		return spaceLevel
	}
	return queueLevel
}

// hasLimit reports whether an account itself has a limit.
func (a *account) hasLimit() bool { return !a.user() && (a.most > 0 || a.limited()) }

// tally takes in that an attempt is of an account, or is no more.
func (x *Index) tally(a *account, r *Run, n int64) {
	if !a.hasLimit() {
		return
	}
	k, level := &a.counted, a.level()
	if n > 0 {
		r.places[level] = len(k.runs)
		k.runs = append(k.runs, r)
		if k.known {
			s := r.step(k.asOf)
			at, _ := slices.BinarySearchFunc(k.ends, s, func(a, b step) int { return cmp.Compare(a.at, b.at) })
			k.ends = slices.Insert(k.ends, at, s)
		}
		return
	}
	last := len(k.runs) - 1
	at := r.places[level]
	k.runs[at] = k.runs[last]
	k.runs[at].places[level] = at
	k.runs[last] = nil
	k.runs, k.known = k.runs[:last], false
}

// recount takes in what there is of an account whose limit is another now.
func (x *Index) recount(a *account) {
	a.counted = counted{}
	if !a.hasLimit() {
		return
	}
	for _, w := range x.workerList {
		for _, r := range w.runs {
			if r.flow.up == a || r.flow.up.up == a {
				x.tally(a, r, 1)
			}
		}
	}
}

// step is the end of a run as it is expected at a moment.
func (r *Run) step(now int64) step {
	return step{at: r.expected(now), by: r.shape.need, places: 1, sign: -1}
}

// endsBy is what an account's limit counts, as it is expected to end.
func (a *account) endsBy(now int64) []step {
	k := &a.counted
	if !k.known || k.asOf != now {
		k.known, k.asOf, k.ends = true, now, k.ends[:0]
		for _, r := range k.runs {
			k.ends = append(k.ends, r.step(now))
		}
		slices.SortFunc(k.ends, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	}
	return k.ends
}

// fits reports whether an account's limit has room for an element of each of some classes beside what is used.
func (a *account) fits(used []int64, running int64, classes ...*class) bool {
	for _, c := range classes {
		running += int64(c.nodes)
	}
	if a.most > 0 && running > a.most {
		return false
	}
	for i := range a.limit {
		sum := used[i]
		for _, c := range classes {
			sum += int64(c.nodes) * c.shape.need[i]
		}
		if sum > used[i] && sum > a.limit[i] {
			return false
		}
	}
	return true
}

// couldEver reports whether an element of a class could run if nothing else did.
func (x *Index) couldEver(c *class) bool {
	n := 0
	for _, p := range c.shape.kind.profiles {
		if c.shape.short == "" && n < c.nodes {
			x.sized(c, p, func(*worker) bool { n++; return n < c.nodes })
		}
	}
	return n >= c.nodes && x.fitsAlone(c)
}

// fitsAlone reports whether limits have room for an element of a class if nothing else runs.
func (x *Index) fitsAlone(c *class) bool {
	for a := c.queue(); a != nil; a = a.up {
		if !a.fits(x.nothing, 0, c) {
			return false
		}
	}
	return true
}

// yields reports whether a group must not start, since room in a limit is kept for something that comes first.
func (x *Index) yields(c *class, group uint32) bool {
	a, _ := x.keptRoom(c, x.groups.Get(group).Lasts(), x.now)
	if a != nil && !slices.Contains(x.keepers, a) {
		x.keepers = append(x.keepers, a)
	}
	return a != nil
}

// keptRoom is an account in the limit of which room is kept that what is of a class and takes so long would
// take, and for which class it is.
func (x *Index) keptRoom(c *class, length, now int64) (*account, *class) {
	for a := c.queue(); a != nil; a = a.up {
		if !a.hasLimit() || len(a.counted.runs) > maxCounted {
			continue
		}
		if first := x.waitsForRoom(a, c); first != nil && !a.passes(first, c, length, now) {
			return a, first
		}
	}
	return nil, nil
}

// waitsForRoom is the first class in order that waits for room in the limit of an account and comes before
// another, of the first few that do.
func (x *Index) waitsForRoom(a *account, c *class) (found *class) {
	left := maxLook
	look := func(o *class) bool {
		left--
		switch {
		case left < 0 || o == c || !x.inOrder(o, c):
			return false
		case o.queue().backfill == job.BackfillAny || x.twin(o, c) ||
			a.fits(a.used, a.running, o) || !x.couldEver(o):
			return true
		}
		if found == nil || x.inOrder(o, found) {
			found = o
		}
		return false
	}
	for _, n := range a.nodes {
		if n == nil {
			continue
		}
		x.each(n, readyBoard, look)
		for _, k := range x.kindList {
			for _, f := range waitingForms {
				x.each(n, k.blocked(f), look)
			}
		}
	}
	return found
}

// passes reports whether a class may start something that takes so long, 0 for unknown, while another that
// comes first waits for room in an account's limit: it takes nothing of what that lacks, is over in time, or
// leaves it the room.
func (a *account) passes(first, c *class, length, now int64) bool {
	if first.queue().backfill == job.BackfillNone && first.queue() == c.queue() {
		return false
	}
	n := int64(first.nodes)
	lacks := a.most > 0 && a.running+n > a.most
	for i := range a.limit {
		lacks = lacks || c.shape.need[i] > 0 && first.shape.need[i] > 0 && a.used[i]+n*first.shape.need[i] > a.limit[i]
	}
	if !lacks {
		return true
	}
	used, running, from := slices.Clone(a.used), a.running, now
	for _, s := range a.endsBy(now) {
		if s.at > from && a.fits(used, running, first) {
			break
		}
		running += s.apply(used)
		from = s.at
	}
	if length > 0 && now+length <= from {
		return true
	}
	return from < never && a.fits(used, running, first, c)
}

// wait puts a class aside until a pass has ended. Where there are many, all of their queue is.
func (x *Index) wait(c *class) {
	x.move(c, active) // what it waits for is no worker
	if len(x.yielding) == maxYielding {
		x.bar(c.queue())
		return
	}
	c.yielding = true
	x.yielding = append(x.yielding, c)
	x.refreshClass(c)
}

// letPass ends a pass in which room was kept: when something has not ended that was expected to, others may
// pass.
func (x *Index) letPass() {
	x.yielded = len(x.keepers) > 0
	for _, a := range x.keepers {
		if ends := a.endsBy(x.now); len(ends) > 0 && ends[0].at > x.now {
			x.relook = min(x.relook, ends[0].at)
		}
	}
	clear(x.keepers)
	x.keepers = x.keepers[:0]
}

// RoomKept says for whom room is kept in a limit that a group would have, nil for nobody. Who comes first
// depends on when shares were looked at last, which copies of an index need not agree on.
func (x *Index) RoomKept(id GroupID, now int64) *why.RoomKept {
	at, ok := x.find(id)
	if !ok {
		return nil
	}
	r := x.groups.Get(at)
	a, first := x.keptRoom(x.classes[r.Class], r.Lasts(), now)
	switch {
	case a == nil:
		return nil
	case a.up == nil:
		return &why.RoomKept{Namespace: a.name, Job: x.head(first).Job}
	}
	return &why.RoomKept{Namespace: a.up.name, Queue: a.name, Job: x.head(first).Job}
}
