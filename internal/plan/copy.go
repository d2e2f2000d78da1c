package plan

import "github.com/reeve-scheduler/reeve/internal/plan/tournament"

// Ready is a group and how many of its elements are ready.
type Ready struct {
	Group Group
	N     int64
}

// Classes is how many classes of groups there are, some of them without any. Waiting is asked
// of each below that.
func (x *Index) Classes() int { return len(x.classes) }

// Waiting appends the groups that come first in a class to a list, at most so many, and reports
// whether there are more.
func (x *Index) Waiting(list []Ready, class, most int) (_ []Ready, more bool) {
	c := x.classes[class]
	if c == nil || len(c.groups) == 0 {
		return list, false
	}
	u := c.flow.account
	g := Group{
		Namespace: u.up.up.name, Queue: u.up.name, User: u.name, Background: c.band() == background, Tier: c.tier,
		Shape: c.shape.Shape, Prefer: c.prefer.name(), NoPrefetch: c.form == direct, Nodes: c.nodes, Apart: c.looks[sideApart].name(), Spread: c.looks[sideSpread].name(),
		Patient: c.form == patient,
	}
	for id := range x.ranked(c, most) {
		r := x.groups.Get(id)
		g.ID, g.Score, g.Length, g.Near = x.nameOf(c, id), r.Score, r.Lasts(), x.nears[id]
		list = append(list, Ready{g, r.Ready})
	}
	return list, len(c.groups) > most
}

// Lasts is how long the elements of a group are expected to run, in milliseconds, 0 for unknown.
func (x *Index) Lasts(id GroupID) int64 {
	if at, ok := x.find(id); ok {
		return x.groups.Get(at).Lasts()
	}
	return 0
}

// Worker is what was told of a worker, nothing if it is not known. What is in it must not be
// changed.
func (x *Index) Worker(id uint64) Worker {
	if w := x.workers[id]; w != nil {
		return w.Worker
	}
	return Worker{}
}

// Attempt is what was told of an attempt that a worker was given.
func (r *Run) Attempt() Attempt {
	a := Attempt{
		Shape: r.shape.Shape, Namespace: r.flow.up.up.name, Queue: r.flow.up.name, User: r.flow.name,
		Prefetch: r.prefetch, Alone: r.alone, Ends: r.ends, Limit: r.limit, Tier: r.tier, Stays: r.stays, Nodes: int(r.nodes), Tag: r.tag, Began: r.began,
		Apart: r.seats[sideApart].company.name(), Spread: r.seats[sideSpread].company.name(), Job: r.job,
	}
	if a.Ends == never {
		a.Ends = 0
	}
	if a.Limit == never {
		a.Limit = 0
	}
	return a
}

// Fit is what a worker has to do with a group.
type Fit struct {
	// Kind: it accepts attempts, and has the executor, the function and the labels.
	Kind bool
	// Could: beside that, it could run an element if it did nothing else.
	Could bool
	// Now: it has a place for one now that such a group takes, whether that is kept for another or not.
	Now bool
}

// Able calls back with each worker that could run an attempt of a shape if it did nothing else, in no
// order that means anything. Its cost grows with the number of workers.
func (x *Index) Able(name Shape, f func(worker uint64)) {
	s := x.shapes[name]
	if s == nil || s.short != "" {
		return
	}
	for _, p := range s.kind.profiles {
		for _, w := range p.workers {
			if w != nil && w.Accepts && w.Slots > 0 && tournament.Within(s.need, w.capacity) {
				f(w.ID)
			}
		}
	}
}

// Fit says whether a worker could run an element of a group.
func (x *Index) Fit(id GroupID, worker uint64) (f Fit) {
	at, ok := x.find(id)
	w := x.workers[worker]
	if !ok || w == nil {
		return f
	}
	c := x.classes[x.groups.Get(at).Class]
	f.Kind = w.Accepts && c.shape.kind.match(&w.Worker) == matched
	f.Could = f.Kind && w.Slots > 0 && c.shape.short == "" && tournament.Within(c.shape.need, w.capacity)
	f.Now = f.Could && w.takes(c.shape, c.form) && x.admits(c, at, w.profile) && !x.belowFloor(c, w)
	return f
}
