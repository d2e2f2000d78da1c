package plan

import "github.com/reeve-scheduler/reeve/internal/job"

// Why says what a group waits for, in numbers of workers and of elements. Each
// worker is counted once, under the first thing that keeps it from taking an
// element: Workers = NoExecutor + NoFunction + NoLabel + TooSmall + Away + Unfit +
// Busy + Open.
type Why struct {
	// Ready is how many elements of the group could start; 0 means that the group
	// is not known and that nothing else here is set.
	Ready                        int64
	Namespace, Queue             string
	NamespacePaused, QueuePaused bool
	Shape                        Shape
	Alone                        bool

	Workers int
	// Away ones would fit, and are not connected or draining.
	Away int
	// Unfit ones would fit, and can take nothing at the moment, one of them because of
	// UnfitWhy.
	Unfit                           int
	UnfitWhy                        string
	NoExecutor, NoFunction, NoLabel int
	// TooSmall ones could not run it if they were empty. Largest is the most of
	// each amount that one of them has; the two may be of different workers.
	TooSmall int
	Largest  job.Resources
	// Busy ones could run it but have no place now; NoSlot, NoCPU, NoMemory and
	// Taken say of how many each is true: no free slot, too little of an amount
	// free, taken by an attempt that must be alone or, for a group that must be
	// alone, by anything.
	Busy                           int
	NoSlot, NoCPU, NoMemory, Taken int
	// MostFree is the most of each amount that a busy worker with a free slot has
	// free; the two may be of different workers.
	MostFree job.Resources
	// Open ones have a place for it now.
	Open int

	// Ahead is how many ready elements go before the group's, of queues that are not
	// paused; with AheadMore there are more, which were not counted.
	Ahead     int64
	AheadMore bool
}

// maxAhead bounds how many groups an explanation counts.
const maxAhead = 10_000

// Explain says why the elements of a ready group do not start now. Its cost grows
// with the number of workers and with what is ahead of the group.
func (x *Index) Explain(id GroupID) Why {
	at, ok := x.groups.get(keyOf(id))
	if !ok {
		return Why{}
	}
	r := x.records.get(at)
	c := x.classes[r.class]
	y := Why{
		Ready: r.ready, Namespace: c.queue.space.name, Queue: c.queue.name,
		NamespacePaused: c.queue.space.paused, QueuePaused: c.queue.paused,
		Shape: c.lane.shape.Shape, Alone: id.Alone, Workers: len(x.workerList),
	}
	for _, w := range x.workerList {
		y.count(w, c.lane)
	}
	budget := maxAhead
	for _, other := range x.classes {
		if other != nil && !other.paused() && len(other.groups) > 0 {
			y.Ahead += x.countAhead(other.groups, 0, r, &budget)
		}
	}
	y.AheadMore = budget <= 0
	return y
}

// countAhead counts what is before r at and below a position of a heap: below what is
// not before r, nothing is.
func (x *Index) countAhead(h heap, at int, r *record, budget *int) int64 {
	o := x.records.get(h[at])
	if *budget <= 0 || !o.before(r) {
		return 0
	}
	*budget--
	n := o.ready
	for i := at*fan + 1; i < min(at*fan+1+fan, len(h)); i++ {
		n += x.countAhead(h, i, r, budget)
	}
	return n
}

func (y *Why) count(w *worker, l *lane) {
	need := y.Shape.Resources
	lack := l.shape.kind.match(&w.Worker)
	switch {
	case lack == noExecutor:
		y.NoExecutor++
	case lack == noFunction:
		y.NoFunction++
	case lack == noLabel:
		y.NoLabel++
	case !need.Fits(w.Capacity) || w.Slots < 1:
		y.TooSmall++
		y.Largest = greatest(y.Largest, w.Capacity)
	case !w.Accepts && w.Unfit != "":
		y.Unfit++
		y.UnfitWhy = w.Unfit
	case !w.Accepts:
		y.Away++
	case w.alone > 0 || y.Alone && !w.empty():
		y.Busy++
		y.Taken++
	case w.places() == 0:
		y.Busy++
		y.NoSlot++
	case !need.Fits(w.room()):
		y.Busy++
		room := w.room()
		if need.CPU > room.CPU {
			y.NoCPU++
		}
		if need.Memory > room.Memory {
			y.NoMemory++
		}
		y.MostFree = greatest(y.MostFree, room)
	default:
		y.Open++
	}
}

func greatest(a, b job.Resources) job.Resources {
	return job.Resources{CPU: max(a.CPU, b.CPU), Memory: max(a.Memory, b.Memory)}
}
