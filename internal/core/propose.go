package core

import "github.com/reeve-scheduler/reeve/internal/plan"

// Proposer proposes placements in the plan's stead, so that policies that are not the
// plan's can be tried under the same rules.
type Proposer interface {
	// Next proposes a placement, and false if there is none.
	Next(now int64) (plan.Placement, bool)
}

// PlaceBy is Place by the proposals of another than the plan. It ends at the first
// that breaks a rule. Each placement is told to applied before the next is asked for.
func (s *State) PlaceBy(now int64, most int, p Proposer, applied func(AttemptAssigned)) Decision {
	var d Decision
	for len(d.Events) < most && !s.Due(now) {
		proposal, ok := p.Next(now)
		if !ok {
			break
		}
		placed := s.check(proposal, now)
		if placed == nil {
			break
		}
		for _, e := range placed {
			s.Apply(e)
			applied(e)
			d.Events = append(d.Events, e)
			d.Sends = append(d.Sends, Send{Worker: e.Worker})
		}
	}
	return d
}
