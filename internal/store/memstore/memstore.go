// Package memstore is the store in memory: small, exact and deterministic, for
// the simulator and for tests of whatever stands on the store's contracts. It
// tells a crash of the process from power loss, which are faults that a test
// wants to cause and a disk can't show on demand.
package memstore

import (
	"slices"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// Store holds a journal and tables. The zero value isn't ready: use New. All
// methods may run concurrently. Bytes are copied on their way in and out.
type Store struct {
	mu    sync.RWMutex
	first uint64 // sequence of log[0]
	log   []store.Batch
	now   *tables
	// safe is what power loss leaves of the tables, and since what it lacks: a
	// crash of the process loses neither.
	safe  *tables
	since []change
	// base is the oldest that GoBack leaves of the tables: what the journal goes on from. taken
	// is what safe has beyond it.
	base    *tables
	taken   []change
	cluster cluster
	clock   func() time.Time
}

// change is a flush or, without one, a retention at a moment in Unix
// milliseconds.
type change struct {
	flush *store.Flush
	at    int64
}

// New returns an empty store that goes by the machine's clock.
func New() *Store { return NewAt(time.Now) }

// NewAt returns an empty store whose leases go by clock.
func NewAt(clock func() time.Time) *Store {
	return &Store{first: 1, now: newTables(), safe: newTables(), base: newTables(), clock: clock}
}

// Journal returns the store's journal.
func (s *Store) Journal() store.Journal { return journal{s} }

// Tables returns the store's tables.
func (s *Store) Tables() store.Tables { return projector{s} }

// History returns the store's history.
func (s *Store) History() store.History { return history{s} }

// LosePower takes from the tables what no Durable has covered, as a power cut
// may do on a disk. The journal keeps every batch that was appended.
func (s *Store) LosePower() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = nil
	s.now = s.safe.clone()
}

// last returns the last sequence appended. The caller holds mu.
func (s *Store) last() uint64 { return s.first + uint64(len(s.log)) - 1 }

// mark returns the last batch's mark. The caller holds mu.
func (s *Store) mark() store.Mark {
	if len(s.log) == 0 {
		return store.Mark{}
	}
	b := &s.log[len(s.log)-1]
	return store.Mark{Seq: b.Seq, ID: b.ID}
}

func cloneBatch(b store.Batch) store.Batch {
	b.Payload = slices.Clone(b.Payload)
	return b
}

// Kept is the sequence of the oldest flush that GoBack can go back to: the journal that is
// left does not go on from those before it. 0 is for none.
func (s *Store) Kept() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base.projected
}

// GoBack takes from the store every batch after seq and every flush that covers more than
// rows, or more than seq, as a database does that was restored from a backup or failed over to
// a standby which lagged. What Kept names is left.
func (s *Store) GoBack(seq, rows uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq = max(seq, s.base.projected)
	for len(s.log) > 0 && s.last() > seq {
		s.log = s.log[:len(s.log)-1]
	}
	left := slices.Concat(s.taken, s.since)
	for i, c := range left {
		if c.flush != nil && c.flush.Seq > min(rows, seq) {
			left = left[:i]
			break
		}
	}
	s.now = s.base.clone()
	for _, c := range left {
		s.now.change(c)
	}
	s.safe, s.taken, s.since = s.now.clone(), left, nil
}

// settle makes base what the tables were when they last covered all that was trimmed off the
// journal, and a batch that is left. The caller holds mu.
func (s *Store) settle() {
	n := 0
	for ; n < len(s.taken) && s.base.projected < s.first; n++ {
		s.base.change(s.taken[n])
	}
	s.taken = append([]change(nil), s.taken[n:]...)
}
