package leader

import (
	"crypto/rand"
	"errors"
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
	payload []byte // the events, as the journal will hold them
	count   int    // of events
	answers []held
	mail    []mail
	logged  []logged
	notices []replica.Notice
	wanted  bool // notices are made, from the first event on
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

// mail is messages for a worker. They leave after as many of the batch's answers as had
// been decided before them: a session that begins with its hello's answer must get what
// was decided since, and nothing else.
type mail struct {
	after  int
	worker uint64
	msgs   []link.ToWorker
}

// Bounds of a batch (DESIGN §3.11). A batch that has reached one is closed; since
// what is decided at once stays together, it may be over it by one decision.
const (
	maxEvents = 10_000
	maxBytes  = 4 << 20
	// maxDecision bounds what one command may decide, in bytes, so that no batch is
	// more than a journal takes.
	maxDecision = store.MaxBatch - maxBytes
)

// errTooLarge refuses a decision that no batch has room for.
var errTooLarge = errors.New("the decision is larger than a batch may be")

func (b *batch) full() bool  { return b.count >= maxEvents || len(b.payload) >= maxBytes }
func (b *batch) empty() bool { return b.count == 0 }

// enter encodes decided events into the batch and puts what is read back from the
// bytes in the place of each: what is applied is what will be recovered. It fails,
// with the batch as it was, when that can't be done.
func (b *batch) enter(back *record.Decoder, events []core.Event) error {
	mark := len(b.payload)
	if mark == 0 {
		b.payload = record.BeginBatch(b.payload)
	}
	for i, e := range events {
		start := len(b.payload)
		var err error
		if b.payload, err = record.AppendEvent(b.payload, e); err == nil {
			events[i], err = back.Event(b.payload[start:])
		}
		if err == nil && len(b.payload)-mark > maxDecision {
			err = errTooLarge
		}
		if err != nil {
			b.payload = b.payload[:mark]
			return fmt.Errorf("event %d of %d (%T): %w", i+1, len(events), e, err)
		}
	}
	b.count += len(events)
	return nil
}

// seal makes the record of the batch.
func (b *batch) seal(seq, epoch uint64) store.Batch {
	out := store.Batch{Seq: seq, Epoch: epoch, Payload: b.payload}
	_, _ = rand.Read(out.ID[:]) // never fails: crypto/rand ends the program instead
	b.seq = seq
	return out
}

// reset empties the batch; what it had room for is used again, within reason.
func (b *batch) reset() {
	const most = 1 << 20
	clear(b.answers)
	clear(b.mail)
	next := batch{answers: b.answers[:0], mail: b.mail[:0]}
	if cap(b.payload) <= most {
		next.payload = b.payload[:0]
	}
	*b = next
}
