package plan

import "github.com/reeve-scheduler/reeve/internal/job"

// Next proposes the best placement there is: of the ready groups that fit a free
// place anywhere the first in order, on the worker with the most free places of
// those that it fits. When nothing fits a free place, it proposes likewise what
// may be sent ahead, to the worker that holds the fewest. False means that nothing
// can be done until something changes.
//
// It only changes caches: a caller that does not apply the proposal, or take the
// group away, gets it again.
func (x *Index) Next() (Placement, bool) {
	for _, w := range x.dirty {
		w.dirty = false
		if w.profile != nil {
			x.wake(w)
		}
	}
	clear(x.dirty)
	x.dirty = x.dirty[:0]
	for len(x.active) > 0 {
		l := x.lanes[x.active[0]]
		if w := x.place(l); w != nil {
			return Placement{Group: x.first(l), Worker: w.ID}, true
		}
		if l.form == plain {
			x.move(l, hopeful)
		} else {
			x.move(l, stuck)
		}
	}
	for len(x.hopeful) > 0 {
		l := x.lanes[x.hopeful[0]]
		if i := l.shape.holders.find(0, 0); i != none {
			return Placement{Group: x.first(l), Worker: l.shape.holders.leaves[i].id, Prefetch: true}, true
		}
		x.move(l, stuck)
	}
	return Placement{}, false
}

// wake gives the lanes that would fit a worker's room another try.
func (x *Index) wake(w *worker) {
	if w.places() == 0 {
		return
	}
	room := w.room()
	for _, k := range w.profile.kinds {
		x.wakeFrom(&k.waiting, room)
		if w.empty() {
			x.wakeFrom(&k.waitingAlone, room)
		}
	}
}

func (x *Index) wakeFrom(waiting *tree, room job.Resources) {
	for {
		i := waiting.find(-room.CPU, -room.Memory)
		if i == none {
			return
		}
		x.move(x.lanes[waiting.leaves[i].id], active)
	}
}

// place finds the best worker with a free place for a lane.
func (x *Index) place(l *lane) *worker {
	var best *worker
	need := l.shape.Resources
	for _, p := range l.shape.kind.profiles {
		t := &p.open
		if l.form == lonely {
			t = &p.empty
		}
		i := t.find(need.CPU, need.Memory)
		if i == none {
			continue
		}
		w := p.workers[i]
		if best == nil || w.places() > best.places() || w.places() == best.places() && w.ID < best.ID {
			best = w
		}
	}
	return best
}

// first is the group at the head of a lane.
func (x *Index) first(l *lane) GroupID {
	r := x.records.get(x.classes[l.classes[0]].groups[0])
	return GroupID{Job: r.job, Task: r.task, Alone: l.form == lonely}
}
