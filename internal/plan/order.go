package plan

import "github.com/reeve-scheduler/reeve/internal/plan/tournament"

// The order of everything that waits is a tree: bands, in them namespaces, in them queues, in
// them flows (the users of a queue where users take turns, else one), in them classes. Siblings
// are ordered by what they have used, except for bands, which follow each other, and classes,
// which are ordered by their first group. Two classes are compared where their ways to the root
// part.
type node struct {
	up      *node
	slot    int32
	rank    tournament.Rank
	account *account
	// kids or, in a flow, classes are by slot.
	kids    []*node
	classes []*class
	slots   tournament.Slots
	// tables is by board what takes part in it: a leaf for each child that has any.
	tables []*tournament.Tree
	// shown: it was not closed when its leaves were last brought up to date.
	shown bool
	// stale: it was closed or at a limit while workers gained room, so that the law does not
	// hold below it until there was nothing more to place.
	stale bool
}

// Boards are the ways in which classes are looked through. Each kind adds six more.
const (
	// readyBoard has the classes that may find a place anywhere.
	readyBoard uint32 = iota
	// aheadBoard has those of which a worker may take one ahead.
	aheadBoard
	// firstKindBoard is the first board of the first kind, kindBoards how many each has.
	firstKindBoard
)

const kindBoards = 6

// Bands, first to last.
const (
	foreground = iota
	background
	bands
)

// base is the score of a sibling that has used nothing; scores must be above 0.
const base = 1 << 61

func (n *node) table(b uint32) *tournament.Tree {
	if int(b) < len(n.tables) {
		return n.tables[b]
	}
	return nil
}

// add makes a place for a child.
func (x *Index) add(up, n *node) *node {
	n.up, n.slot = up, up.slots.Take()
	n.rank.Score = base
	up.kids = put(up.kids, uint32(n.slot), n)
	n.shown = true
	if up.slots.Len() == 2 {
		for _, kid := range up.kids {
			if kid != nil && kid != n {
				x.rerank(kid)
			}
		}
	}
	return n
}

// tie orders siblings that have used as much by name, so that it does not matter who came first.
func tie(name string) (r tournament.Rank) {
	for i := range 8 {
		r.ID <<= 8
		if i < len(name) {
			r.ID |= uint64(name[i])
		}
	}
	for _, c := range []byte(name) { // FNV-1a, for names that begin alike
		r.Sub = (r.Sub ^ uint32(c)) * 16777619
	}
	return r
}

func (n *node) drop() {
	for b := range n.up.tables {
		if t := n.up.tables[b]; t != nil {
			t.Clear(n.slot)
		}
	}
	n.up.kids[n.slot] = nil
	n.up.slots.Give(n.slot)
}

// enter brings a leaf of a node's board up to date, and what that changes above.
func (x *Index) enter(n *node, b uint32, slot int32, r tournament.Rank, need []int64) {
	for {
		t := n.table(b)
		if t == nil {
			if r.Score <= 0 {
				return
			}
			for int(b) >= len(n.tables) {
				n.tables = append(n.tables, nil)
			}
			t = tournament.New(x.width)
			n.tables[b] = t
		}
		if !t.Set(slot, r, need) || n.up == nil {
			return
		}
		var best int32
		best, need = t.Top()
		slot, r = n.slot, n.rank
		if best == tournament.None || n.closed() {
			r = tournament.Rank{}
		}
		n = n.up
	}
}

// rerank brings a node's leaves up to date after its rank changed, or whether it is closed.
// The rank of an only child is not looked at.
func (x *Index) rerank(n *node) {
	closed := n.closed()
	if n.up.slots.Len() == 1 && n.shown == !closed {
		return
	}
	n.shown = !closed
	for b, t := range n.tables {
		best, most := t.Top()
		if best == tournament.None {
			continue
		}
		r := n.rank
		if closed {
			r = tournament.Rank{}
		}
		x.enter(n.up, uint32(b), n.slot, r, most)
	}
}

func (n *node) closed() bool { return n.account != nil && n.account.closed() }

// first finds the first class in order on a board, at or below a node, that needs no more
// than a room and that accept, if it is not nil, does not refuse. What is left of limits on the way is
// less room. room has negative amounts, as the leaves have.
func (x *Index) first(n *node, b uint32, room []int64, accept func(c *class) bool) *class {
	t := n.table(b)
	if t.Empty() {
		return nil
	}
	room = n.account.within(room)
	for last := (*tournament.Rank)(nil); ; {
		i := t.After(room, last)
		switch {
		case i == tournament.None:
			return nil
		case n.classes == nil:
			if c := x.first(n.kids[i], b, room, accept); c != nil {
				return c
			}
		case accept == nil || accept(n.classes[i]):
			return n.classes[i]
		}
		last = t.RankOf(i)
	}
}

// each goes through the classes on a board below a node, in order, whatever limits leave, until visit says
// false. It reports whether it has not.
func (x *Index) each(n *node, b uint32, visit func(c *class) bool) bool {
	t := n.table(b)
	if t.Empty() {
		return true
	}
	for i := t.After(x.everything, nil); i != tournament.None; i = t.After(x.everything, t.RankOf(i)) {
		if n.classes == nil && !x.each(n.kids[i], b, visit) || n.classes != nil && !visit(n.classes[i]) {
			return false
		}
	}
	return true
}

// within is a room, in negative amounts, or less where a limit of a node or above leaves less.
func (n *node) within(room []int64) []int64 {
	for ; n != nil; n = n.up {
		room = n.account.within(room)
	}
	return room
}

// inOrder reports whether class a comes before class b.
func (x *Index) inOrder(a, b *class) bool {
	m, n := a.flow, b.flow
	if m == n {
		r, o := x.head(a), x.head(b)
		if r.Before(o) || o.Before(r) {
			return r.Before(o)
		}
		return a.form < b.form
	}
	for m.up != n.up {
		m, n = m.up, n.up
	}
	return m.rank.Before(&n.rank)
}

// open reports whether nothing on the way to the root is closed.
func (n *node) open() bool {
	for ; n != nil; n = n.up {
		if n.closed() {
			return false
		}
	}
	return true
}

// spoil makes Next look below a node at more than what gained room.
func (x *Index) spoil(n *node) {
	x.changed = true
	if !n.stale {
		n.stale = true
		x.stale = append(x.stale, n)
	}
}
