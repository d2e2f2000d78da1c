package core

import (
	"cmp"
	"maps"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// needs is what an attempt is given of its worker while it has a place.
func (a *attempt) needs() job.Resources {
	return a.job.spec.spec.Tasks[a.task].Asks(a.way, a.memory)
}

// shape is what planning is told that an attempt needs.
func (a *attempt) shape() plan.Shape { return a.job.spec.shape(a.task, a.way, a.memory) }

func (sp *spec) shape(ti uint32, way uint8, memory int64) plan.Shape {
	s := sp.shapes[ti]
	if way != 0 || memory != 0 {
		s.Resources = sp.spec.Tasks[ti].Asks(way, memory)
	}
	return s
}

// memoryFor is the least memory, in bytes, that elements of a group ask for.
func (t *task) memoryFor(g plan.GroupID) int64 {
	if g.Larger || g.Alone || t.arr == nil || t.arr.gang {
		return t.memory
	}
	return 0
}

// occupy counts an attempt that has a place now.
func (w *worker) occupy(a *attempt) { w.used = w.used.Plus(a.needs()) }

// vacate is the end of occupy.
func (w *worker) vacate(a *attempt) { w.used = w.used.Minus(a.needs()) }

// room is what a worker has left to be given away. It is less than nothing of what attempts had
// before the worker came back with less, or its pool was given another factor.
func (w *worker) room() job.Resources { return w.offers.Minus(w.used) }

// crowded reports whether the place of an attempt that has just been ended is not free: its worker
// has started one that was prefetched before it said what made room for that, or came back with
// less than it was given.
func (s *State) crowded(ended *attempt, promoted, done map[link.Fence]bool) bool {
	w := ended.worker
	if _, running, _ := s.plan.Usage(w.id); running <= w.hello.Slots && w.used.Fits(w.offers) {
		return false // an attempt that has its place in another's takes no more than that had
	}
	running, used := 1, ended.needs() // with what would have the place
	later := false                    // of a worker that is lost all end, one after another: they count until it is their turn
	for a := w.first; a != nil; a = a.next {
		if a == ended {
			later = true
		} else if (!a.prefetched || promoted[a.fence]) && (later || !done[a.fence]) {
			running, used = running+1, used.Plus(a.needs())
		}
	}
	return running > w.hello.Slots || !used.Fits(w.offers)
}

// pick chooses devices for what is asked of a worker, the first that no attempt has. Names
// of which the worker has no ids are only counted. It reports false if there are too few.
func (w *worker) pick(ask job.Resources) (d job.Devices, enough bool) {
	if w.hello.Devices == "" {
		return "", true
	}
	taken := job.Devices("")
	for name, n := range ask.Other.All {
		ids := w.hello.Devices.Get(name)
		if ids == nil {
			continue
		}
		if taken == "" {
			taken = w.taken()
		}
		had := taken.Get(name)
		ids = slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(had, id) })
		if int64(len(ids)) < n {
			return "", false
		}
		d = d.Set(name, ids[:n])
	}
	return d, true
}

// taken is the devices that attempts on a worker have, also those that it has no more.
func (w *worker) taken() (d job.Devices) {
	for a := w.first; a != nil; a = a.next {
		for name, ids := range a.devices.All {
			d = d.Set(name, append(d.Get(name), ids...))
		}
	}
	return d
}

// mayHaveIDs reports whether something that is asked for may be devices. Which of them it
// gets is decided with the worker that it starts on, so that it can't be sent there ahead of
// its place.
func mayHaveIDs(ask job.Resources) bool {
	for name := range ask.Other.All {
		if !job.Divisible(name) {
			return true
		}
	}
	return false
}

// pool is the pool that a worker is in.
func (w *worker) pool() string { return cmp.Or(w.hello.Pool, DefaultName) }

// labels is a worker's labels as tasks may ask for them, sorted: its pool is one of them.
func (w *worker) labels() []string {
	labels := w.hello.Labels
	if _, says := labels[link.PoolLabel]; !says {
		labels = maps.Clone(labels)
		if labels == nil {
			labels = map[string]string{}
		}
		labels[link.PoolLabel] = w.pool()
	}
	return labelPairs(labels)
}

// reduce takes out of a hello what the cluster's format has no place for, and returns what
// the worker is to be told of that.
func (s *State) reduce(h *link.Hello) string {
	if h.Pool == DefaultName {
		h.Pool = ""
	}
	if s.format >= FormatResources {
		return ""
	}
	var left []string
	for name := range h.Capacity.Other.All {
		left = append(left, name)
	}
	if h.Pool != "" {
		left = append(left, "pool "+h.Pool)
	}
	if left == nil {
		return ""
	}
	h.Capacity.Other, h.Devices, h.Pool = "", "", ""
	return s.checkFormat(FormatResources, "of this worker "+known(left)+" can't be used so far: that").Error()
}
