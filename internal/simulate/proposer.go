package simulate

import (
	"github.com/reeve-scheduler/reeve/internal/classic"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// proposer lets a policy of the literature propose to the core.
type proposer struct {
	s      *classic.Scheduler
	first  job.ID
	worker uint64
	base   int64
}

func (p *proposer) Next(now int64) (plan.Placement, bool) {
	i, ok := p.s.Next(now - p.base)
	return plan.Placement{Group: plan.GroupID{Job: p.first + job.ID(i)}, Worker: p.worker}, ok
}

// applied hears that a proposal was carried out.
func (p *proposer) applied(e core.AttemptAssigned) {
	p.s.Start(int(e.Job-p.first), e.At-p.base)
}
