// Package replica keeps one server's copy of the core: it recovers the state from
// rows and the journal's tail, follows what another server writes, answers those who
// read, and carries what happens to those who watch. The leader is a replica with the
// right to decide.
package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/record/digest"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// readBytes is how much of the journal is read at a time.
const readBytes = 8 << 20

// ErrDiverged says that the database does not continue what a copy has seen: it went back in
// time, or is another.
var ErrDiverged = errors.New("the database holds another history")

// ErrNewer says that this program is too old for what a newer one has written, or for the
// format that the cluster was raised to. No event is ever skipped.
var ErrNewer = record.ErrFormat

// errApply marks an event that this program can't read or apply.
var errApply = errors.New("this program can't apply what was decided")

// Copy is a state and the place in the journal that it is at. Not safe for concurrent use.
type Copy struct {
	State *core.State
	// Last is the batch that the state has seen last.
	Last store.Mark
	// Projected is the sequence that the tables are known to cover: what they had when the state
	// was loaded, and by Cover since.
	Projected uint64
	// Differs is the first thing in which the copy was found not to be what its leader had.
	Differs *DifferenceError
	// Rounds is how many rounds of the leader's digests it has agreed with, from the first part
	// to the last.
	Rounds int
	agreed core.StateDigested // the last part of a round that it agrees with so far
}

// DifferenceError is a digest that a copy does not agree with. It is an error.
type DifferenceError struct {
	Of core.StateDigested
	// Seq is the batch with the digest, and Own what the copy made of the same part.
	Seq uint64
	Own core.Hash
}

// Error says what differs, and where.
func (d *DifferenceError) Error() string {
	return fmt.Sprintf("at sequence %d the digest of this server's copy of jobs %d to %d is %x, and the leader's was %x", d.Seq, d.Of.From, d.Of.To, d.Own[:8], d.Of.Sum[:8])
}

// compare holds a digest of the leader against the copy at the same place.
func (c *Copy) compare(e core.StateDigested, seq uint64) {
	own := digest.Of(c.State, e)
	goesOn := e.Slice == 0 || c.agreed.Sum != (core.Hash{}) && e.Round == c.agreed.Round && e.Slice == c.agreed.Slice+1
	switch {
	case own != e.Sum:
		c.agreed, c.Rounds = core.StateDigested{}, 0
		if c.Differs == nil {
			c.Differs = &DifferenceError{Of: e, Seq: seq, Own: own}
		}
	case goesOn && e.To == core.LastJob:
		c.agreed = core.StateDigested{}
		c.Rounds++
	case goesOn:
		c.agreed = e
	}
}

// Recover rebuilds the state: the rows as one snapshot, then every batch of the
// journal after it. Damage is reported with the sequence and ends recovery: no event
// is ever skipped. Digests that it does not agree with end nothing: there is no better copy.
func Recover(ctx context.Context, config core.Config, journal store.Journal, tables store.Tables) (Copy, error) {
	loader := record.NewLoader(config)
	projected, err := tables.Load(ctx, loader)
	if err != nil {
		return Copy{}, fmt.Errorf("load the tables: %w", err)
	}
	state, err := loader.Finish(projected)
	if err != nil {
		return Copy{}, fmt.Errorf("load the tables: %w", err)
	}
	first, last, err := journal.Bounds(ctx)
	if err != nil {
		return Copy{}, fmt.Errorf("read the journal's bounds: %w", err)
	}
	if first > projected+1 || projected > last {
		return Copy{}, fmt.Errorf("the tables cover sequence %d but the journal holds %d to %d: %w", projected, first, last, store.ErrCorrupt)
	}
	c := Copy{State: state, Last: store.Mark{Seq: projected}, Projected: projected}
	// The last batch that the rows cover is read for its ID alone.
	for next := max(projected, first); next <= last; next = c.Last.Seq + 1 {
		batches, err := journal.Read(ctx, next, readBytes)
		if err != nil {
			return Copy{}, fmt.Errorf("read the journal at %d: %w", next, err)
		}
		if len(batches) == 0 {
			return Copy{}, fmt.Errorf("the journal ends at %d, before its last sequence %d: %w", next, last, store.ErrCorrupt)
		}
		if batches[0].Seq == projected {
			c.Last.ID = batches[0].ID
			batches = batches[1:]
		}
		for i := range batches {
			if err := c.Apply(&batches[i], nil); err != nil {
				return Copy{}, err
			}
		}
	}
	return c, nil
}

// Follow applies what the journal holds after the copy, up to end at least, which it was
// asked for a moment ago, and tells hub, which may be nil. It returns a *DifferenceError as soon as
// the copy turns out not to be what the leader has, and ErrDiverged, and applies
// nothing more, when the copy is not a part of the history that ends there.
func (c *Copy) Follow(ctx context.Context, journal store.Journal, end store.Mark, hub *Hub) error {
	if end.Seq < c.Last.Seq || end.Seq == c.Last.Seq && end.ID != c.Last.ID && c.Last.ID != ([16]byte{}) {
		return c.diverged(end)
	}
	for c.Last.Seq < end.Seq {
		batches, err := journal.Read(ctx, c.Last.Seq+1, readBytes)
		if err != nil {
			return fmt.Errorf("read the journal at %d: %w", c.Last.Seq+1, err)
		}
		if len(batches) == 0 {
			return c.diverged(end)
		}
		for i := range batches {
			if err := c.applyTelling(&batches[i], hub); err != nil {
				return err
			}
			if c.Differs != nil {
				return c.Differs
			}
		}
	}
	return nil
}

func (c *Copy) applyTelling(b *store.Batch, hub *Hub) error {
	if hub == nil {
		return c.Apply(b, nil)
	}
	wanted := hub.Wanted()
	var tell func(core.Notice)
	var notices []Notice
	if wanted {
		tell = func(n core.Notice) {
			notices = append(notices, Notice{Notice: n, Cursor: Cursor{Seq: b.Seq, Index: len(notices)}})
		}
	}
	if err := c.Apply(b, tell); err != nil {
		return err
	}
	at := Cursor{Generation: c.State.Generation(), Seq: b.Seq, Index: len(notices)}
	for i := range notices {
		notices[i].Cursor.Generation = at.Generation
	}
	hub.Publish(at, notices, wanted)
	return nil
}

func (c *Copy) diverged(end store.Mark) error {
	return fmt.Errorf("batch %d (%x) is not in a journal that ends at %d (%x): %w", c.Last.Seq, c.Last.ID[:4], end.Seq, end.ID[:4], ErrDiverged)
}

// Cover drops from memory what the tables have, which cover projected at a time in Unix
// milliseconds. It returns ErrDiverged, and does nothing, when they have lost a flush: what the
// copy takes to be written is not, so that what it would write next does not go on from what is
// there.
func (c *Copy) Cover(now int64, projected uint64) error {
	if projected < c.Projected {
		return fmt.Errorf("the tables cover sequence %d, and have covered %d: %w", projected, c.Projected, ErrDiverged)
	}
	c.Projected = projected
	c.State.Projected(now, projected)
	c.State.Evict(now)
	return nil
}

// Apply applies the batch that comes next; tell, if it is not nil, hears what watchers are
// to hear of it. A panic in the core's Apply names the batch, and so does every error: the
// copy can't be used any more then, but after ErrDiverged, which comes before anything is
// applied.
func (c *Copy) Apply(b *store.Batch, tell func(core.Notice)) (err error) {
	// Batches from before they named the one before name none.
	if b.Seq != c.Last.Seq+1 || b.Prev != c.Last.ID && b.Prev != ([16]byte{}) && c.Last.ID != ([16]byte{}) {
		return fmt.Errorf("batch %d of the journal does not follow batch %d (%x): %w", b.Seq, c.Last.Seq, c.Last.ID[:4], ErrDiverged)
	}
	events, err := record.DecodeBatch(b.Payload)
	for _, e := range events {
		if raised, ok := e.(core.FormatRaised); ok && err == nil {
			err = record.CheckRaise(raised.Format)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: decode the journal at %d: %w", errApply, b.Seq, err)
	}
	at := 0
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: event %d (%T) of the journal at %d: %v", errApply, at, events[at], b.Seq, p)
		}
	}()
	for at = range events {
		if e, ok := events[at].(core.StateDigested); ok {
			c.compare(e, b.Seq)
		}
		c.apply(events[at], tell)
	}
	const ranked = 1000 // about a millisecond's work
	c.State.Batch(b.Seq)
	c.State.Rank(ranked)
	c.State.Forget()
	c.Last = store.Mark{Seq: b.Seq, ID: b.ID}
	return nil
}

func (c *Copy) apply(e core.Event, tell func(core.Notice)) {
	if tell == nil {
		c.State.Apply(e)
		return
	}
	before := core.Before(e)
	if before {
		if n, ok := c.State.Describe(e); ok {
			tell(n)
		}
	}
	c.State.Apply(e)
	if before {
		return
	}
	if n, ok := c.State.Describe(e); ok {
		tell(n)
	}
}
