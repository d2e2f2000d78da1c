package plan

import "github.com/reeve-scheduler/reeve/internal/job"

// record is one group. There may be a million, so it has no pointers and what
// groups share is in their class.
type record struct {
	job      job.ID
	ready    int64
	task     uint32
	priority int32
	class    uint32
	// at is the place in the class's heap; in a free record, the next free one.
	at int32
}

// records keeps groups in blocks that never move, so that growing costs the same
// at the millionth group as at the first.
type records struct {
	blocks []*[blockLen]record
	next   uint32
	// vacant is one more than the first record of the free list.
	vacant int32
	live   int
}

const blockLen = 1024

func (r *records) get(id uint32) *record { return &r.blocks[id/blockLen][id%blockLen] }

func (r *records) add(v record) uint32 {
	r.live++
	if r.vacant != 0 {
		id := uint32(r.vacant - 1)
		r.vacant = r.get(id).at
		*r.get(id) = v
		return id
	}
	id := r.next
	r.next++
	if int(id/blockLen) == len(r.blocks) {
		r.blocks = append(r.blocks, new([blockLen]record))
	}
	*r.get(id) = v
	return id
}

func (r *records) drop(id uint32) {
	r.live--
	*r.get(id) = record{at: r.vacant}
	r.vacant = int32(id + 1)
}

func (r *record) before(o *record) bool {
	if r.priority != o.priority {
		return r.priority > o.priority
	}
	if r.job != o.job {
		return r.job < o.job
	}
	return r.task < o.task
}

// groupKey is a GroupID without holes, which the map hashes faster.
type groupKey struct{ job, task uint64 }

func keyOf(id GroupID) groupKey {
	k := groupKey{uint64(id.Job), uint64(id.Task) << 1}
	if id.Alone {
		k.task |= 1
	}
	return k
}

// class is the groups of one queue that only differ in rank: one heap.
type class struct {
	id     uint32
	lane   *lane
	queue  *queue
	groups heap
	// at is the place among the lane's classes, -1 if empty or paused.
	at int32
}

type queue struct {
	space   *space
	name    string
	paused  bool
	classes []*class
}

// space is a namespace.
type space struct {
	name   string
	paused bool
	queues []*queue
}

type queueName struct{ space, name string }

type classKey struct {
	queue *queue
	lane  *lane
}

func (c *class) paused() bool { return c.queue.paused || c.queue.space.paused }

func (c *class) holds(g *Group) bool {
	return c.queue.name == g.Queue && c.queue.space.name == g.Namespace &&
		c.lane.form == formOf(g) && c.lane.shape.Shape == g.Shape
}

// The heaps' orders are the index itself under other names: an interface value of
// a pointer costs no allocation.
type (
	groupOrder Index
	classOrder Index
	laneOrder  Index
)

func (x *groupOrder) before(a, b uint32) bool {
	return x.records.get(a).before(x.records.get(b))
}
func (x *groupOrder) moved(id uint32, at int32) { x.records.get(id).at = at }

func (x *classOrder) before(a, b uint32) bool {
	return x.records.get(x.classes[a].groups[0]).before(x.records.get(x.classes[b].groups[0]))
}
func (x *classOrder) moved(id uint32, at int32) { x.classes[id].at = at }

func (x *laneOrder) before(a, b uint32) bool {
	l, m := x.lanes[a], x.lanes[b]
	r, o := (*Index)(x).head(l), (*Index)(x).head(m)
	if r.before(o) || o.before(r) {
		return r.before(o)
	}
	return l.form < m.form
}
func (x *laneOrder) moved(id uint32, at int32) { x.lanes[id].at = at }

// SetGroup makes n elements of a group ready; it adds, changes or, with n ≤ 0,
// removes the group. Changing only n costs one lookup.
func (x *Index) SetGroup(g Group, n int64) {
	if n <= 0 {
		x.SetReady(g.ID, 0)
		return
	}
	key := keyOf(g.ID)
	if id, ok := x.groups.get(key); ok {
		r := x.records.get(id)
		if r.priority == g.Priority && x.classes[r.class].holds(&g) {
			r.ready = n
			return
		}
		x.removeGroup(key, id)
	}
	c := x.internClass(&g)
	id := x.records.add(record{job: g.ID.Job, task: g.ID.Task, ready: n, priority: g.Priority, class: c.id})
	x.groups.add(key, id)
	c.groups.push((*groupOrder)(x), id)
	if c.groups[0] == id {
		x.settle(c)
	}
}

// SetReady changes how many elements of a group are ready; 0 removes the group. It
// reports whether the group was known: one that was not stays so.
func (x *Index) SetReady(id GroupID, n int64) bool {
	key := keyOf(id)
	at, ok := x.groups.get(key)
	if !ok {
		return false
	}
	if n > 0 {
		x.records.get(at).ready = n
		return true
	}
	x.removeGroup(key, at)
	return true
}

func (x *Index) removeGroup(key groupKey, id uint32) {
	r := x.records.get(id)
	c, at := x.classes[r.class], r.at
	c.groups.remove((*groupOrder)(x), at)
	x.records.drop(id)
	x.groups.drop(key)
	if at == 0 {
		x.settle(c)
	}
	if x.records.live == 0 && x.records.next > 64*blockLen {
		// A map and a block list never shrink by themselves.
		x.groups, x.records = groupTable{}, records{}
	}
}

// Groups is how many groups have elements that are ready.
func (x *Index) Groups() int { return x.groups.n }

// SetPaused keeps a queue, or with an empty queue a whole namespace, from being
// placed, or lets it go on. Groups stay known while they are paused.
func (x *Index) SetPaused(namespace, queue string, paused bool) {
	if queue != "" {
		q := x.internQueue(namespace, queue)
		q.paused = paused
		x.settleQueue(q)
		return
	}
	s := x.internSpace(namespace)
	s.paused = paused
	for _, q := range s.queues {
		x.settleQueue(q)
	}
}

func (x *Index) settleQueue(q *queue) {
	for _, c := range q.classes {
		x.settle(c)
	}
}

// settle puts a class where it belongs after its first group or its pause changed.
func (x *Index) settle(c *class) {
	l := c.lane
	switch in := len(c.groups) > 0 && !c.paused(); {
	case in && c.at < 0:
		l.classes.push((*classOrder)(x), c.id)
	case in:
		l.classes.fix((*classOrder)(x), c.at)
	case c.at >= 0:
		l.classes.remove((*classOrder)(x), c.at)
	}
	switch {
	case len(l.classes) == 0:
		x.move(l, idle)
	case l.state == idle:
		x.move(l, active)
	case l.state == active:
		x.active.fix((*laneOrder)(x), l.at)
	case l.state == hopeful:
		x.hopeful.fix((*laneOrder)(x), l.at)
		x.refreshLane(l)
	default:
		x.refreshLane(l)
	}
}
