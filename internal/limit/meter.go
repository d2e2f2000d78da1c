// Package limit keeps what may not happen too often: concurrency keys, which are leases
// with owners and never counters, and rates. It knows who holds a key, who waits for it and
// who may go next; that this is kept to, the core sees when it assigns.
//
// What waits for a key is asked again only when its turn may have come: the cost of a key
// that is freed does not grow with how many wait for it.
package limit

import (
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Meter is how far the starts of a rate are paid for, in Unix microseconds: each start moves
// it on by the time that the rate asks between two. The zero value owes nothing. It is the
// generic cell rate algorithm in its virtual form (ITU-T I.371, 1993), in whole numbers: one
// number, which means the same whatever rate it is read by.
type Meter int64

const microseconds = int64(time.Millisecond / time.Microsecond)

// between is the time from one start to the next in microseconds, rounded up: a rate is
// never passed.
func between(r job.Rate) int64 {
	per := int64(time.Duration(r.Per) / time.Microsecond)
	return (per + r.Count - 1) / r.Count
}

// paid is the meter as it is read at now: what is past owes nothing, and a clock that went
// back, or another rate before, makes nobody wait for longer than a whole burst.
func (m Meter) paid(r job.Rate, now int64) int64 {
	return min(max(int64(m), now*microseconds), now*microseconds+r.Burst*between(r))
}

// Next is the first moment, from now on, at which one more may start. Both are Unix
// milliseconds. Without a rate that is now.
func (m Meter) Next(r job.Rate, now int64) int64 {
	if r.Count == 0 {
		return now
	}
	early := m.paid(r, now) - (r.Burst-1)*between(r)
	if early <= now*microseconds {
		return now
	}
	return (early + microseconds - 1) / microseconds
}

// Take is the meter after one more has started at now, in Unix milliseconds.
func (m Meter) Take(r job.Rate, now int64) Meter {
	if r.Count == 0 {
		return m
	}
	return Meter(m.paid(r, now) + between(r))
}

// Rests reports whether nothing is owed any more at now, by any rate.
func (m Meter) Rests(now int64) bool { return int64(m) <= now*microseconds }
