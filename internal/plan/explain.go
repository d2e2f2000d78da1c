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
	// Busy ones could run it but have no place now; NoSlot, NoCPU, NoMemory, NoOther
	// and Taken say of how many each is true: no free slot, too little of an amount
	// free, taken by an attempt that must be alone or, for a group that must be
	// alone, by anything.
	Busy                                    int
	NoSlot, NoCPU, NoMemory, NoOther, Taken int
	// MostFree is the most of each amount that a busy worker with a free slot has
	// free; the two may be of different workers.
	MostFree job.Resources
	// Open ones have a place for it now.
	Open int

	// Limits are what keeps anything of its queue, or anything of its size, from starting.
	Limits []AtLimit
	// Ahead is how many ready elements go before the group's in its queue, or among what its
	// user has in it; with AheadMore there are more, which were not counted.
	Ahead     int64
	AheadMore bool
	// Turns are the users, queues and namespaces that it comes after by their share, at most
	// maxTurns of them.
	Turns []Turn
}

// AtLimit is a limit of a queue or, where Queue is empty, of a namespace.
type AtLimit struct {
	Namespace, Queue string
	// Resource is empty for a number of attempts.
	Resource         string
	Need, Used, Most int64
}

// Turn is somebody whose turn comes first: one of what the last of the names that is set says.
type Turn struct{ Namespace, Queue, User string }

const (
	// maxAhead bounds how many groups an explanation counts.
	maxAhead = 10_000
	maxTurns = 5
)

// Explain says why the elements of a ready group do not start now. Its cost grows
// with the number of workers and with what is ahead of the group, up to a bound.
func (x *Index) Explain(id GroupID) Why {
	at, ok := x.groups.get(keyOf(id))
	if !ok {
		return Why{}
	}
	r := x.records.get(at)
	c := x.classes[r.class]
	q := c.queue()
	y := Why{
		Ready: r.ready, Namespace: q.up.name, Queue: q.name,
		NamespacePaused: q.up.paused, QueuePaused: q.paused,
		Shape: c.shape.Shape, Alone: id.Alone, Workers: len(x.workerList),
	}
	for _, w := range x.workerList {
		y.count(w, c)
	}
	x.explainLimits(&y, c)
	x.explainOrder(&y, c, r)
	return y
}

func (x *Index) explainLimits(y *Why, c *class) {
	for _, a := range [...]*account{c.queue().up, c.queue()} {
		l := AtLimit{Namespace: a.name}
		if a.up != nil {
			l = AtLimit{Namespace: a.up.name, Queue: a.name}
		}
		if a.most > 0 && a.running >= a.most {
			l.Need, l.Used, l.Most = 1, a.running, a.most
			y.Limits = append(y.Limits, l)
		}
		for i := range a.limit {
			if a.used[i]+c.shape.need[i] > a.limit[i] {
				l.Resource, l.Need, l.Used, l.Most = x.column(i), c.shape.need[i], a.used[i], a.limit[i]
				y.Limits = append(y.Limits, l)
			}
		}
	}
}

// column is the name of a resource.
func (x *Index) column(i int) string {
	switch i {
	case cpuColumn:
		return "cpu"
	case memoryColumn:
		return "memory"
	}
	return x.names[i-otherColumn]
}

func (x *Index) explainOrder(y *Why, c *class, r *record) {
	budget := maxAhead
	for _, other := range c.flow.classes {
		if other != nil && len(other.groups) > 0 {
			y.Ahead += x.countAhead(other.groups, 0, r, &budget)
		}
	}
	y.AheadMore = budget <= 0
	for n := c.flow; n.up != nil && n.account != nil; n = n.up {
		for _, kid := range n.up.kids {
			if len(y.Turns) < maxTurns && kid != nil && kid != n && kid.open() && kid.busy() && x.precedes(kid, n) {
				y.Turns = append(y.Turns, kid.account.turn())
			}
		}
	}
}

// precedes reports whether it is a sibling's turn before a node's, by what there is now.
func (x *Index) precedes(n, o *node) bool {
	a, b := n.rank, o.rank
	a.score, b.score = x.standing(n.account), x.standing(o.account)
	return a.before(&b)
}

// busy reports whether anything waits at or below a node.
func (n *node) busy() bool {
	for _, t := range n.tables {
		if t != nil && !t.empty() {
			return true
		}
	}
	return false
}

func (a *account) turn() Turn {
	switch {
	case a.up == nil:
		return Turn{Namespace: a.name}
	case a.up.up == nil:
		return Turn{Namespace: a.up.name, Queue: a.name}
	}
	return Turn{a.up.up.name, a.up.name, a.name}
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

func (y *Why) count(w *worker, c *class) {
	need := y.Shape.Resources
	switch lack := c.shape.kind.match(&w.Worker); {
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
	case !within(c.shape.need, w.free):
		y.Busy++
		y.lacking(w, c)
	default:
		y.Open++
	}
}

// lacking counts what a busy worker has too little of.
func (y *Why) lacking(w *worker, c *class) {
	need, free := c.shape.need, w.free
	if need[cpuColumn] > free[cpuColumn] {
		y.NoCPU++
	}
	if need[memoryColumn] > free[memoryColumn] {
		y.NoMemory++
	}
	for i := otherColumn; i < len(need); i++ {
		if need[i] > free[i] {
			y.NoOther++
			break
		}
	}
	y.MostFree.CPU = max(y.MostFree.CPU, free[cpuColumn])
	y.MostFree.Memory = max(y.MostFree.Memory, free[memoryColumn])
	left := w.Capacity.Minus(w.taken())
	for name := range y.Shape.Resources.Other.All {
		y.MostFree.Other = y.MostFree.Other.Set(name, max(y.MostFree.Other.Get(name), left.Other.Get(name)))
	}
}

// taken is what the attempts on a worker use.
func (w *worker) taken() job.Resources {
	var sum job.Resources
	for i := range w.holdings {
		sum = sum.Plus(w.holdings[i].shape.Resources.Times(int64(w.holdings[i].running)))
	}
	return sum
}

func greatest(a, b job.Resources) job.Resources {
	out := job.Resources{CPU: max(a.CPU, b.CPU), Memory: max(a.Memory, b.Memory), Other: a.Other}
	for name, n := range b.Other.All {
		out.Other = out.Other.Set(name, max(n, a.Other.Get(name)))
	}
	return out
}
