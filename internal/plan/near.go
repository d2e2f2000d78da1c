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
	if c.hasNear {
		x.nears[group] = near
	}
}

// nearer is the worker on which a group of a class is placed that could be placed on one: the first of those that it
// is near that has a place for it, where no more of its company are than there, or else that one.
func (x *Index) nearer(c *class, group uint32, than *worker) *worker {
	if !c.hasNear {
		return than
	}
	for id := range workersOf(x.nears[group]) {
		w := x.workers[id]
		if w == nil || !w.profile.serves(c.shape.kind) || !w.takes(c.shape, c.form) || !c.admits(w) || x.belowFloor(c, w) || c.neighbours(w) > c.neighbours(than) {
			continue
		}
		if w.reserved && !x.mayHave(c, group, w) || !x.admits(c, group, w.profile) {
			continue
		}
		return w
	}
	return than
}
