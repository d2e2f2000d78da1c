package leader

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// Bounds of a turn.
const (
	turnRequests   = 512
	turnPlacements = 1024
	turnRows       = 2000
	tickEvery      = 100 * time.Millisecond
)

// loop is what the one goroutine that owns the state works with.
type loop struct {
	*Leader
	forming  batch
	flying   *batch
	appends  chan store.Batch // with room for one
	appended chan error
	projects chan *flushJob // with room for one
	flushed  chan flushResult
	flush    *flushJob // being encoded, or waiting for its batch to be durable
	sent     bool      // flush is with the projector
	due      time.Time // when the next flush may start
	requests []*request
	anchored time.Time
}

// Run decides until ctx ends or the term is over, and returns why: nil after ctx
// ended and everything decided was durable and projected.
func (l *Leader) Run(ctx context.Context) error {
	defer close(l.done)
	p := &loop{
		Leader: l, appends: make(chan store.Batch, 1), appended: make(chan error, 1),
		projects: make(chan *flushJob, 1), flushed: make(chan flushResult, 1), anchored: time.Now(),
	}
	side, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{}, 2)
	go func() { p.appendLoop(side); ended <- struct{}{} }()
	go func() { p.projectLoop(side); ended <- struct{}{} }()
	err := p.run(ctx)
	for _, r := range l.in.close() {
		r.done <- answer{err: &job.Error{Code: job.Unavailable, Message: "the server is stopping; try again"}}
	}
	if err == nil {
		err = p.windDown()
	}
	cancel()
	<-ended
	<-ended
	if err != nil {
		l.log.Error("the term is over", "error", err)
	}
	return err
}

func (p *loop) run(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	more := false
	for {
		wake := p.in.wake
		if p.forming.full() {
			wake = nil // nothing more is taken until the batch in flight has landed
		}
		if more && wake != nil {
			select {
			case err := <-p.appended:
				if err := p.landed(err); err != nil {
					return err
				}
			case r := <-p.flushed:
				if err := p.flushedBy(r); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			default:
			}
		} else {
			select {
			case <-wake:
			case <-tick.C:
			case err := <-p.appended:
				if err := p.landed(err); err != nil {
					return err
				}
			case r := <-p.flushed:
				if err := p.flushedBy(r); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			}
		}
		var err error
		if more, err = p.turn(); err != nil {
			return err
		}
	}
}

// turn takes what waits, decides, and sends the batch off if none is in flight.
func (p *loop) turn() (more bool, err error) {
	if !p.forming.full() {
		p.requests, more = p.in.take(p.requests[:0], turnRequests)
		now := p.clock.Now()
		p.forming.wanted = p.forming.wanted || p.hub.Wanted()
		for i, r := range p.requests {
			p.requests[i] = nil
			if err := p.serve(r, now); err != nil {
				return false, err
			}
		}
		if err := p.upkeep(now); err != nil {
			return false, err
		}
		placed, err := p.place(now)
		if err != nil {
			return false, err
		}
		more = more || placed == turnPlacements
	}
	if p.flying == nil {
		if err := p.launch(); err != nil {
			return false, err
		}
	}
	return more, nil
}

// serve answers one request; the answer leaves with the batch.
func (p *loop) serve(r *request, now int64) error {
	if r.view != nil {
		err := p.look(r.view)
		p.forming.answers = append(p.forming.answers, held{r, answer{err: err}})
		return nil
	}
	if _, ok := r.command.(core.Submit); ok && p.state.Dirty() > p.settings.MaxUnprojected {
		p.forming.answers = append(p.forming.answers, held{r, answer{err: &job.Error{
			Code: job.Busy, Message: "the server has more changes than its tables can follow; try again in a second"}}})
		return nil
	}
	d, err := p.decide(r.command, now)
	p.forming.answers = append(p.forming.answers, held{r, answer{d.Reply, err}})
	if err != nil {
		return nil //nolint:nilerr // the refusal is the answer
	}
	if c, ok := r.command.(core.Submit); ok {
		p.forming.size += len(c.Canonical)
		for i := range c.Items {
			p.forming.size += len(c.Items[i].Params) + len(c.Items[i].Payload)
		}
	}
	return p.carryOut(d, now)
}

// look runs a view; a panic in it is the view's own failure.
func (p *loop) look(view func(*core.State)) (err error) {
	defer func() {
		if x := recover(); x != nil {
			p.log.Error("a view panicked", "panic", x, "stack", string(debug.Stack()))
			err = &job.Error{Code: job.Internal, Message: "internal error while reading; the server's log has it"}
		}
	}()
	view(p.state)
	return nil
}

// decide asks the core. A panic there rejects the command and changes nothing.
func (p *loop) decide(c core.Command, now int64) (d core.Decision, err error) {
	defer func() {
		if x := recover(); x != nil {
			p.log.Error("a decision panicked; its command is rejected", "command", fmt.Sprintf("%T", c), "panic", x, "stack", string(debug.Stack()))
			d, err = core.Decision{}, &job.Error{Code: job.Internal, Message: "internal error while deciding; the request was rejected and changed nothing"}
		}
	}()
	return p.state.Decide(core.Input{Now: now, Seed: random64()}, c)
}

// carryOut applies a decision and what it entails. A panic here leaves a state
// that can't be trusted: the term ends, and recovery starts from what is durable.
func (p *loop) carryOut(d core.Decision, now int64) (err error) {
	at := core.Event(nil)
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("apply %T: %v\n%s", at, x, debug.Stack())
		}
	}()
	p.mail(d.Sends)
	for {
		for _, at = range d.Events {
			p.apply(at)
		}
		var more bool
		if d, more = p.state.Follow(now); !more {
			return nil
		}
		p.mail(d.Sends)
	}
}

func (p *loop) apply(e core.Event) {
	b := &p.forming
	if x, ok := e.(core.AttemptEnded); ok && x.LogSize > 0 && p.settings.Logged != nil {
		if ref, _, live := p.state.AttemptAt(uint64(x.Fence)); live {
			b.logged = append(b.logged, logged{ref, x.LogSize})
		}
	}
	before := b.wanted && core.Before(e)
	if before {
		p.notice(e)
	}
	p.state.Apply(e)
	if b.wanted && !before {
		p.notice(e)
	}
	b.events = append(b.events, e)
	if w, ok := e.(core.WorkerForgotten); ok {
		p.forget(w.ID)
	}
}

func (p *loop) forget(worker uint64) {
	p.beats.Lock()
	p.live.Forget(worker)
	p.beats.Unlock()
}

func (p *loop) notice(e core.Event) {
	if n, ok := p.state.Describe(e); ok {
		p.forming.notices = append(p.forming.notices, replica.Notice{Notice: n})
	}
}

// mail puts messages for workers into the batch. Assignments are built later, when
// the events that they speak of have been applied.
func (p *loop) mail(sends []core.Send) {
	for _, s := range sends {
		if s.Assign != nil {
			if m := p.assignments(s.Assign); m != nil {
				p.forming.mail = append(p.forming.mail, mail{s.Worker, []link.ToWorker{{Assign: m}}})
			}
			continue
		}
		p.forming.mail = append(p.forming.mail, mail{s.Worker, []link.ToWorker{s.Msg}})
	}
}

func (p *loop) assignments(fences []link.Fence) *link.Assign {
	m := &link.Assign{Attempts: p.state.Assignments(fences)}
	if len(m.Attempts) == 0 {
		return nil
	}
	for i := range m.Attempts {
		h := m.Attempts[i].SpecHash
		if i == 0 || m.Attempts[i-1].SpecHash != h {
			m.Specs = append(m.Specs, link.SpecText{Hash: h, Canonical: p.state.Canonical(h)})
		}
	}
	return m
}

// place lets the plan fill what is free.
func (p *loop) place(now int64) (n int, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("place: %v\n%s", x, debug.Stack())
		}
	}()
	d := p.state.Place(now, turnPlacements)
	for _, e := range d.Events { // Place has applied them
		if p.forming.wanted {
			p.notice(e)
		}
	}
	p.forming.events = append(p.forming.events, d.Events...)
	p.mail(d.Sends)
	return len(d.Events), nil
}

// upkeep does what time asks for: timers, silent workers, eviction, flushes.
func (p *loop) upkeep(now int64) error {
	if at := p.state.NextTimer(); at > 0 && at <= now {
		d, err := p.decide(core.Tick{}, now)
		if err == nil {
			err = p.carryOut(d, now)
		}
		if err != nil {
			return err
		}
	}
	if time.Since(p.anchored) >= tickEvery {
		p.anchored = time.Now()
		p.clock.Anchor()
		if err := p.giveUpSilent(now); err != nil {
			return err
		}
		p.state.Evict(now)
	}
	p.flushSome()
	return nil
}

func (p *loop) giveUpSilent(now int64) error {
	const least = time.Second // shorter leases than that are refused in job files
	p.beats.Lock()
	silent := p.live.Step(time.Since(started), least)
	p.beats.Unlock()
	for _, s := range silent {
		if !p.state.Knows(s.Worker) {
			p.forget(s.Worker) // something came from its last session when it was forgotten already
			continue
		}
		if s.For.Milliseconds() < p.state.ShortestLease(s.Worker) {
			continue
		}
		d, err := p.decide(core.WorkerSilent{Worker: s.Worker, For: s.For.Milliseconds()}, now)
		if err != nil {
			return err
		}
		if err := p.carryOut(d, now); err != nil {
			return err
		}
	}
	return nil
}

// started is where this process's monotonic readings count from.
var started = time.Now()

// launch sends the forming batch to the appender, or, if it decided nothing,
// releases what saw only what is durable.
func (p *loop) launch() error {
	if p.forming.empty() {
		p.release(&p.forming)
		p.forming.reset()
		return nil
	}
	b, err := p.forming.encode(p.state.Seq()+1, p.state.Epoch())
	if err != nil {
		return err
	}
	p.state.Batch(b.Seq)
	flying := p.forming
	p.flying = &flying
	p.forming = batch{}
	p.appends <- b
	p.beginFlush()
	return nil
}

// landed takes note of an append's outcome.
func (p *loop) landed(err error) error {
	b := p.flying
	p.flying = nil
	if err != nil {
		for _, h := range b.answers {
			h.to.done <- answer{err: &job.Error{Code: job.Unavailable, Cause: err,
				Message: "the server could not make the change durable and is stopping; its outcome is unknown: try again"}}
		}
		return fmt.Errorf("append the batch at %d: %w", b.seq, err)
	}
	p.mu.Lock()
	p.durable = b.seq
	p.mu.Unlock()
	p.release(b)
	p.sendFlush()
	return nil
}

// release lets out what waited for a batch: answers, mail and notices.
func (p *loop) release(b *batch) {
	for _, l := range b.logged {
		p.settings.Logged(l.ref, l.size)
	}
	for _, h := range b.answers {
		h.to.done <- h.answer
	}
	for _, m := range b.mail {
		p.outbox.Deliver(m.worker, m.msgs)
	}
	if b.empty() {
		return
	}
	end := replica.Cursor{Generation: p.state.Generation(), Seq: b.seq, Index: len(b.notices)}
	for i := range b.notices {
		b.notices[i].Cursor = replica.Cursor{Generation: end.Generation, Seq: b.seq, Index: i}
	}
	p.hub.Publish(end, b.notices, b.wanted)
}

func (b *batch) reset() {
	clear(b.answers)
	*b = batch{events: b.events[:0], answers: b.answers[:0]}
}

// windDown makes what was decided durable and brings the tables up to date.
func (p *loop) windDown() error {
	deadline := time.After(30 * time.Second)
	for {
		if p.flying == nil && !p.forming.empty() {
			if err := p.launch(); err != nil {
				return err
			}
		}
		if p.flying == nil && p.flush == nil && !p.state.Changed() {
			p.release(&p.forming)
			return nil
		}
		p.due = time.Time{}
		if p.flying == nil {
			p.beginFlush()
		}
		p.flushSome()
		select {
		case err := <-p.appended:
			if err := p.landed(err); err != nil {
				return err
			}
		case r := <-p.flushed:
			if err := p.flushedBy(r); err != nil {
				return err
			}
		case <-deadline:
			p.log.Warn("the tables lag behind the journal; recovery will replay the rest")
			return nil
		}
	}
}

func (p *loop) appendLoop(ctx context.Context) {
	for {
		select {
		case b := <-p.appends:
			err := appendUntilKnown(ctx, p.journal, b, p.log)
			if errors.Is(err, context.Canceled) {
				return
			}
			p.appended <- err
		case <-ctx.Done():
			return
		}
	}
}
