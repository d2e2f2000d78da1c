package will

import (
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// unfit is a worker that lacks what every attempt needs, such as room on its disk. It
// takes nothing for a while: else it would always be the first with a free place, and eat
// what others could do. Then it tries again, and waits twice as long if that fails.
type unfit struct {
	// why is empty while the worker is fit.
	why string
	// until is when it counts as fit again.
	until executor.Deadline
	// times counts how often it was unfit since something started.
	times int
}

const (
	// unfitFirst and unfitMost are the least and the most for which a worker is unfit.
	unfitFirst = time.Second
	unfitMost  = 8 * time.Second
)

// cannot ends an attempt that can't run here.
func (m *Machine) cannot(a *attempt, cause job.Cause) {
	if cause.Kind == job.CauseRejected && cause.Code == job.Lacking {
		m.becomeUnfit(cause.Trim().Detail)
	}
	if a.phase == over {
		return // it still waited, and went back with the others
	}
	m.endUnstarted(a, cause)
}

// becomeUnfit gives back what waits, and has the server told.
func (m *Machine) becomeUnfit(why string) {
	if m.unfit.why != "" || why == "" {
		return
	}
	d := min(unfitFirst<<min(m.unfit.times, 10), unfitMost)
	m.say(Warn, "taking nothing for %v: %s", d, why)
	m.unfit = unfit{why: why, until: m.now.Boot.Add(d), times: m.unfit.times + 1}
	m.sess.fitness = true
	for a := m.first; a != nil; {
		next := a.next // giveBack takes a out of the list
		if a.phase == waiting {
			m.giveBack(a)
		}
		a = next
	}
}

func (m *Machine) fitAgain() {
	m.unfit.why, m.unfit.until = "", 0
	m.sess.fitness = true
}
