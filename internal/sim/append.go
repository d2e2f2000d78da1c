package sim

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"
)

// batch is what one or more turns decided, and what leaves, in order, once it is durable.
type batch struct {
	events  []core.Event
	at      []int64 // when each was decided
	payload []byte
	out     []func()
	notices []replica.Notice
	wanted  bool
	seq     uint64
	mark    store.Mark
	epoch   uint64
	gen     uint64 // the generation that it belongs to
}

type flushJob struct {
	rows    *record.Rows
	since   uint64
	at      store.Mark
	encoded bool
	sent    bool
}

// enter encodes decided events into a batch and returns what is read back, as the loop
// does: that is what is applied, and what would be recovered.
func (s *server) enter(b *batch, now int64, list []core.Event) []core.Event {
	if len(b.payload) == 0 {
		b.payload = record.BeginBatch(b.payload, core.FirstFormat)
	}
	for i, e := range list {
		start := len(b.payload)
		var err error
		if b.payload, err = record.AppendEvent(b.payload, e); err != nil {
			s.w.fail(Codec, "encode %T: %v", e, err)
		}
		want := bytes.Clone(b.payload[start:])
		if s.w.opt.Bug == BugGarble && s.w.chance(20) {
			b.payload[len(b.payload)-1] ^= 1
		}
		if list[i], err = s.back.Event(b.payload[start:]); err != nil {
			s.w.fail(Codec, "decode %T: %v", e, err)
		}
		if again, err := record.AppendEvent(nil, list[i]); err != nil || !bytes.Equal(again, want) {
			s.w.fail(Codec, "%+v comes back as %+v: %v", e, list[i], err)
		}
	}
	b.events = append(b.events, list...)
	for range list {
		b.at = append(b.at, now)
	}
	return list
}

// seal makes the record of a batch, which follows the last.
func (s *server) seal(b *batch) store.Batch {
	b.seq = s.last.Seq + 1
	r := store.Batch{Seq: b.seq, Epoch: s.state.Epoch(), Prev: s.last.ID, Payload: b.payload}
	for i := range r.ID {
		r.ID[i] = byte(s.w.rnd.Uint32())
	}
	s.last = store.Mark{Seq: r.Seq, ID: r.ID}
	b.mark, b.epoch, b.gen = s.last, r.Epoch, s.state.Generation()
	return r
}

// launch sends the forming batch to the journal, or, if it decided nothing, releases
// what saw only what is durable.
func (s *server) launch() {
	if len(s.forming.events) == 0 {
		b := s.forming
		s.forming = &batch{}
		s.release(b)
		return
	}
	r := s.seal(s.forming)
	s.state.Batch(r.Seq)
	s.flying, s.forming = s.forming, &batch{}
	b := s.flying
	if s.w.opt.Bug == BugTellEarly {
		s.publish(b)
	}
	s.append(r, b, func() { s.landed(b) })
	s.beginFlush()
}

// append makes a record durable at some moment, and tells at a later one. A crash may
// come before, between and after; an outcome may be unknown, and then the same bytes
// are appended until it is known.
func (s *server) append(r store.Batch, b *batch, landed func()) {
	if s.w.several() {
		s.appendAfar(r, b, landed)
		return
	}
	s.after(s.w.between(50*time.Microsecond, 5*time.Millisecond), func() {
		if s.w.chance(s.w.faults.crashAppend) {
			s.w.count("crash beside an append")
			s.crash("before an append is durable")
			return
		}
		err := s.commit(r, b)
		switch {
		case errors.Is(err, store.ErrBroken):
			s.crash("since its journal is broken")
			return
		case err != nil:
			s.w.trace("the append at %d has an unknown outcome", r.Seq)
			s.after(s.w.between(10*time.Millisecond, time.Second), func() { s.append(r, b, landed) })
			return
		}
		if chance := s.w.faults.crashAppend; s.w.chance(chance) || s.unsettled && s.w.chance(10*chance) {
			s.w.count("crash beside an append")
			s.crash("after an append is durable")
			return
		}
		s.loop(s.w.between(time.Microsecond, time.Millisecond), landed)
	})
}

// appendAfar is append to a store across a network: what is on its way gets there, or not,
// whatever becomes of who has sent it.
func (s *server) appendAfar(r store.Batch, b *batch, landed func()) {
	life := s.life
	if s.w.chance(s.w.faults.crashAppend) {
		s.after(s.w.between(0, 5*time.Millisecond), func() {
			s.w.count("crash beside an append")
			s.crash("while an append is on its way")
		})
	}
	took := s.w.between(50*time.Microsecond, 5*time.Millisecond)
	if s.w.chance(s.w.faults.slowStore) {
		s.w.count("append takes long")
		took += s.w.between(0, 2*s.w.faults.term)
	}
	s.w.after(took, func() {
		current := s.up && s.life == life
		if !current && s.w.oneIn(2) {
			return
		}
		err := s.commit(r, b)
		if !current {
			s.w.count("append of one that is gone")
			return
		}
		s.loop(s.w.between(time.Microsecond, time.Millisecond), func() { s.answered(err, r, b, landed) })
	})
}

// answered takes note of what a store across a network says to an append.
func (s *server) answered(err error, r store.Batch, b *batch, landed func()) {
	switch {
	case err == nil:
		landed()
	case fenced(err):
		s.w.count("append is fenced")
		s.endTerm("since its append is refused: " + err.Error())
	default:
		s.w.trace("the append of %s at %d has an unknown outcome", s.name, r.Seq)
		s.after(s.w.between(10*time.Millisecond, time.Second), func() { s.append(r, b, landed) })
	}
}

// fenced says that another server has written, or that what was written is gone.
func fenced(err error) bool {
	return errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrRefused)
}

// commit tries to make a record durable, and takes note when it is, whoever knows. Only
// the faults of the store may refuse it, and rivals.
func (s *server) commit(r store.Batch, b *batch) error {
	_, was, _ := s.w.disk.Journal().Bounds(s.w.ctx())
	err := s.journal.Append(s.w.ctx(), r)
	if fenced(err) && s.w.opt.Bug == BugNoFencing {
		end, _ := s.w.disk.Journal().Last(s.w.ctx())
		r.Seq, r.Prev = end.Seq+1, end.ID
		err = s.w.disk.Journal().Append(s.w.ctx(), r)
	}
	if err != nil && !errors.Is(err, errDisk) && !errors.Is(err, store.ErrBroken) && !(s.w.several() && (fenced(err) || errors.Is(err, store.ErrUnavailable))) {
		s.w.fail(Law, "append at %d: %v", r.Seq, err)
	}
	if _, last, _ := s.w.disk.Journal().Bounds(s.w.ctx()); last > was {
		_, _ = s.w.sum.Write(r.Payload)
		s.w.past.enter(&entry{mark: store.Mark{Seq: r.Seq, ID: r.ID}, epoch: r.Epoch, events: b.events, at: b.at, now: s.w.now, by: s, awake: s.awake()})
	}
	return err
}

func (s *server) landed(b *batch) {
	s.flying = nil
	s.durable, s.durableAt = b.seq, b.mark
	s.release(b)
	if !s.up {
		return
	}
	s.sendFlush()
	if len(s.forming.events) == 0 && s.w.past.batches == s.durable && s.w.chance(10) {
		s.w.past.compare("the leader", s.state)
		s.w.past.recoverable()
	}
	s.turn()
}

// release lets out what waited for a batch. A crash may come in the middle.
func (s *server) release(b *batch) {
	crashAt := -1
	if len(b.events) > 0 && s.w.chance(s.w.faults.crashSend) {
		crashAt = s.w.rnd.IntN(len(b.out) + 1)
	}
	for i, send := range b.out {
		if i == crashAt {
			s.w.count("crash within a release")
			s.crash("with half of a batch released")
			return
		}
		send()
	}
	if len(b.events) > 0 && s.up && s.w.opt.Bug != BugTellEarly {
		s.publish(b)
		s.told = b.mark
	}
}

func (s *server) beginFlush() {
	if s.flush != nil || s.w.now < s.due || !s.state.Changed() || len(s.forming.events) > 0 || s.unsettled {
		return
	}
	rows := record.NewRows()
	s.state.BeginFlush(rows)
	s.flush = &flushJob{rows: rows, since: s.projectedTo, at: s.last}
	s.due = s.w.now + s.w.faults.flushEvery
}

func (s *server) flushSome() {
	if s.flush == nil && s.flying == nil {
		s.beginFlush()
	}
	if s.flush == nil || s.flush.encoded || !s.state.Encode(s.w.faults.rows) {
		return
	}
	s.flush.encoded = true
	s.sendFlush()
}

func (s *server) sendFlush() {
	f := s.flush
	if f == nil || !f.encoded || f.sent || f.at.Seq > s.durable {
		return
	}
	f.sent = true
	s.project(f)
}

// project writes a flush, again and again until the tables have it. One that is on its way
// across a network gets there, whatever becomes of who has sent it.
func (s *server) project(f *flushJob) {
	write := func() error {
		err := s.tables.Flush(s.w.ctx(), f.rows.Flush(f.since, f.at))
		if err != nil && !errors.Is(err, errDisk) && !errors.Is(err, store.ErrBroken) && !(s.w.several() && (fenced(err) || errors.Is(err, store.ErrUnavailable))) {
			s.w.fail(Law, "flush at %d: %v", f.at.Seq, err)
		}
		return err
	}
	took := s.w.between(100*time.Microsecond, 20*time.Millisecond)
	if !s.w.several() {
		s.after(took, func() { s.projected(f, write()) })
		return
	}
	life := s.life
	s.w.after(took, func() {
		if err := write(); s.up && s.life == life {
			s.after(s.w.between(20*time.Microsecond, time.Millisecond), func() { s.projected(f, err) })
		}
	})
}

// projected takes note of how a flush went.
func (s *server) projected(f *flushJob, err error) {
	switch {
	case errors.Is(err, store.ErrBroken):
		s.crash("since its tables are broken")
		return
	case errors.Is(err, errDisk), errors.Is(err, store.ErrUnavailable):
		s.project(f)
		return
	case err != nil:
		s.w.count("flush is fenced")
		s.endTerm("since its flush is refused: " + err.Error())
		return
	}
	if s.w.chance(s.w.faults.crashFlush) {
		s.w.count("crash beside a flush")
		s.crash("after a flush")
		return
	}
	s.loop(s.w.between(time.Microsecond, time.Millisecond), func() {
		s.flush, s.projectedTo = nil, f.at.Seq
		s.state.Flushed(s.time(), f.rows.Ended())
	})
}

func (s *server) trim() {
	ctx := s.w.ctx()
	covered, err := s.tables.Durable(ctx)
	if err == nil && covered > keepBatches {
		err = s.journal.Trim(ctx, covered-keepBatches)
	}
	if err != nil && !errors.Is(err, store.ErrTrimmed) && !errors.Is(err, errDisk) && !errors.Is(err, store.ErrBroken) && !errors.Is(err, store.ErrUnavailable) {
		s.w.fail(Law, "trim: %v", err)
	}
	s.after(trimEvery, s.trim)
}

// loseTail is BugLoseTail: the last batch is gone, as if it had never been synced.
func (s *server) loseTail() {
	ctx := context.Background()
	first, last, err := s.w.disk.Journal().Bounds(ctx)
	covered, err2 := s.w.disk.Tables().Durable(ctx)
	if err != nil || err2 != nil || first > 1 || covered >= last || last < first {
		return
	}
	batches, err := s.w.disk.Journal().Read(ctx, first, 1<<30)
	if err != nil {
		s.w.fail(Law, "read: %v", err)
	}
	fresh := memstore.New()
	for _, b := range batches[:len(batches)-1] {
		if err := fresh.Journal().Append(ctx, b); err != nil {
			s.w.fail(Law, "append: %v", err)
		}
	}
	s.w.disk = fresh
}

// swapping is BugSwap: the events of each batch are read in another order.
type swapping struct{ store.Journal }

// Read is of store.Journal.
func (j swapping) Read(ctx context.Context, from uint64, most int) ([]store.Batch, error) {
	batches, err := j.Journal.Read(ctx, from, most)
	for i := range batches {
		events, bad := record.DecodeBatch(batches[i].Payload)
		if n := len(events); bad == nil && n > 1 {
			events[n-1], events[n-2] = events[n-2], events[n-1]
			batches[i].Payload, _ = record.EncodeBatch(nil, events)
		}
	}
	return batches, err
}
