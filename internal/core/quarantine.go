package core

import (
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Quarantine gives up the job that the last call of Follow looked at, after that has
// panicked: what waits of it fails, what runs is killed. Follow looks at it at every start
// of a server, so that one job which Reeve itself fails at would keep it from all others.
// False means that there is nothing to give up, or that it was given up before: then the
// fault lies deeper.
func (s *State) Quarantine(now int64) (d Decision, id job.ID, ok bool) {
	id = s.follow.at
	j := s.jobs.get(id)
	if j == nil || j.state.Terminal() || j.stop.Kind == job.CauseQuarantined {
		return d, id, false
	}
	cause := job.Cause{Kind: job.CauseQuarantined, Detail: "internal error while deciding what follows; the server's log has it"}
	d.Events = append(d.Events, CancelRequested{Job: id, Task: NoTask, Kill: true, Cause: cause, At: now})
	for i := range j.tasks {
		ti := uint32(i)
		if j.tasks[i].counts()[job.Pending] > 0 {
			d.Events = append(d.Events, ElementsEnded{
				Job: id, Task: ti, Spans: []element.Span{{First: 0, Last: max(j.tasks[i].n, 1) - 1}}, State: job.Failed, Cause: cause, At: now,
			})
		}
		s.stopLive(&d, j, ti, nil, cause, true)
	}
	return d, id, true
}
