package plan

import (
	"math"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
)

// Next proposes the best placement there is: of the ready groups that fit a free
// place anywhere the first in order, on the worker with the most free places of
// those that it fits; what comes later in order only where it delays nothing that it may not.
// When nothing fits a free place, it proposes likewise what
// may be sent ahead, to the worker that holds the fewest. False means that nothing
// can be done until something changes. now is in Unix milliseconds.
//
// It only changes caches: a caller that does not apply the proposal, or take the
// group away, gets it again.
func (x *Index) Next(now int64) (Placement, bool) {
	most := math.MaxInt
	return x.NextWithin(now, &most)
}

// NextWithin is Next that gives up when it has asked about so many workers one by one, which it takes off
// most. When most is 0 or less and it proposes nothing, there may be more to place: it goes on from there
// when it is called again.
func (x *Index) NextWithin(now int64, most *int) (Placement, bool) {
	if !x.changed && now < x.relook {
		return Placement{}, false
	}
	x.budget = *most
	defer func() { *most = x.budget }()
	x.at(now)
	x.retryEased()
	x.begin(now)
	if x.reweigh {
		x.reweigh = false
		x.eachAccount(x.weigh)
	}
	for {
		p, ok := x.start()
		if !ok && x.budget > 0 {
			p, ok = x.sendAhead()
		}
		if ok {
			x.dated = len(x.holds)+len(x.keepers) > 0
		}
		if ok || x.budget <= 0 {
			return p, ok
		}
		if !x.dated {
			break
		}
		// Where places are kept depends on who looked for one. Without what has been placed since, some
		// would not be, and might let something start: whoever looks anew must find nothing to place.
		x.dated = false
		x.rehold()
	}
	x.settled()
	return Placement{}, false
}

// start proposes what may start.
func (x *Index) start() (Placement, bool) {
	var best proposal
	for {
		c := x.candidate()
		if x.budget <= 0 && best.class == nil {
			return Placement{}, false // what was tried in vain stays aside
		}
		if c == nil || best.class != nil && !x.goesBefore(c, c.groups[0], best.class, best.group) {
			break
		}
		team, group := x.place(c)
		switch {
		case team == nil:
			x.fail(c)
		case x.yields(c, group):
			x.wait(c)
		case group != c.groups[0] && x.delays(c, team, false):
			// Else something that comes first was kept a place.
		case group != c.groups[0]:
			// What comes between the first of its class and this one may start as well.
			x.fail(c)
			x.aside = append(x.aside, c)
			if best.class == nil || x.goesBefore(c, group, best.class, best.group) {
				best = proposal{c, slices.Clone(team), group, reserved(team)}
			}
		case !x.delays(c, team, true):
			x.resume()
			return x.placement(c, group, team), true
		}
		// Else something that comes first was kept a place, or keeps c back.
	}
	x.resume()
	if best.class == nil {
		return Placement{}, false
	}
	if reserved(best.team) > best.reserved {
		return x.start() // a place was kept there meanwhile
	}
	return x.placement(best.class, best.group, best.team), true
}

// delays keeps places for what comes before a class and could use the workers that it is about to take,
// also those on which a place is kept already, or not. It reports whether that changed anything: then it
// is too early to say what the class may take.
func (x *Index) delays(c *class, team []*worker, all bool) bool {
	return slices.ContainsFunc(team, func(w *worker) bool { return (all || !w.reserved) && x.keep(c, w) })
}

type proposal struct {
	class *class
	team  []*worker
	group uint32
	// reserved is on how many of the workers a place was kept already.
	reserved int
}

// reserved is on how many workers a place is kept.
func reserved(team []*worker) (n int) {
	for _, w := range team {
		if w.reserved {
			n++
		}
	}
	return n
}

func (x *Index) placement(c *class, group uint32, team []*worker) Placement {
	p := Placement{Group: x.nameOf(c, group), Worker: team[0].ID}
	for _, w := range team[1:] {
		p.Team = append(p.Team, w.ID)
	}
	return p
}

// resume lets classes that were put aside, although something of them may start, count again.
func (x *Index) resume() {
	for _, c := range x.aside {
		if len(x.calendars) > 0 {
			x.move(c, active) // another of its groups may start on a worker that has gained nothing
			continue
		}
		c.tried = false
		x.refreshClass(c)
	}
	clear(x.aside)
	x.aside = x.aside[:0]
}

// begin begins a pass, which lasts until there is nothing more to place.
func (x *Index) begin(now int64) {
	if x.passing {
		return
	}
	x.passing, x.now = true, now
	x.regain()
}

// sendAhead proposes what a worker may take although it has no place.
func (x *Index) sendAhead() (Placement, bool) {
	for {
		c := x.first(x.root, aheadBoard, x.everything, nil)
		if c == nil {
			return Placement{}, false
		}
		i := tournament.None
		if !c.bounded() && !x.mayEvict(c) {
			i = x.holder(c)
		}
		if i == tournament.None {
			x.move(c, stuck)
			continue
		}
		w := x.workers[c.shape.holders.RankOf(i).ID]
		if x.keep(c, w) {
			continue
		}
		return Placement{Group: x.nameOf(c, c.groups[0]), Worker: w.ID, Prefetch: true}, true
	}
}

// bounded reports whether a limit counts what runs of a class: then a worker must not
// begin by itself what it was sent ahead.
func (c *class) bounded() bool {
	return c.flow.account.bounded()
}

// bounded reports whether a limit of an account or one above counts what runs.
func (a *account) bounded() bool {
	for ; a != nil; a = a.up {
		if a.most > 0 || a.limited() {
			return true
		}
	}
	return false
}

// candidate is the first class in order that may fit a place: of the active ones,
// of the waiting ones that are within the most that any worker of a profile has
// gained, or within what is free where a place is kept, and of those below a node to which the
// law does not apply. Amounts of different
// workers may deceive it; then the class fails.
func (x *Index) candidate() *class {
	best := x.first(x.root, readyBoard, x.everything, nil)
	for _, p := range x.gaining {
		for _, f := range waitingForms {
			if i, room := p.gained.tree(f).Top(); i != tournament.None && (f != patient || x.roomForPatient(p, true)) {
				best = x.amongOf(best, x.root, p, f, room)
			}
		}
	}
	for _, w := range x.reserved {
		for _, f := range waitingForms {
			if w.places() > 0 && (f != exclusive || w.empty()) && (f != patient || x.worthPatience(w)) {
				best = x.amongOf(best, x.root, w.profile, f, w.free)
			}
		}
	}
	for _, n := range x.stale {
		if !n.open() {
			continue
		}
		for _, p := range x.profileList {
			for _, f := range waitingForms {
				if i, room := p.all.tree(f).Top(); i != tournament.None && (f != patient || x.roomForPatient(p, false)) {
					best = x.amongOf(best, n, p, f, room)
				}
			}
		}
	}
	return best
}

// among is best, or the first class below a node that waits, is of one of the kinds, needs no
// more than a room, comes before, and that accept, if it is not nil, does not refuse.
func (x *Index) among(best *class, n *node, kinds []*kind, f form, room []int64, accept func(*class) bool) *class {
	for _, k := range kinds {
		if c := x.first(n, k.waiting(f), n.up.within(x.ask(room)), accept); c != nil && (best == nil || x.inOrder(c, best)) {
			best = c
		}
	}
	return best
}

// fail puts aside a class that fits nowhere.
func (x *Index) fail(c *class) {
	if c.state == active {
		if q := c.queue(); q.planned { // it was not yet among what waits
			q.planned, x.replan = false, true
		}
		c.state = stuck
		if c.form == plain {
			c.state = hopeful
		}
	}
	c.tried = true
	x.tried = append(x.tried, c)
	x.refreshClass(c)
}

// gain makes Next look at a worker that may have gained room. The caller refreshes
// the worker.
func (x *Index) gain(w *worker) {
	x.arrivals.note(w)
	if !w.gained {
		w.gained = true
		x.gained = append(x.gained, w)
	}
	x.changed = true
	x.retry()
}

// retry lets classes that fit nowhere count again.
func (x *Index) retry() {
	for _, c := range x.tried {
		if c.tried {
			c.tried = false
			x.refreshClass(c)
		}
	}
	clear(x.tried)
	x.tried = x.tried[:0]
}

// settled notes that nothing that waits fits anywhere, and ends the pass.
func (x *Index) settled() {
	for _, w := range x.gained {
		w.gained = false
		if p := w.profile; p != nil {
			p.gained.open.Clear(w.leaf)
			p.gained.empty.Clear(w.leaf)
			for _, r := range p.rankings {
				r.gained.Clear(w.leaf)
			}
		}
	}
	for _, p := range x.gaining {
		p.gains = false
	}
	clear(x.gained)
	clear(x.gaining)
	x.gained, x.gaining = x.gained[:0], x.gaining[:0]
	closed := x.stale[:0]
	for _, n := range x.stale {
		if n.stale = !n.open(); n.stale {
			closed = append(closed, n)
		}
	}
	x.stale = closed
	x.retry()
	x.keeps, x.stirred, x.relook = len(x.holds) > 0, true, x.edge
	for _, w := range x.reserved {
		if ends := x.endsOf(w); len(ends) > 0 {
			x.relook = min(x.relook, ends[0].at)
		}
	}
	for i := range x.holds {
		h := &x.holds[i]
		x.relook = min(x.relook, h.worker.profile.calendar.nextMoment(x.clock, x.groups.Get(h.record).Lasts()))
	}
	x.letPass()
	x.unhold()
	x.changed, x.passing = false, false
}

// place finds the best worker with a free place for a class, or as many as a gang needs, and the group
// that takes it. One that waits fits no worker but those that gained room, which spares it the search
// through the rest. The result is good until the next call.
func (x *Index) place(c *class) ([]*worker, uint32) {
	if c.gang() {
		return x.gather(c)
	}
	group := c.groups[0]
	gained := c.waits() && !c.flow.spoiled()
	w := x.best(c, group, gained)
	if w == nil {
		w, group = x.beside(c)
	}
	if w == nil {
		w, group = x.sooner(c, gained)
	}
	if w == nil {
		return nil, 0
	}
	x.team = append(x.team[:0], x.nearer(c, group, w))
	return x.team, group
}

// spoiled reports whether the law does not apply to a node.
func (n *node) spoiled() bool {
	for ; n != nil; n = n.up {
		if n.stale {
			return true
		}
	}
	return false
}

// best is the worker with a free place for a group of a class that it prefers to all others, or the one with
// the most of them: of those that gained room, or of all.
func (x *Index) best(c *class, group uint32, gained bool) *worker {
	var found *worker
	if c.shape.short != "" {
		return nil
	}
	if c.looks.any() {
		return x.dispersed(c, group, gained)
	}
	if x.prefers(c) {
		found, _ = x.preferred(c, group, gained, nil)
		return found
	}
	if x.floorOf(c) > noFloor {
		return x.worthy(c, group)
	}
	for _, p := range c.shape.kind.profiles {
		if !x.admits(c, group, p) {
			continue
		}
		rooms := &p.all
		if gained {
			rooms = &p.gained
		}
		i := rooms.tree(c.form).Find(c.shape.need)
		if i == tournament.None {
			continue
		}
		w := p.workers[i]
		if found == nil || w.before(found) {
			found = w
		}
	}
	return found
}
