package will

import (
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

type sessionState uint8

const (
	offline sessionState = iota
	dialing
	greeting
	open
)

// session is the machine's end of one conversation. Everything in it starts anew
// with the next.
type session struct {
	number uint64
	state  sessionState
	// sending: a message is on its way out; it is never more than one.
	sending bool
	// connectAt, beatAt and giveUpAt are when to do that; zero for not now.
	connectAt, beatAt, giveUpAt executor.Deadline
	patience                    time.Duration
	beat                        time.Duration
	beatDue                     bool
	lastBeat                    uint64
	// unanswered is the beats sent, oldest first; a hello has number 0.
	unanswered []sentBeat
	toldLeave  bool
	warned     bool

	started  []link.Fence
	returned []link.Fence
	// back is what was given back and not acknowledged.
	back    map[link.Fence]bool
	results fifo[*attempt]
	// startsDue and resultsDue are until when what is started, and the results, wait for
	// more: see reportDue.
	startsDue, resultsDue executor.Deadline
	// reported is when the last report left, many whether it had many results.
	reported executor.Deadline
	many     bool
	// fitness: whether the worker is fit has changed, and the server does not know.
	fitness bool

	specs     map[[32]byte]knownSpec
	specOrder fifo[[32]byte]
	specBytes int
}

type sentBeat struct {
	number uint64
	at     executor.Deadline
}

type knownSpec struct {
	spec *job.Spec
	err  string
	size int
}

func (m *Machine) connect() {
	n := m.sess.number + 1
	for a := m.first; a != nil; a = a.next {
		a.queued, a.reported = false, 0
	}
	m.sess = session{number: n, state: dialing, specs: map[[32]byte]knownSpec{}, patience: helloWait}
	m.sess.giveUpAt = m.now.Boot.Add(helloWait)
	m.do(Connect{Session: n})
}

// hangUp ends the session and plans the next.
func (m *Machine) hangUp() {
	if m.sess.state == offline {
		return
	}
	m.do(Disconnect{Session: m.sess.number})
	m.wait()
}

func (m *Machine) disconnected(e Disconnected) {
	if e.Session != m.sess.number || m.sess.state == offline {
		return
	}
	// Once per outage is enough; the rest of the attempts are for the patient reader.
	level := Debug
	if m.failures == 0 {
		level = Warn
	}
	m.say(level, "the session with the server ended: %s", e.Why)
	m.wait()
}

// wait goes offline until it is time to connect again: exponential, bounded and
// with jitter, so that a server that comes back is not trampled.
func (m *Machine) wait() {
	d := firstWait << min(m.failures, 16)
	d = max(min(d, m.set.Reconnect), time.Millisecond)
	d = d/2 + time.Duration(m.rnd.Int64N(int64(d/2)+1))
	m.failures++
	m.sess = session{number: m.sess.number, connectAt: m.now.Boot.Add(d)}
}

func (m *Machine) greet(number uint64) {
	if number != m.sess.number || m.sess.state != dialing {
		return
	}
	h := m.set.Hello
	h.Held, h.Unfit, h.Generation, h.Seq, h.Greeting = m.held(), m.unfit.why, m.generation, m.seq, number
	m.sess.state = greeting
	m.sess.unanswered = append(m.sess.unanswered, sentBeat{at: m.now.Boot})
	m.sess.giveUpAt = m.now.Boot.Add(helloWait)
	m.send(link.FromWorker{Hello: &h})
}

func (m *Machine) send(msg link.FromWorker) {
	m.sess.sending = true
	m.do(Send{Session: m.sess.number, Message: msg})
}

// held lists what the server should know of, in order of arrival. What is on its way
// back is held until that is said: a server that misses it would send it once more, and
// then hear that it was given back.
func (m *Machine) held() []link.Held {
	list := make([]link.Held, 0, len(m.attempts))
	for a := m.first; a != nil; a = a.next {
		if p, ok := a.heldPhase(); ok {
			list = append(list, link.Held{Fence: a.fence, Phase: p})
		}
	}
	for _, f := range m.sess.returned {
		list = append(list, link.Held{Fence: f, Phase: link.Waiting})
	}
	return list
}

func (m *Machine) receive(msg link.ToWorker) {
	if m.sess.state == open {
		m.sess.giveUpAt = m.now.Boot.Add(m.sess.patience)
	} else if msg.Welcome == nil && msg.Goodbye == "" {
		m.protocolError("a message before the welcome")
		return
	}
	switch {
	case msg.Welcome != nil:
		m.welcome(msg.Welcome)
	case msg.Beat != nil:
		m.beatAnswered(msg.Beat)
	case msg.Assign != nil:
		m.assign(msg.Assign)
	case msg.Stop != nil:
		m.stop(msg.Stop)
	case msg.Goodbye != "":
		m.say(Info, "the server ended the session: %s", msg.Goodbye)
		m.hangUp()
	}
	for _, f := range msg.Recall {
		m.recall(f)
	}
	for _, f := range msg.Ack {
		m.acknowledged(f)
	}
}

func (m *Machine) protocolError(why string) {
	m.say(Error, "the server broke the protocol: %s; connecting again", why)
	m.hangUp()
}

func (m *Machine) welcome(w *link.Welcome) {
	if m.sess.state != greeting || w.Beat <= 0 {
		m.protocolError("a second welcome, or one without a beat")
		return
	}
	m.say(Info, "connected as worker %d, holding %d attempts", w.WorkerID, len(m.attempts))
	if w.Note != "" {
		m.say(Warn, "%s", w.Note)
	}
	m.failures = 0
	m.sess.state, m.sess.beat = open, w.Beat
	m.sess.patience = max(3*w.Beat, 3*time.Second)
	m.sess.giveUpAt = m.now.Boot.Add(m.sess.patience)
	m.sess.beatAt = m.now.Boot.Add(w.Beat)
	m.heard(w.Generation, w.Seq)
	m.renew(0)
	for a := m.first; a != nil; a = a.next {
		if a.phase == ended && !a.forgotten {
			m.queueResult(a)
		}
	}
}

// heard remembers how far the server's history goes. One that has become shorter is
// another history: attempts and results may be lost or run again.
func (m *Machine) heard(generation, seq uint64) {
	if generation < m.generation || generation == m.generation && seq < m.seq {
		if !m.sess.warned {
			m.sess.warned = true
			m.say(Error, "the server has lost its past: it is at generation %d, sequence %d, but was at %d, %d; was its database restored from a backup?",
				generation, seq, m.generation, m.seq)
		}
		return
	}
	m.generation, m.seq = generation, seq
}

func (m *Machine) beatAnswered(b *link.BeatAnswer) {
	m.heard(b.Generation, b.Seq)
	m.renew(b.Number)
}

// renew moves the leases to where the answered beat was sent. What has not started
// and whose lease ran out before that is given back: by now the server may have given
// it to another worker.
func (m *Machine) renew(number uint64) {
	i := slices.IndexFunc(m.sess.unanswered, func(s sentBeat) bool { return s.number == number })
	if i < 0 {
		return
	}
	at := m.sess.unanswered[i].at
	m.sess.unanswered = slices.Delete(m.sess.unanswered, 0, i+1)
	if at <= m.renewed {
		return
	}
	m.renewing = true
	m.giveBackExpired()
	m.renewed, m.renewing = at, false
	m.moveDeadlines()
	m.unpark()
}

func (m *Machine) giveBackExpired() {
	for a := m.first; a != nil; {
		next := a.next // giveBack takes a out of the list
		if a.phase < running && a.lease > 0 && m.deadline(a.lease) <= m.now.Boot {
			m.giveBack(a)
		}
		a = next
	}
}

// beatFor brings the next beat forward if a lease asks for it: at once if less than half
// of the lease would be left by then, since a keeper asks to end what it has had for half
// of the time that was left.
func (m *Machine) beatFor(lease time.Duration) {
	every := link.BeatEvery(lease)
	if lease <= 0 || m.sess.state != open || m.sess.beatDue || every >= m.sess.beat {
		return
	}
	next := m.now.Boot.Add(every)
	if m.renewed.Add(lease/2) <= next {
		next = m.now.Boot
	}
	m.sess.beatAt = min(m.sess.beatAt, next)
}

// moveDeadlines tells the executors, in one call per executor and lease.
func (m *Machine) moveDeadlines() {
	type kind struct {
		executor string
		lease    time.Duration
	}
	var kinds []kind
	var keys [][]string
	for a := m.first; a != nil; a = a.next {
		if a.phase != running || a.lease <= 0 || a.forgotten {
			continue
		}
		k := kind{a.executor, a.lease}
		i := slices.Index(kinds, k)
		if i < 0 {
			i = len(kinds)
			kinds, keys = append(kinds, k), append(keys, nil)
		}
		keys[i] = append(keys[i], a.key)
	}
	for i, k := range kinds {
		m.do(SetDeadlines{Executor: k.executor, Keys: keys[i], Deadline: m.deadline(k.lease)})
	}
}

func (m *Machine) assign(as *link.Assign) {
	for _, s := range as.Specs {
		m.learn(s)
	}
	for i := range as.Attempts {
		w := &as.Attempts[i]
		known, ok := m.sess.specs[w.SpecHash]
		switch {
		case m.attempts[w.Fence] != nil:
			m.take(w)
		case !ok:
			m.protocolError("an assignment whose spec it has not sent")
			return
		case known.err != "":
			m.reject(w.Fence, "the spec can't be read: "+known.err)
		case int(w.Task) >= len(known.spec.Tasks):
			m.protocolError("an assignment of a task that its spec does not have")
			return
		default:
			w.Spec = known.spec
			m.take(w)
		}
	}
}

// reject ends an assignment that can't even be named.
func (m *Machine) reject(f link.Fence, why string) {
	if m.attempts[f] != nil {
		return
	}
	a := m.add(&attempt{fence: f, ref: job.Ref{Index: job.NoIndex}})
	m.endUnstarted(a, job.Cause{Kind: job.CauseRejected, Detail: why})
}

func (m *Machine) learn(s link.SpecText) {
	if _, ok := m.sess.specs[s.Hash]; ok {
		m.sess.specOrder.remove(s.Hash)
		m.sess.specOrder.push(s.Hash)
		return
	}
	k := knownSpec{size: len(s.Canonical)}
	spec, err := m.set.ReadSpec(s.Canonical)
	k.spec = spec
	if err != nil {
		k.err = err.Error()
	}
	m.sess.specs[s.Hash] = k
	m.sess.specOrder.push(s.Hash)
	m.sess.specBytes += k.size
	for m.sess.specOrder.len() > maxSpecs || m.sess.specBytes > maxSpecBytes {
		old := m.sess.specOrder.pop()
		m.sess.specBytes -= m.sess.specs[old].size
		delete(m.sess.specs, old)
	}
}

// flush sends what there is to send if nothing is on its way: a beat before all.
func (m *Machine) flush() {
	s := &m.sess
	if s.state != open || s.sending {
		return
	}
	switch {
	case s.beatDue:
		m.sendBeat()
	case m.leave.on && !s.toldLeave:
		s.toldLeave = true
		m.send(link.FromWorker{Leaving: true})
	case m.reportDue():
		if r := m.report(); r != nil {
			m.send(link.FromWorker{Report: r})
		}
	}
}

// sendBeat sends all that is held, and has results repeated that were reported
// before the last beat and are still not acknowledged.
func (m *Machine) sendBeat() {
	s := &m.sess
	s.beatDue = false
	s.lastBeat++
	s.unanswered = append(s.unanswered, sentBeat{number: s.lastBeat, at: m.now.Boot})
	if len(s.unanswered) > maxUnanswered {
		s.unanswered = slices.Delete(s.unanswered, 0, 1)
	}
	late, every := max(2*s.beat, 2*time.Second), s.beat
	for a := m.first; a != nil; a = a.next {
		if a.lease > 0 && a.phase < ended && !a.forgotten {
			every = min(every, link.BeatEvery(a.lease))
		}
		if a.phase == ended && a.reported != 0 && m.now.Boot.Sub(a.reported) >= late {
			m.queueResult(a)
		}
	}
	s.beatAt = m.now.Boot.Add(every)
	m.send(link.FromWorker{Beat: &link.Beat{Number: s.lastBeat, Held: m.held()}})
}

// maxUnanswered bounds the beats whose answers still count.
const maxUnanswered = 16
