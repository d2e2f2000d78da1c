package plan

// Next proposes the best placement there is: of the ready groups that fit a free
// place anywhere the first in order, on the worker with the most free places of
// those that it fits. When nothing fits a free place, it proposes likewise what
// may be sent ahead, to the worker that holds the fewest. False means that nothing
// can be done until something changes.
//
// It only changes caches: a caller that does not apply the proposal, or take the
// group away, gets it again.
func (x *Index) Next() (Placement, bool) {
	for {
		l := x.candidate()
		if l == nil {
			break
		}
		if w := x.place(l); w != nil {
			return Placement{Group: x.first(l), Worker: w.ID}, true
		}
		x.fail(l)
	}
	x.settled()
	for len(x.hopeful) > 0 {
		l := x.lanes[x.hopeful[0]]
		if i := l.shape.holders.find(0, 0); i != none {
			return Placement{Group: x.first(l), Worker: l.shape.holders.leaves[i].id, Prefetch: true}, true
		}
		x.move(l, stuck)
	}
	return Placement{}, false
}

// candidate is the first lane in order that may fit a place: of the active ones,
// and of the waiting ones that are within the most that any worker of a profile has
// gained. Amounts of different workers may deceive it; then the lane fails.
func (x *Index) candidate() *lane {
	var best *lane
	if len(x.active) > 0 {
		best = x.lanes[x.active[0]]
	}
	for _, p := range x.gaining {
		for _, f := range [...]form{plain, lonely} {
			cpu, size, ok := p.gained.tree(f).most()
			if !ok {
				continue
			}
			for _, k := range p.kinds {
				w := k.waiting(f)
				i := w.tree.find(-cpu, -size)
				if i != none && (best == nil || (*laneOrder)(x).before(w.lanes[i].id, best.id)) {
					best = w.lanes[i]
				}
			}
		}
	}
	return best
}

// fail puts aside a lane that fits nowhere.
func (x *Index) fail(l *lane) {
	if l.state == active {
		if l.form == plain {
			x.move(l, hopeful)
		} else {
			x.move(l, stuck)
		}
	}
	l.tried = true
	x.tried = append(x.tried, l)
	x.refreshLane(l)
}

// gain makes Next look at a worker that may have gained room. The caller refreshes
// the worker.
func (x *Index) gain(w *worker) {
	if !w.gained {
		w.gained = true
		x.gained = append(x.gained, w)
	}
	x.retry()
}

// retry lets lanes that fit nowhere count again.
func (x *Index) retry() {
	for _, l := range x.tried {
		if l.tried {
			l.tried = false
			x.refreshLane(l)
		}
	}
	clear(x.tried)
	x.tried = x.tried[:0]
}

// settled notes that nothing that waits fits anywhere.
func (x *Index) settled() {
	for _, w := range x.gained {
		w.gained = false
		if p := w.profile; p != nil {
			p.gained.open.set(w.leaf, leaf{})
			p.gained.empty.set(w.leaf, leaf{})
		}
	}
	for _, p := range x.gaining {
		p.gains = false
	}
	clear(x.gained)
	clear(x.gaining)
	x.gained, x.gaining = x.gained[:0], x.gaining[:0]
	x.retry()
}

// place finds the best worker with a free place for a lane. One that waits fits no
// worker but those that gained room, which spares it the search through the rest.
func (x *Index) place(l *lane) *worker { return l.best(l.waits()) }

func (l *lane) best(gained bool) *worker {
	var found *worker
	need := l.shape.Resources
	for _, p := range l.shape.kind.profiles {
		rooms := &p.all
		if gained {
			rooms = &p.gained
		}
		i := rooms.tree(l.form).find(need.CPU, need.Memory)
		if i == none {
			continue
		}
		w := p.workers[i]
		if found == nil || w.places() > found.places() || w.places() == found.places() && w.ID < found.ID {
			found = w
		}
	}
	return found
}

// first is the group at the head of a lane.
func (x *Index) first(l *lane) GroupID {
	r := x.head(l)
	return GroupID{Job: r.job, Task: r.task, Alone: l.form == lonely}
}
