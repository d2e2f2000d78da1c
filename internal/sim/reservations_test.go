package sim

import (
	"errors"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/core"
)

// TestJudgeOfReservations holds the judge of what workers are set aside for to histories made by hand.
func TestJudgeOfReservations(t *testing.T) {
	set := func(s *stage, from, until int64, queue string) {
		e := core.ReservationSet{Name: "night", Pool: core.DefaultName, From: s.ms() + from, Until: s.ms() + until, Queue: queue}
		if queue != "" {
			e.Namespace = core.DefaultName
		}
		s.commit(e)
	}
	for _, c := range []struct {
		breaks Promise
		what   string
		play   func(*stage)
	}{
		{"", "for its own queue, before it, and after it was removed", func(s *stage) {
			set(s, 0, 1000, core.DefaultName)
			s.start(s.assign(s.submit(oneTask), 0, 0, 1))
			set(s, 1000, 2000, "")
			s.start(s.assign(s.submit(oneTask), 0, 0, 1))
			set(s, 0, 1000, "night")
			s.commit(core.ReservationRemoved{Name: "night"})
			s.start(s.assign(s.submit(oneTask), 0, 0, 1))
		}},
		{Legal, "against a reservation of nobody", func(s *stage) {
			set(s, 0, 1000, "")
			s.assign(s.submit(oneTask), 0, 0, 1)
		}},
		{Legal, "against a reservation of another queue", func(s *stage) {
			set(s, 0, 1000, "night")
			s.assign(s.submit(oneTask), 0, 0, 1)
		}},
		{Legal, "the end of none", func(s *stage) { s.commit(core.ReservationRemoved{Name: "night"}) }},
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
