package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
)

// Company is those that look at where others of them run: the elements of a task, or, with a Key, all
// of a namespace whose tasks say that. Without By it is none.
type Company struct {
	Job        job.ID
	Task       uint32
	Space, Key string
	// By is what they look at: a label of their workers, or job.AtWorker for the worker itself. Workers
	// without the label have that in common.
	By string
}

// What a company is for. One that is for the one thing knows nothing of one for the other, whatever they
// are called.
const (
	// sideApart: no two that run are in one spot.
	sideApart = iota
	// sideSpread: each goes where the fewest are.
	sideSpread
	sides
)

// looks is the companies that a class is of, nil for none.
type looks [sides]*company

// company is a Company and where how many of it are.
type company struct {
	Company
	side int
	// counts is how many are in each spot, of those that were placed and have not gone; live is how many
	// these are, and spots of how many spots each number above 0 is true.
	counts  map[spot]int
	live    int
	spots   []int
	classes []*class
	// chart is that of a label that it looks at, if there is one.
	chart *chart
}

// count adds to a spot, and returns how many are there now.
func (m *company) count(at spot, n int) int {
	was := m.counts[at]
	now := was + n
	if m.counts[at] = now; now == 0 {
		delete(m.counts, at)
	}
	for len(m.spots) <= max(was, now) {
		m.spots = append(m.spots, 0)
	}
	m.spots[was]--
	m.spots[now]++
	m.live += n
	return now
}

// seat is where an attempt counts.
type seat struct {
	company *company
	spot    spot
}

// spot is a worker, or those with a value of a label.
type spot struct {
	worker uint64
	value  string
}

// looksAt reports whether the elements of a group look at others.
func (g *Group) looksAt() bool { return g.Apart.By != "" || g.Spread.By != "" }

// are reports whether a class is of certain companies.
func (l *looks) are(apart, spread *Company) bool {
	return l[sideApart].is(apart) && l[sideSpread].is(spread)
}

func (m *company) is(name *Company) bool {
	if m == nil {
		return name.By == ""
	}
	return m.Company == *name
}

func (l *looks) any() bool { return l[sideApart] != nil || l[sideSpread] != nil }

// looksOf finds or makes companies.
func (x *Index) looksOf(apart, spread *Company) looks {
	return looks{sideApart: x.companyOf(sideApart, apart), sideSpread: x.companyOf(sideSpread, spread)}
}

func (x *Index) companyOf(side int, name *Company) *company {
	if name.By == "" {
		return nil
	}
	m := x.companies[side][*name]
	if m == nil {
		m = &company{Company: *name, side: side, counts: map[spot]int{}, chart: x.chartOf(name.By)}
		if m.chart != nil {
			m.chart.companies++
		}
		x.companies[side][*name] = m
	}
	return m
}

// enlist says that a class is new.
func (c *class) enlist() {
	for _, m := range c.looks {
		if m != nil {
			m.classes = append(m.classes, c)
		}
	}
}

// delist says that a class is forgotten.
func (x *Index) delist(c *class) {
	for _, m := range c.looks {
		if m != nil {
			m.classes = slices.DeleteFunc(m.classes, func(o *class) bool { return o == c })
			x.quit(m)
		}
	}
}

// quit forgets a company of which nothing is left.
func (x *Index) quit(m *company) {
	if m.live == 0 && len(m.classes) == 0 {
		delete(x.companies[m.side], m.Company)
		if m.chart != nil {
			m.chart.companies--
		}
	}
}

// name is the Company, none for none.
func (m *company) name() Company {
	if m == nil {
		return Company{}
	}
	return m.Company
}

// at is where a worker is by a label.
func (w *worker) at(key string) spot {
	if key == job.AtWorker {
		return spot{worker: w.ID}
	}
	for _, pair := range w.Labels {
		if len(pair) > len(key) && pair[len(key)] == '=' && strings.HasPrefix(pair, key) {
			return spot{value: pair[len(key)+1:]}
		}
	}
	return spot{}
}

// join counts an attempt in.
func (x *Index) join(r *Run, apart, spread *Company) {
	for side, m := range x.looksOf(apart, spread) {
		if m != nil {
			m.seat(r, side)
		}
	}
}

func (m *company) seat(r *Run, side int) {
	at := r.worker.at(m.By)
	r.seats[side] = seat{m, at}
	m.count(at, 1)
}

// part counts an attempt out that goes.
func (x *Index) part(r *Run) {
	for side := range r.seats {
		if m := r.seats[side].company; m != nil {
			x.leaveSeat(&r.seats[side])
			x.quit(m)
		}
	}
}

// leaveSeat empties a seat. Those that wait for a spot with a value are looked at again: they may have room
// where no worker gained any. A worker gains room itself when what was on it goes.
func (x *Index) leaveSeat(s *seat) {
	m, at := s.company, s.spot
	*s = seat{}
	left := m.count(at, -1)
	for _, c := range m.classes {
		if m.side == sideSpread {
			c.least = min(c.least, left)
		} else if left == 0 && m.By != job.AtWorker {
			c.least = 0
			if c.waits() {
				x.changed = true
				x.move(c, active)
			}
		}
	}
}

// relabel counts anew what runs on a worker whose labels are others now.
func (x *Index) relabel(w *worker) {
	for _, r := range w.runs {
		for side := range r.seats {
			if m := r.seats[side].company; m != nil {
				x.leaveSeat(&r.seats[side])
				m.seat(r, side)
			}
		}
	}
}

// admits reports whether a worker may take one more of a class, as far as those go that run and that it is
// to be apart from.
func (c *class) admits(w *worker) bool {
	m := c.looks[sideApart]
	return m == nil || m.counts[w.at(m.By)] == 0
}

// crowd is how many that a class is to be spread with are where a worker is.
func (c *class) crowd(w *worker) int {
	if m := c.looks[sideSpread]; m != nil {
		return m.counts[w.at(m.By)]
	}
	return 0
}

// The search for a worker goes by the order in which a class takes them, and stops at the first that has
// the fewest of its like near that any can have. What that is, is learned: a class remembers what was
// the least when all had been looked at, and that holds until fewer are in some spot, or a worker has
// come that had no room before: of the last of these there is a list.

const (
	// maxMisses is how many workers are looked at in order, and maxSteps how many nodes of a tree to find them;
	// then all are, which costs less for each.
	maxMisses = 64
	maxSteps  = 256
	// maxComers is how many workers are remembered that have come to have room.
	maxComers = 512
)

// comers are the last workers that may have room and had none before, n how many there ever were.
type comers struct {
	last [maxComers]*worker
	n    uint64
}

func (l *comers) note(w *worker) {
	l.last[l.n%maxComers] = w
	l.n++
}

// fewest is a lower bound of how many of its like are near to any worker that has room for a class and
// may take it. Where there are none nobody counts; above that it is a number of some spot.
func (x *Index) fewest(c *class) int {
	if x.comers.n-c.heard > maxComers {
		c.least = 0
	}
	for ; c.least > 0 && c.heard < x.comers.n; c.heard++ {
		if w := x.comers.last[c.heard%maxComers]; w.profile != nil {
			c.least = min(c.least, c.crowd(w))
		}
	}
	c.heard = x.comers.n
	if m := c.looks[sideSpread]; m != nil {
		for c.least > 0 && c.least < len(m.spots)-1 && m.spots[c.least] == 0 {
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
		c.least = s.found.crowd
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
	worker *worker
	crowd  int
	worth  int64
}

func (a *candidate) before(b *candidate) bool {
	return cmp.Or(cmp.Compare(a.crowd, b.crowd), cmp.Compare(b.worth, a.worth), cmp.Compare(b.worker.places(), a.worker.places()),
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
		at := candidate{worker: p.workers[i], crowd: s.least}
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
			if s.ask(&at) && at.crowd == s.least {
				over = true
				return false
			}
			s.misses++
			return s.misses < maxMisses
		})
		s.asked += steps
		if over || whole && (all || s.found.worker != nil && s.found.crowd == s.least) {
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
	if !s.class.admits(at.worker) || s.x.spurns(s.class, at.worker) {
		return false
	}
	at.crowd = s.class.crowd(at.worker)
	if s.found.worker == nil || at.before(&s.found) {
		s.found = *at
	}
	return true
}

// maxRivals bounds the attempts that are named of those that keep a group from workers.
const maxRivals = 3

// explainApart names what runs where workers could take a class, if that were not to be apart from it.
func (x *Index) explainApart(y *why.Why, c *class) {
	m := c.looks[sideApart]
	if y.Apart, y.ApartKey = m.name().By, m.name().Key; y.ApartKey == "" || y.Together == 0 {
		return
	}
	spots := map[spot]bool{}
	for _, w := range x.workerList {
		if !c.admits(w) && couldRun(w, c) && !x.spurns(c, w) {
			spots[w.at(m.By)] = true
		}
	}
	for _, w := range x.workerList {
		if !spots[w.at(m.By)] {
			continue
		}
		for _, r := range w.runs {
			if r.seats[sideApart].company == m {
				y.Rivals = append(y.Rivals, why.Rival{Job: r.job, Worker: w.Name})
			}
		}
	}
	slices.SortFunc(y.Rivals, func(a, b why.Rival) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), strings.Compare(a.Worker, b.Worker))
	})
	y.Rivals = slices.Compact(y.Rivals)
	if y.RivalsMore = len(y.Rivals) > maxRivals; y.RivalsMore {
		y.Rivals = y.Rivals[:maxRivals]
	}
}
