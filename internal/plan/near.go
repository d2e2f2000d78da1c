package plan

import (
	"encoding/binary"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// A group may be near some workers: it takes the first of them that has room, before any other, and
// any other if none has; it never waits for one. That says where a group goes, not whether it may, so that
// groups near any workers are of one class, beside those that are near none.

const nearBytes = 8 // of a worker's id

// NearOf is what a group is near, as a Group has it: ids of workers, the first first.
func NearOf(workers ...uint64) string {
	b := make([]byte, 0, nearBytes*min(len(workers), job.MaxNear))
	for _, id := range workers[:min(len(workers), job.MaxNear)] {
		b = binary.BigEndian.AppendUint64(b, id)
	}
	return string(b)
}

// workersOf goes through what a group is near.
func workersOf(near string) func(yield func(id uint64) bool) {
	return func(yield func(id uint64) bool) {
		for ; len(near) >= nearBytes && yield(binary.BigEndian.Uint64([]byte(near[:nearBytes]))); near = near[nearBytes:] {
		}
	}
}

// bring notes what a group of a class is near.
func (x *Index) bring(c *class, group uint32, near string) {
	if c.near {
		x.nears[group] = near
	}
}

// nearest is the first of the workers that a group of a class is near that has a free place for it, nil if
// none has. One on which a place is kept for others is asked if beside says so.
func (x *Index) nearest(c *class, group uint32, beside bool) *worker {
	if !c.near {
		return nil
	}
	for id := range workersOf(x.nears[group]) {
		if w := x.workers[id]; w != nil && x.couldTake(c, group, w, beside) {
			return w
		}
	}
	return nil
}

// couldTake reports whether a worker has a free place for a group of a class, by all that is asked of it.
func (x *Index) couldTake(c *class, group uint32, w *worker, beside bool) bool {
	switch {
	case w.reserved && !beside || !w.profile.serves(c.shape.kind) || !w.takes(c.shape, c.form) || !c.admits(w) || x.spurns(c, w):
		return false
	case w.reserved:
		first, ok := x.mayTake(c, w, 1)
		return ok && first == group
	}
	return x.admits(c, group, w.profile)
}

// distance is how many workers a group is rather near than one.
func (x *Index) distance(c *class, group uint32, w *worker) (n int) {
	if !c.near {
		return 0
	}
	for id := range workersOf(x.nears[group]) {
		if id == w.ID {
			break
		}
		n++
	}
	return n
}
