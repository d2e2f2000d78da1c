package plan

import (
	"encoding/binary"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/plan/pile"
	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
)

// Window is a while for which a worker is set aside. Times are Unix milliseconds.
type Window struct {
	// Name is the reservation's.
	Name        string
	From, Until int64
	// Lead is how long before the window nothing starts of which nobody knows how long it runs, in
	// milliseconds.
	Lead int64
	// Namespace and Queue are for whom it is: for all of the namespace without a queue, for nobody
	// without both.
	Namespace, Queue string
}

// calendar is the windows of a worker. Those of a profile have the same, so that it is asked once for
// all of them whether something may start there. None at all is nil.
type calendar struct {
	id      uint32
	key     string
	windows []Window
	// profiles is how many have it.
	profiles int
}

// isFor reports whether a window is for a queue.
func (w *Window) isFor(q *account) bool {
	return w.Namespace != "" && w.Namespace == q.up.name && (w.Queue == "" || w.Queue == q.name)
}

// bars reports whether a window keeps something from starting that it is not for and that lasts so
// long, 0 for unknown. Time only ever makes it so, until the window is over.
func (w *Window) bars(length, now int64) bool {
	switch {
	case now >= w.Until:
		return false
	case now >= w.From:
		return true
	case length > 0:
		return length > w.From-now
	}
	return now >= w.From-w.Lead
}

// bar is the first window that keeps something of a queue from starting, nil if none does.
func (k *calendar) bar(q *account, length, now int64) *Window {
	if k == nil {
		return nil
	}
	for i := range k.windows {
		if w := &k.windows[i]; !w.isFor(q) && w.bars(length, now) {
			return w
		}
	}
	return nil
}

// over reports whether all windows have passed.
func (k *calendar) over(now int64) bool {
	return k == nil || !slices.ContainsFunc(k.windows, func(w Window) bool { return now < w.Until })
}

// admits reports whether a group of a class may start now on the workers of a profile, as far as
// windows go.
func (x *Index) admits(c *class, record uint32, p *profile) bool {
	return p.calendar == nil || p.calendar.bar(c.queue(), x.groups.Get(record).Lasts(), x.clock) == nil
}

// mayAdmit reports whether any group of a class may be admitted, by the least that it lasts.
func (x *Index) mayAdmit(c *class, p *profile) bool {
	return p.calendar == nil || p.calendar.bar(c.queue(), c.shortest(), x.clock) == nil
}

// shortest is the least that a group of a class lasts, 0 for unknown.
func (c *class) shortest() int64 {
	if c.lengths == 0 {
		return 0
	}
	return pile.Shortest(c.lengths)
}

// admitsAhead reports whether an element of a class may be sent ahead to the workers of a profile.
// Nobody knows when it would start there, so that it keeps a distance from windows.
func (x *Index) admitsAhead(c *class, p *profile) bool {
	if p.calendar == nil {
		return true
	}
	length := x.head(c).Lasts()
	return !slices.ContainsFunc(p.calendar.windows, func(w Window) bool {
		return !w.isFor(c.queue()) && x.clock < w.Until && w.Lead+length >= w.From-x.clock
	})
}

// holder finds the worker to which an element of a class may be sent ahead.
func (x *Index) holder(c *class) int32 {
	s := c.shape
	i, _ := s.holders.Top()
	for n := 0; i != tournament.None && n < maxLook; n++ {
		if x.admitsAhead(c, s.owners[i].profile) {
			return i
		}
		i = s.holders.After(nil, s.holders.RankOf(i))
	}
	return tournament.None
}

// shut reports whether windows keep the first group of a class from all workers of its kind.
func (x *Index) shut(c *class) bool {
	return len(x.calendars) > 0 && !slices.ContainsFunc(c.shape.kind.profiles, func(p *profile) bool { return x.admits(c, c.groups[0], p) })
}

// keepable reports whether a place may be kept: before any window that is not for the class, so
// that it keeps nobody back for whom the window is.
func (x *Index) keepable(h *hold) bool {
	from := h.from
	if from >= eventually {
		from = x.clock
	}
	k := h.worker.profile.calendar
	if k == nil {
		return true
	}
	length := x.groups.Get(h.record).Lasts()
	return !slices.ContainsFunc(k.windows, func(w Window) bool {
		return !w.isFor(h.class.queue()) && x.clock < w.Until && (w.bars(length, from) || from >= w.From)
	})
}

// sooner finds a worker for a class the first group of which windows keep back, and the first of
// the others that ends before them.
func (x *Index) sooner(c *class, gained bool) (*worker, uint32) {
	if len(x.calendars) == 0 || c.lengths == 0 || !x.straddles(c) {
		return nil, 0
	}
	refused := int64(0) // what lasts as long needs no look
	for id := range x.ranked(c, maxTry) {
		length := x.groups.Get(id).Lasts()
		if refused > 0 && length >= refused {
			continue
		}
		if w := x.best(c, id, gained); w != nil {
			return w, id
		}
		refused = length
	}
	return nil, 0
}

// straddles reports whether windows may keep back some groups of a class and not others.
func (x *Index) straddles(c *class) bool {
	return slices.ContainsFunc(c.shape.kind.profiles, func(p *profile) bool {
		return p.calendar != nil && x.mayAdmit(c, p) && p.calendar.bar(c.queue(), 2*c.shortest(), x.clock) != nil
	})
}

// arrived lets a class that waits be tried again for a group that has come, which may end before a
// window that keeps back the others.
func (x *Index) arrived(c *class) {
	if len(x.calendars) > 0 && c.waits() && c.lengths > 0 && x.straddles(c) {
		x.move(c, active)
		x.changed = true
	}
}

// amongOf is among for a profile: what windows keep from its workers is left out. During a
// window only what it is for is looked at.
func (x *Index) amongOf(best *class, n *node, p *profile, f form, room []int64) *class {
	if p.calendar == nil {
		return x.among(best, n, p.kinds, f, room, nil)
	}
	accept := func(c *class) bool { return x.mayAdmit(c, p) }
	i := slices.IndexFunc(p.calendar.windows, func(w Window) bool { return w.From <= x.clock && x.clock < w.Until })
	if i < 0 || n != x.root {
		return x.among(best, n, p.kinds, f, room, accept)
	}
	w := &p.calendar.windows[i]
	of := x.queues[queueName{w.Namespace, w.Queue}]
	if w.Queue == "" {
		of = x.spaces[w.Namespace]
	}
	if of == nil {
		return best
	}
	for _, n := range of.nodes {
		if n != nil && n.open() {
			best = x.among(best, n, p.kinds, f, room, accept)
		}
	}
	return best
}

// internCalendar finds or makes the calendar of a worker's windows.
func (x *Index) internCalendar(windows []Window) *calendar {
	if len(windows) == 0 {
		return nil
	}
	var b []byte
	for i := range windows {
		w := &windows[i]
		for _, n := range [...]int64{w.From, w.Until, w.Lead} {
			b = binary.BigEndian.AppendUint64(b, uint64(n))
		}
		for _, s := range [...]string{w.Name, w.Namespace, w.Queue} {
			b = append(append(b, s...), 0)
		}
	}
	key := string(b)
	at := slices.IndexFunc(x.calendars, func(k *calendar) bool { return k.key == key })
	if at >= 0 {
		return x.calendars[at]
	}
	x.nextCalendar++
	k := &calendar{id: x.nextCalendar, key: key, windows: windows}
	x.calendars = append(x.calendars, k)
	x.edge = min(x.edge, k.nextEdge(x.clock))
	return k
}

// keepCalendar counts the profiles of a calendar; one without any is forgotten.
func (x *Index) keepCalendar(k *calendar, n int) {
	if k == nil {
		return
	}
	if k.profiles += n; k.profiles == 0 {
		x.calendars = slices.DeleteFunc(x.calendars, func(o *calendar) bool { return o == k })
	}
}

// nextEdge is when the next window is over: nothing may start at another moment that might not
// before.
func (k *calendar) nextEdge(now int64) int64 {
	edge := never
	for i := range k.windows {
		if until := k.windows[i].Until; until > now {
			edge = min(edge, until)
		}
	}
	return edge
}

// nextMoment is when a window next begins, comes within reach, also of what lasts so long, or is over:
// then other places may be kept.
func (k *calendar) nextMoment(now, length int64) int64 {
	next := never
	if k == nil {
		return next
	}
	for i := range k.windows {
		w := &k.windows[i]
		for _, at := range [...]int64{w.From - w.Lead, w.From - length, w.From, w.Until} {
			if at > now {
				next = min(next, at)
			}
		}
	}
	return next
}

// at says what time it is, and lets the workers be looked at again of which a window is over.
func (x *Index) at(now int64) {
	was := x.clock
	x.clock = now
	if now < x.edge {
		return
	}
	x.edge = never
	for _, p := range x.profileList {
		if p.calendar == nil {
			continue
		}
		x.edge = min(x.edge, p.calendar.nextEdge(now))
		if p.calendar.nextEdge(was) > now {
			continue
		}
		for _, w := range p.workers {
			if w != nil {
				x.reopened(w)
			}
		}
	}
}

// reopened lets a worker be looked at again, also for what may be sent ahead to it.
func (x *Index) reopened(w *worker) {
	x.gain(w)
	x.refresh(w)
	for i := range w.holdings {
		for _, c := range w.holdings[i].shape.classes {
			if c.form == plain && c.state == stuck {
				x.move(c, hopeful)
			}
		}
	}
}

// countReserved counts a worker that a window keeps from a group.
func countReserved(y *why.Why, w *Window, length, now int64) {
	r := why.Reserved{Name: w.Name, From: w.From, Until: w.Until, Length: length, Now: now}
	at := slices.IndexFunc(y.Reserved, func(o why.Reserved) bool { return o.Name == r.Name })
	if at < 0 {
		at = len(y.Reserved)
		y.Reserved = append(y.Reserved, r)
	}
	y.Reserved[at].Workers++
}
