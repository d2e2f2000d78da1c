package plan

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
	// leaf is its number in its kind's tree of waiting lanes.
	leaf int32
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
	// hopeful: no place, but perhaps a worker to prefetch to.
	hopeful
	// stuck: neither. A worker that gains room moves it back.
	stuck
)

// move changes a lane's state. A lane that waits for a place stands in its kind's
// tree, where a worker that gains room finds it.
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
	waits := int64(0)
	if to == hopeful || to == stuck {
		waits = 1
	}
	need := l.shape.Resources
	l.shape.kind.tree(l.form).set(l.leaf, waits, -need.CPU, -need.Memory)
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
	// waiting and waitingAlone have the lanes that found no place, with what they
	// need as negative amounts: what fits into a room is what has at least minus
	// the room.
	waiting, waitingAlone tree
	profiles              []*profile
	shapes                int
}

type kindName struct{ executor, function, where string }

func (k *kind) tree(f form) *tree {
	if f == lonely {
		return &k.waitingAlone
	}
	return &k.waiting
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
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
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
