package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
)

// worker is a Worker and what it is used for.
type worker struct {
	Worker
	// capacity and used are by column, free is what is left, which may be below zero.
	capacity, used, free []int64
	runs                 []*Run
	running, prefetched  int
	// alone is how many of the running ones must be alone: 0 or 1.
	alone int
	// holdings is by shape what it runs and holds: as many as its slots at most, so
	// that a scan is quicker than a map.
	holdings []holding
	profile  *profile
	leaf     int32
	// gained: it may have gained room since there was nothing more to place.
	gained bool
	// leaving is how many of its runs make room.
	leaving int
	// reserved: a place on it is kept, and it is in no tree of rooms.
	reserved bool
	// kept is the steps of what is kept on it in this pass, first to last.
	kept []step
	// ends is when what runs is expected to end, if known, as it was at a moment.
	ends    []step
	known   bool
	knownAt int64
}

// Run is an attempt that a worker was given. It is the caller's to hand back, and has
// nothing to look at.
type Run struct {
	worker *worker
	shape  *shape
	flow   *account
	// ends is when it is expected to end, limit when it will have at the latest, in Unix
	// milliseconds; never for unknown.
	ends, limit     int64
	prefetch, alone bool
	// tier, stays, nodes, tag and began are the attempt's; leaving: it was asked to make room.
	tier           uint8
	stays, leaving bool
	nodes          uint32
	grace          int64
	tag            uint64
	began          int64
	job            job.ID
	seats          [sides]seat
	at             int         // in the worker's runs
	places         [levels]int // in what the limits of its queue and namespace count
}

// never is a moment that does not come.
const never = int64(1) << 62

type holding struct {
	shape               *shape
	running, prefetched int32
	leaf                int32
	// matches: the worker is still of the shape's kind.
	matches bool
}

// places is how many more attempts could run now, as far as slots go.
func (w *worker) places() int64 {
	if !w.Accepts || w.alone > 0 {
		return 0
	}
	return int64(max(w.Slots-w.running, 0))
}

func (w *worker) empty() bool { return w.running == 0 && w.prefetched == 0 }

// overfull reports whether more is used of a worker than it gives now. What ends there leaves no
// place then, so that nothing is sent ahead for one.
func (w *worker) overfull() bool {
	return slices.ContainsFunc(w.free, func(n int64) bool { return n < 0 })
}

// takes reports whether a worker has a place for an attempt now.
func (w *worker) takes(s *shape, f form) bool {
	return w.places() > 0 && s.short == "" && tournament.Within(s.need, w.free) && (f != exclusive || w.empty())
}

// SetWorker adds or changes a worker. What it is used for is kept, even where its
// capacity is less now: it gets nothing new until it fits again. The slices of v
// must not change afterwards.
func (x *Index) SetWorker(v Worker) {
	x.learn(v.Capacity)
	w, reserved := x.workers[v.ID], false
	if w == nil {
		w = &worker{Worker: v, used: make([]int64, x.width), free: make([]int64, x.width)}
		x.workers[v.ID] = w
		at, _ := slices.BinarySearchFunc(x.workerList, v.ID, func(w *worker, id uint64) int { return cmp.Compare(w.ID, id) })
		x.workerList = slices.Insert(x.workerList, at, w)
		x.enroll(w)
	} else {
		same := w.Name == v.Name && slices.Equal(w.Executors, v.Executors) && slices.Equal(w.Functions, v.Functions) && slices.Equal(w.Labels, v.Labels)
		reserved = !slices.Equal(w.Reserved, v.Reserved)
		if w.reserved {
			x.rehold()
		}
		x.count(w, -1)
		w.Worker = v
		if !same || reserved {
			x.dismiss(w)
			x.enroll(w)
			x.relabel(w)
		}
	}
	w.capacity, _ = x.vector(v.Capacity)
	x.count(w, 1)
	x.fleetChanged()
	x.gain(w)
	x.refresh(w)
	if reserved {
		x.reopened(w)
	}
}

// count counts a worker in or out of what there is in all.
func (x *Index) count(w *worker, n int64) {
	for i, v := range w.capacity {
		x.total[i] += n * v
	}
	x.places += n * int64(w.Slots)
	x.reweigh = true
}

// RemoveWorker forgets a worker and what it was used for: what is given back of it later
// means nothing.
func (x *Index) RemoveWorker(id uint64) {
	w := x.workers[id]
	if w == nil {
		return
	}
	for _, r := range w.runs {
		x.leave(r, false)
		x.part(r)
		x.background -= zero(r.tier)
		r.worker = nil
		x.charge(r, -1, 0)
	}
	for i := range w.holdings {
		h := &w.holdings[i]
		h.shape.drop(h.leaf)
		x.hold(h.shape, -int(h.prefetched))
	}
	w.holdings = nil
	if w.reserved {
		x.rehold()
	}
	x.count(w, -1)
	x.dismiss(w)
	x.fleetChanged()
	delete(x.workers, id)
	x.workerList = slices.DeleteFunc(x.workerList, func(o *worker) bool { return o == w })
}

// Take says that an attempt was placed on a worker; one that is sent ahead uses nothing
// of the worker yet. The result is for Give, Promote and Expect; it is nil, which they take,
// if there is no such worker. now is in Unix milliseconds, 0 if it is unknown: then what was used
// until now is no one's past.
func (x *Index) Take(id uint64, a Attempt, now int64) *Run {
	w := x.workers[id]
	if w == nil {
		return nil
	}
	h := x.holding(w, a.Shape)
	r := &Run{
		worker: w, shape: h.shape, flow: x.flowOf(a.Namespace, a.Queue, a.User),
		ends: moment(a.Ends), limit: moment(a.Limit), prefetch: a.Prefetch, alone: a.Alone, at: len(w.runs),
		tier: a.Tier, stays: a.Stays, nodes: uint32(max(a.Nodes, 1)), tag: a.Tag, began: a.Began, job: a.Job,
	}
	w.runs = append(w.runs, r)
	x.join(r, &a.Apart, &a.Spread)
	x.background += zero(r.tier)
	if a.Prefetch {
		h.prefetched++
		w.prefetched++
		x.hold(h.shape, 1)
	} else {
		h.running++
		w.run(r, 1)
	}
	x.charge(r, 1, now)
	x.refresh(w)
	return r
}

func moment(at int64) int64 {
	if at <= 0 {
		return never
	}
	return at
}

// Give says that an attempt is gone from its worker. It panics if it was given back
// before: the core lost count. now is as of Take.
func (x *Index) Give(r *Run, now int64) {
	if r == nil || r.worker == nil {
		return
	}
	w, h := r.worker, r.worker.find(r.shape)
	last := len(w.runs) - 1
	if r.at > last || w.runs[r.at] != r {
		panic(fmt.Sprintf("plan: worker %d gives back an attempt of shape %+v that it does not have", w.ID, r.shape.Shape))
	}
	x.leave(r, false)
	x.background -= zero(r.tier)
	x.part(r)
	w.runs[r.at], w.runs[last].at = w.runs[last], r.at
	w.runs[last] = nil
	w.runs = w.runs[:last]
	if r.prefetch {
		h.prefetched--
		w.prefetched--
		x.hold(h.shape, -1)
	} else {
		h.running--
		w.run(r, -1)
	}
	x.charge(r, -1, now)
	r.at = math.MaxInt
	x.release(w, h)
	x.gain(w)
	x.refresh(w)
}

// Promote says that an attempt that was sent ahead took a place on its worker.
func (x *Index) Promote(r *Run) {
	if r == nil || r.worker == nil || !r.prefetch {
		return
	}
	w, h := r.worker, r.worker.find(r.shape)
	r.prefetch = false
	h.prefetched--
	w.prefetched--
	x.hold(h.shape, -1)
	h.running++
	w.run(r, 1)
	x.refresh(w)
}

// Move says that an attempt is of another queue, user or tier than was said when it was taken:
// from now on it counts there alone. now is as of Take.
func (x *Index) Move(r *Run, namespace, queue, user string, tier uint8, now int64) {
	if r == nil || r.worker == nil {
		return
	}
	if flow := x.flowOf(namespace, queue, user); flow != r.flow {
		x.charge(r, -1, now)
		r.flow = flow
		x.charge(r, 1, now)
	}
	if r.tier != tier {
		x.background += zero(tier) - zero(r.tier)
		r.tier = tier
		x.changed = true // it may have to make room, or no more
	}
}

// Expect says when an attempt is expected to end and when it will have at the latest, in
// Unix milliseconds, 0 for unknown.
func (x *Index) Expect(r *Run, ends, limit int64) {
	if r == nil || r.ends == moment(ends) && r.limit == moment(limit) {
		return
	}
	r.ends, r.limit = moment(ends), moment(limit)
	if r.worker != nil {
		x.shift(r)
	}
}

// shift notes that something ends at another time. Where places were kept, one may be better kept
// there, or shorter, and what was held back may start now.
func (x *Index) shift(r *Run) {
	r.worker.known, r.flow.up.counted.known, r.flow.up.up.counted.known = false, false, false
	x.changed = x.changed || len(x.again) > 0 || x.yielded
}

// Usage is what attempts use of a worker, how many run, and how many are held
// ahead.
func (x *Index) Usage(id uint64) (used job.Resources, running, prefetched int) {
	if w := x.workers[id]; w != nil {
		return x.resources(w.used), w.running, w.prefetched
	}
	return job.Resources{}, 0, 0
}

func (w *worker) run(r *Run, n int) {
	w.known = false
	w.running += n
	for i, v := range r.shape.need {
		w.used[i] += int64(n) * v
	}
	if r.alone {
		w.alone += n
	}
}

// holding finds or makes the entry of a shape.
func (x *Index) holding(w *worker, name Shape) *holding {
	s := x.lastShape
	if s == nil || s.Shape != name {
		s = x.shapes[name]
	}
	if s == nil {
		x.sweep()
		s = x.internShape(name)
	}
	x.lastShape = s
	if h := w.find(s); h != nil {
		return h
	}
	leaf := s.holderSlots.Take()
	s.owners = put(s.owners, uint32(leaf), w)
	w.holdings = append(w.holdings, holding{shape: s, leaf: leaf, matches: s.kind.match(&w.Worker) == matched})
	return &w.holdings[len(w.holdings)-1]
}

// release drops an entry of which nothing is left.
func (x *Index) release(w *worker, h *holding) {
	if h.running > 0 || h.prefetched > 0 {
		return
	}
	h.shape.drop(h.leaf)
	last := len(w.holdings) - 1
	*h = w.holdings[last]
	w.holdings[last] = holding{}
	w.holdings = w.holdings[:last]
}

// drop takes a worker out of the holders of a shape.
func (s *shape) drop(leaf int32) {
	s.holders.Clear(leaf)
	s.owners[leaf] = nil
	s.holderSlots.Give(leaf)
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
	p := w.profile
	for i := range w.free {
		w.free[i] = w.capacity[i] - w.used[i]
	}
	var open, empty, size tournament.Rank
	if w.Accepts && w.Slots > 0 {
		size = tournament.Rank{Score: int64(w.Slots), ID: w.ID}
	}
	if n := w.places(); n > 0 && !w.reserved {
		open = tournament.Rank{Score: n, ID: w.ID}
		if w.empty() {
			empty = open
		}
	}
	p.sizes.Set(w.leaf, size, w.capacity)
	for _, s := range p.scales {
		s.refresh(w)
	}
	p.all.open.Set(w.leaf, open, w.free)
	p.all.empty.Set(w.leaf, empty, w.free)
	for _, r := range p.rankings {
		r.refresh(w, open.Score > 0)
	}
	if w.gained {
		p.gained.open.Set(w.leaf, open, w.free)
		p.gained.empty.Set(w.leaf, empty, w.free)
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
	if w.Accepts && w.alone == 0 && !w.reserved && h.matches && h.running > 0 && w.prefetched < w.Prefetch &&
		tournament.Within(h.shape.need, w.capacity) && !w.overfull() {
		score = most - int64(w.prefetched)
	}
	gained := score > 0 && !h.shape.holders.Has(h.leaf)
	h.shape.holders.Set(h.leaf, tournament.Rank{Score: score, ID: w.ID}, nil)
	if !gained {
		return
	}
	for _, c := range h.shape.classes {
		if c.form == plain && c.state == stuck {
			x.move(c, hopeful)
		}
	}
}
