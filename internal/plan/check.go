package plan

import (
	"errors"
	"fmt"
	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
	"slices"
)

// Check looks for contradictions in the index and names the first. It is for
// tests: its cost is that of everything there is.
func (x *Index) Check() error {
	groups, near := 0, 0
	for _, c := range x.classes {
		if c == nil {
			continue
		}
		groups += len(c.groups)
		if c.hasNear {
			near += len(c.groups)
		}
		if err := errors.Join(x.checkClass(c), x.checkBoards(c)); err != nil {
			return err
		}
	}
	if near != len(x.nears) {
		return fmt.Errorf("plan: %d groups are near something, and %d are kept as such", near, len(x.nears))
	}
	if groups != x.groups.Len() {
		return fmt.Errorf("plan: classes have %d groups, and there are %d", groups, x.groups.Len())
	}
	if err := x.checkNode(x.root); err != nil {
		return err
	}
	for _, w := range x.workerList {
		if err := errors.Join(x.checkWorker(w), x.checkLeaves(w)); err != nil {
			return err
		}
	}
	for _, s := range x.shapeList {
		if err := x.checkShape(s); err != nil {
			return err
		}
	}
	return errors.Join(x.checkAccounts(), x.checkCounts())
}

func (x *Index) checkClass(c *class) error {
	if (c.state == idle) != (len(c.groups) == 0) {
		return fmt.Errorf("plan: class %d: %d groups in state %d", c.id, len(c.groups), c.state)
	}
	for _, id := range c.groups {
		r := x.groups.Get(id)
		if at, ok := x.find(x.nameOf(c, id)); r.Ready <= 0 || r.Class != c.id || !ok || at != id {
			return fmt.Errorf("plan: class %d: record %d is of class %d with %d ready", c.id, id, r.Class, r.Ready)
		}
		if _, near := x.nears[id]; near != c.hasNear {
			return fmt.Errorf("plan: class %d, near %v: record %d is near %q", c.id, c.hasNear, id, x.nears[id])
		}
	}
	return c.groups.Check((*groupOrder)(x), func(id uint32) int32 { return x.groups.Get(id).At })
}

// checkBoards checks where a class takes part, and the law of the boards.
func (x *Index) checkBoards(c *class) error {
	for _, on := range []struct {
		board uint32
		want  bool
	}{
		{readyBoard, c.state == active && !c.yielding},
		{aheadBoard, c.state == hopeful},
		{c.shape.kind.waiting(c.form), c.waits() && !c.tried},
		{c.shape.kind.blocked(c.form), c.waits()},
	} {
		t := c.flow.table(on.board)
		if in := t != nil && t.Has(c.slot); in != on.want {
			return fmt.Errorf("plan: class %d in state %d, tried %v, is on board %d: %v", c.id, c.state, c.tried, on.board, in)
		}
	}
	lawful := c.flow.open() && !c.flow.spoiled() && c.waits() && x.allows(c)
	if !lawful || c.form == patient && x.unsure {
		return nil
	}
	if c.gang() {
		team, _ := x.gather(c)
		excused := func(w *worker) bool { return w.gained && !c.tried || slices.Contains(x.again, w) }
		if team != nil && !slices.ContainsFunc(team, excused) {
			return fmt.Errorf("plan: class %d waits, tried %v, and %d workers have a place", c.id, c.tried, c.nodes)
		}
		return nil
	}
	if w := x.best(c, c.groups[0], false); w != nil && (c.tried || !w.gained) && !slices.Contains(x.again, w) {
		return fmt.Errorf("plan: class %d waits, tried %v, and worker %d has a place", c.id, c.tried, w.ID)
	}
	if c.state == stuck && c.form == plain && x.holder(c) != tournament.None && !c.bounded() && c.tier == 0 {
		return fmt.Errorf("plan: class %d is stuck, and one could be sent ahead", c.id)
	}
	return nil
}

// checkNode checks that the leaves of a node are what its children have.
func (x *Index) checkNode(n *node) error {
	for _, kid := range n.kids {
		if kid == nil {
			continue
		}
		if err := x.checkNode(kid); err != nil {
			return err
		}
		for b := range max(len(n.tables), len(kid.tables)) {
			best, most := kid.table(uint32(b)).Top()
			up := n.table(uint32(b))
			in := up != nil && up.Has(kid.slot)
			if want := best != tournament.None && !kid.closed(); in != want || in && !tournament.Same(up.At(kid.slot), most) {
				return fmt.Errorf("plan: node %d on board %d: takes part %v, want %v", kid.rank.ID, b, in, want)
			}
			if in && n.slots.Len() > 1 && *up.RankOf(kid.slot) != kid.rank {
				return fmt.Errorf("plan: node %d has the rank %+v, its leaf %+v", kid.rank.ID, kid.rank, *up.RankOf(kid.slot))
			}
		}
	}
	return nil
}

func (x *Index) checkWorker(w *worker) error {
	used := make([]int64, x.width)
	running, prefetched, alone := 0, 0, 0
	for i, r := range w.runs {
		if r.at != i || r.worker != w {
			return fmt.Errorf("plan: worker %d: run %d thinks it is %d", w.ID, i, r.at)
		}
		if r.prefetch {
			prefetched++
			continue
		}
		running++
		for c, n := range r.shape.need {
			used[c] += n
		}
		if r.alone {
			alone++
		}
	}
	if !tournament.Same(used, w.used) || running != w.running || prefetched != w.prefetched || w.alone != alone {
		return fmt.Errorf("plan: worker %d uses %v by %d and %d, its runs %v by %d and %d",
			w.ID, w.used, w.running, w.prefetched, used, running, prefetched)
	}
	for i := range w.holdings {
		h := &w.holdings[i]
		if h.shape.owners[h.leaf] != w || h.running+h.prefetched == 0 {
			return fmt.Errorf("plan: worker %d holds %+v", w.ID, h)
		}
		running, prefetched = running-int(h.running), prefetched-int(h.prefetched)
	}
	if running != 0 || prefetched != 0 {
		return fmt.Errorf("plan: worker %d: %d and %d more than its holdings", w.ID, running, prefetched)
	}
	for _, k := range x.kindList {
		if in := slices.Contains(k.profiles, w.profile); in != (k.match(&w.Worker) == matched) {
			return fmt.Errorf("plan: worker %d and kind %d: listed %v", w.ID, k.id, in)
		}
	}
	return nil
}

func (x *Index) checkLeaves(w *worker) error {
	p := w.profile
	for i, n := range w.capacity {
		if w.free[i] != n-w.used[i] {
			return fmt.Errorf("plan: worker %d has %v free of %v, and uses %v", w.ID, w.free, w.capacity, w.used)
		}
	}
	open := w.places() > 0 && !w.reserved
	for _, on := range []struct {
		tree *tournament.Tree
		want bool
	}{
		{p.all.open, open}, {p.all.empty, open && w.empty()},
		{p.gained.open, open && w.gained}, {p.gained.empty, open && w.gained && w.empty()},
	} {
		if in := on.tree.Has(w.leaf); in != on.want || in && (!tournament.Same(on.tree.At(w.leaf), w.free) || on.tree.RankOf(w.leaf).Score != w.places()) {
			return fmt.Errorf("plan: worker %d takes part %v, want %v", w.ID, in, on.want)
		}
	}
	for _, k := range p.kinds {
		for _, wish := range k.wishes {
			if wish.by.patient > 0 && !p.scale(wish.by).right(w) {
				return fmt.Errorf("plan: worker %d is not weighed as kind %d prefers it", w.ID, k.id)
			}
			if wish.by.followed && !p.ranking(wish.by).right(w, open) {
				return fmt.Errorf("plan: worker %d is not ranked as kind %d prefers it", w.ID, k.id)
			}
		}
	}
	if p.workers[w.leaf] != w || w.gained && !p.gains && open {
		return fmt.Errorf("plan: worker %d gained room: %v", w.ID, w.gained)
	}
	return nil
}

// right reports whether a worker has the leaf in a scale that it should.
func (s *scale) right(w *worker) bool {
	if s == nil || s.worth[w.leaf] != s.by.worth(w) || s.able.Has(w.leaf) != (w.Accepts && w.Slots > 0) {
		return false
	}
	return !s.able.Has(w.leaf) || s.able.RankOf(w.leaf).Score == s.worth[w.leaf]+positive && tournament.Same(s.able.At(w.leaf), w.capacity)
}

// right reports whether a worker has the leaves in a ranking that it should.
func (r *ranking) right(w *worker, open bool) bool {
	switch {
	case r == nil || r.worth[w.leaf] != r.by.worth(w):
		return false
	case r.open.Has(w.leaf) != open || r.gained.Has(w.leaf) != (open && w.gained):
		return false
	}
	return !open || *r.open.RankOf(w.leaf) == r.rank(w) && tournament.Same(r.open.At(w.leaf), w.free)
}

func (x *Index) checkShape(s *shape) error {
	prefetched, holders := 0, 0
	for _, w := range x.workerList {
		if h := w.find(s); h != nil {
			prefetched += int(h.prefetched)
			holders++
		}
	}
	if prefetched != s.prefetched || holders != s.holderSlots.Len() {
		return fmt.Errorf("plan: shape %+v: %d ahead on %d workers, counted %d on %d",
			s.Shape, prefetched, holders, s.prefetched, s.holderSlots.Len())
	}
	if (s.at >= 0) != (prefetched > 0) || s.at >= 0 && x.ahead[s.at] != s {
		return fmt.Errorf("plan: shape %+v: %d ahead, listed at %d", s.Shape, prefetched, s.at)
	}
	return nil
}

// checkAccounts counts what every account has again.
func (x *Index) checkAccounts() error {
	used, running := map[*account][]int64{}, map[*account]int64{}
	for _, w := range x.workerList {
		for _, r := range w.runs {
			for a := r.flow; a != nil; a = a.up {
				if used[a] == nil {
					used[a] = make([]int64, x.width)
				}
				for i, n := range r.shape.need {
					used[a][i] += n
				}
				running[a]++
			}
		}
	}
	var err error
	x.eachAccount(func(a *account) {
		want := used[a]
		if want == nil {
			want = make([]int64, x.width)
		}
		if !tournament.Same(want, a.used) || running[a] != a.running {
			err = fmt.Errorf("plan: account %s has %v by %d, counted %v by %d", a.name, a.used, a.running, want, running[a])
		}
		if err == nil {
			err = a.checkCounted()
		}
	})
	return err
}

// checkCounted checks what an account lists for its limit.
func (a *account) checkCounted() error {
	k := &a.counted
	if n := int64(len(k.runs)); n != a.running && a.hasLimit() || n > 0 && !a.hasLimit() || k.known && len(k.ends) != len(k.runs) {
		return fmt.Errorf("plan: account %s lists %d runs and %d ends, and has %d", a.name, n, len(k.ends), a.running)
	}
	for i, r := range k.runs {
		if at := r.places[a.level()]; at != i || r.flow.up != a && r.flow.up.up != a {
			return fmt.Errorf("plan: account %s lists a run at %d that thinks it is at %d", a.name, i, at)
		}
		if k.known && !slices.ContainsFunc(k.ends, func(s step) bool { return s.at == r.expected(k.asOf) }) {
			return fmt.Errorf("plan: account %s does not know when a run ends", a.name)
		}
	}
	return nil
}

func (x *Index) checkCounts() error {
	accounts := 0
	x.eachAccount(func(*account) { accounts++ })
	if len(x.workerList) != len(x.workers) || len(x.shapeList) != len(x.shapes) || len(x.kindList) != len(x.kinds) ||
		len(x.profileList) != len(x.profiles) || accounts != len(x.spaces)+len(x.queues)+len(x.users) {
		return fmt.Errorf("plan: lists and maps differ: %d %d workers, %d %d shapes, %d %d kinds, %d %d profiles, %d accounts",
			len(x.workerList), len(x.workers), len(x.shapeList), len(x.shapes), len(x.kindList), len(x.kinds),
			len(x.profileList), len(x.profiles), accounts)
	}
	n := len(x.shapes) + len(x.kinds) + accounts + len(x.classOf)
	if n != x.interned {
		return fmt.Errorf("plan: %d things are interned, %d counted", n, x.interned)
	}
	return nil
}
