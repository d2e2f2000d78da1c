package plan

import (
	"cmp"
	"slices"
)

// A gang is a group whose elements take a place on each of several workers at once, or none
// (Ousterhout, "Scheduling Techniques for Concurrent Systems", 1982). Its amounts are those of one
// worker; limits look at all of them together.

// gang reports whether the elements of a class need several workers.
func (c *class) gang() bool { return c.nodes > 1 }

// together is the number of workers that an element of a group needs at once.
func (g *Group) together() int { return max(g.Nodes, 1) }

// All is the workers of a placement.
func (p *Placement) All() []uint64 { return append([]uint64{p.Worker}, p.Team...) }

// maxTeams bounds the groups of a gang's class for which workers are looked for at a time.
const maxTeams = 8

// gather finds as many workers as a gang needs, each with a place for it, and the first group of the class
// that may have them: one that is over sooner may where windows, or places that are kept, are in the way of
// others. There are none if there are too few or a limit leaves too little for all. They are good until the
// next call.
func (x *Index) gather(c *class) ([]*worker, uint32) {
	if c.shape.short != "" || !x.allows(c) {
		return nil, 0
	}
	tried, refused := 0, int64(0) // a length; what lasts as long needs no look
	for id := range x.ranked(c, maxTry) {
		length := x.groups.Get(id).Lasts()
		if refused > 0 && length >= refused {
			continue
		}
		if x.gatherFor(c, id) {
			return x.team, id
		}
		if tried++; c.lengths == 0 || tried == maxTeams || len(x.reserved) == 0 && !x.straddles(c) {
			break
		}
		refused = length
	}
	return nil, 0
}

// gatherFor puts together a team for a group, and reports whether it is whole.
func (x *Index) gatherFor(c *class, group uint32) bool {
	x.team = x.team[:0]
	if x.prefers(c) {
		x.gatherPreferred(c, group)
	} else {
		x.gatherAny(c, group)
	}
	for _, w := range x.reserved {
		if len(x.team) == c.nodes {
			break
		}
		if !w.profile.serves(c.shape.kind) || !w.takes(c.shape, c.form) || x.belowFloor(c, w) {
			continue
		}
		if x.mayHave(c, group, w) {
			x.team = append(x.team, w)
		}
	}
	return len(x.team) == c.nodes
}

func (x *Index) gatherAny(c *class, group uint32) {
	for _, p := range c.shape.kind.profiles {
		if !x.admits(c, group, p) {
			continue
		}
		p.all.tree(c.form).Each(c.shape.need, func(i int32) bool {
			if w := p.workers[i]; !x.belowFloor(c, w) {
				x.team = append(x.team, w)
			}
			return len(x.team) < c.nodes
		})
		if len(x.team) == c.nodes {
			return
		}
	}
}

// gatherPreferred is gatherAny in the order of preference.
func (x *Index) gatherPreferred(c *class, group uint32) {
	for w, rank := x.preferred(c, group, false, nil); w != nil && len(x.team) < c.nodes; w, rank = x.preferred(c, group, false, rank) {
		x.team = append(x.team, w)
	}
}

// allows reports whether limits leave room for an element of a class.
func (x *Index) allows(c *class) bool {
	n := int64(c.nodes)
	for a := c.flow.account; a != nil; a = a.up {
		if a.most > 0 && a.running+n > a.most {
			return false
		}
		for i := range a.limit {
			if need := n * c.shape.need[i]; need > 0 && a.used[i]+need > a.limit[i] {
				return false
			}
		}
	}
	return true
}

// holdGang keeps a place for a gang on the workers where it can start first: on all of them from
// the moment on at which the last of them has room.
func (x *Index) holdGang(c *class, record uint32) bool {
	if len(x.holds) > 0 && len(x.holds)+c.nodes > maxHolds {
		return false
	}
	type option struct {
		hold
		lacks int64
	}
	var all []option
	length := x.groups.Get(record).Lasts()
	x.look(c, func(w *worker) {
		if !slices.ContainsFunc(all, func(o option) bool { return o.worker == w }) {
			if h := x.prospect(c, record, w, length); x.keepable(&h) {
				all = append(all, option{h, x.lacks(&h)})
			}
		}
	})
	if len(all) < c.nodes {
		return false
	}
	slices.SortFunc(all, func(a, b option) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.lacks, b.lacks), cmp.Compare(a.worker.ID, b.worker.ID))
	})
	all = all[:c.nodes]
	from, until := all[c.nodes-1].from, never
	if length > 0 && from < eventually {
		until = from + length
	}
	for _, o := range all {
		o.from, o.until = from, until
		x.reserve(o.hold)
	}
	return true
}

// evictForGang finds what makes room for one more of the workers that a gang needs, where the least
// work is lost, if there are enough in all.
func (x *Index) evictForGang(c *class) (Eviction, bool) {
	type option struct {
		victims []*Run
		lost    int64
	}
	var all []option
	lacks := c.nodes - x.ready(c)
	for searched, i := 0, 0; i < len(x.workerList) && searched < maxSearch; i++ {
		if w := x.workerList[i]; x.couldClear(c, w) {
			searched++
			if victims, lost := x.victims(c, w); victims != nil {
				all = append(all, option{victims, lost})
			}
		}
	}
	if lacks <= 0 || len(all) < lacks || !x.allows(c) {
		return Eviction{}, false
	}
	best := slices.MinFunc(all, func(a, b option) int { return cmp.Compare(a.lost, b.lost) })
	return x.eviction(c, best.victims), true
}

// ready is how many workers have a place for a gang, or will once what leaves has left.
func (x *Index) ready(c *class) (n int) {
	for _, p := range c.shape.kind.profiles {
		if !x.admits(c, c.groups[0], p) {
			continue
		}
		p.all.tree(c.form).Each(c.shape.need, func(i int32) bool {
			if w := p.workers[i]; w.leaving == 0 && !x.belowFloor(c, w) {
				n++
			}
			return n < c.nodes
		})
	}
	for _, w := range x.leaving {
		if w.profile.serves(c.shape.kind) && x.clears(c, w, func(r *Run) bool { return r.leaving }) {
			n++
		}
	}
	return n
}
