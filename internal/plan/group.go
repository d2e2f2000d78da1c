package plan

import "github.com/reeve-scheduler/reeve/internal/plan/pile"

// The heap's order is the index itself under another name: an interface value of a pointer
// costs no allocation.
type groupOrder Index

// Before is for the heap.
func (x *groupOrder) Before(a, b uint32) bool {
	return x.groups.Get(a).Before(x.groups.Get(b))
}

// Moved is for the heap.
func (x *groupOrder) Moved(id uint32, at int32) { x.groups.Get(id).At = at }

// SetGroup makes n elements of a group ready; it adds, changes or, with n ≤ 0,
// removes the group. Changing only n costs one lookup.
func (x *Index) SetGroup(g Group, n int64) {
	if n <= 0 {
		x.SetReady(g.ID, 0)
		return
	}
	length := pile.Length(g.Length)
	if id, ok := x.find(g.ID); ok {
		r := x.groups.Get(id)
		if r.Score == g.Score && r.Length == length && x.classes[r.Class].holds(&g) {
			r.Ready = n
			x.bring(x.classes[r.Class], id, g.Near)
			return
		}
		x.removeGroup(id)
	}
	c := x.internClass(&g)
	id := x.groups.Add(pile.Record{Job: g.ID.Job, Part: g.ID.part(), Ready: n, Score: g.Score, Length: length, Class: c.id}, g.ID.Alone)
	x.bring(c, id, g.Near)
	c.groups.Push((*groupOrder)(x), id)
	if c.groups[0] == id {
		x.settle(c)
	}
	x.arrived(c)
	x.changed = x.changed || len(x.again) > 0 // it may fit beside what is kept
}

// SetReady changes how many elements of a group are ready; 0 removes the group. It
// reports whether the group was known: one that was not stays so.
func (x *Index) SetReady(id GroupID, n int64) bool {
	at, ok := x.find(id)
	if !ok {
		return false
	}
	if n > 0 {
		x.groups.Get(at).Ready = n
		return true
	}
	x.removeGroup(at)
	return true
}

func (x *Index) find(id GroupID) (uint32, bool) { return x.groups.Find(id.Job, id.part(), id.Alone) }

func (x *Index) removeGroup(id uint32) {
	r := x.groups.Get(id)
	c, at := x.classes[r.Class], r.At
	x.letGo(id)
	c.groups.Remove((*groupOrder)(x), at)
	x.groups.Drop(id, c.form == exclusive)
	if c.hasNear {
		delete(x.nears, id)
	}
	if at == 0 {
		x.settle(c)
	}
}

// Groups is how many groups have elements that are ready.
func (x *Index) Groups() int { return x.groups.Len() }

// ranked goes through the groups of a class in order, as many as a bound allows.
func (x *Index) ranked(c *class, most int) func(yield func(id uint32) bool) {
	return c.groups.Ranked((*groupOrder)(x), most)
}
