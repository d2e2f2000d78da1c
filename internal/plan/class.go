package plan

import (
	"math/bits"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/match"
	"github.com/reeve-scheduler/reeve/internal/plan/pile"
	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
)

// class is everything that the same places can take and that only differs in rank: the groups
// of one shape, form and preference in one flow. Whether anything fits is asked once for all of them.
type class struct {
	id     uint32
	shape  *shape
	form   form
	flow   *node
	slot   int32
	groups pile.Heap
	state  classState
	// tried: it was found among the waiting and fits nowhere; it counts again when
	// the next worker gains room.
	tried bool
	// futile: no place can be kept for it, in this pass. yielding: something that comes first waits for room in
	// a limit, and it is not looked at again in this pass.
	futile, yielding bool
	tier             uint8
	// lengths is what the groups' lengths have in common: the number of their binary digits.
	lengths uint8
	// nodes is how many workers an element takes at once.
	nodes int
	// later: the elements have a way to be served that comes before this one.
	later bool
	// prefer is which workers it would rather have, nil for no preference.
	prefer *preference
	// hasNear: each group has workers of its own that it would rather have than all others.
	hasNear bool
	// looks is where the elements' like run, as far as they look at that; least is the fewest of those
	// they are spread with near to any worker for them, or less, as far as they have heard of workers.
	looks
	least int
	heard uint64
	// floor is what a worker must be worth for a patient class, as it was when floorAt workers had come, gone
	// or changed; eased: it has become less, and the class was not tried since.
	floor   int64
	floorAt uint64
	eased   bool
}

// form is how the elements of a class may be placed.
type form uint8

const (
	// plain may be sent ahead.
	plain form = iota
	// direct takes free places only.
	direct
	// patient takes free places of the best workers only.
	patient
	// exclusive takes a whole worker that does nothing else.
	exclusive
)

func formOf(g *Group) form {
	switch {
	case g.ID.Alone:
		return exclusive
	case g.Patient && g.Prefer != "": // who prefers nothing has nothing to wait for
		return patient
	case g.NoPrefetch, g.together() > 1, g.looksAt(), g.Near != "":
		return direct
	}
	return plain
}

// lengthsOf tells groups of about the same length from others: what may overtake depends on it.
func lengthsOf(g *Group) uint8 { return uint8(bits.Len32(pile.Length(g.Length))) }

type classState uint8

const (
	// idle: nothing to place. A group moves it to active.
	idle classState = iota
	// active: there may be a place. Next moves it on when there is tournament.None.
	active
	// hopeful: no place, but perhaps a worker to take one ahead. Like a stuck class it
	// waits for a worker to gain room.
	hopeful
	// stuck: neither. A worker that may be sent one ahead moves it to hopeful.
	stuck
)

func (c *class) waits() bool { return c.state == hopeful || c.state == stuck }

func (c *class) band() int {
	if c.flow.account.nodes[foreground] == c.flow {
		return foreground
	}
	return background
}

// holds reports whether a group is of a class.
func (c *class) holds(g *Group) bool {
	u := c.flow.account
	return u.name == g.User && u.up.name == g.Queue && u.up.up.name == g.Namespace &&
		c.form == formOf(g) && c.lengths == lengthsOf(g) && c.tier == g.Tier && c.nodes == g.together() && c.later == (g.ID.Way > 0) && c.prefer.is(g.Prefer) && c.are(&g.Apart, &g.Spread) && c.hasNear == (g.Near != "") &&
		(c.band() == background) == g.Background && c.shape.Shape == g.Shape
}

// head is the first group of a class that has any.
func (x *Index) head(c *class) *pile.Record { return x.groups.Get(c.groups[0]) }

// part is which of a job's elements are meant, in the order in which they start.
func (id *GroupID) part() uint32 {
	part := 2 * id.Task
	if id.Larger {
		part++
	}
	return part*Ways + uint32(id.Way)
}

// twins reports whether two groups are the same elements, which may be served in several ways.
func twins(a, b *pile.Record) bool { return a.Job == b.Job && a.Part/Ways == b.Part/Ways }

// twin reports whether the first groups of two classes are the same elements.
func (x *Index) twin(a, b *class) bool {
	return (a.later || b.later) && (a.form == exclusive) == (b.form == exclusive) && twins(x.head(a), x.head(b))
}

// nameOf names a group of a class.
func (x *Index) nameOf(c *class, group uint32) GroupID {
	r := x.groups.Get(group)
	return GroupID{Job: r.Job, Task: r.Part / (2 * Ways), Larger: r.Part/Ways%2 == 1, Way: uint8(r.Part % Ways), Alone: c.form == exclusive}
}

// settle puts a class where it belongs after its first group changed.
func (x *Index) settle(c *class) {
	x.changed = true
	switch {
	case len(c.groups) == 0:
		x.move(c, idle)
	case c.state == idle:
		x.move(c, active)
	case c.state == stuck && c.form == plain && len(x.calendars) > 0:
		x.move(c, hopeful) // it may be over before a window that kept the last one from being sent ahead
	default:
		x.refreshClass(c)
	}
}

// move changes a class's state.
func (x *Index) move(c *class, to classState) {
	c.state, c.tried = to, false
	x.refreshClass(c)
}

// refreshClass brings a class's leaves up to date: the law of the boards.
func (x *Index) refreshClass(c *class) {
	var r tournament.Rank
	if c.state != idle {
		head := x.head(c)
		r = tournament.Rank{Score: head.Score + base, ID: uint64(head.Job), Sub: 2 * head.Part}
		if c.form == exclusive {
			r.Sub++ // after the rest of its task
		}
	}
	for _, on := range [...]struct {
		board uint32
		part  bool
	}{
		{readyBoard, c.state == active && !c.yielding},
		{aheadBoard, c.state == hopeful},
		{c.shape.kind.waiting(c.form), c.waits() && !c.tried},
		{c.shape.kind.blocked(c.form), c.waits()},
	} {
		if on.part {
			x.enter(c.flow, on.board, c.slot, r, c.shape.lack)
		} else if t := c.flow.table(on.board); t != nil && t.Has(c.slot) {
			x.enter(c.flow, on.board, c.slot, tournament.Rank{}, nil)
		}
	}
}

// shape is an interned Shape.
type shape struct {
	Shape
	kind *kind
	// need is its amounts by column, lack the same below zero, as boards have it.
	need, lack []int64
	// short is a resource that no worker here has, empty if there is tournament.None.
	short   string
	classes []*class
	// holders has a leaf for each worker that runs or holds attempts of the shape,
	// with a score if another may be sent ahead to it.
	holders     *tournament.Tree
	holderSlots tournament.Slots
	owners      []*worker // by leaf
	// prefetched is how many are held ahead; at is the place in Index.ahead while
	// there are any.
	prefetched int
	at         int
	room       room
}

// waitsFor reports whether anything of a shape that could take a place is ready.
func (s *shape) waitsFor(f form) bool {
	for _, c := range s.classes {
		if c.form == f && !c.gang() && len(c.groups) > 0 && c.flow.open() {
			return true
		}
	}
	return false
}

// kind is what a shape asks beside amounts: what a worker either has or has not.
type kind struct {
	id   uint32
	name kindName
	// where is what it asks of a worker beside its executor and function: labels first, since
	// they are quicker to look at.
	where []condition
	// wishes are the preferences of its classes.
	wishes   []wish
	profiles []*profile
	shapes   int
}

// waiting is the board of the classes of a kind that wait and were not tried since a worker
// gained room, blocked of all that wait. Those that need a whole worker are apart, and
// so are patient ones.
func (k *kind) waiting(f form) uint32 {
	b := firstKindBoard + kindBoards*k.id
	switch f {
	case exclusive:
		return b + 1
	case patient:
		return b + 2
	}
	return b
}

func (k *kind) blocked(f form) uint32 { return k.waiting(f) + kindBoards/2 }

type kindName struct{ executor, function, where string }

// condition is one entry of what a shape asks for by Where.
type condition struct {
	text  string
	entry *match.Entry
}

// mismatch is what a worker lacks for a kind.
type mismatch uint8

const (
	matched mismatch = iota
	noExecutor
	noFunction
	noLabel
	noCondition
)

func (k *kind) match(w *Worker) mismatch {
	if !slices.Contains(w.Executors, k.name.executor) {
		return noExecutor
	}
	if k.name.function != "" && !slices.Contains(w.Functions, k.name.function) {
		return noFunction
	}
	switch c := k.unmet(w); {
	case c == nil:
		return matched
	case c.entry.IsLabel():
		return noLabel
	default:
		return noCondition
	}
}

// unmet is the first of a kind's conditions that a worker does not meet, nil if it meets all.
func (k *kind) unmet(w *Worker) *condition {
	if len(k.where) == 0 {
		return nil
	}
	of := match.Worker{Name: w.Name, Labels: w.Labels}
	for i := range k.where {
		if c := &k.where[i]; !c.entry.Holds(&of) {
			return c
		}
	}
	return nil
}

// labels is the labels that a kind asks for, joined as in a Shape.
func (k *kind) labels() string {
	var out []string
	for _, c := range k.where {
		if c.entry.IsLabel() {
			out = append(out, c.text)
		}
	}
	return strings.Join(out, "\n")
}
