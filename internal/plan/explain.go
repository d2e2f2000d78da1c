package plan

import (
	"cmp"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/match"
	"github.com/reeve-scheduler/reeve/internal/plan/pile"
	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
)

const (
	// maxAhead bounds how many groups an explanation counts.
	maxAhead = 10_000
	maxTurns = 5
	// maxFirst bounds the jobs that it names of what is ahead.
	maxFirst = 3
)

// Explain says why the elements of a ready group do not start now. Its cost grows
// with the number of workers and with what is ahead of the group, up to a bound.
// now is in Unix milliseconds.
func (x *Index) Explain(id GroupID, now int64) why.Why {
	at, ok := x.find(id)
	if !ok {
		return why.Why{}
	}
	r := x.groups.Get(at)
	c := x.classes[r.Class]
	q := c.queue()
	y := why.Why{
		Ready: r.Ready, Namespace: q.up.name, Queue: q.name,
		NamespacePaused: q.up.paused, QueuePaused: q.paused,
		Need: needOf(c.shape), Alone: id.Alone, Nodes: c.nodes, Job: id.Job, Workers: len(x.workerList),
	}
	for _, w := range x.workerList {
		if k := w.profile.calendar.bar(q, r.Lasts(), now); k != nil && couldRun(w, c) {
			countReserved(&y, k, r.Lasts(), now)
			continue
		}
		if couldRun(w, c) && x.belowFloor(c, w) {
			y.Dearer++
			continue
		}
		busy := y.Busy
		if count(&y, w, c); y.Busy > busy && len(y.Best) < why.MaxNames {
			y.Best = append(y.Best, w.Name)
		}
	}
	if y.Dearer == 0 {
		y.Best = nil
	}
	x.explainApart(&y, c)
	for _, w := range slices.SortedFunc(slices.Values(x.leaving), func(a, b *worker) int { return cmp.Compare(a.ID, b.ID) }) {
		if y.Leaving == 0 && w.profile.serves(c.shape.kind) && w.profile.calendar.bar(q, r.Lasts(), now) == nil && x.roomFor(c, w, func(r *Run) bool { return r.leaving }) {
			y.Leaving, y.LeavingOn = w.leaving, w.Name
		}
	}
	x.explainLimits(&y, c)
	x.explainOrder(&y, c, r, now)
	return y
}

func (x *Index) explainLimits(y *why.Why, c *class) {
	for _, a := range [...]*account{c.queue().up, c.queue()} {
		l := why.AtLimit{Namespace: a.name}
		if a.up != nil {
			l = why.AtLimit{Namespace: a.up.name, Queue: a.name}
		}
		n := int64(c.nodes)
		if a.most > 0 && a.running+n > a.most {
			l.Need, l.Used, l.Most = n, a.running, a.most
			y.Limits = append(y.Limits, l)
		}
		for i := range a.limit {
			if need := n * c.shape.need[i]; need > 0 && a.used[i]+need > a.limit[i] {
				l.Resource, l.Need, l.Used, l.Most = x.column(i), need, a.used[i], a.limit[i]
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

func (x *Index) explainOrder(y *why.Why, c *class, r *pile.Record, now int64) {
	a := ahead{of: r, budget: maxAhead}
	for _, other := range c.flow.classes {
		if other != nil && len(other.groups) > 0 {
			x.countAhead(&a, other.groups, 0)
		}
	}
	y.Ahead, y.AheadMore = a.n, a.budget <= 0
	y.FirstMore = y.AheadMore || len(a.first) > maxFirst
	for _, o := range a.first[:min(len(a.first), maxFirst)] {
		y.First = append(y.First, o.Job)
	}
	for n := c.flow; n.up != nil && n.account != nil; n = n.up {
		for _, kid := range x.before(n, maxTurns-len(y.Turns), now) {
			y.Turns = append(y.Turns, kid.account.turn())
		}
	}
}

// before is the siblings of a node whose turn it is before at a moment, the first of them in order.
func (x *Index) before(n *node, most int, now int64) []*node {
	var first []*node
	for _, kid := range n.up.kids {
		if kid == nil || kid == n || kid.closed() || !kid.busy() || !x.precedes(kid, n, now) {
			continue
		}
		at := len(first)
		for at > 0 && x.precedes(kid, first[at-1], now) {
			at--
		}
		if first = slices.Insert(first, at, kid); len(first) > most {
			first = first[:most]
		}
	}
	return first
}

// precedes reports whether it is a sibling's turn before a node's, by what counts at a moment.
func (x *Index) precedes(n, o *node, now int64) bool {
	a, b := n.rank, o.rank
	a.Score, b.Score = x.standing(n.account, now), x.standing(o.account, now)
	return a.Before(&b)
}

// busy reports whether anything waits at or below a node.
func (n *node) busy() bool {
	for _, t := range n.tables {
		if t != nil && !t.Empty() {
			return true
		}
	}
	return false
}

func (a *account) turn() why.Turn {
	switch {
	case a.up == nil:
		return why.Turn{Namespace: a.name}
	case a.up.up == nil:
		return why.Turn{Namespace: a.up.name, Queue: a.name}
	}
	return why.Turn{Namespace: a.up.up.name, Queue: a.up.name, User: a.name}
}

// ahead is what is before a group in order.
type ahead struct {
	of *pile.Record
	// budget is how many more groups may be counted, n how many elements they have.
	budget int
	n      int64
	// first is a group of each of the jobs that come first, and of one more, in order.
	first []*pile.Record
}

// countAhead counts what is before a group at and below a position of a heap: below what is
// not before it, nothing is.
func (x *Index) countAhead(a *ahead, h pile.Heap, at int) {
	o := x.groups.Get(h[at])
	if a.budget <= 0 || !o.Before(a.of) {
		return
	}
	a.budget--
	if o.Part%Ways == 0 { // else they are counted by the first of their ways
		a.n += o.Ready
		a.name(o)
	}
	for i := at*pile.Fan + 1; i < min(at*pile.Fan+1+pile.Fan, len(h)); i++ {
		x.countAhead(a, h, i)
	}
}

// name notes a group if its job is one of the first.
func (a *ahead) name(o *pile.Record) {
	same := slices.IndexFunc(a.first, func(f *pile.Record) bool { return f.Job == o.Job })
	switch {
	case same >= 0 && !o.Before(a.first[same]):
		return
	case same >= 0:
		a.first = slices.Delete(a.first, same, same+1)
	case len(a.first) > maxFirst && !o.Before(a.first[maxFirst]):
		return
	}
	at := len(a.first)
	for at > 0 && o.Before(a.first[at-1]) {
		at--
	}
	a.first = slices.Insert(a.first, at, o)
	a.first = a.first[:min(len(a.first), maxFirst+1)]
}

// couldRun reports whether a worker could run a class if it did nothing else.
func couldRun(w *worker, c *class) bool {
	return w.Accepts && w.Slots > 0 && c.shape.kind.match(&w.Worker) == matched && c.shape.Resources.Fits(w.Capacity)
}

func count(y *why.Why, w *worker, c *class) {
	need := y.Need.Resources
	switch lack := c.shape.kind.match(&w.Worker); {
	case lack == noExecutor:
		y.NoExecutor++
	case lack == noFunction:
		y.NoFunction++
	case lack == noLabel:
		y.NoLabel++
	case lack == noCondition:
		unmet(y, w, c.shape.kind)
	case !need.Fits(w.Capacity) || w.Slots < 1:
		y.TooSmall++
		raise(&y.Largest, &y.LargestBy, w.Capacity, &w.Overcommit)
	case !w.Accepts && w.Unfit != "":
		y.Unfit++
		y.UnfitWhy = w.Unfit
	case !w.Accepts:
		y.Away++
	case !c.admits(w):
		y.Busy++
		y.Together++
	case w.alone > 0 || y.Alone && !w.empty():
		y.Busy++
		y.Taken++
	case w.places() == 0:
		y.Busy++
		y.NoSlot++
	case !tournament.Within(c.shape.need, w.free):
		y.Busy++
		lacking(y, w, c)
	default:
		y.Open++
	}
}

// unmet counts a worker that does not meet a condition.
func unmet(y *why.Why, w *worker, k *kind) {
	c := k.unmet(&w.Worker)
	at := slices.IndexFunc(y.Unmet, func(u why.Unmet) bool { return u.Condition == c.text })
	if at < 0 {
		at = len(y.Unmet)
		y.Unmet = append(y.Unmet, why.Unmet{Condition: c.text})
	}
	u := &y.Unmet[at]
	u.Workers++
	reason := c.entry.Reason(&match.Worker{Name: w.Name, Labels: w.Labels})
	switch at := slices.IndexFunc(u.NoValue, func(n why.NoValue) bool { return n.Reason == reason }); {
	case reason == "":
	case at >= 0:
		u.NoValue[at].Workers++
	case len(u.NoValue) < why.MaxReasons:
		u.NoValue = append(u.NoValue, why.NoValue{Reason: reason, Workers: 1})
	}
}

func needOf(s *shape) why.Need {
	return why.Need{Resources: s.Resources, Executor: s.Executor, Function: s.Function, Where: s.kind.labels()}
}

// lacking counts what a busy worker has too little of.
func lacking(y *why.Why, w *worker, c *class) {
	need, free := c.shape.need, w.free
	var left job.Resources // of what it has too little of
	if need[cpuColumn] > free[cpuColumn] {
		y.NoCPU++
		left.CPU = free[cpuColumn]
	}
	if need[memoryColumn] > free[memoryColumn] {
		y.NoMemory++
		left.Memory = free[memoryColumn]
	}
	other := false
	for i := otherColumn; i < len(need); i++ {
		other = other || need[i] > free[i]
	}
	if other {
		y.NoOther++
	}
	has := w.Capacity.Minus(w.taken())
	for name, n := range y.Need.Resources.Other.All {
		if free := has.Other.Get(name); n > free {
			left.Other = left.Other.Set(name, free)
			if !slices.Contains(y.Lacking, name) {
				y.Lacking = append(y.Lacking, name)
			}
		}
	}
	raise(&y.MostFree, &y.MostFreeBy, left, &w.Overcommit)
}

// taken is what the attempts on a worker use.
func (w *worker) taken() job.Resources {
	var sum job.Resources
	for i := range w.holdings {
		sum = sum.Plus(w.holdings[i].shape.Resources.Times(int64(w.holdings[i].running)))
	}
	return sum
}

// raise makes the most of each amount at least what a worker has, and notes the factors by which
// the worker has more.
func raise(most *job.Resources, by *job.Factors, has job.Resources, over *job.Factors) {
	if has.CPU > most.CPU {
		most.CPU, by.CPU = has.CPU, over.CPU
	}
	if has.Memory > most.Memory {
		most.Memory, by.Memory = has.Memory, over.Memory
	}
	for name, n := range has.Other.All {
		if n > most.Other.Get(name) {
			most.Other, by.Other = most.Other.Set(name, n), by.Other.Set(name, over.Other.Get(name))
		}
	}
}
