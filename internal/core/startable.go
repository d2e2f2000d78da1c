package core

import (
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// startable is how many elements of a task could start now: those that ask for what it says, those
// that ask for more memory, and those that need a worker for themselves.
type startable struct{ plain, larger, alone int64 }

func (n startable) all() int64 { return n.plain + n.larger + n.alone }

// within is at most so many of each.
func (n startable) within(most int64) startable {
	return startable{min(n.plain, most), min(n.larger, most), min(n.alone, most)}
}

// of is how many of a group's kind there are.
func (n startable) of(g plan.GroupID) int64 {
	switch {
	case g.Alone:
		return n.alone
	case g.Larger:
		return n.larger
	}
	return n.plain
}

// groups are what planning calls elements that could start, those first that need the most.
func (n startable) groups(id job.ID, ti uint32) []plan.GroupID {
	var out []plan.GroupID
	for _, g := range [...]plan.GroupID{{Alone: true}, {Larger: true}, {}} {
		if n.of(g) > 0 {
			g.Job, g.Task = id, ti
			out = append(out, g)
		}
	}
	return out
}

// startable counts the elements of a task that could start.
func (t *task) startable() (n startable) {
	if !t.ready || t.held || t.stop.Kind != job.CauseNone {
		return n
	}
	if t.arr == nil {
		switch {
		case t.n == 0 || t.one.rec.State != job.Pending || t.one.retry.at > 0:
		case t.one.retry.spent.Isolated():
			n.alone = 1
		default:
			n.plain = 1
		}
		return n
	}
	a := t.arr
	c := a.table.Counts()
	if a.gang {
		switch {
		case c[job.Pending] < t.n || a.backoff > 0:
		case a.retries[0].spent.Isolated(): // as all of them are
			n.alone = t.n
		default:
			n.plain = t.n
		}
		return n
	}
	n.larger, n.alone = a.larger.Len(), a.alone.Len()
	if a.gated {
		n.plain = a.open.Len()
	} else {
		n.plain = c[job.Pending] - a.backoff - n.larger - n.alone
	}
	return n
}

// pick returns the element of a group's kind that starts next, -1 if there is none.
func (t *task) pick(g plan.GroupID) int64 {
	switch {
	case t.startable().of(g) == 0:
		return -1
	case t.arr == nil:
		return 0
	case g.Alone:
		return t.arr.alone.Min()
	case g.Larger:
		return t.arr.larger.Min()
	}
	if p := t.arr.open.Min(); p >= 0 {
		return p
	}
	if t.arr.gated {
		return -1
	}
	for p := t.arr.cursor; ; p++ {
		p = t.arr.table.NextPending(p)
		if p < 0 || t.arr.retries[p].at == 0 && !t.arr.alone.Has(p) && !t.arr.larger.Has(p) {
			return p
		}
	}
}

// taken notes that the element at p has been picked.
func (t *task) taken(p int64) {
	if t.arr == nil {
		return
	}
	if !t.arr.open.Remove(p) && !t.arr.alone.Remove(p) && !t.arr.larger.Remove(p) && p >= t.arr.cursor {
		t.arr.cursor = p + 1
	}
}

// again makes the pending element at p startable: it was woken or given back.
func (t *task) again(p int64) {
	if t.arr == nil {
		return
	}
	t.outOfTurn(t.arr.retries[p].spent).Add(p)
}

// outOfTurn is the set of those that may start out of turn in which an element belongs.
func (t *task) outOfTurn(spent job.Spent) *element.Set {
	switch {
	case spent.Isolated():
		return &t.arr.alone
	case spent.Larger() && !t.arr.gang:
		return &t.arr.larger
	}
	return &t.arr.open
}
