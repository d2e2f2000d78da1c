package job

import (
	"fmt"
	"strings"
	"time"
)

// Order says which of the tasks that wait in a queue goes first. Ties are broken by the
// older job, then by the place in its file.
type Order uint8

// The orders. Their numbers are stored.
const (
	// ByPriority: the higher priority, which may rise with waiting (Ageing).
	ByPriority Order = iota
	// ByAge: first come, first served, whatever the priority.
	ByAge
	// ByLength: the shortest expected run time, where that is known or asked for.
	ByLength
	// ByDeadline: the earliest deadline; what has none comes last, by priority.
	ByDeadline
	// ByShare: users take turns, so that each gets as much of what is scarcest to it as the
	// others; what one user has goes by priority.
	ByShare
	orders
)

// Backfill says what may start before a task that comes first in its queue's order and
// has no room.
type Backfill uint8

// The kinds of backfill. Their numbers are stored.
const (
	// BackfillEasy: whatever does not delay the expected start of the first that waits
	// (Lifka, "The ANL/IBM SP Scheduling System", 1995).
	BackfillEasy Backfill = iota
	// BackfillConservative: whatever delays none of those that wait before it (Mu'alem and
	// Feitelson, "Utilization, Predictability, Workloads, and User Runtime Estimates", 2001).
	BackfillConservative
	// BackfillAny: whatever fits, so that large tasks may wait for long.
	BackfillAny
	// BackfillNone: nothing of the same queue.
	BackfillNone
	backfills
)

// Limit is the most that may run at a time. Zero fields limit nothing.
type Limit struct {
	// Running is a number of attempts.
	Running int64 `json:"running,omitempty"`
	// Resources is what they are given together: amounts that are not zero are limits.
	Resources Resources `json:"resources,omitzero"`
}

// Rate is a token bucket: Burst starts at once, and Count more in every Per. A Count of
// zero limits nothing.
type Rate struct {
	Count int64    `json:"count"`
	Per   Duration `json:"per"`
	// Burst is how many may come at once after a pause; at least 1.
	Burst int64 `json:"burst"`
}

// QueuePolicy is how a queue is served.
type QueuePolicy struct {
	Order    Order    `json:"order"`
	Backfill Backfill `json:"backfill"`
	// Ageing is the time in which what waits gains one point of priority, 0 for never.
	Ageing Duration `json:"ageing,omitempty"`
	// Weight is the queue's share beside the other queues of its namespace, from 1; 0 means 1.
	Weight int64 `json:"weight,omitempty"`
	// Guarantee is what the queue gets before other queues get more than theirs. Others may
	// use what it does not.
	Guarantee Resources `json:"guarantee,omitzero"`
	Limit     Limit     `json:"limit,omitzero"`
	Rate      Rate      `json:"rate,omitzero"`
	// Preempt lets what waits in the queue stop attempts of a lower class, in any queue of its
	// namespace, to have their room. Background attempts make room for all others anyway.
	Preempt bool `json:"preempt,omitempty"`
	// HalfLife is how fast the use of users is forgotten where they take turns; 0 means
	// DefaultHalfLife.
	HalfLife Duration `json:"half_life,omitempty"`
}

// NamespacePolicy is how a namespace is served beside others, and what it may have.
type NamespacePolicy struct {
	// Weight is its share beside the other namespaces, from 1; 0 means 1.
	Weight    int64     `json:"weight,omitempty"`
	Guarantee Resources `json:"guarantee,omitzero"`
	Limit     Limit     `json:"limit,omitzero"`
	// Pending is the most elements that may wait, 0 for any number. A submit beyond it is
	// refused.
	Pending int64 `json:"pending,omitempty"`
	// HalfLife is how fast the use of its queues is forgotten; 0 means DefaultHalfLife.
	HalfLife Duration `json:"half_life,omitempty"`
}

// DefaultHalfLife is how long it takes until use counts half where a policy says nothing.
const DefaultHalfLife = Duration(time.Hour)

var orderWords = [orders]string{"priority", "fifo", "shortest", "deadline", "fair"}

// String is the order's word: priority, fifo, shortest, deadline or fair.
func (o Order) String() string { return orderWords[o] }

// ParseOrder reads an order's word.
func ParseOrder(s string) (Order, error) {
	for i, word := range orderWords {
		if s == word {
			return Order(i), nil
		}
	}
	return 0, fmt.Errorf("order %q: want one of %s", s, strings.Join(orderWords[:], ", "))
}

// MarshalText writes the order's word.
func (o Order) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the order's word.
func (o *Order) UnmarshalText(b []byte) error {
	v, err := ParseOrder(string(b))
	*o = v
	return err
}

var backfillWords = [backfills]string{"easy", "conservative", "any", "none"}

// String is the word: easy, conservative, any or none.
func (b Backfill) String() string { return backfillWords[b] }

// ParseBackfill reads the word of a kind of backfill.
func ParseBackfill(s string) (Backfill, error) {
	for i, word := range backfillWords {
		if s == word {
			return Backfill(i), nil
		}
	}
	return 0, fmt.Errorf("backfill %q: want one of %s", s, strings.Join(backfillWords[:], ", "))
}

// MarshalText writes the word.
func (b Backfill) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads the word.
func (b *Backfill) UnmarshalText(text []byte) error {
	v, err := ParseBackfill(string(text))
	*b = v
	return err
}
