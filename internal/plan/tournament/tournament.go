// Package tournament is a tree that finds the best of those that are large enough.
package tournament

import "math"

// Tree is a tournament over leaves with a rank and as many amounts each as
// New was told. It finds the leaf of the first rank among those whose amounts are at least
// those asked for, without looking at branches where an amount is too low or every rank
// too late. A leaf without a positive score does not take part.
//
// Leaves have the numbers that their owner gives them: small ones, used again.
type Tree struct {
	width  int
	leaves []Rank
	// room is the amounts of leaves, width of them each.
	room []int64
	// best is the winner below each inner node in the usual layout: node n has the children
	// 2n and 2n+1, and from size on children are leaves. most is the greatest amounts below.
	best []int32
	most []int64
	size int32
	// ranked is room for InOrder to work in.
	ranked []int32
}

// Rank is in order: the highest score, then the lowest id, then the lowest sub.
type Rank struct {
	Score int64
	ID    uint64
	Sub   uint32
}

// Before reports whether r comes first.
func (r *Rank) Before(o *Rank) bool {
	if r.Score != o.Score {
		return r.Score > o.Score
	}
	if r.ID != o.ID {
		return r.ID < o.ID
	}
	return r.Sub < o.Sub
}

// None is no leaf.
const None = int32(-1)

// New returns a tree whose leaves have so many amounts.
func New(width int) *Tree { return &Tree{width: width} }

// grow makes room for a leaf.
func (t *Tree) grow(i int32) {
	for int32(len(t.leaves)) <= i {
		t.leaves = append(t.leaves, Rank{})
		for range t.width {
			t.room = append(t.room, 0)
		}
	}
	if i < t.size {
		return
	}
	t.size = max(1, t.size)
	for t.size <= i {
		t.size *= 2
	}
	t.best, t.most = make([]int32, t.size), make([]int64, int(t.size)*t.width)
	for n := t.size - 1; n >= 1; n-- {
		t.play(n)
	}
}

// Set gives a leaf its rank and amounts, and reports whether that changed what the tree
// as a whole has: whether any leaf takes part, and the greatest amounts.
func (t *Tree) Set(i int32, r Rank, room []int64) bool {
	if int(i) >= len(t.leaves) {
		if r.Score <= 0 {
			return false
		}
		t.grow(i)
	}
	mine := t.At(i)
	was := t.leaves[i]
	if was == r && (r.Score <= 0 || Same(mine, room)) {
		return false
	}
	t.leaves[i] = r
	if r.Score > 0 {
		copy(mine, room)
	}
	if t.size == 1 {
		return true
	}
	for n := (t.size + i) / 2; ; n /= 2 {
		moved, changed := t.play(n)
		if n == 1 {
			return changed
		}
		if !moved && !changed && t.best[n] != i {
			return false
		}
	}
}

// Same reports whether amounts are equal.
func Same(a, b []int64) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Has reports whether a leaf takes part.
func (t *Tree) Has(i int32) bool { return int(i) < len(t.leaves) && t.leaves[i].Score > 0 }

// Clear takes a leaf out.
func (t *Tree) Clear(i int32) { t.Set(i, Rank{}, nil) }

// RankOf is the rank of a leaf. It changes with the leaf.
func (t *Tree) RankOf(i int32) *Rank { return &t.leaves[i] }

// play works out an inner node and reports whether it has another winner, and whether the
// amounts, or whether there is a winner at all, changed.
func (t *Tree) play(n int32) (moved, changed bool) {
	a, b := t.winner(2*n), t.winner(2*n+1)
	won := a
	if t.better(b, a) {
		won = b
	}
	moved, changed = t.best[n] != won, (t.best[n] == None) != (won == None)
	t.best[n] = won
	x, y := t.amounts(2*n, a), t.amounts(2*n+1, b)
	most := t.most[int(n)*t.width : (int(n)+1)*t.width]
	for i := range most {
		m := int64(math.MinInt64)
		if x != nil {
			m = x[i]
		}
		if y != nil {
			m = max(m, y[i])
		}
		if most[i] != m {
			most[i], changed = m, true
		}
	}
	return moved, changed
}

// winner is the best leaf at or below a node.
func (t *Tree) winner(n int32) int32 {
	if n < t.size {
		return t.best[n]
	}
	if i := n - t.size; int(i) < len(t.leaves) && t.leaves[i].Score > 0 {
		return i
	}
	return None
}

// amounts is the greatest amounts at or below a node whose winner is known, nil without one.
func (t *Tree) amounts(n, winner int32) []int64 {
	switch {
	case winner == None:
		return nil
	case n < t.size:
		return t.most[int(n)*t.width : (int(n)+1)*t.width]
	}
	return t.At(n - t.size)
}

// At is the amounts of a leaf.
func (t *Tree) At(i int32) []int64 { return t.room[int(i)*t.width : (int(i)+1)*t.width] }

func (t *Tree) better(a, b int32) bool {
	if a == None || b == None {
		return b == None && a != None
	}
	return t.leaves[a].Before(&t.leaves[b])
}

// Top is the best leaf of all, or None; the amounts are the greatest of any leaf.
func (t *Tree) Top() (best int32, most []int64) {
	if t == nil || t.size == 0 {
		return None, nil
	}
	best = t.winner(1)
	return best, t.amounts(1, best)
}

// Empty reports whether no leaf takes part.
func (t *Tree) Empty() bool {
	best, _ := t.Top()
	return best == None
}

// Within reports whether amounts are at least those asked for.
func Within(need, room []int64) bool {
	for i, n := range need {
		if room[i] < n {
			return false
		}
	}
	return true
}

// Find returns the best leaf with at least the amounts asked for, or None.
func (t *Tree) Find(need []int64) int32 {
	if t == nil || t.size == 0 {
		return None
	}
	return t.search(1, need, None)
}

func (t *Tree) search(n int32, need []int64, best int32) int32 {
	won := t.winner(n)
	if !t.better(won, best) || !Within(need, t.amounts(n, won)) {
		return best
	}
	if Within(need, t.At(won)) {
		return won
	}
	// The winner does not fit, but others below may; the likelier half first.
	first, second := 2*n, 2*n+1
	if t.better(t.winner(second), t.winner(first)) {
		first, second = second, first
	}
	best = t.search(first, need, best)
	return t.search(second, need, best)
}

// After is Find among the leaves that come after a rank, all of them if it is nil.
func (t *Tree) After(need []int64, last *Rank) int32 {
	if last == nil {
		return t.Find(need)
	}
	return t.follow(1, need, last, None)
}

func (t *Tree) follow(n int32, need []int64, last *Rank, best int32) int32 {
	won := t.winner(n)
	if !t.better(won, best) || !Within(need, t.amounts(n, won)) {
		return best
	}
	if Within(need, t.At(won)) && last.Before(&t.leaves[won]) {
		return won
	}
	if n >= t.size {
		return best
	}
	best = t.follow(2*n, need, last, best)
	return t.follow(2*n+1, need, last, best)
}

// Each calls visit with every leaf that has the amounts, until it says false.
func (t *Tree) Each(need []int64, visit func(i int32) bool) {
	if t != nil && t.size > 0 {
		t.walk(1, need, visit)
	}
}

func (t *Tree) walk(n int32, need []int64, visit func(i int32) bool) bool {
	won := t.winner(n)
	if won == None || !Within(need, t.amounts(n, won)) {
		return true
	}
	if n >= t.size {
		return visit(won)
	}
	return t.walk(2*n, need, visit) && t.walk(2*n+1, need, visit)
}

// InOrder is Each in the order of ranks, of the leaves that a filter does not leave out. It looks at so many nodes
// at most; steps is how many it did, and whole that it went to the end. visit must not come back to the tree
// with it.
func (t *Tree) InOrder(need []int64, f Filter, most int, visit func(i int32) bool) (steps int, whole bool) {
	if t == nil || t.size == 0 {
		return 0, true
	}
	t.ranked = t.ranked[:0]
	t.push(1, need, &f)
	for ; len(t.ranked) > 0; steps++ {
		if steps == most {
			return steps, false
		}
		n := t.pop()
		won := t.winner(n)
		if !Within(need, t.At(won)) || !f.admits(t.size+won, t.size) { // others below may fit
			t.push(2*n, need, &f)
			t.push(2*n+1, need, &f)
			continue
		}
		if !visit(won) {
			return steps + 1, false
		}
		for at := t.size + won; at > n; at /= 2 { // what is left below n
			t.push(at^1, need, &f)
		}
	}
	return steps, true
}

// push adds a node to a heap by winners, if a leaf below may have the amounts and is not left out.
func (t *Tree) push(n int32, need []int64, f *Filter) {
	won := t.winner(n)
	if won == None || !f.admits(n, t.size) || !Within(need, t.amounts(n, won)) {
		return
	}
	t.ranked = append(t.ranked, n)
	for i := len(t.ranked) - 1; i > 0; {
		up := (i - 1) / 2
		if !t.sooner(i, up) {
			return
		}
		t.ranked[i], t.ranked[up] = t.ranked[up], t.ranked[i]
		i = up
	}
}

// pop takes the node with the best winner out of the heap.
func (t *Tree) pop() int32 {
	h := t.ranked
	n, last := h[0], len(h)-1
	h[0] = h[last]
	t.ranked = h[:last]
	for i := 0; ; {
		first := i
		for kid := 2*i + 1; kid <= 2*i+2 && kid < last; kid++ {
			if t.sooner(kid, first) {
				first = kid
			}
		}
		if first == i {
			return n
		}
		h[i], h[first] = h[first], h[i]
		i = first
	}
}

// sooner reports whether the node at a place of the heap has a better winner than that at another.
func (t *Tree) sooner(i, j int) bool { return t.better(t.winner(t.ranked[i]), t.winner(t.ranked[j])) }

// Slots gives out leaf numbers.
type Slots struct {
	n    int32
	free []int32
}

// Take returns a number that is free.
func (s *Slots) Take() int32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	s.n++
	return s.n - 1
}

// Give makes a number free.
func (s *Slots) Give(i int32) { s.free = append(s.free, i) }

// Len is how many are taken.
func (s *Slots) Len() int { return int(s.n) - len(s.free) }
