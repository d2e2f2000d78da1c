package plan

import "math"

// tree is a tournament over leaves with a rank and as many amounts as the index has
// columns. It finds the leaf of the first rank among those whose amounts are at least
// those asked for, without looking at branches where an amount is too low or every rank
// too late. A leaf without a positive score does not take part.
//
// Leaves have the numbers that their owner gives them: small ones, used again.
type tree struct {
	width  int
	leaves []rank
	// room is the amounts of leaves, width of them each.
	room []int64
	// best is the winner below each inner node in the usual layout: node n has the children
	// 2n and 2n+1, and from size on children are leaves. most is the greatest amounts below.
	best []int32
	most []int64
	size int32
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

const none = int32(-1)

func newTree(width int) *tree { return &tree{width: width} }

// grow makes room for a leaf.
func (t *tree) grow(i int32) {
	for int32(len(t.leaves)) <= i {
		t.leaves = append(t.leaves, rank{})
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

// set gives a leaf its rank and amounts, and reports whether that changed what the tree
// as a whole has: whether any leaf takes part, and the greatest amounts.
func (t *tree) set(i int32, r rank, room []int64) bool {
	if int(i) >= len(t.leaves) {
		if r.score <= 0 {
			return false
		}
		t.grow(i)
	}
	mine := t.at(i)
	was := t.leaves[i]
	if was == r && (r.score <= 0 || same(mine, room)) {
		return false
	}
	t.leaves[i] = r
	if r.score > 0 {
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

func same(a, b []int64) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// has reports whether a leaf takes part.
func (t *tree) has(i int32) bool { return int(i) < len(t.leaves) && t.leaves[i].score > 0 }

// clear takes a leaf out.
func (t *tree) clear(i int32) bool { return t.set(i, rank{}, nil) }

// play works out an inner node and reports whether it has another winner, and whether the
// amounts, or whether there is a winner at all, changed.
func (t *tree) play(n int32) (moved, changed bool) {
	a, b := t.winner(2*n), t.winner(2*n+1)
	won := a
	if t.better(b, a) {
		won = b
	}
	moved, changed = t.best[n] != won, (t.best[n] == none) != (won == none)
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
func (t *tree) winner(n int32) int32 {
	if n < t.size {
		return t.best[n]
	}
	if i := n - t.size; int(i) < len(t.leaves) && t.leaves[i].score > 0 {
		return i
	}
	return none
}

// amounts is the greatest amounts at or below a node whose winner is known, nil without one.
func (t *tree) amounts(n, winner int32) []int64 {
	switch {
	case winner == none:
		return nil
	case n < t.size:
		return t.most[int(n)*t.width : (int(n)+1)*t.width]
	}
	return t.at(n - t.size)
}

// at is the amounts of a leaf.
func (t *tree) at(i int32) []int64 { return t.room[int(i)*t.width : (int(i)+1)*t.width] }

func (t *tree) better(a, b int32) bool {
	if a == none || b == none {
		return b == none && a != none
	}
	return t.leaves[a].before(&t.leaves[b])
}

// top is the best leaf of all, or none; the amounts are the greatest of any leaf.
func (t *tree) top() (best int32, most []int64) {
	if t == nil || t.size == 0 {
		return none, nil
	}
	best = t.winner(1)
	return best, t.amounts(1, best)
}

func (t *tree) empty() bool {
	best, _ := t.top()
	return best == none
}

// within reports whether amounts are at least those asked for.
func within(need, room []int64) bool {
	for i, n := range need {
		if room[i] < n {
			return false
		}
	}
	return true
}

// find returns the best leaf with at least the amounts asked for, or none.
func (t *tree) find(need []int64) int32 {
	if t == nil || t.size == 0 {
		return none
	}
	return t.search(1, need, none)
}

func (t *tree) search(n int32, need []int64, best int32) int32 {
	won := t.winner(n)
	if !t.better(won, best) || !within(need, t.amounts(n, won)) {
		return best
	}
	if within(need, t.at(won)) {
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

// after is find among the leaves that come after a rank, all of them if it is nil.
func (t *tree) after(need []int64, last *rank) int32 {
	if last == nil {
		return t.find(need)
	}
	return t.follow(1, need, last, none)
}

func (t *tree) follow(n int32, need []int64, last *rank, best int32) int32 {
	won := t.winner(n)
	if !t.better(won, best) || !within(need, t.amounts(n, won)) {
		return best
	}
	if within(need, t.at(won)) && last.before(&t.leaves[won]) {
		return won
	}
	if n >= t.size {
		return best
	}
	best = t.follow(2*n, need, last, best)
	return t.follow(2*n+1, need, last, best)
}

// each calls visit with every leaf that has the amounts, until it says false.
func (t *tree) each(need []int64, visit func(i int32) bool) {
	if t != nil && t.size > 0 {
		t.walk(1, need, visit)
	}
}

func (t *tree) walk(n int32, need []int64, visit func(i int32) bool) bool {
	won := t.winner(n)
	if won == none || !within(need, t.amounts(n, won)) {
		return true
	}
	if n >= t.size {
		return visit(won)
	}
	return t.walk(2*n, need, visit) && t.walk(2*n+1, need, visit)
}

// slots gives out leaf numbers.
type slots struct {
	n    int32
	free []int32
}

func (s *slots) take() int32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	s.n++
	return s.n - 1
}

func (s *slots) give(i int32) { s.free = append(s.free, i) }

func (s *slots) len() int { return int(s.n) - len(s.free) }
