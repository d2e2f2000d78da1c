package will

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Settings is what a machine is made of.
type Settings struct {
	// Hello is what sessions begin with; Held, Greeting, Generation and Seq are filled in.
	Hello link.Hello
	// Seed makes the jitter of reconnects.
	Seed uint64
	// ReadSpec reads a canonical spec.
	ReadSpec func(canonical []byte) (*job.Spec, error)
	// Durable: there is a disk to keep records and results on.
	Durable bool
	// KeepAfter is how long an attempt must have run for its result to be kept on
	// disk.
	KeepAfter time.Duration
	// LogWait is how long an acknowledged attempt waits for its log to be shipped.
	LogWait time.Duration
	// LeaveRunning: when told to leave, go away from running processes, which the
	// next process of this worker adopts.
	LeaveRunning bool
	// LeaveWait is how long leaving waits for what runs; then it is asked to end,
	// with LeaveGrace until it is killed.
	LeaveWait, LeaveGrace time.Duration
	// Reconnect bounds the wait between two connects.
	Reconnect time.Duration
}

// Bounds of the machine.
const (
	// maxResults and maxResultBytes bound one report.
	maxResults     = 1000
	maxResultBytes = 1 << 20
	// maxSpecs and maxSpecBytes bound the specs remembered in a session. A server
	// sends a spec again unless it is among the last SpecWindow sent and those
	// since it take less than SpecWindowBytes.
	maxSpecs     = 2 * SpecWindow
	maxSpecBytes = 2 * SpecWindowBytes
	// maxLingering bounds the attempts that wait for nothing but their logs.
	maxLingering = 4096
	// helloWait is how long the welcome may take.
	helloWait = 10 * time.Second
	// flushWait is how long a leaving agent waits for acknowledgements and logs.
	flushWait = 5 * time.Second
	firstWait = 100 * time.Millisecond
)

// SpecWindow and SpecWindowBytes are how many specs, and bytes of them, a server
// may count on being remembered within a session, the newest first.
const (
	SpecWindow      = 1024
	SpecWindowBytes = 64 << 20
)

// Machine decides for one worker. It is pure: time and events come in, actions go
// out, and the same input gives the same output. It is not safe for concurrent use.
type Machine struct {
	set Settings
	now Now
	out []Action
	rnd *rand.Rand

	attempts map[link.Fence]*attempt
	// first and last are the ends of the list of attempts, in order of arrival.
	first, last *attempt
	queues      map[place]*queue
	// ahead counts the prefetched attempts that wait in the queues.
	ahead int
	// early counts those of them that are prepared, or being prepared.
	early     int
	urgent    fifo[*attempt]
	parked    fifo[*attempt]
	lingering fifo[*attempt]
	unfit     unfit
	running   int
	used      job.Resources
	// most is the most that the server ever gave away of the worker, at least what it has. What it
	// gives away now the server sees to; what was started by that stays.
	most job.Resources

	sess session
	// renewed is when the last answered hello or beat was sent: what leases count
	// from. Zero before the first.
	renewed executor.Deadline
	// renewing: renewed is about to move; what becomes ready waits for that.
	renewing bool
	// generation and seq are the newest heard of.
	generation, seq uint64
	failures        int
	timer           executor.Deadline

	leave leave
	quit  bool
}

// New returns a machine that waits for Begin.
func New(s Settings) *Machine {
	return &Machine{
		set: s, most: s.Hello.Capacity, rnd: rand.New(rand.NewPCG(s.Seed, 0x7265657665)),
		attempts: map[link.Fence]*attempt{}, queues: map[place]*queue{},
	}
}

// Vitals is how a worker fares.
type Vitals struct {
	// Held is the attempts that it holds, Running those of them that have a slot.
	Held, Running int
	// Connected: a session is open and the server has welcomed this worker.
	Connected bool
}

// Vitals says how the worker fares after the last step.
func (m *Machine) Vitals() Vitals {
	return Vitals{Held: len(m.attempts), Running: m.running, Connected: m.sess.state == open}
}

// Step takes what happened, in order, and returns what to do, in order. The slice is
// valid until the next Step. Events that come together share one report.
func (m *Machine) Step(now Now, events ...Event) []Action {
	clear(m.out)
	m.now, m.out = now, m.out[:0]
	if m.quit {
		return nil
	}
	for _, e := range events {
		m.handle(e)
	}
	m.expire()
	m.checkLeave()
	if !m.quit {
		m.flush()
		m.setTimer()
	}
	return m.out
}

// Load is how many attempts have a place and how many are held in all.
func (m *Machine) Load() (running, held int) { return m.running, len(m.attempts) }

func (m *Machine) handle(e Event) {
	switch e := e.(type) {
	case Begin:
		for i := range e.Adopted {
			m.adopt(&e.Adopted[i])
		}
		m.connect()
	case Connected:
		m.greet(e.Session)
	case Disconnected:
		m.disconnected(e)
	case Received:
		if e.Session == m.sess.number && m.sess.state >= greeting {
			m.receive(e.Message)
		}
	case Sent:
		if e.Session == m.sess.number {
			m.sess.sending = false
		}
	case Leave:
		m.startLeaving()
	case Tick:
	default:
		m.progress(e)
	}
}

// progress handles the events of one attempt's life.
func (m *Machine) progress(e Event) {
	switch e := e.(type) {
	case Prepared:
		if a := m.attempts[e.Fence]; a != nil {
			m.prepared(a, e.Cause)
		}
	case Recorded:
		if a := m.attempts[e.Fence]; a != nil {
			m.recorded(a, e.Err)
		}
	case Refused:
		if a := m.attempts[e.Fence]; a != nil && a.phase == running {
			a.held = false
			m.cannot(a, e.Cause)
		}
	case Started:
		if a := m.attempts[e.Fence]; a != nil && a.phase == running {
			a.result.Started = e.At
			m.unfit.times = 0
			if d := m.deadline(a.lease); d != a.until { // a renewal may have overtaken its start
				m.do(SetDeadlines{Executor: a.executor, Keys: []string{a.key}, Deadline: d})
			}
			m.queueStarted(a)
		}
	case Wrote:
		if a := m.attempts[e.Fence]; a != nil && a.phase == running && !a.logDone && !a.forgotten {
			m.follow(a)
		}
	case Ended:
		if a := m.attempts[e.Fence]; a != nil && a.phase == running {
			m.exited(a, &e.Exit)
		}
	case Collected:
		if a := m.attempts[e.Fence]; a != nil && a.phase == collecting {
			m.collected(a, e)
		}
	case Kept:
		if a := m.attempts[e.Fence]; a != nil && a.phase == keeping {
			if e.Err != "" {
				m.say(Error, "the result of %s can't be kept on disk, only in memory: %s", a.ref, e.Err)
			}
			m.finish(a)
		}
	case Shipped:
		if a := m.attempts[e.Fence]; a != nil {
			if e.Err != "" {
				m.say(Warn, "the log of %s is not complete: %s", a.ref, e.Err)
			}
			a.logDone, a.following = true, false
			m.tryForget(a)
		}
	}
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

func (m *Machine) say(level Level, format string, args ...any) {
	m.do(Say{Level: level, Text: fmt.Sprintf(format, args...)})
}

// deadline is until when an attempt of that lease may run, 0 for ever.
func (m *Machine) deadline(lease time.Duration) executor.Deadline {
	if lease <= 0 {
		return 0
	}
	return m.renewed.Add(lease)
}

// setTimer asks to be woken for whatever comes first.
func (m *Machine) setTimer() {
	var at executor.Deadline
	sooner := func(d executor.Deadline) {
		if d != 0 && (at == 0 || d < at) {
			at = d
		}
	}
	sooner(m.sess.connectAt)
	sooner(m.sess.giveUpAt)
	sooner(m.sess.beatAt)
	sooner(m.unfit.until)
	sooner(m.reportAt())
	sooner(m.leave.until)
	sooner(m.leave.flushed)
	if m.lingering.len() > 0 {
		sooner(m.lingering.items[m.lingering.head].logUntil)
	}
	if at != m.timer {
		m.timer = at
		m.do(SetTimer{At: at})
	}
}

// expire does what has become due.
func (m *Machine) expire() {
	now := m.now.Boot
	due := func(d executor.Deadline) bool { return d != 0 && d <= now }
	if m.timer != 0 && m.timer <= now {
		m.timer = 0 // it has fired: ask again even for the same moment
	}
	switch {
	case due(m.sess.connectAt):
		m.connect()
	case due(m.sess.giveUpAt):
		m.say(Warn, "the server has not answered for %v: connecting again", m.sess.patience)
		m.hangUp()
	case due(m.sess.beatAt):
		m.sess.beatDue, m.sess.beatAt = true, 0
	}
	if due(m.unfit.until) {
		m.fitAgain()
	}
	for m.lingering.len() > 0 {
		a := m.lingering.items[m.lingering.head]
		if a.phase == over && !a.logDone && !due(a.logUntil) && m.lingering.len() <= maxLingering {
			break
		}
		m.lingering.pop()
		if a.phase == over && !a.logDone {
			m.say(Warn, "the log of %s could not be shipped in time; its end is lost", a.ref)
			m.do(DropLog{Fence: a.fence})
			a.logDone = true
			m.tryForget(a)
		}
	}
}
