package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
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
	// sideApart: no two that run are in one domain.
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
	// counts is how many are in each domain, of those that were placed and have not gone; live is how many
	// these are, and domains of how many domains each number above 0 is true.
	counts  map[domain]int
	live    int
	domains []int
	classes []*class
	// chart is that of a label that it looks at, if there is one.
	chart *chart
}

// count adds to a domain, and returns how many are there now.
func (m *company) count(at domain, n int) int {
	was := m.counts[at]
	now := was + n
	if m.counts[at] = now; now == 0 {
		delete(m.counts, at)
	}
	for len(m.domains) <= max(was, now) {
		m.domains = append(m.domains, 0)
	}
	m.domains[was]--
	m.domains[now]++
	m.live += n
	return now
}

// seat is where an attempt counts.
type seat struct {
	company *company
	domain  domain
}

// domain is a worker, or those with a value of a label (Kubernetes calls it a topology domain).
type domain struct {
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
		m = &company{Company: *name, side: side, counts: map[domain]int{}, chart: x.chartOf(name.By)}
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
func (w *worker) at(key string) domain {
	if key == job.AtWorker {
		return domain{worker: w.ID}
	}
	for _, pair := range w.Labels {
		if len(pair) > len(key) && pair[len(key)] == '=' && strings.HasPrefix(pair, key) {
			return domain{value: pair[len(key)+1:]}
		}
	}
	return domain{}
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

// leaveSeat empties a seat. Those that wait for a domain with a value are looked at again: they may have room
// where no worker gained any. A worker gains room itself when what was on it goes.
func (x *Index) leaveSeat(s *seat) {
	m, at := s.company, s.domain
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

// maxRivals bounds the attempts that are named of those that keep a group from workers.
const maxRivals = 3

// explainApart names what runs where workers could take a class, if that were not to be apart from it.
func (x *Index) explainApart(y *why.Why, c *class) {
	m := c.looks[sideApart]
	if y.Apart, y.ApartKey = m.name().By, m.name().Key; y.ApartKey == "" || y.Together == 0 {
		return
	}
	domains := map[domain]bool{}
	for _, w := range x.workerList {
		if !c.admits(w) && couldRun(w, c) && !x.belowFloor(c, w) {
			domains[w.at(m.By)] = true
		}
	}
	for _, w := range x.workerList {
		if !domains[w.at(m.By)] {
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
