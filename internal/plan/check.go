package plan

import (
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Check looks for contradictions in the index and names the first. It is for
// tests: its cost is that of everything there is.
func (x *Index) Check() error {
	groups := 0
	for _, c := range x.classes {
		if c == nil {
			continue
		}
		groups += len(c.groups)
		if err := x.checkClass(c); err != nil {
			return err
		}
	}
	if groups != x.groups.n || groups != x.records.live {
		return fmt.Errorf("plan: classes have %d groups, the map %d, the records %d", groups, x.groups.n, x.records.live)
	}
	for _, l := range x.lanes {
		if l == nil {
			continue
		}
		if err := x.checkLane(l); err != nil {
			return err
		}
	}
	for _, w := range x.workerList {
		if err := x.checkWorker(w); err != nil {
			return err
		}
	}
	for _, s := range x.shapeList {
		if err := x.checkShape(s); err != nil {
			return err
		}
	}
	return x.checkCounts()
}

func checkHeap(what string, h heap, o order, at func(id uint32) int32) error {
	for i, id := range h {
		if at(id) != int32(i) {
			return fmt.Errorf("plan: %s: %d lies at %d and thinks %d", what, id, i, at(id))
		}
		if parent := (i - 1) / fan; i > 0 && o.before(id, h[parent]) {
			return fmt.Errorf("plan: %s: %d is below %d and before it", what, id, h[parent])
		}
	}
	return nil
}

func (x *Index) checkClass(c *class) error {
	if (c.at >= 0) != (len(c.groups) > 0 && !c.paused()) {
		return fmt.Errorf("plan: class %d: %d groups, paused %v, at %d", c.id, len(c.groups), c.paused(), c.at)
	}
	for _, id := range c.groups {
		r := x.records.get(id)
		key := keyOf(GroupID{Job: r.job, Task: r.task, Alone: c.lane.form == lonely})
		if at, ok := x.groups.get(key); r.ready <= 0 || r.class != c.id || !ok || at != id {
			return fmt.Errorf("plan: class %d: record %d is of class %d with %d ready", c.id, id, r.class, r.ready)
		}
	}
	return checkHeap("groups", c.groups, (*groupOrder)(x), func(id uint32) int32 { return x.records.get(id).at })
}

func (x *Index) checkLane(l *lane) error {
	if (l.state == idle) != (len(l.classes) == 0) {
		return fmt.Errorf("plan: lane %d: %d classes in state %d", l.id, len(l.classes), l.state)
	}
	w := l.shape.kind.waiting(l.form)
	if found := w.tree.leaves[l.leaf]; w.lanes[l.leaf] != l || found != x.laneLeaf(l) {
		return fmt.Errorf("plan: lane %d in state %d has the leaf %+v, want %+v", l.id, l.state, found, x.laneLeaf(l))
	}
	if w := l.best(false); w != nil && l.waits() && (l.tried || !w.gained) {
		return fmt.Errorf("plan: lane %d waits, tried %v, and worker %d has a place", l.id, l.tried, w.ID)
	}
	if l.state == stuck && l.form == plain && l.shape.holders.find(0, 0) != none {
		return fmt.Errorf("plan: lane %d is stuck, and one could be sent ahead", l.id)
	}
	return checkHeap("classes", l.classes, (*classOrder)(x), func(id uint32) int32 { return x.classes[id].at })
}

func (x *Index) checkWorker(w *worker) error {
	var used job.Resources
	running, prefetched := 0, 0
	for i := range w.holdings {
		h := &w.holdings[i]
		running += int(h.running)
		prefetched += int(h.prefetched)
		need := h.shape.Resources
		used = used.Plus(job.Resources{CPU: need.CPU * int64(h.running), Memory: need.Memory * int64(h.running)})
		if h.shape.holders.leaves[h.leaf].id != w.ID || h.running+h.prefetched == 0 {
			return fmt.Errorf("plan: worker %d holds %+v", w.ID, h)
		}
	}
	if used != w.used || running != w.running || prefetched != w.prefetched || w.alone > running {
		return fmt.Errorf("plan: worker %d uses %+v by %d and %d, its holdings %+v by %d and %d",
			w.ID, w.used, w.running, w.prefetched, used, running, prefetched)
	}
	for _, k := range x.kindList {
		in := false
		for _, p := range k.profiles {
			in = in || p == w.profile
		}
		if in != (k.match(&w.Worker) == matched) {
			return fmt.Errorf("plan: worker %d and kind %d: listed %v", w.ID, k.id, in)
		}
	}
	p, room := w.profile, w.room()
	open := leaf{rank{w.places(), w.ID, 0}, room.CPU, room.Memory}
	if p.workers[w.leaf] != w || p.all.open.leaves[w.leaf] != open {
		return fmt.Errorf("plan: worker %d has the leaf %+v, want %+v", w.ID, p.all.open.leaves[w.leaf], open)
	}
	gained := p.gained.open.leaves[w.leaf]
	if w.gained && (gained != open || !p.gains) || !w.gained && gained != (leaf{}) {
		return fmt.Errorf("plan: worker %d gained room: %v, and has the leaf %+v", w.ID, w.gained, gained)
	}
	return nil
}

func (x *Index) checkShape(s *shape) error {
	prefetched, holders := 0, 0
	for _, w := range x.workerList {
		if h := w.find(s); h != nil {
			prefetched += int(h.prefetched)
			holders++
		}
	}
	if prefetched != s.prefetched || holders != s.holders.len() {
		return fmt.Errorf("plan: shape %+v: %d ahead on %d workers, counted %d on %d",
			s.Shape, prefetched, holders, s.prefetched, s.holders.len())
	}
	if (s.at >= 0) != (prefetched > 0) || s.at >= 0 && x.ahead[s.at] != s {
		return fmt.Errorf("plan: shape %+v: %d ahead, listed at %d", s.Shape, prefetched, s.at)
	}
	return nil
}

func (x *Index) checkCounts() error {
	at := func(id uint32) int32 { return x.lanes[id].at }
	for _, h := range []heap{x.active, x.hopeful} {
		if err := checkHeap("lanes", h, (*laneOrder)(x), at); err != nil {
			return err
		}
	}
	if len(x.workerList) != len(x.workers) || len(x.shapeList) != len(x.shapes) || len(x.kindList) != len(x.kinds) ||
		len(x.profileList) != len(x.profiles) || len(x.spaceList) != len(x.spaces) {
		return fmt.Errorf("plan: lists and maps differ: %d %d workers, %d %d shapes, %d %d kinds, %d %d profiles, %d %d namespaces",
			len(x.workerList), len(x.workers), len(x.shapeList), len(x.shapes), len(x.kindList), len(x.kinds),
			len(x.profileList), len(x.profiles), len(x.spaceList), len(x.spaces))
	}
	n := len(x.shapes) + len(x.kinds) + len(x.spaces) + len(x.queues) + len(x.classOf) +
		len(x.lanes) - len(x.freeLanes)
	if n != x.interned {
		return fmt.Errorf("plan: %d things are interned, %d counted", n, x.interned)
	}
	return nil
}
