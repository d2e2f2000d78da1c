package plan

import (
	"math"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Amounts are kept by column: processors, memory, and a column for each other resource that
// a worker has had. There are few, so that every tree can keep them all.
const (
	cpuColumn    = 0
	memoryColumn = 1
	// otherColumn is the first of the others.
	otherColumn = 2
	// maxColumns bounds them; a worker's further resources are not given to anyone.
	maxColumns = 64
)

// learn makes columns for what a worker has and tournament.None had before.
func (x *Index) learn(r job.Resources) {
	width := x.width
	for name := range r.Other.All {
		if _, known := x.columns[name]; !known && x.width < maxColumns {
			x.columns[name] = x.width
			x.names = append(x.names, name)
			x.width++
		}
	}
	if x.width > width {
		x.widen()
	}
}

// vector is amounts by column, and the name of one that has tournament.None.
func (x *Index) vector(r job.Resources) (v []int64, short string) {
	v = make([]int64, x.width)
	v[cpuColumn], v[memoryColumn] = r.CPU, r.Memory
	for name, n := range r.Other.All {
		if i, ok := x.columns[name]; ok {
			v[i] = n
		} else if n > 0 {
			short = name
		}
	}
	return v, short
}

// resources is the inverse of vector.
func (x *Index) resources(v []int64) job.Resources {
	r := job.Resources{CPU: v[cpuColumn], Memory: v[memoryColumn]}
	for i, name := range x.names {
		if n := v[otherColumn+i]; n != 0 {
			r.Other = r.Other.Set(name, n)
		}
	}
	return r
}

// widen works everything out anew that is by column: it happens as often as a worker comes
// with a resource that is new.
func (x *Index) widen() {
	x.total, x.asked, x.everything, x.nothing = make([]int64, x.width), make([]int64, x.width), make([]int64, x.width), make([]int64, x.width)
	for i := range x.everything {
		x.everything[i] = math.MinInt64
	}
	for _, s := range x.shapeList {
		x.measure(s)
	}
	for _, w := range x.workerList {
		w.capacity, _ = x.vector(w.Capacity)
		w.used, w.free = make([]int64, x.width), make([]int64, x.width)
		for i, n := range w.capacity {
			x.total[i] += n
		}
		for _, r := range w.runs {
			if r.prefetch {
				continue
			}
			for i, n := range r.shape.need {
				w.used[i] += n
			}
		}
	}
	x.eachAccount(func(a *account) {
		a.used = make([]int64, x.width)
		x.bound(a)
	})
	for _, w := range x.workerList {
		for _, r := range w.runs {
			for a := r.flow; a != nil; a = a.up {
				for i, n := range r.shape.need {
					a.used[i] += n
				}
			}
		}
	}
	x.plant()
}

// plant grows every tree anew.
func (x *Index) plant() {
	for _, p := range x.profileList {
		p.reset(x.width)
	}
	for _, w := range x.workerList {
		x.refresh(w)
	}
	x.root.fell()
	for _, c := range x.classes {
		if c != nil {
			x.refreshClass(c)
		}
	}
	x.reweigh = true
}

// fell drops the tables of a node and of all below.
func (n *node) fell() {
	n.tables = nil
	for _, kid := range n.kids {
		if kid != nil {
			kid.fell()
		}
	}
}

// measure works out the vectors of a shape.
func (x *Index) measure(s *shape) {
	s.need, s.short = x.vector(s.Resources)
	s.lack = make([]int64, len(s.need))
	for i, n := range s.need {
		s.lack[i] = -n
	}
}

func (x *Index) eachAccount(do func(a *account)) {
	var all func(list []*account)
	all = func(list []*account) {
		for _, a := range list {
			do(a)
			all(a.kids)
		}
	}
	all(x.spaceList)
}
