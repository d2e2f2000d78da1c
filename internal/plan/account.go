package plan

import (
	"math"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// account is what a namespace, a queue or a user has of the workers, and may have. Its share
// is the largest part that it has of any resource (Ghodsi, Zaharia, Hindman, Konwinski,
// Shenker and Stoica, "Dominant Resource Fairness", 2011), and what it had a while ago counts
// with it, less and less (Sadok, Campista and Costa, "Stateful DRF: Considering the Past in a
// Multi-Resource Allocation", 2021).
type account struct {
	name string
	up   *account
	kids []*account
	// nodes are its places in the order, one in each band in which anything of it waits.
	nodes [bands]*node

	// barred is a pause until the end of a pass; planned: in this pass, places are kept for
	// everything that waits.
	paused, shut, barred, planned bool
	weight                        int64
	backfill                      job.Backfill
	preempts                      bool
	// guarantee and limit are by column; limits of no column are far above everything.
	guarantee, limit []int64
	most             int64 // attempts, 0 for any number
	policy           bounds
	counted          counted
	used, left       []int64
	running          int64
	past             past
	kept             bool // it has a policy
}

// bounds is the part of a policy that is by resource, to be read again when columns change.
type bounds struct{ guarantee, limit job.Resources }

// unit is the share of who has all there is of a resource.
const unit = 1 << 20

// owed goes before whatever has what it was promised.
const owed = 1 << 50

func (a *account) closed() bool {
	return a.paused || a.shut || a.barred || a.most > 0 && a.running >= a.most
}

// within is a room, in negative amounts, or less where a limit leaves less. The result is
// good until the next call.
func (a *account) within(room []int64) []int64 {
	if a == nil || !a.limited() {
		return room
	}
	for i, n := range room {
		a.left[i] = max(n, min(0, a.used[i]-a.limit[i]))
	}
	return a.left
}

func (a *account) limited() bool { return a.limit != nil }

// charge counts an attempt in or out of its account and of those above it, at a moment, 0 if
// that is unknown.
func (x *Index) charge(r *Run, n, now int64) {
	need := r.shape.need
	for a := r.flow; a != nil; a = a.up {
		x.tally(a, r, n)
		x.note(a, now)
		was := a.closed()
		for i, v := range need {
			a.used[i] += n * v
		}
		a.running += n
		x.rest(a)
		x.weigh(a)
		if n < 0 && (a.limited() || was || a.most > 0 && x.gangs > 0) {
			x.spoilAll(a)
		}
	}
}

// weigh works out where an account's nodes stand among their siblings.
func (x *Index) weigh(a *account) {
	a.past.weighed = max(x.now, a.past.At)
	score := x.standing(a, a.past.weighed)
	for _, n := range a.nodes {
		if n != nil {
			n.rank.Score = score
			x.rerank(n)
		}
	}
}

// standing is the score of an account at a moment: the less it has of its share, the higher.
func (x *Index) standing(a *account, now int64) int64 {
	score := base - min((x.share(a)+a.counts(now))/max(a.weight, 1), owed-1)
	if a.owed() {
		score += owed
	}
	return score
}

// share is the largest part that an account has of any resource.
func (x *Index) share(a *account) int64 {
	share := ratio(a.running, x.places)
	for i, used := range a.used {
		if x.total[i] > 0 { // else it depends on what is past whether it is known at all
			share = max(share, ratio(used, x.total[i]))
		}
	}
	return share
}

func (x *Index) rerankAll(a *account) {
	for _, n := range a.nodes {
		if n != nil {
			x.rerank(n)
		}
	}
}

// owed reports whether an account has less than it was promised of everything promised.
func (a *account) owed() bool {
	promised := false
	for i, g := range a.guarantee {
		if g > 0 && a.used[i] >= g {
			return false
		}
		promised = promised || g > 0
	}
	return promised
}

// ratio is a part of a whole in units.
func ratio(part, whole int64) int64 {
	switch {
	case part <= 0:
		return 0
	case whole <= 0:
		return unit
	case part > math.MaxInt64/unit:
		return part / max(whole/unit, 1)
	}
	return part * unit / whole
}

func (x *Index) spoilAll(a *account) {
	for _, n := range a.nodes {
		if n != nil {
			x.spoil(n)
		}
	}
}

// reopen brings an account's nodes up to date after it was opened or closed.
func (x *Index) reopen(a *account) {
	for _, n := range a.nodes {
		if n != nil {
			x.rerank(n)
			x.spoil(n)
		}
	}
}

// SetPaused keeps a queue, or with an empty queue a whole namespace, from being
// placed, or lets it go on. Groups stay known while they are paused.
func (x *Index) SetPaused(namespace, queue string, paused bool) {
	a := x.accountOf(namespace, queue)
	a.paused = paused
	x.reopen(a)
}

// SetClosed is SetPaused for a queue that may start nothing for the moment.
func (x *Index) SetClosed(namespace, queue string, closed bool) {
	a := x.accountOf(namespace, queue)
	a.shut = closed
	x.reopen(a)
}

// SetQueue says how a queue is served. The order of its groups is in their scores, and whether
// users take turns in whether they are named: the caller sets them anew.
func (x *Index) SetQueue(namespace, queue string, p job.QueuePolicy) {
	a := x.accountOf(namespace, queue)
	if a.preempts != p.Preempt {
		a.preempts = p.Preempt
		x.preempting += map[bool]int{true: 1, false: -1}[p.Preempt]
	}
	a.backfill = p.Backfill
	x.forgets(a, p.HalfLife)
	x.serve(a, p.Weight, p.Limit.Running, bounds{p.Guarantee, p.Limit.Resources})
}

// SetNamespace says how a namespace is served.
func (x *Index) SetNamespace(namespace string, p job.NamespacePolicy) {
	a := x.accountOf(namespace, "")
	x.forgets(a, p.HalfLife)
	x.serve(a, p.Weight, p.Limit.Running, bounds{p.Guarantee, p.Limit.Resources})
}

func (x *Index) serve(a *account, weight, most int64, b bounds) {
	a.weight, a.most, a.policy, a.kept = weight, most, b, true
	x.bound(a)
	x.recount(a)
	x.weigh(a)
	x.spoilAll(a)
	for _, c := range x.classes { // a limit keeps classes from being sent ahead
		if c != nil && c.state == stuck && c.form == plain && !c.bounded() {
			x.move(c, hopeful)
		}
	}
}

// bound translates a policy into columns.
func (x *Index) bound(a *account) {
	a.guarantee, a.limit, a.left, a.counted.known = nil, nil, nil, false
	if a.policy.guarantee != (job.Resources{}) {
		a.guarantee, _ = x.vector(a.policy.guarantee)
	}
	if a.policy.limit == (job.Resources{}) {
		return
	}
	a.limit, _ = x.vector(a.policy.limit)
	a.left = make([]int64, x.width)
	for i, n := range a.limit {
		if n == 0 {
			a.limit[i] = math.MaxInt64 / 2
		}
	}
}

func (x *Index) accountOf(namespace, queue string) *account {
	s := x.spaces[namespace]
	if s == nil {
		s = x.open(&account{name: namespace})
		x.spaces[namespace] = s
		x.spaceList = append(x.spaceList, s)
	}
	if queue == "" {
		return s
	}
	key := queueName{namespace, queue}
	q := x.queues[key]
	if q == nil {
		q = x.open(&account{name: queue, up: s})
		x.queues[key] = q
	}
	return q
}

// flowOf is the account of a user of a queue, or of all of them where they take no turns.
func (x *Index) flowOf(namespace, queue, user string) *account {
	if a := x.lastFlow; a != nil && a.name == user && a.up.name == queue && a.up.up.name == namespace {
		return a
	}
	x.lastFlow = x.userOf(x.accountOf(namespace, queue), user)
	return x.lastFlow
}

func (x *Index) userOf(q *account, user string) *account {
	key := userName{q, user}
	u := x.users[key]
	if u == nil {
		u = x.open(&account{name: user, up: q})
		x.users[key] = u
	}
	return u
}

type (
	queueName struct{ space, name string }
	userName  struct {
		queue *account
		name  string
	}
)

func (x *Index) open(a *account) *account {
	a.used, a.past.halfLife = make([]int64, x.width), halfLife(0)
	if a.up != nil {
		a.up.kids = append(a.up.kids, a)
	}
	x.interned++
	return a
}

// idle reports whether nothing needs an account: it has nothing to say and nobody is below.
func (a *account) idle() bool {
	return a.running == 0 && a.past.at == 0 && !a.past.touched && !a.paused && !a.shut && !a.kept && len(a.kids) == 0 && a.nodes == [bands]*node{}
}

// nodeOf finds or makes the place of an account in a band.
func (x *Index) nodeOf(a *account, band int) *node {
	if n := a.nodes[band]; n != nil {
		return n
	}
	up := x.root.kids[band]
	if a.up != nil {
		up = x.nodeOf(a.up, band)
	}
	n := x.add(up, &node{account: a, rank: tie(a.name)})
	a.nodes[band] = n
	x.weigh(a)
	return n
}

// sweepAccounts forgets accounts and nodes that are out of use, from the users up.
func (x *Index) sweepAccounts() {
	x.lastFlow = nil
	x.spaceList = slices.DeleteFunc(x.spaceList, func(s *account) bool {
		s.kids = slices.DeleteFunc(s.kids, func(q *account) bool {
			q.kids = slices.DeleteFunc(q.kids, func(u *account) bool {
				return x.forget(u, func() { delete(x.users, userName{q, u.name}) })
			})
			return x.forget(q, func() { delete(x.queues, queueName{s.name, q.name}) })
		})
		return x.forget(s, func() { delete(x.spaces, s.name) })
	})
}

func (x *Index) forget(a *account, remove func()) bool {
	for band, n := range a.nodes {
		if n != nil && n.slots.Len() == 0 && !n.stale {
			n.drop()
			a.nodes[band] = nil
		}
	}
	if !a.idle() {
		return false
	}
	remove()
	x.interned--
	return true
}
