package plan

import "github.com/reeve-scheduler/reeve/internal/job"

// record is one group. There may be a million, so it has no pointers and what
// groups share is in their class.
type record struct {
	job   job.ID
	ready int64
	score int64
	task  uint32
	// length is the expected run time in tenths of a second, 0 for unknown.
	length uint32
	class  uint32
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
	if r.score != o.score {
		return r.score > o.score
	}
	if r.job != o.job {
		return r.job < o.job
	}
	return r.task < o.task
}

// tenth is the unit of a record's length, in milliseconds.
const tenth = 100

// lengthOf is milliseconds as a record keeps them: what is known and short is not unknown,
// and what lasts for centuries is.
func lengthOf(ms int64) uint32 {
	n := (ms + tenth - 1) / tenth
	if ms <= 0 || n >= 1<<32 {
		return 0
	}
	return uint32(n)
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

// The heap's order is the index itself under another name: an interface value of a pointer
// costs no allocation.
type groupOrder Index

func (x *groupOrder) before(a, b uint32) bool {
	return x.records.get(a).before(x.records.get(b))
}
func (x *groupOrder) moved(id uint32, at int32) { x.records.get(id).at = at }

// SetGroup makes n elements of a group ready; it adds, changes or, with n ≤ 0,
// removes the group. Changing only n costs one lookup.
func (x *Index) SetGroup(g Group, n int64) {
	if n <= 0 {
		x.SetReady(g.ID, 0)
		return
	}
	key, length := keyOf(g.ID), lengthOf(g.Length)
	if id, ok := x.groups.get(key); ok {
		r := x.records.get(id)
		if r.score == g.Score && r.length == length && x.classes[r.class].holds(&g) {
			r.ready = n
			return
		}
		x.removeGroup(key, id)
	}
	c := x.internClass(&g)
	id := x.records.add(record{job: g.ID.Job, task: g.ID.Task, ready: n, score: g.Score, length: length, class: c.id})
	x.groups.add(key, id)
	c.groups.push((*groupOrder)(x), id)
	if c.groups[0] == id {
		x.settle(c)
	}
	x.changed = x.changed || len(x.again) > 0 // it may fit beside what is kept
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
	x.letGo(id)
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

// ranked goes through the groups of a class in order, as many as a bound allows: a search
// through its heap, best first.
func (x *Index) ranked(c *class, most int) func(yield func(id uint32) bool) {
	return func(yield func(id uint32) bool) {
		if len(c.groups) == 0 {
			return
		}
		front := append(x.front[:0], 0)
		defer func() { x.front = front[:0] }()
		for ; len(front) > 0 && most > 0; most-- {
			best := 0
			for i := range front {
				if x.records.get(c.groups[front[i]]).before(x.records.get(c.groups[front[best]])) {
					best = i
				}
			}
			at := int(front[best])
			front[best] = front[len(front)-1]
			front = front[:len(front)-1]
			for i := at*fan + 1; i < min(at*fan+1+fan, len(c.groups)); i++ {
				front = append(front, int32(i))
			}
			if !yield(c.groups[at]) {
				return
			}
		}
	}
}
