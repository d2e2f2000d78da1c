// Package replica keeps one server's copy of the core: it recovers the state from
// rows and the journal's tail, and carries what happens to those who watch. The
// leader is a replica with the right to decide.
package replica

import (
	"context"
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// readBytes is how much of the journal is read at a time.
const readBytes = 8 << 20

// Recovered is a state as it was after the journal's last batch.
type Recovered struct {
	State *core.State
	// Last is the journal's last sequence, Projected the one that the tables cover.
	Last, Projected uint64
}

// Recover rebuilds the state: the rows as one snapshot, then every batch of the
// journal after it. Damage is reported with the sequence and ends recovery: no event
// is ever skipped.
func Recover(ctx context.Context, config core.Config, journal store.Journal, tables store.Tables) (Recovered, error) {
	loader := record.NewLoader(config)
	projected, err := tables.Load(ctx, loader)
	if err != nil {
		return Recovered{}, fmt.Errorf("load the tables: %w", err)
	}
	state, err := loader.Finish(projected)
	if err != nil {
		return Recovered{}, fmt.Errorf("load the tables: %w", err)
	}
	first, last, err := journal.Bounds(ctx)
	if err != nil {
		return Recovered{}, fmt.Errorf("read the journal's bounds: %w", err)
	}
	if first > projected+1 || projected > last {
		return Recovered{}, fmt.Errorf("the tables cover sequence %d but the journal holds %d to %d: %w", projected, first, last, store.ErrCorrupt)
	}
	for next := projected + 1; next <= last; {
		batches, err := journal.Read(ctx, next, readBytes)
		if err != nil {
			return Recovered{}, fmt.Errorf("read the journal at %d: %w", next, err)
		}
		if len(batches) == 0 {
			return Recovered{}, fmt.Errorf("the journal ends at %d, before its last sequence %d: %w", next, last, store.ErrCorrupt)
		}
		for _, b := range batches {
			if err := replay(state, b); err != nil {
				return Recovered{}, err
			}
		}
		next = batches[len(batches)-1].Seq + 1
	}
	return Recovered{State: state, Last: max(last, projected), Projected: projected}, nil
}

// replay applies one batch; a panic in Apply names the batch.
func replay(state *core.State, b store.Batch) (err error) {
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
		state.Apply(events[at])
	}
	state.Batch(b.Seq)
	state.Forget()
	return nil
}
