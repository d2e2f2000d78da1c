package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/leader"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/member"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// Bounds of a turn: small beside the product's, so that turns end in the middle.
const (
	turnRequests   = 16
	turnPlacements = 8
	tickEvery      = 100 * time.Millisecond
	trimEvery      = 15 * time.Second
	keepBatches    = 5
)

// The lanes of requests, as in package leader.
const (
	laneResult = iota
	laneControl
	laneView
	laneSubmit
	lanes
)

// request is a command or a view, and who hears the answer.
type request struct {
	command core.Command
	view    func(*core.State)
	done    func(reply any, err error)
	lane    int
}

// server is a server: its process when there is one, and what is left of it when there is
// none. Its loop does what package leader's does in the same order: decide, apply, append,
// and release only what is durable. One server alone leads all the time; several share the
// store, and each has its part.
type server struct {
	w    *world
	name string
	// journal, tables and rows are the world's store, with faults.
	journal store.Journal
	tables  store.Tables
	rows    store.History
	config  core.Config
	wallOff time.Duration
	// ahead is by how much the store's clock, which several servers go by, is ahead.
	ahead time.Duration
	// cut is until when it does not reach the store.
	cut time.Duration
	// saved is the place in history that is on its disk, and knows says that it has seen
	// what is lost.
	saved member.Seen
	knows bool
	part  part

	// process numbers the processes, life these and the terms of each; what was planned for
	// an earlier one is dropped.
	process, life int
	// astray is the term in which it goes on with what is lost, until it wants to write.
	astray int
	up     bool
	// stalled is until when the process does nothing, busy until when its loop alone
	// does not.
	stalled, busy time.Duration
	// waking is how long it had been awake when it last began to do nothing, and lastHeard
	// when each worker was heard, for the judge. overdue is since when the lease of what still
	// counts as live has been over, by fence.
	waking    time.Duration
	lastHeard map[uint64]time.Duration
	overdue   map[link.Fence]time.Duration

	state           *core.State
	last            store.Mark // of the last batch that was sealed
	live            leader.Liveness
	clock           wallClock
	lanes           [lanes][]*request
	forming, flying *batch
	unsettled       bool // something that applied events entail has not been looked at
	back            record.Decoder
	flush           *flushJob
	due             time.Duration
	anchored        time.Duration
	planned         bool // a turn is
	durable         uint64
	projectedTo     uint64 // what the tables cover, as it knows
	durableAt       store.Mark
	generation      uint64
	leapt           time.Duration // when a worker's word was last believed, 0 for never
	hub             hub
	watches         *replica.Hub
	told            store.Mark // the last batch that watchers were told of
	ready           bool       // recovered, and its epoch is durable
}

// wallClock is wall time that never goes back and never stands still, as package
// leader's Clock.
type wallClock struct {
	anchor int64
	at     time.Duration
	slow   bool
	last   int64
}

// set anchors the clock to a wall clock.
func (c *wallClock) set(now time.Duration, wall int64) {
	ours := wall
	if c.at != 0 {
		ours = c.read(now)
	}
	c.slow = wall < ours-2
	c.anchor, c.at = max(wall, ours), now
}

func (c *wallClock) read(now time.Duration) int64 {
	passed := now - c.at
	if c.slow {
		passed /= 2
	}
	return c.anchor + passed.Milliseconds()
}

func newServer(w *world) *server {
	return &server{
		w: w, name: fmt.Sprintf("s%d", len(w.servers)),
		config: core.Config{Lease: w.faults.lease.Milliseconds(), Retention: (24 * time.Hour).Milliseconds(), Format: record.Newest},
	}
}

// machine is what the server's machine takes for the time, in Unix milliseconds, and wall
// what the server does: several go by their store's clock.
func (s *server) machine() int64 { return began + (s.w.now - bootedAt + s.wallOff).Milliseconds() }
func (s *server) wall() int64    { return s.machine() + s.ahead.Milliseconds() }

func (s *server) time() int64 {
	s.clock.last = max(s.clock.last, s.clock.read(s.w.now))
	return s.clock.last
}

// after plans something that this process does in its term: not if that is over by then.
func (s *server) after(d time.Duration, do func()) {
	life := s.life
	s.plan(d, func() bool { return s.life != life }, do)
}

// plan plans something that a process does: not if it, or whatever it is done for, is gone by
// then, and later if it is stalled.
func (s *server) plan(d time.Duration, gone func() bool, do func()) {
	var fire func()
	fire = func() {
		switch {
		case !s.up || gone():
		case s.stalled > s.w.now: // what waited then goes on in any order
			s.w.after(s.w.until(s.stalled)+s.w.between(0, time.Millisecond), fire)
		default:
			do()
		}
	}
	s.w.after(d, fire)
}

// loop plans something that the loop does, once it is free.
func (s *server) loop(d time.Duration, do func()) {
	s.after(d, func() {
		if s.busy > s.w.now {
			s.loop(s.w.until(s.busy), do)
			return
		}
		do()
	})
}

// stall has the process do nothing for a while, or its loop alone, as a long turn does.
func (s *server) stall() {
	if !s.up {
		return
	}
	d := s.w.between(10*time.Millisecond, s.w.faults.lease*3/2)
	if s.asleep() <= s.w.now {
		s.waking = s.awake()
	}
	if s.w.oneIn(3) {
		s.w.count("loop is busy")
		s.w.trace("the server's loop is busy for %v", d)
		s.busy = max(s.busy, s.w.now+d)
		return
	}
	s.w.count("server stalls")
	s.w.trace("the server stalls for %v", d)
	s.stalled = max(s.stalled, s.w.now+d)
}

// start begins a process: one alone recovers and begins a term, as leader.New does.
func (s *server) start() {
	s.process, s.life = s.process+1, s.life+1
	s.up, s.ready, s.stalled, s.busy, s.waking, s.planned = true, false, 0, 0, 0, false
	s.clock, s.ahead, s.leapt = wallClock{}, 0, 0
	s.clearTerm()
	s.mount()
	s.hub = newHub(s)
	if s.w.several() {
		s.join()
		return
	}
	s.after(s.w.between(time.Millisecond, time.Second), s.recover)
}

// clearTerm makes everything new that belongs to a term.
func (s *server) clearTerm() {
	s.live, s.lastHeard, s.overdue = leader.Liveness{}, map[uint64]time.Duration{}, map[link.Fence]time.Duration{}
	s.lanes = [lanes][]*request{}
	s.forming, s.flying, s.flush, s.due, s.anchored, s.unsettled = &batch{}, nil, nil, 0, s.w.now, true
}

func (s *server) recover() {
	journal := s.journal
	if s.w.opt.Bug == BugSwap {
		journal = swapping{journal}
	}
	found, err := replica.Recover(context.Background(), s.config, journal, s.tables)
	if errors.Is(err, errDisk) {
		s.crash("since it can't recover")
		return
	}
	if err != nil {
		s.w.fail(Law, "recovery: %v", err)
	}
	s.w.past.compare("the recovered server", found.State)
	s.clock.set(s.w.now, s.wall())
	s.begin(found, 1)
}

// begin begins a term, in a generation that is not below least.
func (s *server) begin(found replica.Copy, least uint64) {
	state := found.State
	s.projectedTo = found.Projected
	s.state, s.generation = state, max(state.Generation(), least, 1)
	b := &batch{}
	for _, e := range s.enter(b, s.time(), state.Begin(s.time(), state.Epoch()+1, s.generation)) {
		state.Apply(e)
	}
	s.w.trace("%s, %d, begins at %d: epoch %d, generation %d, %d jobs live", s.name, s.life, found.Last.Seq, state.Epoch(), s.generation, state.Totals().Live)
	s.last = found.Last
	r := s.seal(b)
	state.Batch(r.Seq)
	state.Recheck()
	s.append(r, b, func() {
		s.durable, s.durableAt = r.Seq, b.mark
		if s.w.opt.Bug != BugNoGrace {
			for _, w := range state.Workers() {
				s.heard(w.ID)
			}
		}
		s.w.led(s, state.Epoch())
		at := replica.Cursor{Generation: s.generation, Seq: r.Seq}
		if s.w.several() {
			s.watches.Publish(at, nil, true)
		} else {
			s.watches = replica.NewHub(s.w.faults.ring, at)
		}
		s.told = b.mark
		clear(s.w.past.hungry)
		s.tick()
		s.judgeNow()
		s.after(trimEvery, s.trim)
		if s.w.opt.Bug == BugNoGrace {
			s.giveUpAll()
		}
	})
}

// crash ends the process at this very moment.
func (s *server) crash(when string) {
	if !s.up {
		return
	}
	s.w.count("server crashes")
	s.w.trace("%s, %d, crashes %s", s.name, s.life, when)
	if !s.w.several() {
		if s.w.chance(s.w.faults.power) {
			s.w.count("power is lost")
			s.w.trace("what was not synced of the tables is lost")
			s.w.disk.LosePower()
		}
		if s.w.opt.Bug == BugLoseTail {
			s.loseTail()
		}
	}
	s.gone()
}

// gone is the process's end, whatever has ended it; another one begins a while later.
func (s *server) gone() {
	s.up, s.ready = false, false
	s.hub.die()
	for _, other := range s.w.servers { // what it has sent on
		for _, x := range slices.Clone(other.hub.all) {
			if x.conn.via == s {
				x.conn.reset()
			}
		}
	}
	s.w.after(s.w.between(10*time.Millisecond, 3*time.Second), func() {
		if !s.up {
			s.start()
		}
	})
}

// put queues a request, if there is anybody to take it.
func (s *server) put(lane int, r *request) {
	if s.up && s.ready && !s.part.resigned {
		r.lane = lane
		s.lanes[lane] = append(s.lanes[lane], r)
		s.wake()
	}
}

// post has a command decided without waiting for it.
func (s *server) post(c core.Command) {
	lane := laneControl
	switch c.(type) {
	case core.WorkerReport, core.WorkerSilent, core.WorkerHeld, core.WorkerHello, core.WorkerLeaving, core.WorkerClosed:
		lane = laneResult
	}
	s.put(lane, &request{command: c, done: func(any, error) {}})
}

func (s *server) wake() {
	if !s.planned {
		s.planned = true
		s.loop(s.w.between(time.Microsecond, 500*time.Microsecond), s.turn)
	}
}

func (s *server) tick() {
	s.loop(tickEvery, s.tick)
	s.turn()
}

// turn takes what waits, decides, and sends the batch off if none is in flight.
func (s *server) turn() {
	s.planned = false
	now := s.time()
	if len(s.forming.events) == 0 {
		s.forming.wanted = s.watches.Wanted()
	}
	s.settle(now)
	if s.part.resigned {
		s.windDown()
		return
	}
	s.serveLanes(laneResult, now)
	s.upkeep(now)
	s.serveLanes(lanes-1, now)
	more := s.place(now) || s.state.Due(now) && s.open()
	for _, l := range s.lanes {
		more = more || len(l) > 0 && s.open()
	}
	if s.flying == nil {
		s.launch()
	}
	if more || s.unsettled && s.open() {
		s.wake()
	}
}

// windDown makes what was decided durable, and ends the term.
func (s *server) windDown() {
	if s.flying == nil {
		s.launch()
	}
	if s.flying == nil && s.ready {
		if s.unsettled {
			s.wake()
			return
		}
		s.endTerm("since it resigns")
	}
}

// open reports whether more may be decided into the forming batch.
func (s *server) open() bool { return !s.unsettled && !s.full() }
func (s *server) full() bool { return len(s.forming.events) >= s.w.faults.batch }

func (s *server) serveLanes(last int, now int64) {
	for n := 0; n < turnRequests && s.open(); n++ {
		r := s.next(last)
		if r == nil {
			return
		}
		s.serve(r, now)
	}
}

func (s *server) next(last int) *request {
	for l := range s.lanes[:last+1] {
		if len(s.lanes[l]) > 0 {
			r := s.lanes[l][0]
			s.lanes[l] = s.lanes[l][1:]
			return r
		}
	}
	return nil
}

// serve answers one request; the answer leaves with the batch, in front of the messages
// that the request causes.
func (s *server) serve(r *request, now int64) {
	var reply any
	var err error
	within := s.forming
	answer := func() {
		switch {
		case s.holds() || err != nil:
		case r.view != nil:
			s.w.count("read past the lease is refused")
			return
		case len(within.events) == 0 && r.lane != laneResult && s.w.opt.Bug != BugReplyEarly: // it says what is so, and another may lead
			reply, err = nil, &job.Error{Code: job.Unavailable, Message: "another server may lead"}
		}
		if r.view != nil {
			s.judgeRight("answers a read")
		}
		if w, ok := reply.(core.Welcomed); ok {
			s.hub.opened(w)
		}
		r.done(reply, err)
	}
	early := s.w.opt.Bug == BugReplyEarly
	if !early {
		s.forming.out = append(s.forming.out, answer)
	}
	switch {
	case r.view != nil:
		r.view(s.state)
	case r.command == nil:
		err = &job.Error{Code: job.Unavailable, Message: "the tables can't be read"}
	default:
		reply, err = s.command(r.command, now)
		if c, ok := r.command.(core.Submit); ok && err == nil && c.Items[0].Key == "" && s.w.opt.Bug == BugSubmitTwice {
			_, _ = s.command(c, now)
		}
	}
	if early {
		answer()
	}
}

// command decides a command and carries it out.
func (s *server) command(c core.Command, now int64) (any, error) {
	d, err := s.state.Decide(core.Input{Now: now, Seed: s.w.rnd.Uint64()}, c)
	if err != nil {
		if job.CodeOf(err) == job.Internal {
			s.w.fail(NoPanic, "%T: %v", c, err)
		}
		return nil, err
	}
	switch c.(type) {
	case core.Hold:
		if s.w.opt.Bug == BugDropHold {
			d = core.Decision{}
		}
	case core.PutQueue, core.PutNamespace:
		if (s.w.opt.Bug == BugDropPause || s.w.opt.Bug == BugDropLimit && limits(c)) && s.ready {
			d = core.Decision{}
		}
	case core.Cancel:
		if s.w.opt.Bug == BugDropCancel {
			d = core.Decision{}
		}
	}
	if s.w.opt.Bug == BugStutter {
		d.Events = twice(d.Events)
	}
	s.applyAll(s.enter(s.forming, now, d.Events), d.Sends)
	s.unsettled = true
	s.settle(now)
	return d.Reply, nil
}

// settle looks at what the applied events entail, until there is nothing more or the
// batch is full.
func (s *server) settle(now int64) {
	for s.unsettled && !s.full() {
		d, more := s.state.Follow(now)
		if s.unsettled = more; more {
			s.applyAll(s.enter(s.forming, now, d.Events), d.Sends)
		}
	}
}

func (s *server) applyAll(list []core.Event, sends []core.Send) {
	for _, e := range list {
		if core.Before(e) {
			s.notice(e)
		}
		s.state.Apply(e)
		if !core.Before(e) {
			s.notice(e)
		}
		switch e := e.(type) {
		case core.WorkerJoined:
			s.heard(e.ID)
		case core.WorkerForgotten:
			s.live.Forget(e.ID)
		}
	}
	s.mail(sends)
}

// place lets the plan fill what is free.
func (s *server) place(now int64) (more bool) {
	if !s.open() || s.w.opt.Bug == BugIdle && s.w.now/time.Minute%2 == 1 {
		return false
	}
	d := s.state.Place(now, turnPlacements)
	for _, e := range d.Events {
		s.notice(e)
	}
	s.enter(s.forming, now, d.Events)
	s.mail(d.Sends)
	s.unsettled = s.state.Unsettled()
	s.settle(now)
	return d.More || s.state.Ranking()
}

// upkeep does what time asks for: timers, silent workers, eviction, flushes.
func (s *server) upkeep(now int64) {
	if s.state.Due(now) && s.open() {
		if _, err := s.command(core.Tick{}, now); err != nil {
			s.w.fail(NoPanic, "tick: %v", err)
		}
	}
	if s.w.now-s.anchored >= tickEvery {
		s.anchored = s.w.now
		s.clock.set(s.w.now, s.wall())
		if s.w.opt.Bug != BugNoExpiry {
			s.giveUpSilent(now)
		}
		s.state.Evict(now)
	}
	s.flushSome()
}

func (s *server) giveUpSilent(now int64) {
	for _, quiet := range s.live.Step(s.w.now, time.Second) {
		if !s.open() {
			return
		}
		if !s.state.Knows(quiet.Worker) {
			s.live.Forget(quiet.Worker)
			continue
		}
		if quiet.For.Milliseconds() < s.state.ShortestLease(quiet.Worker) {
			continue
		}
		if _, err := s.command(core.WorkerSilent{Worker: quiet.Worker, For: quiet.For.Milliseconds()}, now); err != nil {
			s.w.fail(NoPanic, "silence: %v", err)
		}
	}
}

// giveUpAll is BugNoGrace: a leader that takes over believes that nobody was heard of.
func (s *server) giveUpAll() {
	for _, w := range s.state.Workers() {
		_, _ = s.command(core.WorkerSilent{Worker: w.ID, For: time.Hour.Milliseconds()}, s.time())
	}
}

// leap has another generation begin in the middle of a term.
func (s *server) leap(generation uint64) {
	s.w.trace("%s is to begin generation %d", s.name, generation)
	s.post(core.Leap{Generation: generation})
}
