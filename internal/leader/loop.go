package leader

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// Bounds of a turn.
const (
	turnRequests = 512 // of each kind: what workers report, and all the rest
	// turnSubmits is how many events submits may decide, but for what one more decides.
	turnSubmits    = 1024
	turnPlacements = 1024
	turnRows       = 2000
	tickEvery      = 100 * time.Millisecond
)

// loop is what the one goroutine that owns the state works with.
type loop struct {
	*Leader
	forming batch
	flying  *batch
	spare   batch // an emptied one, for what it had room for
	back    record.Decoder
	// unsettled: something that applied events entail has not been looked at. Until it
	// is, nothing is decided and nothing is read, and no flush begins, so that rows
	// never show half of a consequence.
	unsettled bool
	cause     core.Command     // what is being carried out, for whoever asks what went wrong
	appends   chan store.Batch // with room for one
	appended  chan error
	projects  chan *flushJob // with room for one
	flushed   chan flushResult
	flush     *flushJob // being encoded, or waiting for its batch to be durable
	sent      bool      // flush is with the projector
	due       time.Time // when the next flush may start
	began     time.Time // liveness counts from it
	anchored  time.Time
	counted   time.Time
	launched  time.Time // when the last batch left
	crowd     int       // the events of that
	digests   digests
	ripens    *time.Timer // fires when the forming batch need not wait any more
	rings     *time.Timer // fires when the state has something to do that can't wait for a tick
}

func newLoop(l *Leader) *loop {
	ripens, rings := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	ripens.Stop()
	rings.Stop()
	return &loop{
		ripens: ripens, rings: rings,
		Leader: l, appends: make(chan store.Batch, 1), appended: make(chan error, 1), unsettled: true,
		projects: make(chan *flushJob, 1), flushed: make(chan flushResult, 1), began: time.Now(), anchored: time.Now(),
	}
}

// ErrDeposed is the cause with which a context ends a term at once: nothing more is written.
var ErrDeposed = errors.New("another server leads")

// Run decides until ctx ends or the term is over, and returns why: nil after ctx
// ended and everything decided was durable, and projected where this server is alone.
func (l *Leader) Run(ctx context.Context) error {
	defer close(l.done)
	p := newLoop(l)
	side, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{}, 2)
	go func() { p.appendLoop(side); ended <- struct{}{} }()
	go func() { p.projectLoop(side); ended <- struct{}{} }()
	err := p.run(ctx)
	if why := context.Cause(ctx); err == nil && errors.Is(why, ErrDeposed) {
		err = why
	}
	l.in.close()
	if err == nil {
		err = p.windDown()
	}
	p.dismiss(err)
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
	more := true
	for {
		wake := p.in.wake
		if p.forming.full() {
			wake, more = nil, false // nothing more is taken until the batch in flight has landed
		}
		if err := p.await(ctx, wake, tick.C, more); err != nil {
			if errors.Is(err, errStopped) {
				return nil
			}
			return err
		}
		began := time.Now()
		var err error
		if more, err = p.turn(); err != nil {
			return err
		}
		p.settings.Observer.Turned(time.Since(began))
	}
}

// errStopped says that the context ended.
var errStopped = errors.New("stopped")

// await takes note of what has happened meanwhile. Unless there is more to do it
// waits until something has.
func (p *loop) await(ctx context.Context, wake <-chan struct{}, tick <-chan time.Time, more bool) error {
	if more {
		select {
		case err := <-p.appended:
			return p.landed(err)
		case r := <-p.flushed:
			return p.flushedBy(r)
		case <-ctx.Done():
			return errStopped
		default:
			return nil
		}
	}
	if at := time.Duration(p.state.NextTimer()-p.clock.Now()) * time.Millisecond; at > 0 && at < tickEvery {
		p.rings.Reset(at) // rates count in milliseconds
	}
	select {
	case <-wake:
		return nil
	case <-tick:
		return nil
	case <-p.rings.C:
		return nil
	case <-p.ripens.C:
		return nil
	case err := <-p.appended:
		return p.landed(err)
	case r := <-p.flushed:
		return p.flushedBy(r)
	case <-ctx.Done():
		return errStopped
	}
}

// turn takes what waits, decides, and sends the batch off if none is in flight. It
// reports whether there is more to do at once.
func (p *loop) turn() (more bool, err error) {
	now := p.clock.Now()
	if p.forming.empty() {
		p.forming.wanted = p.hub.Wanted()
	}
	if err := p.settle(now); err != nil {
		return false, err
	}
	// What workers report comes before what time asks for: a result that waits here
	// must not be taken for a lost one.
	for _, step := range []func(int64) error{p.serveResults, p.upkeep, p.serveAll} {
		if err := step(now); err != nil {
			return false, err
		}
	}
	unplaced, err := p.place(now)
	if err != nil {
		return false, err
	}
	if p.flying == nil && p.ripe() {
		p.launch()
	}
	return p.unsettled || unplaced || p.in.waiting(p.served()) || p.state.Due(now) || p.state.Ranking(), nil
}

// open reports whether more may be decided into the forming batch.
func (p *loop) open() bool { return !p.unsettled && !p.forming.full() }

// served is the last lane that the forming batch has room for. Half of a batch is out of
// bounds for submits: however many there are, work that is there already goes on. While
// something runs they have less: what it reports, and what is given out in its place, waits
// for this batch and for the one before, and a large one takes long.
func (p *loop) served() lane {
	share := 2
	if p.state.Attempts() > 0 {
		share = 5
	}
	if p.forming.count >= maxEvents/share || len(p.forming.payload) >= maxBytes/share {
		return laneView
	}
	return laneSubmit
}

func (p *loop) serveResults(now int64) error {
	return p.serveLanes(func() lane { return laneResult }, now)
}

func (p *loop) serveAll(now int64) error {
	most := p.forming.count + turnSubmits
	return p.serveLanes(func() lane {
		if p.forming.count >= most {
			return laneView
		}
		return p.served()
	}, now)
}

// serveLanes serves requests of the lanes up to the one that last says each time.
func (p *loop) serveLanes(last func() lane, now int64) error {
	for n := 0; n < turnRequests && p.open(); n++ {
		r := p.in.next(last())
		if r == nil {
			break
		}
		if err := p.serve(r, now); err != nil {
			return err
		}
	}
	return nil
}

// serve answers one request; the answer leaves with the batch.
func (p *loop) serve(r *request, now int64) error {
	var a answer
	var err error
	at := len(p.forming.answers)
	p.forming.answers = append(p.forming.answers, held{to: r}) // in front of the mail that it causes
	if r.view != nil {
		a.err = p.look(r.view)
	} else if a.err = p.refusal(r.command); a.err == nil {
		a, err = p.command(r.command, now)
	}
	p.forming.answers[at].answer = a
	return err
}

// refusal keeps new work out while there is too much already.
func (p *loop) refusal(c core.Command) error {
	s, ok := c.(core.Submit)
	if !ok {
		return nil
	}
	tasks := 1
	if s.Spec != nil { // else it is refused later
		tasks = max(len(s.Spec.Tasks), 1)
	}
	err := p.gate.take(len(s.Items) * tasks)
	if err == nil && p.state.Dirty() > p.settings.MaxUnprojected {
		err = &job.Error{Code: job.Busy, Message: "the server has more changes than its tables can follow; try again in a second"}
	}
	if err != nil {
		p.settings.Observer.Refused(laneSubmit.String())
	}
	return err
}

// command decides a command and carries it out. A refusal is in the answer; an error
// ends the term.
func (p *loop) command(c core.Command, now int64) (answer, error) {
	d, err := p.decide(c, now)
	if err != nil {
		return answer{err: err}, nil //nolint:nilerr // the refusal is the answer
	}
	if err := p.forming.enter(&p.back, p.state.Format(), d.Events); err != nil {
		return answer{err: p.unfit(c, err)}, nil
	}
	if _, digest := c.(core.Digest); !digest {
		p.digests.decided += len(d.Events)
	}
	p.cause = c
	return answer{reply: d.Reply}, p.carryOut(d, now)
}

// unfit refuses a command whose decision can't be put into a batch. Nothing has
// been applied.
func (p *loop) unfit(c core.Command, err error) error {
	if errors.Is(err, errTooLarge) {
		return &job.Error{Code: job.Invalid, Message: fmt.Sprintf(
			"the request would change more at once than the %d MiB that fit into one record of the journal; ask for less at a time", maxDecision>>20)}
	}
	p.log.Error("a decision can't be encoded; its command is rejected", "command", spell(c), "error", err)
	return &job.Error{Code: job.Internal, Cause: err, Message: "internal error while recording the decision; the request was rejected and changed nothing"}
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
			p.log.Error("a decision panicked; its command is rejected", "command", spell(c), "panic", x, "stack", string(debug.Stack()))
			d, err = core.Decision{}, &job.Error{Code: job.Internal, Message: "internal error while deciding; the request was rejected and changed nothing"}
		}
	}()
	return p.state.Decide(core.Input{Now: now, Seed: random64()}, c)
}

// carryOut applies a decision that was entered into the batch, and what it entails.
// A panic here leaves a state that can't be trusted: the term ends, and recovery
// starts from what is durable.
func (p *loop) carryOut(d core.Decision, now int64) error {
	if err := p.applyAll(d); err != nil {
		return err
	}
	p.unsettled = true
	return p.settle(now)
}

// settle looks at what the applied events entail, until there is nothing more or the
// batch is full: the rest then goes into the next.
func (p *loop) settle(now int64) error {
	for p.unsettled && !p.forming.full() {
		d, more, err := p.follow(now)
		if err != nil {
			return err
		}
		if p.unsettled = more; !more {
			break
		}
		if err := p.forming.enter(&p.back, p.state.Format(), d.Events); err != nil {
			return fmt.Errorf("what %s entails: %w", spell(p.cause), err)
		}
		if err := p.applyAll(d); err != nil {
			return err
		}
	}
	return nil
}

// follow asks the core what applied events entail. A panic there is one job's, which is
// given up: the others go on.
func (p *loop) follow(now int64) (core.Decision, bool, error) {
	d, more, err := try(func() (core.Decision, bool) { return p.state.Follow(now) })
	if err == nil {
		return d, more, nil
	}
	var id job.ID
	d, given, again := try(func() (d core.Decision, ok bool) {
		d, id, ok = p.state.Quarantine(now)
		return d, ok
	})
	if again != nil || !given {
		return core.Decision{}, false, fmt.Errorf("follow %s: %w", spell(p.cause), errors.Join(err, again))
	}
	p.log.Error("what follows for a job can't be decided; the job is given up", "job", id, "cause", spell(p.cause), "error", err)
	return d, true, nil
}

// try turns a panic into an error with its stack.
func try(f func() (core.Decision, bool)) (d core.Decision, ok bool, err error) {
	defer func() {
		if x := recover(); x != nil {
			d, ok, err = core.Decision{}, false, fmt.Errorf("%v\n%s", x, debug.Stack())
		}
	}()
	d, ok = f()
	return d, ok, nil
}

func (p *loop) applyAll(d core.Decision) (err error) {
	at := core.Event(nil)
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("apply %T of %s: %v\n%s", at, spell(p.cause), x, debug.Stack())
		}
	}()
	for _, at = range d.Events {
		p.apply(at)
	}
	p.mail(d.Sends)
	return nil
}

func (p *loop) apply(e core.Event) {
	b := &p.forming
	if x, ok := e.(core.AttemptEnded); ok && x.LogSize > 0 && p.settings.Logged != nil {
		if a, live := p.state.AttemptAt(uint64(x.Fence)); live {
			b.logged = append(b.logged, logged{a.Ref, x.LogSize})
		}
	}
	if x, ok := e.(core.WorkerForgotten); ok && x.Lost {
		n, _ := p.state.Describe(e)
		p.log.Warn("a worker is lost: nothing was heard of it for longer than its leases", "worker", n.Worker)
	}
	before := b.wanted && core.Before(e)
	if before {
		p.notice(e)
	}
	p.state.Apply(e)
	p.settings.Observer.Applied(e)
	if b.wanted && !before {
		p.notice(e)
	}
	switch e := e.(type) {
	case core.AttemptEnded:
		p.gate.ended++
	case core.WorkerJoined: // its session may break before it beats
		p.Heard(e.ID)
	case core.WorkerForgotten:
		p.forget(e.ID)
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

// mail puts messages for workers into the batch. The events that they speak of have
// been applied.
func (p *loop) mail(sends []core.Send) {
	for _, s := range sends {
		if s.Assign != nil {
			if m := p.assignments(s.Assign); m != nil {
				p.forming.mail = append(p.forming.mail, mail{len(p.forming.answers), s.Worker, []link.ToWorker{{Assign: m}}})
			}
			continue
		}
		p.forming.mail = append(p.forming.mail, mail{len(p.forming.answers), s.Worker, []link.ToWorker{s.Msg}})
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

// place lets the plan fill what is free, and reports whether there is more of that.
func (p *loop) place(now int64) (more bool, err error) {
	if !p.open() {
		return false, nil
	}
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("place: %v\n%s", x, debug.Stack())
		}
	}()
	d := p.state.Place(now, turnPlacements)
	if p.forming.wanted {
		for _, e := range d.Events {
			p.notice(e)
		}
	}
	// Place has applied its events, since each proposal depends on the one before: what
	// is read back must be the same.
	applied := slices.Clone(d.Events)
	if err := p.forming.enter(&p.back, p.state.Format(), d.Events); err != nil {
		return false, fmt.Errorf("place: %w", err)
	}
	for i, e := range d.Events {
		if e != applied[i] {
			return false, fmt.Errorf("place: %+v is read back as %+v", applied[i], e)
		}
		p.settings.Observer.Applied(e)
	}
	p.mail(d.Sends)
	p.digests.decided += len(d.Events)
	p.unsettled = p.state.Unsettled()
	return d.More, p.settle(now)
}

// upkeep does what time asks for: timers, silent workers, eviction, flushes.
func (p *loop) upkeep(now int64) error {
	if p.state.Due(now) && p.open() {
		if _, err := p.command(core.Tick{}, now); err != nil {
			return err
		}
	}
	if time.Since(p.anchored) >= tickEvery {
		p.anchored = time.Now()
		p.clock.Anchor()
		if err := p.giveUpSilent(now); err != nil {
			return err
		}
	}
	p.state.Evict(now)
	p.gate.look(time.Now(), p.state.Ready())
	if time.Since(p.counted) >= censusEvery {
		p.counted = time.Now()
		p.gate.heavy = p.settings.MemoryFull != nil && p.settings.MemoryFull()
		c := p.state.Census()
		p.census.Store(&c)
	}
	p.flushSome()
	return p.digest(now)
}

func (p *loop) giveUpSilent(now int64) error {
	const least = time.Second // shorter leases than that are refused in job files
	p.beats.Lock()
	silent := p.live.Step(time.Since(p.began), least)
	p.beats.Unlock()
	for _, s := range silent {
		if !p.open() {
			return nil // the next tick finds them silent still
		}
		if !p.state.Knows(s.Worker) {
			p.forget(s.Worker) // something came from its last session when it was forgotten already
			continue
		}
		if s.For.Milliseconds() < p.state.ShortestLease(s.Worker) {
			continue
		}
		a, err := p.command(core.WorkerSilent{Worker: s.Worker, For: s.For.Milliseconds()}, now)
		if err != nil {
			return err
		}
		if a.err != nil {
			p.Heard(s.Worker) // it is tried again, but not at every tick
		}
	}
	return nil
}
