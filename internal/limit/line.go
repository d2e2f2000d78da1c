package limit

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// line is those that wait for a key in one queue: the first few in order, and the rest.
type line struct {
	queue string
	first []*waiter
	rest  heap[*waiter]
}

// waiter is a group that waits.
type waiter struct {
	Claim
	at      int // in its line's rest, -1 among the first
	changed bool
}

func newLine(queue string) *line {
	return &line{queue: queue, rest: heap[*waiter]{
		before: func(a, b *waiter) bool { return a.before(&b.Claim) },
		moved:  func(w *waiter, at int) { w.at = at },
	}}
}

// lineOf is where a claim stands: its place among the lines of queues, and whether there is
// one, or the line of those that cancel.
func (k *Key) lineOf(c *Claim) (l *line, at int) {
	if c.Cancels {
		return k.rivals, -1
	}
	at, found := slices.BinarySearchFunc(k.lines, c.Queue, func(l *line, queue string) int {
		if l.queue < queue {
			return -1
		} else if l.queue > queue {
			return 1
		}
		return 0
	})
	if !found {
		return nil, at
	}
	return k.lines[at], at
}

// join puts a waiter into its line.
func (x *Keys) join(k *Key, w *waiter) {
	l, at := k.lineOf(&w.Claim)
	switch {
	case l == nil:
		l = newLine(w.Queue)
		k.lines = slices.Insert(k.lines, at, l)
	case w.Cancels && l.rest.moved == nil:
		l = newLine("")
		k.rivals = l
	}
	if w.Cancels {
		x.stir(k) // what does not cancel stands back, and what is older may be superseded
	}
	n := len(l.first)
	if n == Window && l.first[n-1].before(&w.Claim) {
		l.rest.push(w)
		return
	}
	place, _ := slices.BinarySearchFunc(l.first, w, func(a, b *waiter) int {
		if a.before(&b.Claim) {
			return -1
		}
		return 1
	})
	l.first = slices.Insert(l.first, place, w)
	if n == Window {
		last := l.first[Window]
		l.first[Window] = nil
		l.first = l.first[:Window]
		l.rest.push(last)
		x.change(last)
	}
}

// leave takes a waiter out of its line.
func (x *Keys) leave(k *Key, w *waiter) {
	l, at := k.lineOf(&w.Claim)
	if w.at >= 0 {
		l.rest.remove(w.at)
		return
	}
	i := slices.Index(l.first, w)
	l.first = slices.Delete(l.first, i, i+1)
	if len(l.rest.items) > 0 {
		next := l.rest.pop()
		l.first = append(l.first, next)
		x.change(next)
	}
	switch {
	case len(l.first) > 0:
	case w.Cancels:
		x.stir(k) // those that stood back
	default:
		k.lines = slices.Delete(k.lines, at, at+1)
	}
}

// Newer is how many jobs that cancel for a key go before a job that does so too, as far as
// they are among the first, and the newest of them.
func (k *Key) Newer(id job.ID) (n int64, newest job.ID) {
	last := job.ID(0)
	for _, w := range k.rivals.first {
		if w.Job <= id {
			break
		}
		if w.Job != last {
			n++
			last, newest = w.Job, max(newest, w.Job)
		}
	}
	return n, newest
}

// Before is how many groups go before one that waits for a key in its queue, of which at
// most so many are counted, and whether it waits at all.
func (k *Key) Before(g Group, most int) (n int, waits bool) {
	w := k.waiting[g]
	if w == nil {
		return 0, false
	}
	l, _ := k.lineOf(&w.Claim)
	if w.at < 0 {
		return slices.Index(l.first, w), true
	}
	budget := most - len(l.first)
	return len(l.first) + l.count(0, w, &budget), true
}

// count counts what is before w at and below a place of the rest: below what is not before
// it, nothing is.
func (l *line) count(at int, w *waiter, budget *int) int {
	if *budget <= 0 || at >= len(l.rest.items) || !l.rest.items[at].before(&w.Claim) {
		return 0
	}
	*budget--
	return 1 + l.count(2*at+1, w, budget) + l.count(2*at+2, w, budget)
}
