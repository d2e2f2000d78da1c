package plan

import (
	"cmp"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Company is the elements of a task that look at where the others of them run. Its zero value is none.
type Company struct {
	Job  job.ID
	Task uint32
	// Apart is what no two of them that run have in common, and Spread what as few as possible have:
	// a label of their workers, or job.AtWorker for the worker itself. Workers without the label have that in
	// common.
	Apart, Spread string
}

// company is a Company and where how many of it are.
type company struct {
	Company
	// apart and spread count by what is looked at, both all that were placed and have not gone.
	apart, spread map[spot]int
	// live is how many these are.
	live    int
	classes []*class
}

// mark is where an attempt is.
type mark struct{ apart, spread spot }

// spot is a worker, or those with a value of a label.
type spot struct {
	worker uint64
	value  string
}

func (x *Index) companyOf(name Company) *company {
	if name == (Company{}) {
		return nil
	}
	m := x.companies[name]
	if m == nil {
		m = &company{Company: name, apart: map[spot]int{}, spread: map[spot]int{}}
		x.companies[name] = m
	}
	return m
}

// quit forgets a company of which nothing is left.
func (x *Index) quit(m *company) {
	if m.live == 0 && len(m.classes) == 0 {
		delete(x.companies, m.Company)
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
func (m *company) join(r *Run) {
	if m == nil {
		return
	}
	r.company, r.mark = m, mark{r.worker.at(m.Apart), r.worker.at(m.Spread)}
	m.count(r.mark, 1)
}

func (m *company) count(at mark, n int) {
	m.live += n
	if m.apart[at.apart] += n; m.apart[at.apart] == 0 {
		delete(m.apart, at.apart)
	}
	if m.spread[at.spread] += n; m.spread[at.spread] == 0 {
		delete(m.spread, at.spread)
	}
}

// part counts an attempt out that goes. Those that wait are looked at again: they may have room where
// no worker gained any.
func (x *Index) part(r *Run) {
	m := r.company
	if m == nil {
		return
	}
	r.company = nil
	m.count(r.mark, -1)
	x.retryAll(m)
	x.quit(m)
}

func (x *Index) retryAll(m *company) {
	x.changed = true
	for _, c := range m.classes {
		if c.waits() {
			x.move(c, active)
		}
	}
}

// relabel counts anew what runs on a worker whose labels are others now.
func (x *Index) relabel(w *worker) {
	for _, r := range w.runs {
		if m := r.company; m != nil {
			m.count(r.mark, -1)
			m.join(r)
			x.retryAll(m)
		}
	}
}

// admits reports whether a worker may take one more of a class, as far as those of it go that run.
func (c *class) admits(w *worker) bool {
	m := c.company
	return m == nil || m.Apart == "" || m.apart[w.at(m.Apart)] == 0
}

// dispersed is the worker with a free place for a class that looks at its like: where the fewest of
// them are, then the one that it prefers, then the one with the most free places. All workers with a
// place are asked.
func (x *Index) dispersed(c *class, group uint32) *worker {
	var found candidateAt
	prefers := x.prefers(c)
	for _, p := range c.shape.kind.profiles {
		if !x.admits(c, group, p) {
			continue
		}
		p.all.tree(c.form).Each(c.shape.need, func(i int32) bool {
			w := p.workers[i]
			if !c.admits(w) || x.spurns(c, w) {
				return true
			}
			at := candidateAt{worker: w, near: c.company.spread[w.at(c.company.Spread)]}
			if prefers {
				at.worth = p.ranking(c.prefer).worth[w.leaf]
			}
			if found.worker == nil || at.before(&found) {
				found = at
			}
			return true
		})
	}
	return found.worker
}

// candidateAt is a worker, how many of a company are where it is, and what it is worth to them.
type candidateAt struct {
	worker *worker
	near   int
	worth  int64
}

func (a *candidateAt) before(b *candidateAt) bool {
	return cmp.Or(cmp.Compare(a.near, b.near), cmp.Compare(b.worth, a.worth), cmp.Compare(b.worker.places(), a.worker.places()),
		cmp.Compare(a.worker.ID, b.worker.ID)) < 0
}
