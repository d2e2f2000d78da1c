package sim

import (
	"errors"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

const oneCPU = oneTask + "resources: {cpu: 1, memory: 0}\n"

// assignAhead sends the only worker an attempt that waits there for a place.
func (s *stage) assignAhead(id job.ID) link.Fence {
	s.fence++
	s.commit(core.AttemptAssigned{Job: id, Attempt: 1, Fence: s.fence, Worker: 1, Lease: s.faults.lease.Milliseconds(), At: s.ms(), Prefetched: true})
	return s.fence
}

// endPromoting ends an attempt well, and gives another one its place.
func (s *stage) endPromoting(f, next link.Fence) {
	s.runs[f].end(0)
	s.commit(core.AttemptEnded{Fence: f, At: s.ms(), Next: job.Succeeded, Started: s.ms(), Promotes: next})
}

// rejoin has the only worker come back with so many processors and slots.
func (s *stage) rejoin(cpu int64, slots int) {
	h := s.node.hello
	h.Capacity.CPU, h.Slots = cpu, slots
	s.commit(core.WorkerJoined{ID: 1, Hello: h, At: s.ms()})
}

// fill gives the only worker as many attempts of a processor.
func (s *stage) fill(n int) (all []link.Fence) {
	for range n {
		f := s.assign(s.submit(oneCPU), 0, 0, 1)
		s.start(f)
		all = append(all, f)
	}
	return all
}

// TestJudgeOfQuotas holds the judge of limits, of quotas and of what workers are given in all to
// histories made by hand.
func TestJudgeOfQuotas(t *testing.T) {
	limit := func(s *stage, most job.Limit) {
		s.commit(core.QueueSet{Namespace: "default", Name: "default", Policy: job.QueuePolicy{Limit: most}})
	}
	pending := func(s *stage, most int64) {
		s.commit(core.NamespaceSet{Name: "default", Policy: job.NamespacePolicy{Pending: most}})
	}
	for _, c := range []struct {
		breaks Promise
		what   string
		play   func(*stage)
	}{
		{"", "as many as the queue may have", func(s *stage) {
			limit(s, job.Limit{Running: 2, Resources: job.Resources{CPU: 2000}})
			s.fill(2)
		}},
		{"", "a limit below what runs", func(s *stage) {
			s.fill(3)
			limit(s, job.Limit{Resources: job.Resources{CPU: 1000}})
			s.assign(s.submit(oneTask+"resources: {cpu: 0, memory: 0}\n"), 0, 0, 1) // of what the limit says nothing of
		}},
		{Quotas, "one more attempt than the queue may have", func(s *stage) {
			limit(s, job.Limit{Running: 2})
			s.fill(3)
		}},
		{Quotas, "one more processor than the queue may have", func(s *stage) {
			limit(s, job.Limit{Resources: job.Resources{CPU: 2000}})
			s.fill(3)
		}},
		{Quotas, "one more than the namespace may have, sent ahead", func(s *stage) {
			s.commit(core.NamespaceSet{Name: "default", Policy: job.NamespacePolicy{Limit: job.Limit{Running: 2}}})
			s.fill(2)
			s.assignAhead(s.submit(oneCPU))
		}},
		{Quotas, "a limit is answered that is not durable", func(s *stage) {
			limit(s, job.Limit{Running: 1})
			s.submit(oneTask)
			s.past.asked = s.past.batches
			s.past.judgeLimit("default/default", job.Limit{Running: 2}, 0)
		}},
		{"", "as many as may wait", func(s *stage) {
			pending(s, 11)
			s.submit(oneTask)
			s.submit(anArray)
		}},
		{Quotas, "more than may wait", func(s *stage) {
			pending(s, 11)
			s.submit(oneTask)
			s.submit(oneTask)
			s.submit(anArray)
		}},
		{"", "back with less, and given more once it fits", func(s *stage) {
			all := s.fill(4)
			s.rejoin(2000, 2)
			for _, f := range all[:3] {
				s.end(f, 0, job.Succeeded)
			}
			s.fill(1)
		}},
		{Room, "back with less, and given more before it fits", func(s *stage) {
			all := s.fill(4)
			s.rejoin(2000, 2)
			for _, f := range all[:2] {
				s.end(f, 0, job.Succeeded)
			}
			s.fill(1)
		}},
		{Room, "back with less, and what was sent ahead has the place of another", func(s *stage) {
			all := s.fill(4)
			ahead := s.assignAhead(s.submit(oneCPU))
			s.rejoin(2000, 2)
			s.endPromoting(all[0], ahead)
		}},
		{"", "started ahead of the end that made room", func(s *stage) {
			all := s.fill(4)
			ahead := s.assignAhead(s.submit(oneCPU))
			s.commit(core.AttemptStarted{Fence: ahead, At: s.ms()})
			s.end(all[0], 0, job.Succeeded)
		}},
		{Room, "started ahead of the end that made room, which another is given", func(s *stage) {
			all := s.fill(4)
			ahead, more := s.assignAhead(s.submit(oneCPU)), s.assignAhead(s.submit(oneCPU))
			s.commit(core.AttemptStarted{Fence: ahead, At: s.ms()})
			s.endPromoting(all[0], more)
		}},
		{Room, "something is held at rest", func(s *stage) {
			s.fill(1)
			s.past.judgeRest(core.New(core.Config{}))
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
