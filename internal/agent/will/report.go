package will

import (
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/link"
)

const (
	// reportWait bounds how long a report waits for more to say.
	reportWait = 5 * time.Millisecond
	// reportGap is how long results wait while the worker could hold more than there is:
	// then the server only waits for what submits, and not for this worker.
	reportGap = 2 * time.Millisecond
	// manyResults is how many results in one message tell that more will come at once.
	manyResults = 8
)

// queueStarted has the server told that an attempt runs.
func (m *Machine) queueStarted(a *attempt) {
	if len(m.sess.started) == 0 {
		m.sess.startsDue = m.now.Boot.Add(reportWait)
	}
	m.sess.started = append(m.sess.started, a.fence)
}

// queueResult has the server told how an attempt ended, unless it is about to be.
func (m *Machine) queueResult(a *attempt) {
	if a.queued || m.sess.state == offline {
		return
	}
	if m.sess.results.len() == 0 {
		m.sess.resultsDue = m.now.Boot.Add(reportWait)
	}
	a.queued = true
	m.sess.results.push(a)
}

// reportDue reports whether there is something that the server should hear now. Each
// message costs it a batch on its disk, so two things may wait a little. Word of a start
// waits for that of its end, which makes one of two for whatever is short. And results wait
// for each other while enough is held ahead to go on with, and a shorter while when they
// come fast and there is room anyway.
func (m *Machine) reportDue() bool {
	s := &m.sess
	switch {
	case len(s.returned) > 0 || s.fitness:
		return true
	case len(s.started) > 0 && s.startsDue <= m.now.Boot:
		return true
	}
	return s.results.len() > 0 && m.resultsAt() <= m.now.Boot
}

// resultsAt is until when results wait for more of them.
func (m *Machine) resultsAt() executor.Deadline {
	s := &m.sess
	switch {
	case m.plenty():
		return s.resultsDue
	case s.many && m.roomy():
		return min(s.resultsDue, s.reported.Add(reportGap))
	}
	return m.now.Boot
}

// roomy reports whether the server, which takes what it has not heard of for held, sees more
// room here than it fills.
func (m *Machine) roomy() bool { return 2*len(m.attempts) <= m.set.Hello.Slots+m.set.Hello.Prefetch }

// plenty reports whether more than half of what may be held ahead is.
func (m *Machine) plenty() bool { return 2*m.ahead > m.set.Hello.Prefetch }

// reportAt is when a report becomes due, 0 for never.
func (m *Machine) reportAt() executor.Deadline {
	s := &m.sess
	if s.state != open || s.sending {
		return 0 // what ends that looks again
	}
	var at executor.Deadline
	if len(s.started) > 0 {
		at = s.startsDue
	}
	if s.results.len() > 0 {
		if due := m.resultsAt(); at == 0 || due < at {
			at = due
		}
	}
	return at
}

// report takes as much from the queues as one message may hold; nil if nothing in
// them is of interest any more. What ended is not also reported as started: the
// result says when it was.
func (m *Machine) report() *link.Report {
	s := &m.sess
	r := &link.Report{Returned: s.returned}
	s.returned = nil
	if n := s.results.len(); n > 0 {
		r.Ended = make([]link.Result, 0, min(n, maxResults))
	}
	for size := 0; s.results.len() > 0 && len(r.Ended) < maxResults && size < maxResultBytes; {
		a := s.results.pop()
		a.queued = false
		if a.phase != ended || a.forgotten {
			continue
		}
		a.reported = m.now.Boot
		size += 64 + len(a.result.Outputs) + len(a.result.Cause.Detail)
		r.Ended = append(r.Ended, a.result)
	}
	s.reported, s.many = m.now.Boot, len(r.Ended) >= manyResults
	for _, f := range s.started {
		if a := m.attempts[f]; a != nil && a.phase > parked && a.phase < ended && !a.forgotten {
			r.Started = append(r.Started, link.Started{Fence: f, At: a.result.Started})
		}
	}
	s.started = s.started[:0]
	if s.fitness {
		why := m.unfit.why
		r.Unfit, s.fitness = &why, false
	}
	if len(r.Ended)+len(r.Started)+len(r.Returned) == 0 && r.Unfit == nil {
		return nil
	}
	return r
}
