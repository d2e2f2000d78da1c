package plan

import (
	"slices"
	"strings"
)

// Interned things are kept when they are out of use, because the next job often
// looks like the last. When their number has doubled since the last look, those
// out of use go.
const internedFloor = 4096

func (x *Index) internSpace(name string) *space {
	if s := x.spaces[name]; s != nil {
		return s
	}
	s := &space{name: name}
	x.spaces[name] = s
	x.spaceList = append(x.spaceList, s)
	x.interned++
	return s
}

func (x *Index) internQueue(namespace, name string) *queue {
	key := queueName{namespace, name}
	if q := x.queues[key]; q != nil {
		return q
	}
	s := x.internSpace(namespace)
	q := &queue{space: s, name: name}
	s.queues = append(s.queues, q)
	x.queues[key] = q
	x.interned++
	return q
}

func (x *Index) internClass(g *Group) *class {
	if c := x.recent; c != nil && c.holds(g) {
		return c
	}
	x.sweep()
	s := x.internShape(g.Shape)
	l := s.lanes[formOf(g)]
	if l == nil {
		l = x.newLane(s, formOf(g))
	}
	key := classKey{x.internQueue(g.Namespace, g.Queue), l}
	c := x.classOf[key]
	if c == nil {
		c = &class{lane: l, queue: key.queue, at: -1}
		c.id, x.freeClasses = take(x.freeClasses, len(x.classes))
		x.classes = put(x.classes, c.id, c)
		x.classOf[key] = c
		c.queue.classes = append(c.queue.classes, c)
		l.members++
		x.interned++
	}
	x.recent = c
	return c
}

func (x *Index) newLane(s *shape, f form) *lane {
	l := &lane{shape: s, form: f, at: -1}
	l.id, x.freeLanes = take(x.freeLanes, len(x.lanes))
	x.lanes = put(x.lanes, l.id, l)
	w := s.kind.waiting(f)
	l.leaf = w.tree.add()
	w.lanes = put(w.lanes, uint32(l.leaf), l)
	s.lanes[f] = l
	x.interned++
	return l
}

func (x *Index) internShape(name Shape) *shape {
	if s := x.shapes[name]; s != nil {
		return s
	}
	s := &shape{Shape: name, kind: x.internKind(name), at: -1}
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
	k := newKind(s)
	k.id = x.nextKind
	x.nextKind++
	x.kinds[key] = k
	x.kindList = append(x.kindList, k)
	x.interned++
	x.addKind(k)
	return k
}

func newKind(s Shape) *kind {
	k := &kind{executor: s.Executor, function: s.Function}
	if s.Where != "" {
		k.where = strings.Split(s.Where, "\n")
	}
	return k
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
	x.recent = nil
	x.sweepClasses()
	x.sweepLanes()
	x.shapeList = slices.DeleteFunc(x.shapeList, func(s *shape) bool {
		if s.holders.len() > 0 || s.lanes != [forms]*lane{} {
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
		delete(x.kinds, kindName{k.executor, k.function, strings.Join(k.where, "\n")})
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
		if c != nil && len(c.groups) == 0 {
			c.lane.members--
			delete(x.classOf, classKey{c.queue, c.lane})
			x.classes[i] = nil
			x.freeClasses = append(x.freeClasses, c.id)
			x.interned--
		}
	}
	x.spaceList = slices.DeleteFunc(x.spaceList, func(s *space) bool {
		s.queues = slices.DeleteFunc(s.queues, func(q *queue) bool {
			q.classes = slices.DeleteFunc(q.classes, func(c *class) bool { return len(c.groups) == 0 })
			if q.paused || len(q.classes) > 0 {
				return false
			}
			delete(x.queues, queueName{s.name, q.name})
			x.interned--
			return true
		})
		if s.paused || len(s.queues) > 0 {
			return false
		}
		delete(x.spaces, s.name)
		x.interned--
		return true
	})
}

func (x *Index) sweepLanes() {
	for i, l := range x.lanes {
		if l != nil && l.members == 0 {
			w := l.shape.kind.waiting(l.form)
			w.tree.remove(l.leaf)
			w.lanes[l.leaf] = nil
			l.shape.lanes[l.form] = nil
			x.lanes[i] = nil
			x.freeLanes = append(x.freeLanes, l.id)
			x.interned--
		}
	}
}
