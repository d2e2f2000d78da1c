package member

import (
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// Elector decides when a server asks for the lease, and knows whether it holds. It is a pure
// step machine: times are readings of the server's own monotonic clock. Not safe for
// concurrent use.
//
// The server's lease ends, by its own clock, a lease's length after the last request for it
// was sent that was granted; the database's clock begins to count later, when it grants. So
// when the one has run out the other may still run, never the other way round.
type Elector struct {
	id     [16]byte
	length time.Duration
	leads  bool
	until  time.Duration // the lease is certain to last until then
	next   time.Duration // when to ask again
	rest   time.Duration // no claim before then
	began  time.Duration // of the term
	short  int           // terms in a row that ended soon
}

// Ask is what to ask of the cluster.
type Ask uint8

// What an Elector asks.
const (
	// Look asks how the lease stands.
	Look Ask = iota
	// Claim asks for it, for the first time or once more.
	Claim
)

const (
	// looks is how often a server that follows asks in the length of a lease, and renewals
	// how often one that leads does.
	looks, renewals = 20, 4
	// shortTerm is a term that is over soon: the next one must not begin at once, or two
	// servers could take turns for ever without getting anything done. maxRest bounds the
	// pause, which doubles each time.
	shortTerm = 10 * time.Second
	maxRest   = 30 * time.Second
)

// NewElector returns an elector for a server that follows, with leases of the given length.
func NewElector(id [16]byte, length time.Duration) *Elector {
	return &Elector{id: id, length: length}
}

// Next returns when to ask, and what.
func (e *Elector) Next() (at time.Duration, what Ask) {
	if e.leads {
		return e.next, Claim
	}
	return e.next, Look
}

// Told takes an answer to what was asked at sent, and reports whether to claim at once. A
// free lease is claimed, unless the server rests.
func (e *Elector) Told(sent, now time.Duration, what Ask, l store.Lease) (claim bool) {
	if what == Claim {
		e.granted(sent, now, l.Holder == e.id)
		return false
	}
	// A lease that is about to run out is looked at again just then.
	e.next = now + e.length/looks
	if l.Left > 0 {
		e.next = min(e.next, now+l.Left+time.Millisecond)
	}
	return l.Left <= 0 && now >= e.rest
}

func (e *Elector) granted(sent, now time.Duration, ours bool) {
	if !ours {
		e.Lost(now)
		return
	}
	if !e.leads {
		e.leads, e.began = true, now
	}
	e.until, e.next = sent+e.length, sent+e.length/renewals
}

// Failed takes note of a question that got no answer.
func (e *Elector) Failed(now time.Duration) { e.next = now + e.length/looks }

// Leads says whether the server has the lease for all that it knows: until it hears
// otherwise, also when it can't be certain that it Holds.
func (e *Elector) Leads() bool { return e.leads }

// Until is when the lease is not certain to last any more.
func (e *Elector) Until() time.Duration { return e.until }

// Lost ends the server's term, for whatever reason.
func (e *Elector) Lost(now time.Duration) {
	e.next = now + e.length/looks
	if !e.leads {
		return
	}
	e.leads, e.until = false, now
	if now-e.began >= shortTerm {
		e.short, e.rest = 0, 0
		return
	}
	e.rest = now + min(e.length<<min(e.short, 8), maxRest)
	e.short++
}

// StandBack ends the server's term, and has it claim none for as long as a server rests at most.
func (e *Elector) StandBack(now time.Duration) {
	if e.leads {
		e.Lost(now)
		e.rest = now + maxRest
	}
}
