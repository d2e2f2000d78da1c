package sim

import (
	"errors"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/core"
)

// TestJudgeOfUpdates holds the judge of what is changed of jobs to histories made by hand.
func TestJudgeOfUpdates(t *testing.T) {
	for _, c := range []struct {
		breaks Promise
		what   string
		play   func(*stage)
	}{
		{"", "changed, and put to the front twice", func(s *stage) {
			a, b := s.submit(oneTask), s.submit(oneTask)
			s.commit(core.JobChanged{Job: a, Queue: "night", Priority: 3}, core.JobChanged{Job: b, Queue: "night", Front: 5})
			s.commit(core.JobChanged{Job: a, Queue: "night", Priority: 3, Front: 6})
			s.past.judgeUpdate(a, core.Standing{Queue: "night", Priority: 3, Front: 6})
			s.commit(core.JobChanged{Job: a, Queue: "default", Front: 4})
		}},
		{Legal, "a change of nothing", func(s *stage) { s.commit(core.JobChanged{Job: s.submit(oneTask), Queue: "default"}) }},
		{Legal, "to the front, and behind another", func(s *stage) {
			a, b := s.submit(oneTask), s.submit(oneTask)
			s.commit(core.JobChanged{Job: a, Queue: "default", Front: 5})
			s.commit(core.JobChanged{Job: b, Queue: "default", Front: 5})
		}},
		{OneEnd, "after the end", func(s *stage) {
			id := s.submit(oneTask)
			s.cancel(id)
			s.jobEnded(id, 4, 130)
			s.commit(core.JobChanged{Job: id, Queue: "default", Priority: 1})
		}},
		{Durable, "a change is answered that is not durable", func(s *stage) {
			id := s.submit(oneTask)
			s.commit(core.HoldSet{Job: id, Task: core.NoTask, Held: true})
			s.past.judgeUpdate(id, core.Standing{Queue: "night"})
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := newStage()
			err := s.watched(func() { c.play(s) })
			v, ok := errors.AsType[*BrokenError](err)
			if c.breaks == "" && err != nil || c.breaks != "" && (!ok || v.Promise != c.breaks) {
				t.Errorf("want %q to be broken: %v", c.breaks, err)
			}
		})
	}
}
