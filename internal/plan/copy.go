package plan

import "slices"

// Ready is a group and how many of its elements are ready.
type Ready struct {
	Group Group
	N     int64
}

// Waiting is the groups that come first in each class, so many of each, and whether there are
// more.
func (x *Index) Waiting(each int) (list []Ready, more bool) {
	for _, c := range x.classes {
		if c == nil {
			continue
		}
		more = more || len(c.groups) > each
		u := c.flow.account
		g := Group{
			Namespace: u.up.up.name, Queue: u.up.name, User: u.name, Background: c.band() == background, Tier: c.tier,
			Shape: c.shape.Shape, NoPrefetch: c.form == direct,
		}
		for id := range x.ranked(c, each) {
			r := x.groups.Get(id)
			g.ID, g.Score, g.Length = x.nameOf(c, id), r.Score, r.Lasts()
			list = append(list, Ready{g, r.Ready})
		}
	}
	return list, more
}

// Workers is the workers by id. What is in them must not be changed.
func (x *Index) Workers() []Worker {
	list := make([]Worker, 0, len(x.workerList))
	for _, w := range x.workerList {
		list = append(list, w.Worker)
	}
	return list
}

// Running is what a worker was given, the one that is expected to end first at the front.
func (x *Index) Running(id uint64) []Attempt {
	w := x.workers[id]
	if w == nil {
		return nil
	}
	list := make([]Attempt, 0, len(w.runs))
	for _, r := range w.runs {
		a := Attempt{
			Shape: r.shape.Shape, Namespace: r.flow.up.up.name, Queue: r.flow.up.name, User: r.flow.name,
			Prefetch: r.prefetch, Alone: r.alone, Ends: r.ends, Limit: r.limit, Tier: r.tier, Stays: r.stays, Tag: r.tag, Began: r.began,
		}
		if a.Ends == never {
			a.Ends = 0
		}
		if a.Limit == never {
			a.Limit = 0
		}
		list = append(list, a)
	}
	slices.SortStableFunc(list, func(a, b Attempt) int {
		switch {
		case a.Ends == b.Ends:
			return 0
		case b.Ends == 0 || a.Ends != 0 && a.Ends < b.Ends:
			return -1
		}
		return 1
	})
	return list
}
