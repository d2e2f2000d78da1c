package plan

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// worker is a Worker and what it is used for.
type worker struct {
	Worker
	used                job.Resources
	running, prefetched int
	// alone is how many of the running ones must be alone: 0 or 1.
	alone int
	// holdings is by shape what it runs and holds: as many as its slots at most, so
	// that a scan is quicker than a map.
	holdings []holding
	profile  *profile
	leaf     int32
	// gained: it may have gained room since there was nothing more to place.
	gained bool
}

type holding struct {
	shape               *shape
	running, prefetched int32
	leaf                int32
	// matches: the worker is still of the shape's kind.
	matches bool
}

func (w *worker) room() job.Resources { return w.Capacity.Minus(w.used) }

// places is how many more attempts could run now, as far as slots go.
func (w *worker) places() int64 {
	if !w.Accepts || w.alone > 0 {
		return 0
	}
	return int64(max(w.Slots-w.running, 0))
}

func (w *worker) empty() bool { return w.running == 0 && w.prefetched == 0 }

// profile is the workers that are of the same kinds. They differ in amounts only,
// so that one tree serves every shape; a label that no task asks for splits
// nothing.
type profile struct {
	kinds []*kind
	// workers is by leaf number, which all trees share.
	workers []*worker
	// all has every worker, gained those that may have gained room since there was
	// nothing more to place; gains is whether the index lists it for that.
	all, gained rooms
	gains       bool
}

// rooms ranks workers by free places: open all, empty only those that do nothing.
type rooms struct{ open, empty tree }

func (r *rooms) tree(f form) *tree {
	if f == lonely {
		return &r.empty
	}
	return &r.open
}

func profileKey(kinds []*kind) string {
	b := make([]byte, 0, 4*len(kinds))
	for _, k := range kinds {
		b = binary.BigEndian.AppendUint32(b, k.id)
	}
	return string(b)
}

// trees is all of them: they get and lose leaves together.
func (p *profile) trees() [4]*tree {
	return [4]*tree{&p.all.open, &p.all.empty, &p.gained.open, &p.gained.empty}
}

func (p *profile) enter(w *worker) {
	for _, t := range p.trees() {
		w.leaf = t.add()
	}
	p.workers = put(p.workers, uint32(w.leaf), w)
	w.profile = p
}

func (p *profile) leave(w *worker) {
	for _, t := range p.trees() {
		t.remove(w.leaf)
	}
	p.workers[w.leaf] = nil
	w.profile = nil
}

// addKind splits the profiles of which only some workers are of a new kind.
func (x *Index) addKind(k *kind) {
	for _, p := range slices.Clone(x.profileList) {
		var of []*worker
		for _, w := range p.workers {
			if w != nil && k.match(&w.Worker) == matched {
				of = append(of, w)
			}
		}
		switch {
		case len(of) == 0:
		case len(of) == p.all.open.len():
			delete(x.profiles, profileKey(p.kinds))
			p.kinds = append(p.kinds, k)
			x.profiles[profileKey(p.kinds)] = p
			k.profiles = append(k.profiles, p)
		default:
			q := x.internProfile(append(slices.Clone(p.kinds), k))
			for _, w := range of {
				p.leave(w)
				q.enter(w)
				x.refresh(w)
			}
		}
	}
}

func (x *Index) internProfile(kinds []*kind) *profile {
	key := profileKey(kinds)
	if p := x.profiles[key]; p != nil {
		return p
	}
	p := &profile{kinds: kinds}
	x.profiles[key] = p
	x.profileList = append(x.profileList, p)
	for _, k := range kinds {
		k.profiles = append(k.profiles, p)
	}
	return p
}

func (x *Index) enroll(w *worker) {
	var kinds []*kind
	for _, k := range x.kindList {
		if k.match(&w.Worker) == matched {
			kinds = append(kinds, k)
		}
	}
	x.internProfile(kinds).enter(w)
	for i := range w.holdings {
		h := &w.holdings[i]
		h.matches = h.shape.kind.match(&w.Worker) == matched
	}
}

func (x *Index) dismiss(w *worker) {
	p := w.profile
	p.leave(w)
	if p.all.open.len() > 0 {
		return
	}
	delete(x.profiles, profileKey(p.kinds))
	same := func(q *profile) bool { return q == p }
	x.profileList = slices.DeleteFunc(x.profileList, same)
	for _, k := range p.kinds {
		k.profiles = slices.DeleteFunc(k.profiles, same)
	}
}

// reprofile sorts all workers into profiles anew, after kinds were forgotten.
func (x *Index) reprofile() {
	x.profiles, x.profileList, x.gaining = map[string]*profile{}, nil, nil
	for _, k := range x.kindList {
		k.profiles = nil
	}
	for _, w := range x.workerList {
		x.enroll(w)
		x.refresh(w)
	}
}

// SetWorker adds or changes a worker. What it is used for is kept, even where its
// capacity is less now: it gets nothing new until it fits again. The slices of w
// must not change afterwards.
func (x *Index) SetWorker(v Worker) {
	w := x.workers[v.ID]
	if w == nil {
		w = &worker{Worker: v}
		x.workers[v.ID] = w
		at, _ := slices.BinarySearchFunc(x.workerList, v.ID, func(w *worker, id uint64) int { return cmp.Compare(w.ID, id) })
		x.workerList = slices.Insert(x.workerList, at, w)
		x.enroll(w)
	} else {
		same := slices.Equal(w.Executors, v.Executors) && slices.Equal(w.Functions, v.Functions) && slices.Equal(w.Labels, v.Labels)
		w.Worker = v
		if !same {
			x.dismiss(w)
			x.enroll(w)
		}
	}
	x.gain(w)
	x.refresh(w)
}

// RemoveWorker forgets a worker and what it was used for: Take and Give of a worker
// that is not known do nothing.
func (x *Index) RemoveWorker(id uint64) {
	w := x.workers[id]
	if w == nil {
		return
	}
	for i := range w.holdings {
		h := &w.holdings[i]
		h.shape.holders.remove(h.leaf)
		x.hold(h.shape, -int(h.prefetched))
	}
	w.holdings = nil
	x.dismiss(w)
	delete(x.workers, id)
	x.workerList = slices.DeleteFunc(x.workerList, func(o *worker) bool { return o == w })
}

// Take says that an attempt of a shape was placed on a worker; one that is
// prefetched uses nothing yet. alone is whether its group was.
func (x *Index) Take(id uint64, s Shape, prefetch, alone bool) {
	w := x.workers[id]
	if w == nil {
		return
	}
	h := x.holding(w, s)
	if prefetch {
		h.prefetched++
		w.prefetched++
		x.hold(h.shape, 1)
	} else {
		h.running++
		w.run(s, 1)
		if alone {
			w.alone++
		}
	}
	x.refresh(w)
}

// Give says that an attempt is gone from its worker. It takes what Take took, and
// panics if the worker holds no such attempt: the core lost count.
func (x *Index) Give(id uint64, s Shape, prefetch, alone bool) {
	w := x.workers[id]
	if w == nil {
		return
	}
	h := x.holding(w, s)
	if prefetch {
		h.prefetched--
		w.prefetched--
		x.hold(h.shape, -1)
	} else {
		h.running--
		w.run(s, -1)
		if alone {
			w.alone--
		}
	}
	h.check(w)
	x.release(w, h)
	x.gain(w)
	x.refresh(w)
}

// Promote says that a prefetched attempt took a place on its worker. It panics if
// the worker holds none of the shape.
func (x *Index) Promote(id uint64, s Shape) {
	w := x.workers[id]
	if w == nil {
		return
	}
	h := x.holding(w, s)
	h.prefetched--
	w.prefetched--
	x.hold(h.shape, -1)
	h.running++
	w.run(s, 1)
	h.check(w)
	x.refresh(w)
}

// Usage is what attempts use of a worker, how many run, and how many are held
// ahead.
func (x *Index) Usage(id uint64) (used job.Resources, running, prefetched int) {
	if w := x.workers[id]; w != nil {
		return w.used, w.running, w.prefetched
	}
	return job.Resources{}, 0, 0
}

func (w *worker) run(s Shape, n int) {
	w.running += n
	if n > 0 {
		w.used = w.used.Plus(s.Resources)
	} else {
		w.used = w.used.Minus(s.Resources)
	}
}

func (h *holding) check(w *worker) {
	if h.running < 0 || h.prefetched < 0 || w.alone < 0 {
		panic(fmt.Sprintf("plan: worker %d gives back an attempt of shape %+v that it does not have", w.ID, h.shape.Shape))
	}
}

// holding finds or makes the entry of a shape.
func (x *Index) holding(w *worker, name Shape) *holding {
	s := x.shapes[name]
	if s == nil {
		x.sweep()
		s = x.internShape(name)
	}
	if h := w.find(s); h != nil {
		return h
	}
	w.holdings = append(w.holdings, holding{
		shape: s, leaf: s.holders.add(), matches: s.kind.match(&w.Worker) == matched,
	})
	return &w.holdings[len(w.holdings)-1]
}

// release drops an entry of which nothing is left.
func (x *Index) release(w *worker, h *holding) {
	if h.running > 0 || h.prefetched > 0 {
		return
	}
	h.shape.holders.remove(h.leaf)
	last := len(w.holdings) - 1
	*h = w.holdings[last]
	w.holdings[last] = holding{}
	w.holdings = w.holdings[:last]
}

// hold counts what is held ahead of a shape, over all workers.
func (x *Index) hold(s *shape, n int) {
	was := s.prefetched
	s.prefetched += n
	switch {
	case was == 0 && s.prefetched > 0:
		s.at = len(x.ahead)
		x.ahead = append(x.ahead, s)
	case was > 0 && s.prefetched == 0:
		last := x.ahead[len(x.ahead)-1]
		x.ahead[s.at], last.at = last, s.at
		x.ahead = x.ahead[:len(x.ahead)-1]
		s.at = -1
	}
}

// refresh brings a worker's leaves up to date.
func (x *Index) refresh(w *worker) {
	p, room := w.profile, w.room()
	open := leaf{rank: rank{score: w.places(), id: w.ID}, cpu: room.CPU, size: room.Memory}
	var empty leaf
	if w.empty() {
		empty = open
	}
	p.all.open.set(w.leaf, open)
	p.all.empty.set(w.leaf, empty)
	if w.gained {
		p.gained.open.set(w.leaf, open)
		p.gained.empty.set(w.leaf, empty)
		if !p.gains {
			p.gains = true
			x.gaining = append(x.gaining, p)
		}
	}
	for i := range w.holdings {
		x.refreshHolding(w, &w.holdings[i])
	}
}

// most is above any number of attempts that a worker holds, so that a leaf's score
// is higher the fewer they are.
const most = 1 << 40

func (x *Index) refreshHolding(w *worker, h *holding) {
	score := int64(0)
	if w.Accepts && w.alone == 0 && h.matches && h.running > 0 && w.prefetched < w.Prefetch &&
		h.shape.Resources.Fits(w.Capacity) {
		score = most - int64(w.prefetched)
	}
	gained := score > 0 && h.shape.holders.leaves[h.leaf].score == 0
	h.shape.holders.set(h.leaf, leaf{rank: rank{score: score, id: w.ID}})
	if l := h.shape.lanes[plain]; gained && l != nil && l.state == stuck {
		x.move(l, hopeful)
	}
}
