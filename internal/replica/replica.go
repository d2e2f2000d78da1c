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
	"github.com/reeve-scheduler/reeve/internal/store"
)

// readBytes is how much of the journal is read at a time.
const readBytes = 8 << 20

// ErrDiverged says that the journal does not continue what a copy has seen: the database
// went back in time, or is another.
var ErrDiverged = errors.New("the journal holds another history")

// Copy is a state and the place in the journal that it is at. Not safe for concurrent use.
type Copy struct {
	State *core.State
	// Last is the batch that the state has seen last.
	Last store.Mark
	// Projected is the sequence that the tables covered when the state was loaded.
	Projected uint64
}

// Recover rebuilds the state: the rows as one snapshot, then every batch of the
// journal after it. Damage is reported with the sequence and ends recovery: no event
// is ever skipped.
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

// Apply applies the batch that comes next; see, if it is not nil, is told each event
// before and after it is applied. A panic in the core's Apply names the batch, and so does
// every error: the copy can't be used any more then, but after ErrDiverged, which comes
// before anything is applied.
func (c *Copy) Apply(b *store.Batch, see func(e core.Event, before bool)) (err error) {
	// Batches from before they named the one before name none.
	if b.Seq != c.Last.Seq+1 || b.Prev != c.Last.ID && b.Prev != ([16]byte{}) && c.Last.ID != ([16]byte{}) {
		return fmt.Errorf("batch %d of the journal does not follow batch %d (%x): %w", b.Seq, c.Last.Seq, c.Last.ID[:4], ErrDiverged)
	}
	events, err := record.DecodeBatch(b.Payload)
	if err != nil {
		return fmt.Errorf("decode the journal at %d: %w", b.Seq, err)
	}
	at := 0
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("apply event %d (%T) of the journal at %d: %v", at, events[at], b.Seq, p)
		}
	}()
	for at = range events {
		if see != nil {
			see(events[at], true)
		}
		c.State.Apply(events[at])
		if see != nil {
			see(events[at], false)
		}
	}
	c.State.Batch(b.Seq)
	c.State.Forget()
	c.Last = store.Mark{Seq: b.Seq, ID: b.ID}
	return nil
}
