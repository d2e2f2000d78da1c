package limit

import (
	"cmp"
	"math"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Name names a concurrency key. Each namespace has its own.
type Name struct {
	Namespace, Key string
	// Each: single attempts hold the key, otherwise whole jobs do. The two are different
	// keys: nothing that waits for the one kind is held up by what waits for the other, so
	// that no two jobs can wait for each other.
	Each bool
}

// Compare is the order of names.
func (n Name) Compare(o Name) int {
	each := func(n Name) int {
		if n.Each {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(n.Namespace, o.Namespace), cmp.Compare(n.Key, o.Key), cmp.Compare(each(n), each(o)))
}

// Owner is who holds a slot of a key: a whole job, whose Fence is 0, or one attempt.
type Owner struct {
	Job   job.ID
	Fence uint64
}

// Group is what waits: the elements of a task that could start, if it were not for the key.
type Group struct {
	Job  job.ID
	Task uint32
}

// Claim is what a group asks of a key.
type Claim struct {
	Group
	// Queue is where the job waits: each queue has an order of its own.
	Queue string
	// Priority: higher goes first, then the older job, then the lower task.
	Priority int64
	// Limit is how many slots there may be, 0 for any number. Those who name one key may
	// say different limits: each keeps to its own.
	Limit int64
	Rate  job.Rate
	// Cancels: it goes before all that does not, and the newer job before the older.
	Cancels bool
}

func (c *Claim) before(o *Claim) bool {
	switch {
	case c.Cancels && c.Job != o.Job:
		return c.Job > o.Job
	case c.Priority != o.Priority && !c.Cancels:
		return c.Priority > o.Priority
	case c.Job != o.Job:
		return c.Job < o.Job
	}
	return c.Task < o.Task
}

// Window is how many of those that wait for a key in one queue look for a place at the same
// time: one that finds none does not keep the key from those behind it.
const Window = 8

// Key is one key while anything names it, or owes for it. It belongs to its Keys.
type Key struct {
	name Name
	// uses counts the unfinished jobs that name it.
	uses    int64
	owners  []Owner
	index   map[Owner]int // places in owners
	meter   Meter
	waiting map[Group]*waiter
	// lines is by queue, and rivals those that cancel.
	lines  []*line
	rivals *line
	// opens is the moment up to which the rate keeps it closed, in Unix milliseconds, 0 for
	// open.
	opens           int64
	at              int // in Keys.all
	resting, pacing int // in the heaps, -1 for nowhere
}

// Name is the key's name.
func (k *Key) Name() Name { return k.name }

// Meter is what is owed for the key.
func (k *Key) Meter() Meter { return k.meter }

// Held is how many slots are held, Waiting how many groups wait.
func (k *Key) Held() int64 { return int64(len(k.owners)) }

// Waiting is how many groups wait for the key.
func (k *Key) Waiting() int64 { return int64(len(k.waiting)) }

// Uses is how many unfinished jobs name the key, whether they hold it, wait for it, or for
// something else.
func (k *Key) Uses() int64 { return k.uses }

// Opens is when the rate lets the next one start, in Unix milliseconds, 0 for now.
func (k *Key) Opens() int64 { return k.opens }

// Keys is the keys that are in use. It belongs to one goroutine, and what it answers depends
// on nothing but the calls made before.
type Keys struct {
	byName map[Name]*Key
	all    []*Key // in no order
	paid   []*Key // those with a meter, by name
	// resting is keys that nothing names any more, by when what they owe is past; pacing is
	// those that a rate keeps closed, by when that ends.
	resting heap[*Key]
	pacing  heap[*Key]
	changed []*waiter
}

// New returns no keys.
func New() *Keys {
	return &Keys{
		byName: map[Name]*Key{},
		resting: heap[*Key]{
			before: func(a, b *Key) bool { return a.meter < b.meter || a.meter == b.meter && a.name.Compare(b.name) < 0 },
			moved:  func(k *Key, at int) { k.resting = at },
		},
		pacing: heap[*Key]{
			before: func(a, b *Key) bool { return a.opens < b.opens || a.opens == b.opens && a.name.Compare(b.name) < 0 },
			moved:  func(k *Key, at int) { k.pacing = at },
		},
	}
}

// Len is how many keys there are.
func (x *Keys) Len() int { return len(x.all) }

// Find returns a key, nil if nothing names it.
func (x *Keys) Find(n Name) *Key { return x.byName[n] }

func (x *Keys) intern(n Name) *Key {
	if k := x.byName[n]; k != nil {
		return k
	}
	k := &Key{name: n, at: len(x.all), resting: -1, pacing: -1, rivals: &line{}}
	x.byName[n] = k
	x.all = append(x.all, k)
	return k
}

// Use notes that one more unfinished job names a key.
func (x *Keys) Use(n Name) *Key {
	k := x.intern(n)
	k.uses++
	if k.resting >= 0 {
		x.resting.remove(k.resting)
	}
	return k
}

// Drop takes back one Use. The job holds no slot and waits no more.
func (x *Keys) Drop(k *Key) {
	if k.uses--; k.uses > 0 {
		return
	}
	if k.pacing >= 0 {
		x.pacing.remove(k.pacing)
	}
	k.opens = 0
	if k.meter == 0 {
		x.forget(k)
		return
	}
	x.resting.push(k)
}

// forget drops a key that nothing names.
func (x *Keys) forget(k *Key) {
	delete(x.byName, k.name)
	last := len(x.all) - 1
	x.all[k.at] = x.all[last]
	x.all[k.at].at = k.at
	x.all[last] = nil
	x.all = x.all[:last]
	if i, found := slices.BinarySearchFunc(x.paid, k, byName); found {
		x.paid = slices.Delete(x.paid, i, i+1)
	}
}

func byName(a, b *Key) int { return a.name.Compare(b.name) }

// Restore gives a key back what was owed for it. Nothing names it yet.
func (x *Keys) Restore(n Name, m Meter) {
	k := x.intern(n)
	x.owe(k, m)
	x.resting.push(k)
}

// owe sets what a key owes, which must not be in the heap of those that rest.
func (x *Keys) owe(k *Key, m Meter) {
	if i, found := slices.BinarySearchFunc(x.paid, k, byName); !found && m != 0 {
		x.paid = slices.Insert(x.paid, i, k)
	}
	k.meter = m
}

// Owing returns the keys for which something may be owed, by name. The slice is the state's
// own.
func (x *Keys) Owing() []*Key { return x.paid }

// Hold gives a slot to an owner who has none.
func (x *Keys) Hold(k *Key, o Owner) {
	if _, has := k.index[o]; has {
		return
	}
	if k.index == nil {
		k.index = map[Owner]int{}
	}
	k.index[o] = len(k.owners)
	k.owners = append(k.owners, o)
	x.stir(k)
}

// Free takes a slot back, if the owner has one.
func (x *Keys) Free(k *Key, o Owner) {
	at, has := k.index[o]
	if !has {
		return
	}
	last := len(k.owners) - 1
	k.owners[at] = k.owners[last]
	k.index[k.owners[at]] = at
	k.owners = k.owners[:last]
	delete(k.index, o)
	x.stir(k)
}

// Holds reports whether an owner has a slot.
func (k *Key) Holds(o Owner) bool {
	_, has := k.index[o]
	return has
}

// Owners returns the first owners by job and attempt, at most so many.
func (k *Key) Owners(most int) []Owner {
	return least(k.owners, most, func(a, b Owner) int { return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Fence, b.Fence)) })
}

// Waits reports whether a group waits for the key.
func (k *Key) Waits(g Group) bool { return k.waiting[g] != nil }

// Unlimited is the room where there is no limit.
const Unlimited = math.MaxInt64

// Ask notes that a group waits for a key, or how it does so now, and returns how many slots
// it could take: 0 unless it is among the first that wait. When that changes, Changed says
// so.
func (x *Keys) Ask(k *Key, c Claim) (room int64) {
	w := k.waiting[c.Group]
	if w != nil && w.Claim == c {
		return k.room(w)
	}
	if w != nil {
		x.leave(k, w)
	}
	w = &waiter{Claim: c, at: -1}
	if k.waiting == nil {
		k.waiting = map[Group]*waiter{}
	}
	k.waiting[c.Group] = w
	x.join(k, w)
	return k.room(w)
}

// Leave notes that a group waits no more.
func (x *Keys) Leave(k *Key, g Group) {
	if w := k.waiting[g]; w != nil {
		delete(k.waiting, g)
		x.leave(k, w)
	}
}

// room is how many slots a waiter could take.
func (k *Key) room(w *waiter) int64 {
	switch {
	case w.at >= 0, !w.Cancels && len(k.rivals.first) > 0, w.Rate.Count > 0 && k.opens > 0:
		return 0
	case w.Limit == 0:
		return Unlimited
	}
	return max(w.Limit-int64(len(k.owners)), 0)
}

// Changed returns one of the groups for which Ask may answer something else now, until there
// is none. Each is to be asked for again, or is to leave.
func (x *Keys) Changed() (Group, bool) {
	last := len(x.changed) - 1
	if last < 0 {
		return Group{}, false
	}
	w := x.changed[last]
	x.changed[last] = nil
	x.changed = x.changed[:last]
	w.changed = false
	return w.Group, true
}

func (x *Keys) change(w *waiter) {
	if !w.changed {
		w.changed = true
		x.changed = append(x.changed, w)
	}
}

// stir notes that the first that wait for a key may have other room.
func (x *Keys) stir(k *Key) {
	for _, w := range k.rivals.first {
		x.change(w)
	}
	for _, l := range k.lines {
		for _, w := range l.first {
			x.change(w)
		}
	}
}

// Allows reports whether a key has room at now for one more of a claim: whether, when all is
// said and done, it may start. If only the rate is against it, the key is closed until the
// rate allows it.
func (x *Keys) Allows(k *Key, c *Claim, now int64) bool {
	if c.Limit > 0 && int64(len(k.owners)) >= c.Limit {
		return false
	}
	next := k.meter.Next(c.Rate, now)
	if next > now {
		x.close(k, next)
	}
	return next <= now
}

// close keeps what has a rate from starting until a moment.
func (x *Keys) close(k *Key, until int64) {
	if k.pacing >= 0 {
		x.pacing.remove(k.pacing)
	}
	k.opens = until
	x.pacing.push(k)
	x.stir(k)
}

// Open lets those keys go on that were closed until now.
func (x *Keys) Open(now int64) {
	for len(x.pacing.items) > 0 && x.pacing.items[0].opens <= now {
		k := x.pacing.pop()
		k.opens = 0
		x.stir(k)
	}
}

// Opens is the next moment at which Open has something to do, 0 for never.
func (x *Keys) Opens() int64 {
	if len(x.pacing.items) == 0 {
		return 0
	}
	return x.pacing.items[0].opens
}

// Charge notes a start at now, in Unix milliseconds, which a rate counts. It returns keys
// that are forgotten by it: nothing names them, and what they owed is past.
func (x *Keys) Charge(k *Key, r job.Rate, now int64) (gone []Name) {
	const most = 16
	if r.Count == 0 {
		return nil
	}
	x.owe(k, k.meter.Take(r, now))
	if next := k.meter.Next(r, now); next > now {
		x.close(k, next)
	}
	for len(gone) < most && len(x.resting.items) > 0 && x.resting.items[0].meter.Rests(now) {
		old := x.resting.pop()
		x.forget(old)
		gone = append(gone, old.name)
	}
	return gone
}
