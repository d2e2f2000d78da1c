package sim

import (
	"errors"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// TestJudgeOfPools holds the judge of what pools give away to histories made by hand, of a worker
// with eight processors.
func TestJudgeOfPools(t *testing.T) {
	set := func(s *stage, cpu int64) {
		s.commit(core.PoolSet{Name: core.DefaultName, Policy: job.PoolPolicy{Overcommit: job.Factors{CPU: cpu}}})
	}
	for _, c := range []struct {
		breaks Promise
		what   string
		play   func(*stage)
	}{
		{"", "as much as is given away, and no more after a smaller factor", func(s *stage) {
			set(s, 1500)
			id := s.submit(anArray + "resources: {cpu: 6}\n")
			first, second := s.assign(id, 0, 0, 1), s.assign(id, 0, 1, 1)
			s.start(first)
			set(s, 0)
			s.past.judgePool(job.Factors{})
			s.start(second)
			s.end(first, 0, job.Succeeded)
			s.end(second, 0, job.Succeeded)
			s.start(s.assign(id, 0, 2, 1))
		}},
		{Room, "more than a pool gives away", func(s *stage) {
			set(s, 400)
			s.assign(s.submit(oneTask+"resources: {cpu: 4}\n"), 0, 0, 1)
		}},
		{Room, "more than an over-committed pool gives away", func(s *stage) {
			set(s, 1500)
			id := s.submit(anArray + "resources: {cpu: 7}\n")
			s.assign(id, 0, 0, 1)
			s.assign(id, 0, 1, 1)
		}},
		{Room, "as much as a pool gave away before", func(s *stage) {
			set(s, 2000)
			set(s, 0)
			s.assign(s.submit(oneTask+"resources: {cpu: 9}\n"), 0, 0, 1)
		}},
		{Legal, "an over-commit that changes nothing", func(s *stage) { set(s, 0) }},
		{Durable, "an over-commit is answered and not durable", func(s *stage) { s.past.judgePool(job.Factors{CPU: 2000}) }},
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
