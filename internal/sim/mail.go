package sim

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// mail puts messages for workers into the batch.
func (s *server) mail(sends []core.Send) {
	for i, m := range sends {
		msg := m.Msg
		if m.Assign != nil {
			if msg.Assign = s.assignments(m.Assign); msg.Assign == nil {
				continue
			}
		}
		if s.w.opt.Bug == BugDropMail && i == 0 && msg.Assign != nil && len(msg.Assign.Attempts)%2 == 1 {
			continue
		}
		s.forming.out = append(s.forming.out, func() {
			if s.current(&msg) {
				s.hub.deliver(m.Worker, []link.ToWorker{msg})
			}
		})
	}
}

// current leaves out of a message the attempts that have ended meanwhile, and reports
// whether anything is left.
func (s *server) current(m *link.ToWorker) bool {
	if m.Assign == nil {
		return true
	}
	m.Assign.Attempts = slices.DeleteFunc(m.Assign.Attempts, func(a link.Assignment) bool {
		_, live := s.state.AttemptAt(uint64(a.Fence))
		return !live
	})
	return len(m.Assign.Attempts) > 0
}

func (s *server) assignments(fences []link.Fence) *link.Assign {
	m := &link.Assign{Attempts: s.state.Assignments(fences)}
	for i := range m.Attempts {
		h := m.Attempts[i].SpecHash
		if i == 0 || m.Attempts[i-1].SpecHash != h {
			m.Specs = append(m.Specs, link.SpecText{Hash: h, Canonical: s.state.Canonical(h)})
		}
	}
	if len(m.Attempts) == 0 {
		return nil
	}
	return m
}
