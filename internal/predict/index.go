package predict

import (
	"cmp"
	"fmt"
	"slices"
)

// MaxKeys is how many keys an index of the replicated state has at most; the one that was
// taught longest ago makes room for another. All servers of a cluster must forget the same, so
// that it is a part of the cluster's format. A key takes about 500 bytes, and at the very most
// 2.5 KiB.
const MaxKeys = 50_000

// mostOthers bounds of how many users the runs are looked at who run the same task: those who
// did last.
const mostOthers = 8

// Key is what is learned of: the tasks of that name in the jobs of that name of a user.
type Key struct{ Namespace, Job, Task, User string }

// task is a key of any user.
type task struct{ namespace, job, name string }

func (k *Key) task() task { return task{k.Namespace, k.Job, k.Task} }

// Entry is a key and what is known of it. It stays in its slot until it is forgotten.
type Entry struct {
	Key Key
	// Slot counts from 0 and is less than the index's bound. What takes the place of a
	// forgotten entry has its slot.
	Slot int
	// Gone: it was forgotten, and is not taught any more.
	Gone bool
	// Changed, Dirty and Frozen are for whoever keeps entries in rows.
	Changed       uint64
	Dirty, Frozen bool

	learned   learned
	all, same links // in the order of all entries, and of those of the same task
	users     *order
}

// Index is what is known of all keys. It belongs to one goroutine.
type Index struct {
	most   int
	slots  []*Entry
	keys   map[Key]*Entry
	tasks  map[task]*order
	byAge  order
	taught uint64 // how many observations there were
}

// New returns an empty index of at most so many keys, at least 1.
func New(most int) *Index {
	return &Index{most: most, keys: map[Key]*Entry{}, tasks: map[task]*order{}}
}

// Entries is all entries by their slots: the caller does not change the list.
func (x *Index) Entries() []*Entry { return x.slots }

// Entry returns what is to be taught for a key, which may be new. The one that was taught longest
// ago is then forgotten if there is no room: it is Gone, and else stays as it was.
func (x *Index) Entry(k Key) *Entry {
	if e := x.keys[k]; e != nil {
		return e
	}
	e := &Entry{Key: k, Slot: len(x.slots)}
	if len(x.slots) >= x.most {
		oldest := x.byAge.oldest
		x.forget(oldest)
		e.Slot = oldest.Slot
		x.slots[e.Slot] = e
	} else {
		x.slots = append(x.slots, e)
	}
	x.add(e)
	return e
}

func (x *Index) add(e *Entry) {
	x.keys[e.Key] = e
	e.users = x.tasks[e.Key.task()]
	if e.users == nil {
		e.users = &order{}
		x.tasks[e.Key.task()] = e.users
	}
	x.byAge.push(e, allLinks)
	e.users.push(e, sameLinks)
}

func (x *Index) forget(e *Entry) {
	e.Gone = true
	delete(x.keys, e.Key)
	x.byAge.remove(e, allLinks)
	if e.users.remove(e, sameLinks); e.users.newest == nil {
		delete(x.tasks, e.Key.task())
	}
}

// Teach teaches an entry, which is not gone: it is the newest from then on.
func (x *Index) Teach(e *Entry, o Observation) {
	x.taught++
	e.learned.taught = x.taught
	e.learned.add(o)
	if x.byAge.newest != e {
		x.byAge.remove(e, allLinks)
		x.byAge.push(e, allLinks)
	}
	if e.users.newest != e {
		e.users.remove(e, sameLinks)
		e.users.push(e, sameLinks)
	}
}

// Estimate predicts the next run of a key, else from what others ran of the same task, with a
// time limit in milliseconds or 0. It is false if nothing is known.
func (x *Index) Estimate(k Key, limit int64) (Estimate, bool) {
	if e := x.keys[k]; e != nil {
		if out, ok := e.learned.estimate(limit); ok {
			return out, true
		}
	}
	l := x.others(k)
	out, ok := l.estimate(limit)
	out.Others = ok
	return out, ok
}

// Memory is what attempts of a key took, else what others' attempts of the same task did; zero
// if nothing is known.
func (x *Index) Memory(k Key) Memory {
	if e := x.keys[k]; e != nil {
		if m := e.learned.usage(); m.Runs > 0 {
			return m
		}
	}
	l := x.others(k)
	m := l.usage()
	m.Others = m.Runs > 0
	return m
}

// others is what is known of a key's task from those who ran it last.
func (x *Index) others(k Key) (sum learned) {
	users := x.tasks[k.task()]
	if users == nil {
		return sum
	}
	n := 0
	for e := users.newest; e != nil && n < mostOthers; e = e.same.older {
		if e.Key != k {
			sum.merge(&e.learned)
			n++
		}
	}
	return sum
}

// Restore adds an entry that was encoded by AppendTo, by rising slots from 0. Call Restored
// after the last, before anything else.
func (x *Index) Restore(slot int, k Key, encoded []byte) error {
	if slot != len(x.slots) || slot >= x.most {
		return fmt.Errorf("slot %d of what was learned follows %d others, of at most %d: %w", slot, len(x.slots), x.most, ErrDamaged)
	}
	if x.keys[k] != nil {
		return fmt.Errorf("what was learned of task %s of job %s in %s for %s is there twice: %w", k.Task, k.Job, k.Namespace, k.User, ErrDamaged)
	}
	e := &Entry{Key: k, Slot: slot}
	if err := e.learned.decode(encoded); err != nil {
		return err
	}
	x.slots, x.keys[k] = append(x.slots, e), e
	return nil
}

// Restored ends what Restore began.
func (x *Index) Restored() {
	byAge := slices.SortedFunc(slices.Values(x.slots), func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(a.learned.taught, b.learned.taught), cmp.Compare(a.Slot, b.Slot))
	})
	for _, e := range byAge {
		x.add(e)
		x.taught = max(x.taught, e.learned.taught)
	}
}

// order is entries by when they were taught last.
type order struct{ newest, oldest *Entry }

type links struct{ newer, older *Entry }

func allLinks(e *Entry) *links  { return &e.all }
func sameLinks(e *Entry) *links { return &e.same }

func (o *order) push(e *Entry, of func(*Entry) *links) {
	of(e).older = o.newest
	if o.newest != nil {
		of(o.newest).newer = e
	} else {
		o.oldest = e
	}
	o.newest = e
}

func (o *order) remove(e *Entry, of func(*Entry) *links) {
	l := of(e)
	if l.newer != nil {
		of(l.newer).older = l.older
	} else {
		o.newest = l.older
	}
	if l.older != nil {
		of(l.older).newer = l.newer
	} else {
		o.oldest = l.newer
	}
	*l = links{}
}
