package leader

import (
	"crypto/rand"
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// batch is what one or more turns decided and what may leave once it is durable.
type batch struct {
	events  []core.Event
	size    int // a rough count of bytes
	answers []held
	mail    []mail
	logged  []logged
	notices []replica.Notice
	wanted  bool // notices were made
	seq     uint64
}

// held is an answer that waits for its batch.
type held struct {
	to *request
	answer
}

// logged is the size of the log of an attempt that has ended.
type logged struct {
	ref  job.Ref
	size int64
}

type mail struct {
	worker uint64
	msgs   []link.ToWorker
}

// Bounds of a batch (DESIGN §3.11).
const (
	maxEvents = 10_000
	maxBytes  = 4 << 20
)

func (b *batch) full() bool  { return len(b.events) >= maxEvents || b.size >= maxBytes }
func (b *batch) empty() bool { return len(b.events) == 0 }

// follow applies what the applied events entail until there is nothing more.
func (b *batch) follow(state *core.State, now int64) {
	for {
		d, more := state.Follow(now)
		if !more {
			return
		}
		for _, e := range d.Events {
			state.Apply(e)
		}
		b.events = append(b.events, d.Events...)
	}
}

// encode makes the record of the batch, and reads it back: what could not be read
// at recovery must never be written.
func (b *batch) encode(seq, epoch uint64) (store.Batch, error) {
	payload, err := record.EncodeBatch(nil, b.events)
	if err != nil {
		return store.Batch{}, fmt.Errorf("encode the batch at %d: %w", seq, err)
	}
	back, err := record.DecodeBatch(payload)
	if err != nil || len(back) != len(b.events) {
		return store.Batch{}, fmt.Errorf("the batch at %d can't be read back (%d of %d events): %w", seq, len(back), len(b.events), err)
	}
	out := store.Batch{Seq: seq, Epoch: epoch, Payload: payload}
	_, _ = rand.Read(out.ID[:]) // never fails: crypto/rand ends the program instead
	b.seq = seq
	return out, nil
}
