package sim

import (
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/link"
	reevesession "github.com/reeve-scheduler/reeve/internal/session"
)

// hub routes messages to sessions, as package session's Hub does.
type hub struct {
	s    *server
	open map[uint64]*outbox
	all  []*session
}

// outbox is what waits for one session, from the moment at which its hello is decided.
type outbox struct {
	number uint64
	msgs   []link.ToWorker
	x      *session // nil until its session claims it
}

func newHub(s *server) hub { return hub{s: s, open: map[uint64]*outbox{}} }

// die is the process's end: the kernel closes every connection.
func (h *hub) die() {
	for _, x := range h.all {
		x.over = true
		x.conn.drop("the server is gone")
	}
	h.all = nil
}

func (h *hub) deliver(worker uint64, msgs []link.ToWorker) {
	if o := h.open[worker]; o != nil {
		o.msgs = append(o.msgs, msgs...)
		if o.x != nil {
			o.x.wake()
		}
	}
}

// opened puts a session in the place of the one that its worker had before.
func (h *hub) opened(w core.Welcomed) {
	old := h.open[w.Worker]
	h.open[w.Worker] = &outbox{number: w.Session}
	if old != nil && old.x != nil {
		old.x.broken("the worker has opened another session")
	}
}

// session is the server's end of one connection: the real step machine in a shell that
// does what package session's does.
type session struct {
	s       *server
	conn    *conn
	machine *reevesession.Machine
	in      []link.FromWorker
	box     *outbox
	// waits: the hello is being decided, or payloads are being read, and nothing else is
	// done.
	waits bool
	// gone: the stream has ended; over: and that has been dealt with.
	gone, over bool
	planned    bool
}

// accept begins a session; nil if nobody listens.
func (h *hub) accept(c *conn) *session {
	if !h.s.up || !h.s.ready {
		return nil
	}
	x := &session{s: h.s, conn: c, box: &outbox{}, machine: reevesession.NewMachine(time.Duration(h.s.config.Lease) * time.Millisecond)}
	h.all = append(h.all, x)
	return x
}

func (x *session) receive(m link.FromWorker) {
	x.in = append(x.in, m)
	x.wake()
	chance := x.s.w.faults.stall
	if m.Hello != nil || m.Leaving || m.Report != nil && len(m.Report.Returned) > 0 {
		chance *= 30 // what is rare would hardly ever meet a fault
	}
	if x.s.w.chance(chance) {
		x.s.stall()
	}
}

// broken tells that the stream has ended. What it had received may be lost with it.
func (x *session) broken(why string) {
	x.s.w.trace("the stream of session %d of %s has ended: %s", x.conn.number, x.conn.n.name, why)
	x.gone = true
	if x.s.w.faults.dropTail {
		x.in = nil
	}
	x.wake()
}

func (x *session) wake() {
	if !x.planned && !x.over {
		x.planned = true
		x.s.after(x.s.w.between(time.Microsecond, 200*time.Microsecond), x.turn)
	}
}

// take empties the outbox.
func (x *session) take() []link.ToWorker {
	msgs := x.box.msgs
	x.box.msgs = nil
	return msgs
}

func (x *session) turn() {
	x.planned = false
	switch {
	case x.over || x.waits:
		return
	case len(x.in) > 0 && (len(x.box.msgs) == 0 || x.s.w.rnd.IntN(2) == 0):
		if msgs := x.take(); msgs != nil && !x.gone { // first what the worker should not hold any more
			x.deliver(msgs)
		}
		if x.over || x.waits {
			return
		}
		m := x.in[0]
		x.in = x.in[1:]
		x.step(reevesession.Event{From: &m})
	case len(x.box.msgs) > 0 && !x.gone:
		x.deliver(x.take())
	case x.gone:
		x.end()
		return
	}
	if !x.waits && (len(x.in) > 0 || len(x.box.msgs) > 0 || x.gone) {
		x.wake()
	}
}

// deliver passes messages on, once what they lack has been read. If that fails, it is
// missed in the worker's beats.
func (x *session) deliver(msgs []link.ToWorker) {
	if !slices.ContainsFunc(msgs, func(m link.ToWorker) bool { return reevesession.Lacks(&m) }) {
		x.step(reevesession.Event{Out: msgs})
		return
	}
	x.waits = true
	x.s.after(x.s.w.between(10*time.Microsecond, 20*time.Millisecond), func() {
		if x.over {
			return
		}
		x.waits = false
		lost, err := reevesession.Fill(x.s.w.ctx(), x.s.rows, msgs)
		switch {
		case err != nil:
			x.s.w.count("payloads can't be read")
			x.s.w.trace("session %d of %s: %v", x.conn.number, x.conn.n.name, err)
		case lost != nil:
			x.s.w.fail(Durable, "the tables lack the payload of attempt %d", lost[0].Fence)
		default:
			x.s.w.count("payloads are read")
		}
		x.step(reevesession.Event{Out: msgs})
		x.wake()
	})
}

func (x *session) step(e reevesession.Event) {
	s := x.s
	if e.From != nil && e.From.Beat != nil {
		if !s.holds() {
			s.w.count("beat past the lease is not answered")
			return
		}
		s.judgeRight("answers a beat")
	}
	for _, a := range x.machine.Step(reevesession.Position{Generation: s.generation, Seq: s.durable}, e) {
		switch {
		case a.Send != nil:
			x.conn.sendDown(*a.Send)
		case a.Heard != 0:
			s.heard(a.Heard)
		case a.Do != nil:
			x.do(a.Do)
		case a.Close != "":
			s.w.trace("the session %d of %s is closed: %s", x.conn.number, x.conn.n.name, a.Close)
			x.conn.sendDown(link.ToWorker{Goodbye: a.Close})
			x.gone, x.in = true, nil
			x.end()
			return
		}
	}
}

func (x *session) do(c core.Command) {
	if r, ok := c.(core.WorkerReport); ok && x.s.w.opt.Bug == BugNoFence {
		x.s.w.past.misread(&r)
		c = r
	}
	if _, ok := c.(core.WorkerHello); !ok {
		x.s.post(c)
		return
	}
	x.waits = true
	x.checkPast(c.(core.WorkerHello))
	x.s.put(laneResult, &request{command: c, done: func(reply any, err error) {
		x.s.after(x.s.w.between(time.Microsecond, 200*time.Microsecond), func() { x.welcomed(reply, err) })
	}})
}

// checkPast takes a worker's word that history was lost, as package session does.
func (x *session) checkPast(c core.WorkerHello) {
	s, h := x.s, &c.Hello
	if h.Generation < s.generation || h.Generation == s.generation && h.Seq <= s.durable || s.w.opt.Bug == BugNoLeap {
		return
	}
	if !s.w.several() {
		s.w.fail(Durable, "%s has heard of batch %d of generation %d; the server is at %d of %d", h.Name, h.Seq, h.Generation, s.durable, s.generation)
	}
	s.w.count("worker misses what it has heard")
	if s.leapt != 0 && s.w.now-s.leapt < time.Minute {
		return
	}
	s.leapt = s.w.now
	s.put(laneResult, &request{command: core.Leap{Generation: h.Generation + 1}, done: func(_ any, err error) {
		if err == nil {
			s.w.count("worker is believed")
		}
	}})
}

func (x *session) welcomed(reply any, err error) {
	if x.over {
		return
	}
	x.waits = false
	if err != nil {
		x.step(reevesession.Event{JoinErr: err})
		return
	}
	w := reply.(core.Welcomed)
	o := x.s.hub.open[w.Worker]
	if o == nil || o.number != w.Session { // a later session of the worker has begun
		x.gone = true
		x.end()
		return
	}
	x.box, o.x = o, x
	x.step(reevesession.Event{Joined: &w})
	x.wake()
}

// end deals with the end of the stream.
func (x *session) end() {
	if x.over {
		return
	}
	x.over = true
	x.conn.drop("the session is over")
	h := &x.s.hub
	for i, o := range h.all {
		if o == x {
			h.all = append(h.all[:i], h.all[i+1:]...)
			break
		}
	}
	id := x.machine.Worker()
	if id == 0 || h.open[id] != x.box {
		return
	}
	delete(h.open, id)
	for _, a := range x.machine.Step(reevesession.Position{}, reevesession.Event{Closed: true}) {
		if a.Do != nil {
			x.s.post(a.Do)
		}
	}
}

// cloneDown copies what the two ends of a connection would otherwise share.
func cloneDown(m link.ToWorker) link.ToWorker {
	if m.Assign != nil {
		a := *m.Assign
		a.Attempts = append([]link.Assignment(nil), a.Attempts...)
		m.Assign = &a
	}
	return m
}
