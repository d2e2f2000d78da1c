package leader

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

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
	wanted  bool       // notices are made, from the first event on
	at      store.Mark // where it stands in the journal
	gen     uint64     // the generation that it belongs to
	sent    time.Time  // when the append began
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
// with the batch as it was, when that can't be done, as for what needs another format than
// the cluster's.
func (b *batch) enter(back *record.Decoder, format uint64, events []core.Event) error {
	mark := len(b.payload)
	if mark == 0 {
		b.payload = record.BeginBatch(b.payload, format)
	}
	for i, e := range events {
		start := len(b.payload)
		err := record.CheckNeeds(e, format)
		if err == nil {
			b.payload, err = record.AppendEvent(b.payload, e)
		}
		if err == nil {
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

// seal makes the record of the batch, which follows last.
func (b *batch) seal(last store.Mark, epoch uint64) store.Batch {
	out := store.Batch{Seq: last.Seq + 1, Epoch: epoch, Prev: last.ID, Payload: b.payload}
	_, _ = rand.Read(out.ID[:]) // never fails: crypto/rand ends the program instead
	b.at = store.Mark{Seq: out.Seq, ID: out.ID}
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

// release lets out what waited for a batch: notices, answers and mail. Who is woken last is the
// first to run, and that is to be who brings work to a worker.
func (p *loop) release(b *batch) {
	for _, l := range b.logged { // first: whoever hears of an end may read the log at once
		p.settings.Logged(l.ref, l.size)
	}
	p.publish(b)
	told, holds := 0, p.Holds()
	tell := func(n int) {
		for ; told < n; told++ {
			h := &b.answers[told]
			if !holds && h.err == nil && h.to.fromState(b) {
				h.answer = answer{err: pastLease()}
			}
			if w, ok := h.reply.(core.Welcomed); ok {
				p.outbox.Opened(w.Worker, w.Session)
			}
			h.to.done <- h.answer
		}
	}
	for _, m := range b.mail {
		tell(m.after)
		if msgs := p.current(m.msgs); len(msgs) > 0 {
			p.outbox.Deliver(m.worker, msgs)
		}
	}
	tell(len(b.answers))
}

func (p *loop) publish(b *batch) {
	if b.empty() {
		return
	}
	end := replica.Cursor{Generation: b.gen, Seq: b.at.Seq, Index: len(b.notices)}
	for i := range b.notices {
		b.notices[i].Cursor = replica.Cursor{Generation: end.Generation, Seq: b.at.Seq, Index: i}
	}
	p.hub.Publish(end, b.notices, b.wanted)
}

// current leaves out of messages the attempts that have ended while their batch was on its
// way to the journal, as those of a worker that is silent. Its next beat may be answered
// before that end is durable and told: a worker that got such an attempt with a fresh lease
// would start it.
func (p *loop) current(msgs []link.ToWorker) []link.ToWorker {
	return slices.DeleteFunc(msgs, func(m link.ToWorker) bool {
		if m.Assign == nil {
			return false
		}
		m.Assign.Attempts = slices.DeleteFunc(m.Assign.Attempts, func(a link.Assignment) bool {
			_, live := p.state.AttemptAt(uint64(a.Fence))
			return !live
		})
		return len(m.Assign.Attempts) == 0
	})
}
