package plan

import "math"

// tree is a tournament over leaves with a rank and two amounts. It finds the leaf
// of the first rank among those whose amounts are at least those asked for, without
// looking at branches where either amount is too low or every rank too late. A leaf
// without a positive score does not take part.
//
// Leaves keep their number until they are removed; numbers are used again.
type tree struct {
	leaves []leaf
	// nodes is the inner nodes in the usual layout: node n has the children 2n and
	// 2n+1, and from size on children are leaves.
	nodes []node
	free  []int32
	size  int32
}

type leaf struct {
	rank
	cpu, size int64
}

// rank is in order: the highest score, then the lowest id, then the lowest sub.
type rank struct {
	score int64
	id    uint64
	sub   uint32
}

func (r *rank) before(o *rank) bool {
	if r.score != o.score {
		return r.score > o.score
	}
	if r.id != o.id {
		return r.id < o.id
	}
	return r.sub < o.sub
}

// node is the best of what lies below: the greatest amounts and the winner.
type node struct {
	cpu, size int64
	best      int32
}

const none = int32(-1)

// add makes a leaf without a score.
func (t *tree) add() int32 {
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		return i
	}
	t.leaves = append(t.leaves, leaf{})
	i := int32(len(t.leaves) - 1)
	if i >= t.size {
		t.grow()
	}
	return i
}

func (t *tree) grow() {
	t.size = max(1, t.size*2)
	t.nodes = make([]node, t.size)
	for n := t.size - 1; n >= 1; n-- {
		t.nodes[n] = t.play(n)
	}
}

func (t *tree) remove(i int32) {
	t.set(i, leaf{})
	t.free = append(t.free, i)
}

// len is the number of leaves that were not removed.
func (t *tree) len() int { return len(t.leaves) - len(t.free) }

// set gives a leaf its rank and amounts.
func (t *tree) set(i int32, to leaf) {
	if t.leaves[i] == to {
		return
	}
	t.leaves[i] = to
	for n := (t.size + i) / 2; n >= 1; n /= 2 {
		was, is := t.nodes[n], t.play(n)
		if was == is && is.best != i {
			return
		}
		t.nodes[n] = is
	}
}

func (t *tree) play(n int32) node {
	a, b := t.view(2*n), t.view(2*n+1)
	won := node{cpu: max(a.cpu, b.cpu), size: max(a.size, b.size), best: a.best}
	if t.better(b.best, a.best) {
		won.best = b.best
	}
	return won
}

func (t *tree) view(n int32) node {
	if n < t.size {
		return t.nodes[n]
	}
	i := n - t.size
	if int(i) >= len(t.leaves) || t.leaves[i].score <= 0 {
		return node{cpu: math.MinInt64, size: math.MinInt64, best: none}
	}
	return node{cpu: t.leaves[i].cpu, size: t.leaves[i].size, best: i}
}

func (t *tree) better(a, b int32) bool {
	if a == none || b == none {
		return b == none && a != none
	}
	return t.leaves[a].before(&t.leaves[b].rank)
}

func (t *tree) fits(i int32, cpu, size int64) bool {
	return t.leaves[i].cpu >= cpu && t.leaves[i].size >= size
}

// most returns the greatest amounts of any leaf; false if none takes part.
func (t *tree) most() (cpu, size int64, ok bool) {
	if t.size == 0 {
		return 0, 0, false
	}
	v := t.view(1)
	return v.cpu, v.size, v.best != none
}

// find returns the best leaf with at least the amounts asked for, or none.
func (t *tree) find(cpu, size int64) int32 {
	if t.size == 0 {
		return none
	}
	return t.search(1, cpu, size, none)
}

func (t *tree) search(n int32, cpu, size int64, best int32) int32 {
	v := t.view(n)
	if v.cpu < cpu || v.size < size || !t.better(v.best, best) {
		return best
	}
	if t.fits(v.best, cpu, size) {
		return v.best
	}
	// The winner does not fit, but others below may; the likelier half first.
	first, second := 2*n, 2*n+1
	if t.better(t.view(second).best, t.view(first).best) {
		first, second = second, first
	}
	best = t.search(first, cpu, size, best)
	return t.search(second, cpu, size, best)
}

// each calls visit with every leaf that has the amounts, until it says false.
func (t *tree) each(cpu, size int64, visit func(i int32) bool) {
	if t.size > 0 {
		t.walk(1, cpu, size, visit)
	}
}

func (t *tree) walk(n int32, cpu, size int64, visit func(i int32) bool) bool {
	v := t.view(n)
	if v.best == none || v.cpu < cpu || v.size < size {
		return true
	}
	if n >= t.size {
		return visit(v.best)
	}
	return t.walk(2*n, cpu, size, visit) && t.walk(2*n+1, cpu, size, visit)
}
