package plan

import (
	"cmp"
	"container/list"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan/usage"
)

// MaxPasts is of how many users that run nothing the past is known; whoever ran something
// longest ago is forgotten first. Servers that plan alike must forget the same, so that it is a
// part of the cluster's format.
const MaxPasts = 10_000

// Past is what a namespace, a queue of it or a user of that has used, as of a moment: Amount is in
// parts of all there is, of which PastUnit is the whole, and At in Unix milliseconds.
type Past struct {
	Namespace, Queue, User string
	Amount, At             int64
}

// PastUnit is the amount of who has used all there is for many half-lives.
const PastUnit = unit

// mostPast bounds amounts: more than all there is has who had it before workers left.
const mostPast = 1 << 10 * PastUnit

// past is what an account has used.
type past struct {
	usage.Past
	// halfLife is how fast those below it are forgotten, in milliseconds.
	halfLife int64
	// weighed is when the account was last weighed.
	weighed int64
	// at is its place among all that have a past, from 1, and 0 for none.
	at int
	// touched: it is in the list of those that have changed, and changed is when it last did.
	touched bool
	changed uint64
	// resting is its place among the users that run nothing.
	resting *list.Element
}

// remembers reports whether an account has a past: where users take no turns, what all of
// them have used is their queue's.
func (a *account) remembers() bool { return !a.user() || a.name != "" }

func (a *account) user() bool { return a.up != nil && a.up.up != nil }

// forgetting is how fast an account's past is forgotten.
func (a *account) forgetting() int64 {
	if a.up == nil {
		return halfLife(0)
	}
	return a.up.past.halfLife
}

// forgets sets how fast what those below an account have used is forgotten.
func (x *Index) forgets(a *account, d job.Duration) {
	if a.past.halfLife == halfLife(d) {
		return
	}
	a.past.halfLife = halfLife(d)
	for _, below := range a.kids {
		x.weigh(below)
	}
}

// halfLife is what a policy says, in milliseconds.
func halfLife(d job.Duration) int64 {
	return time.Duration(cmp.Or(d, job.DefaultHalfLife)).Milliseconds()
}

// note adds to an account's past what it has used until now.
func (x *Index) note(a *account, now int64) {
	if now <= 0 || !a.remembers() {
		return
	}
	p := &a.past
	switch {
	case p.at == 0:
		x.pasts = append(x.pasts, a)
		p.at, p.Past = len(x.pasts), usage.Past{At: now}
	case now > p.At:
		p.Past = p.Add(now, a.forgetting(), min(x.share(a), mostPast), now-p.At)
	}
	x.touch(a)
}

func (x *Index) touch(a *account) {
	a.past.changed = x.stamp
	if !a.past.touched {
		a.past.touched = true
		x.touched = append(x.touched, a)
	}
}

// counts is what counts at a moment of an account's past.
func (a *account) counts(at int64) int64 {
	if a.past.Amount == 0 {
		return 0
	}
	return a.past.Left(at, a.forgetting())
}

// Age has what was used count less as time goes by, for so many accounts at most: whoever
// waits while others have stopped comes nearer to them. now is in Unix milliseconds.
func (x *Index) Age(now int64, most int) {
	const steps = 64 // within a half-life
	x.now = now
	for range min(most, len(x.pasts)) {
		x.aged = (x.aged + 1) % len(x.pasts)
		if a := x.pasts[x.aged]; a.past.Amount > 0 && apart(now, a.past.weighed) >= max(a.forgetting()/steps, 1) {
			x.weigh(a)
		}
	}
}

func apart(a, b int64) int64 { return max(a-b, b-a) }

// rest keeps a user in mind who runs nothing any more, or takes out one who does again.
func (x *Index) rest(a *account) {
	switch e := a.past.resting; {
	case e != nil && a.running > 0:
		x.resting.Remove(e)
		a.past.resting = nil
	case e == nil && a.running == 0 && a.user() && a.past.at > 0:
		last := x.resting.Back()
		for last != nil && a.restsBefore(last.Value.(*account)) {
			last = last.Prev()
		}
		if last == nil {
			a.past.resting = x.resting.PushFront(a)
		} else {
			a.past.resting = x.resting.InsertAfter(a, last)
		}
		if x.resting.Len() > MaxPasts {
			x.lose(x.resting.Front().Value.(*account))
		}
	}
}

// restsBefore reports whether a user is forgotten before another.
func (a *account) restsBefore(b *account) bool {
	return cmp.Or(cmp.Compare(a.past.At, b.past.At), cmp.Compare(a.up.up.name, b.up.up.name),
		cmp.Compare(a.up.name, b.up.name), cmp.Compare(a.name, b.name)) < 0
}

// lose forgets an account's past.
func (x *Index) lose(a *account) {
	x.resting.Remove(a.past.resting)
	a.past.resting = nil
	last := x.pasts[len(x.pasts)-1]
	x.pasts[a.past.at-1], last.past.at = last, a.past.at
	x.pasts[len(x.pasts)-1] = nil
	x.pasts = x.pasts[:len(x.pasts)-1]
	a.past.Past, a.past.at = usage.Past{}, 0
	x.touch(a)
	x.weigh(a)
}

// Remember restores what an account has used, before anything of it is taken.
func (x *Index) Remember(p Past) {
	a := x.accountOf(p.Namespace, p.Queue)
	if p.User != "" {
		a = x.userOf(a, p.User)
	}
	if a.past.at == 0 {
		x.pasts = append(x.pasts, a)
		a.past.at = len(x.pasts)
	}
	a.past.Past = usage.Past{Amount: min(max(p.Amount, 0), mostPast), At: p.At}
	x.rest(a)
	x.weigh(a)
}

// Stamp numbers what changes from now on, for Settle.
func (x *Index) Stamp(n uint64) { x.stamp = n }

// Touched reports whether pasts have changed that are not settled.
func (x *Index) Touched() bool { return len(x.touched) > 0 }

// Settle says that somebody keeps what has changed up to a stamp, and calls back, if f is not
// nil, with each such past once. What is forgotten has no moment.
func (x *Index) Settle(upTo uint64, f func(Past)) {
	kept := x.touched[:0]
	for _, a := range x.touched {
		if a.past.changed > upTo {
			kept = append(kept, a)
			continue
		}
		a.past.touched = false
		if f != nil {
			f(a.pastOf())
		}
	}
	clear(x.touched[len(kept):])
	x.touched = kept
}

// Pasts calls back with what is known of a namespace, its queues and their users, in no order
// that means anything.
func (x *Index) Pasts(namespace string, f func(Past)) {
	s := x.spaces[namespace]
	if s == nil {
		return
	}
	known := func(a *account) {
		if a.past.at > 0 {
			f(a.pastOf())
		}
	}
	known(s)
	for _, q := range s.kids {
		known(q)
		for _, u := range q.kids {
			known(u)
		}
	}
}

func (a *account) pastOf() Past {
	p := Past{Amount: a.past.Amount, At: a.past.At}
	switch {
	case a.user():
		p.Namespace, p.Queue, p.User = a.up.up.name, a.up.name, a.name
	case a.up != nil:
		p.Namespace, p.Queue = a.up.name, a.name
	default:
		p.Namespace = a.name
	}
	return p
}
