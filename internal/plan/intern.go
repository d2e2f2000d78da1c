package plan

import (
	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
	"slices"
	"strings"
)

// Interned things are kept when they are out of use, because the next job often
// looks like the last. When their number has doubled since the last look, those
// out of use go.
const internedFloor = 4096

type classKey struct {
	flow    *node
	shape   *shape
	form    form
	lengths uint8
	tier    uint8
	nodes   int
	later   bool
	prefer  *preference
	looks   looks
	hasNear bool
}

func (c *class) key() classKey {
	return classKey{c.flow, c.shape, c.form, c.lengths, c.tier, c.nodes, c.later, c.prefer, c.looks, c.hasNear}
}

func (x *Index) internClass(g *Group) *class {
	if c := x.recent; c != nil && c.holds(g) {
		return c
	}
	x.sweep()
	band := foreground
	if g.Background {
		band = background
	}
	flow := x.nodeOf(x.flowOf(g.Namespace, g.Queue, g.User), band)
	key := classKey{flow, x.internShape(g.Shape), formOf(g), lengthsOf(g), g.Tier, g.together(), g.ID.Way > 0, x.internPreference(g.Prefer), x.looksOf(&g.Apart, &g.Spread), g.Near != ""}
	c := x.classOf[key]
	if c == nil {
		c = &class{
			shape: key.shape, form: key.form, lengths: key.lengths, tier: g.Tier, nodes: key.nodes, later: key.later, flow: flow, slot: flow.slots.Take(),
			prefer: key.prefer, looks: key.looks, hasNear: key.hasNear,
		}
		c.enlist()
		x.wish(c)
		x.addPatient(c)
		if c.gang() {
			x.gangs++
		}
		c.id, x.freeClasses = take(x.freeClasses, len(x.classes))
		x.classes = put(x.classes, c.id, c)
		flow.classes = put(flow.classes, uint32(c.slot), c)
		c.shape.classes = append(c.shape.classes, c)
		x.classOf[key] = c
		x.interned++
	}
	x.recent = c
	return c
}

func (x *Index) internShape(name Shape) *shape {
	if s := x.shapes[name]; s != nil {
		return s
	}
	s := &shape{Shape: name, kind: x.internKind(name), at: -1, holders: tournament.New(0)}
	x.measure(s)
	s.kind.shapes++
	x.shapes[name] = s
	x.shapeList = append(x.shapeList, s)
	x.interned++
	return s
}

func (x *Index) internKind(s Shape) *kind {
	key := kindName{s.Executor, s.Function, s.Where}
	if k := x.kinds[key]; k != nil {
		return k
	}
	k := &kind{name: key, where: x.conditions(s.Where)}
	k.id, x.freeKinds = take(x.freeKinds, int(x.nextKind))
	x.nextKind = max(x.nextKind, k.id+1)
	x.kinds[key] = k
	x.kindList = append(x.kindList, k)
	x.interned++
	x.addKind(k)
	return k
}

// conditions reads the Where of a shape.
func (x *Index) conditions(where string) []condition {
	if where == "" {
		return nil
	}
	var labels, others []condition
	for text := range strings.SplitSeq(where, "\n") {
		if c := (condition{text, x.book.Where(text)}); c.entry.IsLabel() {
			labels = append(labels, c)
		} else {
			others = append(others, c)
		}
	}
	return append(labels, others...)
}

// take returns a number that is free, or the next.
func take(free []uint32, next int) (uint32, []uint32) {
	if n := len(free); n > 0 {
		return free[n-1], free[:n-1]
	}
	return uint32(next), free
}

func put[T any](list []T, at uint32, v T) []T {
	if int(at) == len(list) {
		return append(list, v)
	}
	list[at] = v
	return list
}

// sweep forgets interned things that nothing uses, from the users to the used.
func (x *Index) sweep() {
	if x.interned <= x.sweepAt {
		return
	}
	x.recent, x.lastShape = nil, nil
	x.sweepClasses()
	x.sweepAccounts()
	x.shapeList = slices.DeleteFunc(x.shapeList, func(s *shape) bool {
		if s.holderSlots.Len() > 0 || len(s.classes) > 0 {
			return false
		}
		delete(x.shapes, s.Shape)
		s.kind.shapes--
		x.interned--
		return true
	})
	kinds := len(x.kindList)
	x.kindList = slices.DeleteFunc(x.kindList, func(k *kind) bool {
		if k.shapes > 0 {
			return false
		}
		delete(x.kinds, k.name)
		x.freeKinds = append(x.freeKinds, k.id)
		x.interned--
		return true
	})
	if len(x.kindList) < kinds {
		x.reprofile()
	}
	x.sweepAt = 2*x.interned + internedFloor
}

func (x *Index) sweepClasses() {
	for i, c := range x.classes {
		if c == nil || len(c.groups) > 0 {
			continue
		}
		delete(x.classOf, c.key())
		x.removePatient(c)
		x.unwish(c)
		x.delist(c)
		if c.gang() {
			x.gangs--
		}
		c.shape.classes = slices.DeleteFunc(c.shape.classes, func(o *class) bool { return o == c })
		c.flow.classes[c.slot] = nil
		c.flow.slots.Give(c.slot)
		x.classes[i] = nil
		x.freeClasses = append(x.freeClasses, c.id)
		x.interned--
	}
	x.patients = slices.DeleteFunc(x.patients, func(c *class) bool { return x.classes[c.id] != c })
}
