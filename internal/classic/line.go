package classic

import (
	"cmp"
	"slices"
)

// line is jobs in the order of their keys; of equals the one that came first stands
// first. Most leave from the front, which costs nothing.
type line struct {
	key  []float64 // by job
	jobs []int32
	// gone is how many of jobs have left from the front.
	gone int
}

func (l *line) len() int     { return len(l.jobs) - l.gone }
func (l *line) all() []int32 { return l.jobs[l.gone:] }

func (l *line) find(i int32) (int, bool) {
	at, ok := slices.BinarySearchFunc(l.all(), i, l.compare)
	return at + l.gone, ok
}

func (l *line) compare(a, b int32) int {
	return cmp.Or(cmp.Compare(l.key[a], l.key[b]), cmp.Compare(a, b))
}

func (l *line) has(i int32) bool {
	_, ok := l.find(i)
	return ok
}

func (l *line) insert(i int32) {
	if l.gone > 1024 && l.gone > len(l.jobs)/2 {
		l.jobs = slices.Delete(l.jobs, 0, l.gone)
		l.gone = 0
	}
	at, _ := l.find(i)
	if at == l.gone && at > 0 {
		l.gone--
		l.jobs[l.gone] = i
		return
	}
	l.jobs = slices.Insert(l.jobs, at, i)
}

func (l *line) remove(i int32) {
	at, ok := l.find(i)
	switch {
	case !ok:
	case at == l.gone:
		l.gone++
	default:
		l.jobs = slices.Delete(l.jobs, at, at+1)
	}
}
