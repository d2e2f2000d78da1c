package will

import (
	"slices"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// take accepts an assignment. One that is known already is a repetition: what is
// held is reported again, and a prefetched attempt that is no longer so is promoted.
func (m *Machine) take(w *link.Assignment) {
	m.offered(w.Offers)
	if a := m.attempts[w.Fence]; a != nil {
		m.repeat(a)
		if a.phase == waiting && !a.urgent && !w.Prefetched {
			q := m.queues[a.place]
			m.unqueue(a)
			m.dropQueue(a.place, q)
			m.admit(a)
		}
		return
	}
	if m.sess.back[w.Fence] {
		return
	}
	if m.leave.on || m.unfit.why != "" || len(m.attempts) >= m.maxHeld() {
		m.sendBack(w.Fence)
		return
	}
	if d := m.deadline(w.Lease); d != 0 && d <= m.now.Boot {
		// It was long on its way, or read late, and may be another worker's by now. The
		// beat makes sure that its lease counts from now on if it comes again.
		m.sendBack(w.Fence)
		m.sess.beatAt = m.now.Boot
		return
	}
	t := &w.Spec.Tasks[w.Task]
	a := m.add(&attempt{
		fence: w.Fence, ref: w.Ref(), place: placeOf(w), executor: t.Executor(),
		lease: w.Lease, proof: w.Proof, work: w, atMostOnce: t.AtMostOnce,
		devices: w.Devices,
	})
	m.beatFor(a.lease)
	switch {
	case w.Prefetched && t.AtMostOnce:
		m.endUnstarted(a, job.Cause{Kind: job.CauseRejected, Detail: "at_most_once must not be prefetched"})
	case w.Prefetched:
		q := m.queues[a.place]
		if q == nil {
			q = &queue{}
			m.queues[a.place] = q
		}
		q.waiting.push(a)
		m.ahead++
		m.useCredits(a.place)
	default:
		m.admit(a)
	}
}

// maxHeld bounds the attempts held, those included that are over but for their logs
// or acknowledgements.
func (m *Machine) maxHeld() int {
	return 4*(m.set.Hello.Slots+m.set.Hello.Prefetch) + 2*maxLingering
}

// repeat reports again how far an attempt is.
func (m *Machine) repeat(a *attempt) {
	switch {
	case a.forgotten:
	case a.phase == running && a.result.Started != 0 && !slices.Contains(m.sess.started, a.fence):
		m.queueStarted(a)
	case a.phase == ended:
		m.queueResult(a)
	}
}

func (m *Machine) add(a *attempt) *attempt {
	m.attempts[a.fence] = a
	a.result.Fence = a.fence
	a.prev = m.last
	if m.last != nil {
		m.last.next = a
	} else {
		m.first = a
	}
	m.last = a
	return a
}

// room reports whether one more attempt could run beside those that do. The server has seen
// to that, but what it has given up may still be on its way out here. What was given away when
// the pool gave more, which this process has never heard of, runs when nothing else does: it would
// wait for ever.
func (m *Machine) room(a *attempt) bool {
	fits := m.running == 0 || a.place.resources.Fits(m.most.Minus(m.used))
	return m.running < m.set.Hello.Slots && fits && !m.clash(a)
}

// offered takes in what the server gives away of this worker; nothing stands for what it has.
func (m *Machine) offered(r job.Resources) {
	if r == (job.Resources{}) {
		return
	}
	old := m.most
	m.most.CPU, m.most.Memory = max(old.CPU, r.CPU), max(old.Memory, r.Memory)
	for name, n := range r.Other.All {
		m.most.Other = m.most.Other.Set(name, max(n, old.Other.Get(name)))
	}
	if m.most != old && !m.leave.on {
		m.hurry()
	}
}

// hurry gives places to what waits for any.
func (m *Machine) hurry() {
	for m.urgent.len() > 0 && m.room(m.urgent.first()) {
		m.begin(m.urgent.pop())
	}
}

// clash reports whether another attempt still has a device that this one is to have.
func (m *Machine) clash(a *attempt) bool {
	if a.devices == "" {
		return false
	}
	for o := m.first; o != nil; o = o.next {
		if o.placed && o.devices != "" && o.devices.Clash(a.devices) {
			return true
		}
	}
	return false
}

// admit gives an attempt a place now, or as soon as there is one.
func (m *Machine) admit(a *attempt) {
	if m.room(a) {
		m.begin(a)
		return
	}
	a.phase, a.urgent = waiting, true
	m.urgent.push(a)
}

// begin gives an attempt its place.
func (m *Machine) begin(a *attempt) {
	a.placed, a.urgent = true, false
	m.running++
	m.used = m.used.Plus(a.place.resources)
	switch {
	case a.early:
		a.early = false
		m.early--
	case needsPreparing(&a.work.Spec.Tasks[a.work.Task]):
		m.prepare(a)
	default:
		a.key = Key(a.ref, a.fence)
	}
	if a.busy {
		a.phase = preparing
		return
	}
	m.ready(a)
}

func (m *Machine) prepare(a *attempt) {
	a.key = Key(a.ref, a.fence)
	a.busy, a.dir = true, true
	m.do(Prepare{Key: a.key, Work: a.work})
}

// prepareAhead prepares the next of a queue before they have a place, as many in all as
// there are slots, so that a place does not stand empty while that is done.
func (m *Machine) prepareAhead(q *queue) {
	for i := 0; i < q.waiting.len() && m.early < m.set.Hello.Slots; i++ {
		a := q.waiting.at(i)
		if !preparable(&a.work.Spec.Tasks[a.work.Task]) {
			return
		}
		if !a.early {
			a.early = true
			m.early++
			m.prepare(a)
		}
	}
}

// free takes an attempt's place back and gives it to the next: first to one that
// waits for any slot, then to a prefetched one of the same place. If none is here,
// one may be on its way: a credit is left until the result is acknowledged.
func (m *Machine) free(a *attempt) {
	if !a.placed {
		return
	}
	a.placed = false
	m.running--
	m.used = m.used.Minus(a.place.resources)
	if m.leave.on {
		return
	}
	m.hurry()
	q := m.queues[a.place]
	if q == nil {
		q = &queue{}
		m.queues[a.place] = q
	}
	q.credits++
	a.credit = true
	m.useCredits(a.place)
}

// useCredits starts prefetched attempts in places that were left.
func (m *Machine) useCredits(p place) {
	q := m.queues[p]
	for q.credits > 0 && q.waiting.len() > 0 && m.room(q.waiting.first()) {
		q.credits--
		q.spent++
		m.ahead--
		m.begin(q.waiting.pop())
	}
	m.prepareAhead(q)
}

// unqueue takes a prefetched attempt out of its queue.
func (m *Machine) unqueue(a *attempt) {
	m.queues[a.place].waiting.remove(a)
	m.ahead--
}

// settleCredit ends the credit of an attempt whose end the server has taken in.
func (m *Machine) settleCredit(a *attempt) {
	if !a.credit {
		return
	}
	a.credit = false
	q := m.queues[a.place]
	if q.spent > 0 {
		q.spent--
	} else {
		q.credits--
	}
	m.dropQueue(a.place, q)
}

// dropQueue forgets a queue that holds nothing.
func (m *Machine) dropQueue(p place, q *queue) {
	if q.spent == 0 && q.credits == 0 && q.waiting.len() == 0 {
		delete(m.queues, p)
	}
}

func (m *Machine) prepared(a *attempt, cause job.Cause) {
	a.busy = false
	switch {
	case a.phase == waiting && cause.Kind == job.CauseNone: // it was early
	case a.phase != preparing && a.phase != waiting:
		m.tryForget(a)
	case cause.Kind != job.CauseNone:
		m.cannot(a, cause)
	default:
		m.ready(a)
	}
}

// ready records what must be recorded, and starts.
func (m *Machine) ready(a *attempt) {
	if a.atMostOnce && m.set.Durable && !a.onDisk {
		a.phase, a.busy, a.onDisk = recording, true, true
		m.do(Record{Key: a.key, Work: a.work})
		return
	}
	m.start(a)
}

func (m *Machine) recorded(a *attempt, err string) {
	a.busy = false
	switch {
	case a.phase != recording:
		m.tryForget(a)
	case err != "":
		m.cannot(a, job.Cause{Kind: job.CauseRejected, Code: job.Lacking, Detail: "can't record its start: " + err})
	default:
		m.start(a)
	}
}

// leftToStart is the part of its lease that must be left for an attempt to start. What
// starts with less is asked to end at once, before the next beat can be answered.
const leftToStart = 4

// start starts what is ready, unless its lease has run out meanwhile, or nearly so: then
// the server may already have given it to another worker, so that it waits for word.
func (m *Machine) start(a *attempt) {
	d := m.deadline(a.lease)
	if m.renewing || d != 0 && d.Sub(m.now.Boot) < a.lease/leftToStart {
		a.phase = parked
		m.parked.push(a)
		return
	}
	a.phase, a.held, a.until = running, true, d
	m.do(Start{Key: a.key, Work: a.work, Deadline: d})
	if a.executor != FunctionKind {
		m.follow(a)
	}
	a.work = nil
}

// follow has an attempt's log shipped as it grows.
func (m *Machine) follow(a *attempt) {
	if !a.following {
		a.following = true
		m.do(FollowLog{Claim: a.claim(), Key: a.key})
	}
}

// unpark starts what waited for its lease.
func (m *Machine) unpark() {
	for n := m.parked.len(); n > 0; n-- {
		if a := m.parked.pop(); a.phase == parked {
			m.start(a)
		}
	}
}

// withdraw takes an attempt that has not started out of whatever it waits in, and
// frees its place.
func (m *Machine) withdraw(a *attempt) {
	switch a.phase {
	case waiting:
		if a.urgent {
			m.urgent.remove(a)
		} else if q := m.queues[a.place]; q != nil {
			m.unqueue(a)
			m.dropQueue(a.place, q)
		}
	case parked:
		m.parked.remove(a)
	}
	if a.early {
		a.early = false
		m.early--
	}
	if a.busy && a.phase <= preparing {
		m.do(Unprepare{Fence: a.fence})
	}
	a.phase, a.logDone, a.work = over, true, nil
	if a.following {
		m.do(DropLog{Fence: a.fence})
		a.following = false
	}
	m.free(a)
}

// endUnstarted ends an attempt that never ran.
func (m *Machine) endUnstarted(a *attempt, cause job.Cause) {
	m.withdraw(a)
	a.result.Cause, a.result.Started, a.result.Ended = cause.Trim(), 0, m.now.Wall
	m.finish(a)
}

// sendBack has an attempt given back that has not started. It is not taken again in this
// session before the server has said that it heard: the same assignment may be on its way
// a second time.
func (m *Machine) sendBack(f link.Fence) {
	m.sess.returned = append(m.sess.returned, f)
	if m.sess.back == nil {
		m.sess.back = map[link.Fence]bool{}
	}
	m.sess.back[f] = true
}

// giveBack returns an attempt that has not started to the server.
func (m *Machine) giveBack(a *attempt) {
	m.withdraw(a)
	m.sendBack(a.fence)
	m.settleCredit(a)
	m.tryForget(a)
}

// exited takes in an attempt's end.
func (m *Machine) exited(a *attempt, x *Exit) {
	r := &a.result
	r.Cause, r.Usage, r.Started, r.Ended = x.Cause.Trim(), x.Usage, x.Started, x.Ended
	r.Outputs, r.LogSize = x.Outputs, x.LogSize
	m.followEnd(a)
	switch {
	case a.forgotten:
		m.abandon(a)
	case a.executor == FunctionKind:
		m.settle(a)
	default:
		a.phase = collecting
		m.do(Collect{Claim: a.claim(), Key: a.key})
	}
}

// followEnd has the rest of the log shipped, if there is one.
func (m *Machine) followEnd(a *attempt) {
	switch {
	case a.logDone: // the shipper has given it up already
	case a.result.LogSize > 0 && !a.forgotten:
		m.follow(a)
		m.do(SealLog{Fence: a.fence, Size: a.result.LogSize})
	case a.following:
		a.following = false
		m.do(DropLog{Fence: a.fence})
		a.logDone = true
	default:
		a.logDone = true
	}
}

func (m *Machine) collected(a *attempt, e Collected) {
	if a.forgotten {
		m.abandon(a)
		return
	}
	if e.Outputs != nil {
		a.result.Outputs = e.Outputs
	}
	if a.result.Cause.Kind == job.CauseNone {
		a.result.Cause = e.Cause.Trim()
	}
	m.settle(a)
}

// settle keeps a result that must survive this process, then finishes.
func (m *Machine) settle(a *attempt) {
	ran := time.Duration(a.result.Ended-a.result.Started) * time.Millisecond
	if m.set.Durable && (a.atMostOnce || ran >= m.set.KeepAfter) {
		a.phase, a.onDisk = keeping, true
		m.do(KeepResult{Claim: a.claim(), Result: a.result})
		return
	}
	m.finish(a)
}

// finish makes a result known, and the place free.
func (m *Machine) finish(a *attempt) {
	if a.forgotten {
		m.abandon(a)
		return
	}
	a.phase = ended
	m.queueResult(a)
	m.free(a)
}

// abandon ends an attempt that nobody wants to hear of.
func (m *Machine) abandon(a *attempt) {
	a.phase, a.forgotten = over, true
	if a.following {
		m.do(DropLog{Fence: a.fence})
		a.following = false
	}
	a.logDone = true
	m.free(a)
	m.settleCredit(a)
	m.tryForget(a)
}

// acknowledged lets go of a result that the server has, or of what it has back.
func (m *Machine) acknowledged(f link.Fence) {
	delete(m.sess.back, f)
	a := m.attempts[f]
	if a == nil || a.phase != ended {
		return
	}
	a.phase = over
	m.settleCredit(a)
	if !a.logDone {
		a.logUntil = m.now.Boot.Add(m.set.LogWait)
		m.lingering.push(a)
	}
	m.tryForget(a)
}

// tryForget removes an attempt that is over and that nothing works on.
func (m *Machine) tryForget(a *attempt) {
	if a.phase != over || !a.logDone || a.busy {
		return
	}
	e := ""
	if a.held {
		e = a.executor
	}
	m.do(Forget{Fence: a.fence, Key: a.key, Executor: e, Dir: a.dir && !a.held, OnDisk: a.onDisk})
	delete(m.attempts, a.fence)
	if a.prev != nil {
		a.prev.next = a.next
	} else {
		m.first = a.next
	}
	if a.next != nil {
		a.next.prev = a.prev
	} else {
		m.last = a.prev
	}
	a.prev, a.next = nil, nil
}

// stop ends an attempt because the server says so.
func (m *Machine) stop(s *link.Stop) {
	a := m.attempts[s.Fence]
	if a == nil || a.phase == over {
		return
	}
	switch {
	case a.phase < running && s.Forget:
		m.withdraw(a)
		m.settleCredit(a)
		a.forgotten = true
		m.tryForget(a)
	case a.phase < running:
		m.endUnstarted(a, s.Cause)
	case a.phase == running:
		grace := s.Grace
		if s.Forget {
			grace, a.forgotten = 0, true
			m.say(Warn, "the server does not know %s, which runs here: it is ended", a.ref)
		}
		m.do(StopRun{Executor: a.executor, Key: a.key, Grace: grace, Cause: s.Cause})
	case s.Forget && a.phase == ended:
		m.abandon(a)
	case s.Forget:
		a.forgotten = true
	default:
		m.repeat(a)
	}
}

// recall gives an attempt back if it has not started.
func (m *Machine) recall(f link.Fence) {
	a := m.attempts[f]
	switch {
	case a == nil || a.phase == over:
	case a.phase < running:
		m.giveBack(a)
	default:
		m.repeat(a)
	}
}

// adopt takes over what an earlier process of this worker left.
func (m *Machine) adopt(o *Adopted) {
	if m.attempts[o.Fence] != nil {
		return
	}
	a := m.add(&attempt{
		fence: o.Fence, ref: o.Ref, key: o.Key, executor: o.Executor, held: o.Executor != "",
		place: place{executor: o.Executor, resources: o.Resources, where: strings.Join(o.Where, "\n")}, lease: o.Lease, proof: o.Proof,
		devices: o.Devices, atMostOnce: o.AtMostOnce, onDisk: o.AtMostOnce || o.Result != nil, dir: true, phase: running,
	})
	a.result.Started = o.Started
	if !o.Foreign {
		// Whatever is to be said of it, the server still counts its place.
		m.running++
		m.used, a.placed = m.used.Plus(o.Resources), true
	}
	switch {
	case o.Foreign:
		a.forgotten, a.onDisk = true, true
		if o.Exit != nil || o.Executor == "" {
			m.abandon(a)
			return
		}
		m.do(StopRun{Executor: a.executor, Key: a.key, Cause: job.Cause{Kind: job.CauseWorkerLost, Detail: m.set.Hello.Name}})
	case o.Result != nil:
		a.result = *o.Result
		m.followEnd(a)
		m.finish(a)
	case o.Exit != nil:
		m.exited(a, o.Exit)
	case o.Executor == "":
		m.say(Warn, "%s was started by an earlier process and is gone: reporting it as lost", a.ref)
		a.result.Cause = job.Cause{Kind: job.CauseWorkerLost, Detail: m.set.Hello.Name}
		a.result.Ended, a.logDone = m.now.Wall, true
		m.finish(a)
	default:
		m.follow(a)
	}
}
