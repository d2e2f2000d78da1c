package will

import (
	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// leave is how far a graceful stop has come.
type leave struct {
	on bool
	// until is when what runs is asked to end, and then when it is left.
	until   executor.Deadline
	stopped bool
	// flushed is until when acknowledgements and logs are waited for, once nothing
	// runs that is waited for.
	flushed executor.Deadline
}

// startLeaving gives back what has not started. The second time it quits.
func (m *Machine) startLeaving() {
	if m.leave.on {
		m.leaveNow()
		return
	}
	m.leave = leave{on: true, until: m.now.Boot.Add(max(m.set.LeaveWait, 1))}
	m.say(Info, "leaving: taking nothing new, waiting for %d attempts", m.running)
	for a := m.first; a != nil; {
		next := a.next // giveBack takes a out of the list
		if a.phase < running {
			m.giveBack(a)
		}
		a = next
	}
}

func (m *Machine) leaveNow() {
	if m.sess.state != offline {
		m.do(Disconnect{Session: m.sess.number})
	}
	m.quit = true
	m.do(Quit{})
}

// checkLeave sees whether a leaving agent can go.
func (m *Machine) checkLeave() {
	l := &m.leave
	if !l.on || m.quit {
		return
	}
	live, unsettled := m.unfinished()
	if live > 0 && m.now.Boot >= l.until {
		if l.stopped {
			m.say(Warn, "leaving although %d attempts have not ended", live)
			m.leaveNow()
			return
		}
		m.stopForLeave()
		return
	}
	if live > 0 {
		return
	}
	if l.flushed == 0 {
		l.until, l.flushed = 0, m.now.Boot.Add(flushWait)
	}
	told := m.sess.toldLeave && !m.sess.sending || m.sess.state == offline // then to nobody, who has nothing to gain by it
	said := told && len(m.sess.returned) == 0
	if (unsettled == 0 && said) || m.now.Boot >= l.flushed {
		m.leaveNow()
	}
}

// unfinished counts the attempts to wait for: those that run, and those that have
// ended but whose result or log is not with the server.
func (m *Machine) unfinished() (live, unsettled int) {
	for a := m.first; a != nil; a = a.next {
		switch {
		case a.phase == running && m.stays(a):
		case a.phase < ended:
			live++
		default:
			unsettled++
		}
	}
	return live, unsettled
}

// stays reports whether an attempt runs on when the agent goes away.
func (m *Machine) stays(a *attempt) bool {
	return m.set.LeaveRunning && a.executor != FunctionKind
}

func (m *Machine) stopForLeave() {
	m.leave.stopped = true
	m.leave.until = m.now.Boot.Add(m.set.LeaveGrace + flushWait)
	cause := job.Cause{Kind: job.CausePreempted, Detail: "worker " + m.set.Hello.Name + " is leaving"}
	for a := m.first; a != nil; a = a.next {
		if a.phase == running && !m.stays(a) {
			m.do(StopRun{Executor: a.executor, Key: a.key, Grace: m.set.LeaveGrace, Cause: cause})
		}
	}
}
