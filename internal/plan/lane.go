package plan

import "slices"

import "strings"

// lane is everything that the same places can take: the classes of one shape and
// form. Whether anything fits is asked once for a lane, however many queues,
// namespaces and groups stand in it.
type lane struct {
	id    uint32
	shape *shape
	form  form
	// classes is a heap of those with something ready and not paused.
	classes heap
	members int
	state   laneState
	// at is the place in the heap of its state.
	at int32
	// leaf is its number among its kind's waiting lanes.
	leaf int32
	// tried: it was found among the waiting and fits nowhere; it counts again when
	// the next worker gains room.
	tried bool
}

// form is how the elements of a lane may be placed.
type form uint8

const (
	// plain may be prefetched.
	plain form = iota
	// direct takes free places only.
	direct
	// lonely takes a whole worker that does nothing else.
	lonely
	forms
)

func formOf(g *Group) form {
	switch {
	case g.ID.Alone:
		return lonely
	case g.NoPrefetch:
		return direct
	}
	return plain
}

type laneState uint8

const (
	// idle: nothing to place. A group moves it to active.
	idle laneState = iota
	// active: there may be a place. Next moves it on when there is none.
	active
	// hopeful: no place, but perhaps a worker to prefetch to. Like a stuck lane it
	// waits for a worker to gain room.
	hopeful
	// stuck: neither. A worker that may be sent one ahead moves it to hopeful.
	stuck
)

// move changes a lane's state.
func (x *Index) move(l *lane, to laneState) {
	if l.state == to {
		return
	}
	switch l.state {
	case active:
		x.active.remove((*laneOrder)(x), l.at)
	case hopeful:
		x.hopeful.remove((*laneOrder)(x), l.at)
	}
	l.state = to
	switch to {
	case active:
		x.active.push((*laneOrder)(x), l.id)
	case hopeful:
		x.hopeful.push((*laneOrder)(x), l.id)
	}
	l.tried = false
	x.refreshLane(l)
}

func (l *lane) waits() bool { return l.state == hopeful || l.state == stuck }

// refreshLane brings a lane's leaf up to date.
func (x *Index) refreshLane(l *lane) {
	l.shape.kind.waiting(l.form).tree.set(l.leaf, x.laneLeaf(l))
}

// laneLeaf has what the lane needs as negative amounts: what fits into a room is
// what has at least minus the room.
func (x *Index) laneLeaf(l *lane) leaf {
	if !l.waits() || l.tried {
		return leaf{}
	}
	r, need := x.head(l), l.shape.Resources
	return leaf{
		rank: rank{score: int64(r.priority) + 1<<32, id: uint64(r.job), sub: r.task},
		cpu:  -need.CPU, size: -need.Memory,
	}
}

// head is the first group of a lane that has any.
func (x *Index) head(l *lane) *record {
	return x.records.get(x.classes[l.classes[0]].groups[0])
}

// shape is an interned Shape.
type shape struct {
	Shape
	kind  *kind
	lanes [forms]*lane
	// holders has a leaf for each worker that runs or holds attempts of the shape,
	// with a score if another may be sent ahead to it.
	holders tree
	// prefetched is how many are held ahead; at is the place in Index.ahead while
	// there are any.
	prefetched int
	at         int
}

// kind is what a shape asks beside amounts: what a worker either has or has not.
type kind struct {
	id       uint32
	executor string
	function string
	where    []string
	// shared and lonely are the lanes that found no place, by form.
	shared, lonely waiting
	profiles       []*profile
	shapes         int
}

// waiting is a tree of lanes by rank and need.
type waiting struct {
	tree  tree
	lanes []*lane // by leaf
}

type kindName struct{ executor, function, where string }

func (k *kind) waiting(f form) *waiting {
	if f == lonely {
		return &k.lonely
	}
	return &k.shared
}

// mismatch is what a worker lacks for a kind.
type mismatch uint8

const (
	matched mismatch = iota
	noExecutor
	noFunction
	noLabel
)

func (k *kind) match(w *Worker) mismatch {
	if !contains(w.Executors, k.executor) {
		return noExecutor
	}
	if k.function != "" && !contains(w.Functions, k.function) {
		return noFunction
	}
	for _, want := range k.where {
		if !labelled(w.Labels, want) {
			return noLabel
		}
	}
	return matched
}

func contains(list []string, s string) bool {
	return slices.Contains(list, s)
}

func labelled(labels []string, want string) bool {
	for _, l := range labels {
		if l == want {
			return true
		}
		if key, _, pair := strings.Cut(l, "="); pair && key == want {
			return true
		}
	}
	return false
}
