package core

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// pageLen is how many ids share a page of the jobs: few enough that one job that
// waits for years does not hold much room for the others.
const pageLen = 64

// jobTable is the jobs in memory by id. Ids rise and are used without holes, so
// that pages take a third of what a map of jobs would, and give the order for free.
type jobTable struct {
	pages map[job.ID]*jobPage
	order []job.ID // the numbers of the pages, rising, with some that are gone
	n     int
}

type jobPage struct {
	jobs [pageLen]*jobState
	n    int
}

// get returns a job, nil if it is not in memory.
func (t *jobTable) get(id job.ID) *jobState {
	if p := t.pages[id/pageLen]; p != nil {
		return p.jobs[id%pageLen]
	}
	return nil
}

// put adds a job whose id is not in use.
func (t *jobTable) put(j *jobState) {
	number := j.id / pageLen
	p := t.pages[number]
	if p == nil {
		p = &jobPage{}
		if t.pages == nil {
			t.pages = map[job.ID]*jobPage{}
		}
		t.pages[number] = p
		if at, found := slices.BinarySearch(t.order, number); !found { // at the end, but for a gap in what is loaded
			t.order = slices.Insert(t.order, at, number)
		}
	}
	p.jobs[j.id%pageLen] = j
	p.n++
	t.n++
}

// drop forgets a job that is there.
func (t *jobTable) drop(id job.ID) {
	number := id / pageLen
	p := t.pages[number]
	p.jobs[id%pageLen] = nil
	p.n--
	t.n--
	if p.n > 0 {
		return
	}
	delete(t.pages, number)
	if gone := len(t.order) - len(t.pages); gone > len(t.order)/2 && gone > 16 {
		t.order = slices.DeleteFunc(t.order, func(number job.ID) bool { return t.pages[number] == nil })
	}
}

func (t *jobTable) len() int { return t.n }

// all yields the jobs by rising id. None may be added or dropped meanwhile.
func (t *jobTable) all(yield func(*jobState) bool) { t.from(0)(yield) }

// from is all, from an id on.
func (t *jobTable) from(id job.ID) func(yield func(*jobState) bool) {
	return func(yield func(*jobState) bool) {
		at, _ := slices.BinarySearch(t.order, id/pageLen)
		for _, number := range t.order[at:] {
			p := t.pages[number]
			if p == nil {
				continue
			}
			for _, j := range p.jobs {
				if j != nil && j.id >= id && !yield(j) {
					return
				}
			}
		}
	}
}
