package simulate

import (
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/classic"
	"github.com/reeve-scheduler/reeve/internal/outcome"
	"github.com/reeve-scheduler/reeve/internal/workload"
)

// Machine runs a workload by a policy of the literature on a machine of processors that
// are all alike, which is empty at the first submit. It returns by job when each
// started. No job may be wider than the machine.
func Machine(t *workload.Trace, p classic.Policy, procs int64) ([]int64, error) {
	for i := range t.Jobs {
		if j := &t.Jobs[i]; j.Procs < 1 || j.Procs > procs || j.Run < 1 || j.Request < j.Run {
			return nil, fmt.Errorf("job %d: %d processors, runs %d ms of %d ms; the machine has %d processors",
				j.Number, j.Procs, j.Run, j.Request, procs)
		}
	}
	m := machine{jobs: t.Jobs, s: classic.New(p, procs, t.Jobs), start: make([]int64, len(t.Jobs))}
	for m.next < len(m.jobs) || len(m.ends) > 0 {
		if p.Events != classic.Together {
			m.one()
		} else {
			m.all()
		}
		for {
			i, ok := m.s.Next(m.now)
			if !ok {
				break
			}
			m.s.Start(i, m.now)
			m.start[i] = m.now
			m.started++
			m.ends.push(end{m.now + m.jobs[i].Run, m.started, int32(i)})
		}
	}
	return m.start, nil
}

type machine struct {
	jobs  []workload.Job
	s     *classic.Scheduler
	start []int64
	now   int64
	next  int // the next to come
	ends  ends
	// started counts, to tell who started first.
	started int32
}

// one lets the next thing happen; what comes goes before what ends.
func (m *machine) one() {
	if m.next < len(m.jobs) && (len(m.ends) == 0 || m.jobs[m.next].Submit <= m.ends[0].at) {
		m.now = m.jobs[m.next].Submit
		m.s.Arrive(m.next, m.now)
		m.next++
		return
	}
	e := m.ends.pop()
	m.now = e.at
	m.s.End(int(e.job), m.now)
}

// all lets everything happen that is to happen at the next moment; what ends goes before
// what comes.
func (m *machine) all() {
	switch {
	case len(m.ends) == 0, m.next < len(m.jobs) && m.jobs[m.next].Submit < m.ends[0].at:
		m.now = m.jobs[m.next].Submit
	default:
		m.now = m.ends[0].at
	}
	for len(m.ends) > 0 && m.ends[0].at == m.now {
		m.s.End(int(m.ends.pop().job), m.now)
	}
	for ; m.next < len(m.jobs) && m.jobs[m.next].Submit == m.now; m.next++ {
		m.s.Arrive(m.next, m.now)
	}
}

// end is when a job that runs will end.
type end struct {
	at       int64
	nth, job int32
}

// ends is a heap, the first to end on top; of those of one moment the one that started
// first.
type ends []end

func (e end) before(o end) bool { return e.at < o.at || e.at == o.at && e.nth < o.nth }

func (h *ends) push(e end) {
	*h = append(*h, e)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if !s[i].before(s[up]) {
			return
		}
		s[i], s[up] = s[up], s[i]
		i = up
	}
}

func (h *ends) pop() end {
	s := *h
	top, last := s[0], len(s)-1
	s[0], s = s[last], s[:last]
	*h = s
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if s[c].before(s[least]) {
				least = c
			}
		}
		if least == i {
			return top
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
}

// Ran is the run of a workload whose starts are known, and in which each job took what
// it takes.
func Ran(t *workload.Trace, start []int64, procs int64) *outcome.Run {
	r := &outcome.Run{Jobs: t.Jobs, Start: start, End: make([]int64, len(start)), Capacity: procs}
	for i := range start {
		r.End[i] = start[i] + t.Jobs[i].Run
	}
	return r
}

// Recorded is the run of a workload as its source recorded it. It fails where a wait is
// not known.
func Recorded(t *workload.Trace, procs int64) (*outcome.Run, error) {
	start := make([]int64, len(t.Jobs))
	for i := range t.Jobs {
		j := &t.Jobs[i]
		if j.Wait < 0 {
			return nil, fmt.Errorf("how long job %d waited is not recorded", j.Number)
		}
		start[i] = j.Submit + j.Wait
	}
	return Ran(t, start, procs), nil
}
