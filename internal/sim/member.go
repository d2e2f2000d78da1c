package sim

import (
	"errors"
	"time"

	"github.com/reeve-scheduler/reeve/internal/member"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// What package member and its follower go by.
const (
	lookEvery = time.Second // at what the tables have
	keepEvery = time.Second // of what was seen, on disk
)

// part is what a server is among several, as package member's Member: the elector, the copy
// and the way in which a lost history is noticed are the product's own.
type part struct {
	id      [16]byte // of this process
	elector *member.Elector
	lease   store.Lease
	// until is as Elector.Until, and 0 once the lease was given up.
	until time.Duration
	// seen is what the process knows to have been durable.
	seen member.Seen
	// copy is what it follows with, while it follows; looked is when it last asked what the
	// tables have.
	copy    replica.Copy
	follows bool
	looked  time.Duration
	// leading: it has won the lease and has not given it up.
	leading bool
	// asking: the cluster is being asked, or told that the lease is given up.
	asking bool
	// resigned: it asks for the lease no more, and ends once it does not lead.
	resigned bool
	// wait is the pause before it begins again.
	wait time.Duration
}

// several says that servers share a store.
func (w *world) several() bool { return len(w.servers) > 1 }

// proc plans something that this process does, whatever part it has by then.
func (s *server) proc(d time.Duration, do func()) {
	process := s.process
	s.plan(d, func() bool { return s.process != process }, do)
}

// join begins a process that is one of several.
func (s *server) join() {
	s.part = part{elector: nil, seen: s.saved}
	for i := range s.part.id {
		s.part.id[i] = byte(s.w.rnd.Uint32())
	}
	s.part.elector = member.NewElector(s.part.id, s.w.faults.term)
	s.watches, s.told = replica.NewHub(s.w.faults.ring, replica.Cursor{}), store.Mark{}
	s.w.trace("%s starts as %x, and has seen %d of generation %d", s.name, s.part.id[:2], s.saved.Seq, s.saved.Generation)
	s.proc(s.w.between(time.Millisecond, 200*time.Millisecond), s.rejoin)
	s.proc(s.w.between(time.Millisecond, 200*time.Millisecond), s.vote)
	s.proc(keepEvery, s.keep)
}

// call carries a question to the store, and what it says back.
func (s *server) call(do func() error, heard func(error)) {
	process := s.process
	s.w.after(s.w.between(20*time.Microsecond, 5*time.Millisecond), func() {
		err := s.unreachable()
		if err == nil || s.w.oneIn(8) { // the question may get there and the answer be lost
			if e := do(); err == nil {
				err = e
			}
		}
		if s.process == process {
			s.proc(s.w.between(20*time.Microsecond, 5*time.Millisecond), func() { heard(err) })
		}
	})
}

// vote asks for the lease, or how it stands, whenever the elector says so.
func (s *server) vote() {
	at, what := s.part.elector.Next()
	if wait := s.w.until(at); wait > 0 || s.part.asking {
		s.proc(max(wait, time.Millisecond), s.vote)
		return
	}
	s.ask(what, s.vote)
}

func (s *server) ask(what member.Ask, then func()) {
	p, sent := &s.part, s.w.now
	p.asking = true
	var l store.Lease
	s.call(func() (err error) {
		if what == member.Claim {
			l, err = s.w.disk.Cluster().Claim(s.w.ctx(), p.id, s.name, s.w.faults.term)
		} else {
			l, err = s.w.disk.Cluster().Current(s.w.ctx())
		}
		return err
	}, func(err error) {
		p.asking = false
		if err != nil {
			p.elector.Failed(s.w.now)
			s.turned()
			then()
			return
		}
		p.lease = l
		claim := p.elector.Told(sent, s.w.now, what, l) && p.follows && !p.resigned
		p.until = p.elector.Until()
		s.ahead = time.Duration(l.Now-s.machine()) * time.Millisecond
		s.clock.set(s.w.now, s.wall())
		s.turned()
		if claim && !p.asking {
			s.ask(member.Claim, then)
			return
		}
		then()
	})
}

// turned does what follows from what the elector was told.
func (s *server) turned() {
	p := &s.part
	switch leads := p.elector.Leads(); {
	case leads && p.follows && !p.leading:
		s.w.trace("%s has won the lease", s.name)
		s.w.count("lease is won")
		p.leading, p.follows = true, false
		s.sawCopy()
		s.after(s.w.between(time.Microsecond, 20*time.Millisecond), s.takeOver)
	case !leads && p.leading:
		s.endTerm("since another one leads")
	case leads && s.ready && p.lease.Generation > s.state.Generation():
		s.leap(p.lease.Generation)
	}
}

// takeOver begins a term at the journal's end.
func (s *server) takeOver() {
	p := &s.part
	end, err := s.journal.Last(s.w.ctx())
	if err == nil {
		err = p.copy.Follow(s.w.ctx(), s.journal, end, s.watches)
	}
	if err != nil {
		s.endTerm("since the journal can't be read: " + err.Error())
		return
	}
	s.sawCopy()
	s.w.past.compare("the server that takes over", p.copy.State)
	s.begin(p.copy, p.lease.Generation)
}

// endTerm ends whatever this server was about to decide: nothing more of it is written, and
// nobody is told anything.
func (s *server) endTerm(why string) {
	p := &s.part
	if !p.leading || !s.up {
		return
	}
	s.w.trace("the term of %s ends %s", s.name, why)
	s.w.count("term ends")
	if s.ready {
		s.saw(member.Seen{Generation: s.generation, Mark: s.durableAt})
	}
	s.life++
	s.ready, s.planned, p.leading, p.until = false, false, false, 0
	s.hub.die()
	s.hub = newHub(s)
	s.clearTerm()
	s.yield()
}

// yield gives the lease up, once nobody asks for it, and follows from then on.
func (s *server) yield() {
	p := &s.part
	if p.asking {
		s.proc(time.Millisecond, s.yield)
		return
	}
	p.asking = true
	s.call(func() error { return s.w.disk.Cluster().Yield(s.w.ctx(), p.id) }, func(error) {
		p.asking, p.until = false, 0
		p.elector.Lost(s.w.now)
		if p.resigned {
			s.quit()
			return
		}
		s.rejoin()
	})
}

// again has the server begin again, after a pause that grows.
func (s *server) again(why error) {
	p := &s.part
	s.w.trace("%s begins again: %v", s.name, why)
	s.sawCopy()
	p.follows = false
	p.wait = min(max(2*p.wait, 50*time.Millisecond), time.Second)
	s.proc(p.wait, s.rejoin)
}

// rejoin loads a copy of the state and follows, and notices a history that was lost.
func (s *server) rejoin() {
	p := &s.part
	lost, err := p.seen.Lost(s.w.ctx(), s.journal)
	if first, _, e := s.w.disk.Journal().Bounds(s.w.ctx()); err == nil && e == nil && !lost && p.seen.Seq < first {
		s.knows = false // where it was has been trimmed: there is no telling
	}
	if err == nil && lost && s.w.opt.Bug != BugNoLeap {
		s.w.count("server misses what it has seen")
		s.w.trace("%s misses batch %d of generation %d", s.name, p.seen.Seq, p.seen.Generation)
		if err = s.unreachable(); err == nil {
			err = s.w.disk.Cluster().Raise(s.w.ctx(), p.seen.Generation+1)
		}
	}
	if err == nil {
		p.copy, err = replica.Recover(s.w.ctx(), s.config, s.journal, s.tables)
	}
	if err != nil {
		s.again(err)
		return
	}
	if lost {
		p.seen = member.Seen{Generation: p.copy.State.Generation(), Mark: p.copy.Last}
	}
	s.w.past.compare("the server that begins to follow", p.copy.State)
	p.follows, p.wait, p.looked = true, 0, s.w.now
	s.told = p.copy.Last
	s.watches.Publish(replica.Cursor{Generation: p.copy.State.Generation(), Seq: p.copy.Last.Seq}, nil, false)
	s.follow()
}

// follow looks for more again and again.
func (s *server) follow() {
	if p := &s.part; p.follows {
		s.catchUp()
		if p.follows {
			s.proc(s.w.faults.poll, s.follow)
		}
	}
}

// catchUp brings the copy to the journal's end, and reports whether it is there.
func (s *server) catchUp() bool {
	p := &s.part
	end, err := s.journal.Last(s.w.ctx())
	if err == nil {
		err = p.copy.Follow(s.w.ctx(), s.journal, end, s.watches)
	}
	s.told = p.copy.Last
	if err == nil && s.w.now-p.looked >= lookEvery {
		p.looked = s.w.now
		var projected uint64
		projected, err = s.tables.Durable(s.w.ctx())
		if err == nil {
			err = p.copy.Cover(s.time(), projected)
		}
		if err == nil && s.w.oneIn(20) {
			s.w.past.compare("a follower", p.copy.State)
		}
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, errDisk), errors.Is(err, store.ErrUnavailable):
	case errors.Is(err, replica.ErrDiverged), errors.Is(err, store.ErrTrimmed):
		s.w.count("follower can't go on")
		s.again(err)
	default:
		s.w.fail(Law, "%s follows: %v", s.name, err)
	}
	return false
}

// saw notes a place in history that is durable.
func (s *server) saw(seen member.Seen) {
	if s.part.seen.Less(seen) {
		s.part.seen = seen
	}
}

func (s *server) sawCopy() {
	if c := &s.part.copy; c.State != nil {
		s.saw(member.Seen{Generation: c.State.Generation(), Mark: c.Last})
	}
}

// keep saves what was seen now and then.
func (s *server) keep() {
	switch {
	case s.ready:
		s.saw(member.Seen{Generation: s.generation, Mark: s.durableAt})
	case s.part.follows:
		s.sawCopy()
	}
	s.saved = s.part.seen
	s.proc(keepEvery, s.keep)
}

// holds says whether this server is certain to lead still.
func (s *server) holds() bool {
	return !s.w.several() || s.w.now < s.part.until || s.w.opt.Bug == BugHoldOn
}

// judgeRight wants a server that says something in the name of the leader to be the one.
func (s *server) judgeRight(what string) {
	if !s.w.several() {
		return
	}
	l, err := s.w.disk.Cluster().Current(s.w.ctx())
	if err != nil || l.Holder != s.part.id && l.Left > 0 {
		s.w.fail(Silent, "%s %s, and %s leads (%v)", s.name, what, l.Address, err)
	}
}

// resign ends the process in good order: what it has decided is made durable first.
func (s *server) resign() {
	if !s.up || s.part.resigned || s.stalled > s.w.now {
		return
	}
	s.w.count("server resigns")
	s.w.trace("%s resigns", s.name)
	s.part.resigned = true
	switch {
	case s.ready:
		s.wake()
	case !s.part.leading:
		s.quit()
	default:
		s.endTerm("since it resigns")
	}
}

// quit ends the process; another one begins a while later.
func (s *server) quit() {
	s.saved = s.part.seen
	s.gone()
}

// knows is the server of an id, if its process runs.
func (w *world) knows(id [16]byte) *server {
	for _, s := range w.servers {
		if s.up && s.part.id == id {
			return s
		}
	}
	return nil
}

// reach is the server that answers a call which comes to s: s itself, or the leader that it
// knows; nil if there is none.
func (s *server) reach(read bool) *server {
	w := s.w
	switch {
	case !s.up || s.stalled > w.now:
		return nil
	case !w.several() || s.ready || read && s.part.follows:
	default:
		s = w.knows(s.part.lease.Holder)
	}
	if s == nil || s.stalled > w.now || !s.ready && !(read && s.part.follows) {
		return nil
	}
	return s
}

// some is any server.
func (w *world) some() *server { return w.servers[w.rnd.IntN(len(w.servers))] }

// mostly is the server that leads, or did last, in two of three cases.
func (w *world) mostly() *server {
	if w.oneIn(3) {
		return w.some()
	}
	return w.server
}

// entrance is the server that a worker calls.
func (n *node) entrance() *server {
	s := n.hint
	if n.hint = nil; s == nil {
		s = n.w.some()
	}
	return s
}

// welcome begins a session for a worker that calls, or says where the leader is.
func (s *server) welcome(c *conn) *session {
	if !s.w.several() || s.ready || !s.up {
		return s.hub.accept(c)
	}
	leader := s.w.knows(s.part.lease.Holder)
	if leader == nil || !leader.ready || leader == s {
		return nil
	}
	if s.w.oneIn(2) { // it is sent on
		return leader.hub.accept(c)
	}
	c.n.hint = leader
	return nil
}
