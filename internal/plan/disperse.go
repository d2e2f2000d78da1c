package plan

import (
	"cmp"

	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
)

// admits reports whether a worker may take one more of a class, as far as those go that run and that it is
// to be apart from.
func (c *class) admits(w *worker) bool {
	m := c.looks[sideApart]
	return m == nil || m.counts[w.at(m.By)] == 0
}

// neighbours is how many that a class is to be spread with are where a worker is.
func (c *class) neighbours(w *worker) int {
	if m := c.looks[sideSpread]; m != nil {
		return m.counts[w.at(m.By)]
	}
	return 0
}

// The search for a worker goes by the order in which a class takes them, and stops at the first that has
// the fewest of its like near that any can have. What that is, is learned: a class remembers what was
// the least when all had been looked at, and that holds until fewer are in some domain, or a worker has
// come that had no room before: of the last of these there is a list.

const (
	// maxMisses is how many workers are looked at in order, and maxSteps how many nodes of a tree to find them;
	// then all are, which costs less for each.
	maxMisses = 64
	maxSteps  = 256
	// maxArrivals is how many workers are remembered that have come to have room.
	maxArrivals = 512
)

// arrivals are the last workers that may have room and had none before, n how many there ever were.
type arrivals struct {
	last [maxArrivals]*worker
	n    uint64
}

func (l *arrivals) note(w *worker) {
	l.last[l.n%maxArrivals] = w
	l.n++
}

// fewest is a lower bound of how many of its like are near to any worker that has room for a class and
// may take it. Where there are none nobody counts; above that it is a number of some domain.
func (x *Index) fewest(c *class) int {
	if x.arrivals.n-c.heard > maxArrivals {
		c.least = 0
	}
	for ; c.least > 0 && c.heard < x.arrivals.n; c.heard++ {
		if w := x.arrivals.last[c.heard%maxArrivals]; w.profile != nil {
			c.least = min(c.least, c.neighbours(w))
		}
	}
	c.heard = x.arrivals.n
	if m := c.looks[sideSpread]; m != nil {
		for c.least > 0 && c.least < len(m.domains)-1 && m.domains[c.least] == 0 {
			c.least++
		}
	}
	return c.least
}

// dispersed is the worker with a free place for a group of a class that looks at its like: where the fewest
// of them are, then the one that it prefers, then the one with the most free places; of those that gained
// room, or of all.
func (x *Index) dispersed(c *class, group uint32, gained bool) *worker {
	s := search{x: x, class: c, prefers: x.prefers(c), least: x.fewest(c)}
	all := !gained
	for _, p := range c.shape.kind.profiles {
		if x.admits(c, group, p) {
			s.among(p, gained)
		} else {
			all = false
		}
	}
	x.budget -= s.asked
	if all && s.found.worker != nil && c.form != patient { // which may take other workers the next time
		c.least = s.found.neighbours
	}
	return s.found.worker
}

// search looks for a worker.
type search struct {
	x       *Index
	class   *class
	prefers bool
	least   int
	found   candidate
	// asked is how many workers were looked at, misses how many of these in vain.
	asked, misses int
}

// candidate is a worker, how many of a company are where it is, and what it is worth to them.
type candidate struct {
	worker     *worker
	neighbours int
	worth      int64
}

func (a *candidate) before(b *candidate) bool {
	return cmp.Or(cmp.Compare(a.neighbours, b.neighbours), cmp.Compare(b.worth, a.worth), cmp.Compare(b.worker.places(), a.worker.places()),
		cmp.Compare(a.worker.ID, b.worker.ID)) < 0
}

// among looks among the workers of a profile.
func (s *search) among(p *profile, gained bool) {
	rooms := &p.all
	if gained {
		rooms = &p.gained
	}
	tree, worth := rooms.tree(s.class.form), []int64(nil)
	if s.prefers {
		r := p.ranking(s.class.prefer)
		if tree, worth = r.open, r.worth; gained {
			tree = r.gained
		}
	}
	of := func(i int32) candidate {
		at := candidate{worker: p.workers[i], neighbours: s.least}
		if worth != nil {
			at.worth = worth[i]
		}
		return at
	}
	need := s.class.shape.need
	if s.misses < maxMisses {
		over := false
		only, all := s.only(p)
		steps, whole := tree.InOrder(need, only, maxSteps, func(i int32) bool {
			at := of(i)
			if s.found.worker != nil && !at.before(&s.found) {
				over = true // nor is any before that comes after it
				return false
			}
			if s.ask(&at) && at.neighbours == s.least {
				over = true
				return false
			}
			s.misses++
			return s.misses < maxMisses
		})
		s.asked += steps
		if over || whole && (all || s.found.worker != nil && s.found.neighbours == s.least) {
			return
		}
	}
	tree.Each(need, func(i int32) bool {
		at := of(i)
		s.ask(&at)
		s.asked++
		return true
	})
}

// only leaves out workers of a profile that are not worth a look at first; all says that it leaves out no worker
// that the class may have.
func (s *search) only(p *profile) (f tournament.Filter, all bool) {
	if f = s.class.looks[sideSpread].filter(p, s.least); f.Marks != nil {
		return f, false
	}
	return s.class.looks[sideApart].filter(p, 0), true
}

// ask looks at a worker, and reports whether the class may go there.
func (s *search) ask(at *candidate) bool {
	if !s.class.admits(at.worker) || s.x.belowFloor(s.class, at.worker) {
		return false
	}
	at.neighbours = s.class.neighbours(at.worker)
	if s.found.worker == nil || at.before(&s.found) {
		s.found = *at
	}
	return true
}
