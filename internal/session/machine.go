// Package session is the server's end of a worker. What holds is level-triggered:
// a session begins with all that the worker holds, and each beat repeats it; the
// messages between are hints for latency. Machine is the pure step machine, Hub
// the shell that connects streams with the leader.
package session

import (
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Position is how far a server's data reaches.
type Position struct{ Generation, Seq uint64 }

// Event is one thing that happens to a session: exactly one field is set.
type Event struct {
	// From is a message from the worker.
	From *link.FromWorker
	// Joined is the leader's reply to the hello; JoinErr its refusal.
	Joined  *core.Welcomed
	JoinErr error
	// Out is messages that the leader has for the worker.
	Out []link.ToWorker
	// Closed says that the stream has ended.
	Closed bool
}

// Action is one thing that the shell is to do: exactly one field is set.
type Action struct {
	// Send goes to the worker.
	Send *link.ToWorker
	// Do goes to the leader. The reply of a WorkerHello comes back as an event.
	Do core.Command
	// Heard renews the worker's lease.
	Heard uint64
	// Close ends the stream, with a reason for the worker.
	Close string
}

// maxSpecs is how many specs a session remembers to have carried. A worker keeps
// what it was sent; past the bound specs are sent again.
const maxSpecs = 4096

// Bounds of the results that are decided at once: far below what one record of the
// journal takes.
const (
	maxResults     = 2000
	maxResultBytes = 1 << 20
)

// patience is for how many beats what is on its way is not missed.
const patience = 2

// Machine is one session. It belongs to one goroutine.
type Machine struct {
	lease time.Duration
	hello *link.Hello
	id    uint64
	// session is what the leader calls this session.
	session uint64
	open    bool
	beats   uint64
	specs   map[[32]byte]bool
	// mine is what was given in this session and not acknowledged, with the number
	// of beats that had come by then.
	mine map[link.Fence]uint64
	// asked is the beat at which the leader was asked to compare, 0 for never.
	asked uint64
	left  bool
}

// NewMachine returns a session that waits for a hello. lease is the default lease.
func NewMachine(lease time.Duration) *Machine {
	return &Machine{lease: lease, specs: map[[32]byte]bool{}, mine: map[link.Fence]uint64{}}
}

// Worker is the worker's id once it has been welcomed, else 0.
func (m *Machine) Worker() uint64 {
	if !m.open {
		return 0
	}
	return m.id
}

// Step takes an event and returns what to do about it, in order.
func (m *Machine) Step(at Position, e Event) []Action {
	switch {
	case e.Closed:
		return m.closed()
	case e.JoinErr != nil:
		return []Action{{Close: e.JoinErr.Error()}}
	case e.Joined != nil:
		return m.welcome(at, e.Joined)
	case e.Out != nil:
		return m.out(e.Out)
	case e.From != nil:
		return m.from(at, e.From)
	}
	return nil
}

func (m *Machine) closed() []Action {
	if !m.open {
		return nil
	}
	m.open = false
	return []Action{{Do: core.WorkerClosed{Worker: m.id, Session: m.session, Left: m.left}}}
}

func (m *Machine) welcome(at Position, w *core.Welcomed) []Action {
	m.id, m.session, m.open = w.Worker, w.Session, true
	for _, h := range m.hello.Held {
		m.mine[h.Fence] = 0
	}
	return []Action{{Heard: m.id}, {Send: &link.ToWorker{Welcome: &link.Welcome{
		WorkerID: m.id, Generation: at.Generation, Seq: at.Seq, Beat: link.BeatEvery(m.lease), Lease: m.lease, Note: w.Note,
	}}}}
}

// out passes messages on, with the specs that this session has not carried, and without
// attempts that lack their payload: those are missed in the worker's beats, and sent again.
func (m *Machine) out(msgs []link.ToWorker) []Action {
	if !m.open {
		return nil // the worker is told everything when it is back
	}
	actions := make([]Action, 0, len(msgs))
	for i := range msgs {
		msg := &msgs[i]
		switch {
		case msg.Assign != nil:
			a := m.assign(msg.Assign)
			if len(a.Attempts) == 0 {
				continue
			}
			msg = &link.ToWorker{Assign: a}
		case msg.Stop != nil && msg.Stop.Forget:
			delete(m.mine, msg.Stop.Fence)
		case msg.Ack != nil:
			for _, f := range msg.Ack {
				delete(m.mine, f)
			}
		case msg.Goodbye != "":
			return append(actions, Action{Close: msg.Goodbye})
		}
		actions = append(actions, Action{Send: msg})
	}
	return actions
}

func (m *Machine) assign(a *link.Assign) *link.Assign {
	out := &link.Assign{Attempts: a.Attempts}
	for i := range a.Attempts {
		m.mine[a.Attempts[i].Fence] = m.beats
	}
	if Lacks(&link.ToWorker{Assign: a}) {
		out.Attempts = slices.DeleteFunc(slices.Clone(a.Attempts), func(a link.Assignment) bool { return a.Away })
		if len(out.Attempts) == 0 {
			return out // and its specs go with those that come again
		}
	}
	for _, s := range a.Specs {
		if m.specs[s.Hash] {
			continue
		}
		if len(m.specs) >= maxSpecs {
			clear(m.specs)
		}
		m.specs[s.Hash] = true
		out.Specs = append(out.Specs, s)
	}
	return out
}

func (m *Machine) from(at Position, msg *link.FromWorker) []Action {
	switch {
	case msg.Hello != nil && m.hello == nil:
		m.hello = msg.Hello
		return []Action{{Do: core.WorkerHello{Hello: *msg.Hello}}}
	case !m.open:
		return []Action{{Close: "a session begins with one hello"}}
	case msg.Beat != nil:
		return m.beat(at, msg.Beat)
	case msg.Report != nil:
		for _, f := range msg.Report.Returned {
			delete(m.mine, f)
		}
		return m.report(msg.Report)
	case msg.Leaving:
		m.left = true
		return []Action{{Heard: m.id}, {Do: core.WorkerLeaving{Worker: m.id, Session: m.session}}}
	}
	return []Action{{Close: "a second hello in one session"}}
}

// report passes a report on, in pieces each of which the leader can decide at once.
func (m *Machine) report(r *link.Report) []Action {
	actions := []Action{{Heard: m.id}}
	pass := func(piece link.Report) {
		actions = append(actions, Action{Do: core.WorkerReport{Worker: m.id, Session: m.session, Report: piece}})
	}
	rest := *r
	for size, n := 0, 0; n < len(rest.Ended); n++ {
		size += len(rest.Ended[n].Outputs) + len(rest.Ended[n].Cause.Detail)
		if n > 0 && (n >= maxResults || size > maxResultBytes) {
			pass(link.Report{Started: rest.Started, Ended: rest.Ended[:n]})
			rest.Started, rest.Ended, size, n = nil, rest.Ended[n:], 0, -1
		}
	}
	pass(rest)
	return actions
}

// beat answers a heartbeat, and asks the leader to compare when what the worker
// holds is not what it was given.
func (m *Machine) beat(at Position, b *link.Beat) []Action {
	m.beats++
	actions := []Action{{Heard: m.id}, {Send: &link.ToWorker{Beat: &link.BeatAnswer{Number: b.Number, Generation: at.Generation, Seq: at.Seq}}}}
	wrong := m.differs(b.Held) && (m.asked == 0 || m.beats >= m.asked+patience)
	if wrong || m.beats%compareEvery == 0 {
		m.asked = m.beats
		actions = append(actions, Action{Do: core.WorkerHeld{Worker: m.id, Session: m.session, Held: b.Held}})
	}
	return actions
}

// compareEvery is how many beats lie between two comparisons when nothing asks for one.
// A session sees what passes through it, not what should have: without them an assignment
// that got lost on its way here would wait for ever, and so would one of which the two
// sides disagree whether it has a place.
const compareEvery = 8

// differs reports whether the worker holds something it was not given, or lacks
// something it was given at least two beats ago: what is on its way is not missed.
func (m *Machine) differs(held []link.Held) bool {
	known := 0
	for _, h := range held {
		if _, ok := m.mine[h.Fence]; !ok {
			return true
		}
		known++
	}
	if known == len(m.mine) {
		return false
	}
	has := make(map[link.Fence]bool, len(held))
	for _, h := range held {
		has[h.Fence] = true
	}
	for f, beats := range m.mine {
		if !has[f] && m.beats >= beats+patience {
			return true
		}
	}
	return false
}

// Refused turns a refusal into what the worker is told.
func Refused(err error) string {
	if job.CodeOf(err) == job.Internal {
		return "internal error; the server's log has it"
	}
	return err.Error()
}
