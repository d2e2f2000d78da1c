package sim

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Jobs of a moment, and of a minute at most.
const (
	briefly = "command: [sim, \"20\", \"0\", \"0\"]\nresources: {cpu: 1, memory: 0}\n"
	forLong = "command: [sim, \"60000\", \"0\", \"0\"]\nresources: {cpu: 1, memory: 0}\n"
)

// TestABlockedQueueHoldsUpNoOther has a thousand jobs of a high class wait for what they can't
// have, and jobs of another queue for nothing: those start at once, for as long as it lasts.
func TestABlockedQueueHoldsUpNoOther(t *testing.T) {
	const blocked, few, within = 1000, 10, time.Second
	queue := "queue: night\npriority: high\n"
	busy := func(s *scenario) { s.submit(4, "%s", forLong) }
	for what, c := range map[string]struct {
		before  func(*scenario)
		blocked string
	}{
		"no worker takes them": {nil, briefly + "where: {zone: nowhere}\n"},
		"their queue is at its limit": {func(s *scenario) {
			s.order(core.PutQueue{Namespace: core.DefaultName, Name: "night", Change: job.QueueChange{Limit: &job.Limit{Running: 1}}})
		}, forLong},
		"their queue is paused": {func(s *scenario) {
			s.order(core.PutQueue{Namespace: core.DefaultName, Name: "night", Paused: new(true)})
		}, briefly},
		"one has their key":              {nil, forLong + "concurrency: {key: one, limit: 1}\n"},
		"their attempts share a key":     {nil, "tasks:\n  a: {command: [sim, \"60000\", \"0\", \"0\"], concurrency: {key: one, limit: 1}}\n"},
		"they need more than is free":    {busy, "command: [sim, \"20\", \"0\", \"0\"]\nresources: {cpu: 4, memory: 0}\n"},
		"they need more workers at once": {busy, "command: [sim, \"20\", \"0\", \"0\"]\nnodes: 3\nresources: {cpu: 4, memory: 0}\n"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3) {
				perform(t, 1+seed, setting{machines: []machine{{4, 2}, {4, 2}, {4, 0}, {4, 0}}}, func(s *scenario) {
					if c.before != nil {
						c.before(s)
					}
					stuck := s.submit(blocked, "%s", queue+c.blocked)
					for range 20 {
						id := s.submit(1, "%s", briefly)
						s.until("a job starts that nothing stands in the way of", within, func() bool { return s.given(id...) == 1 })
					}
					if n := s.given(stuck...); n > few {
						t.Errorf("%d of those that are to be blocked have started", n)
					}
					for _, id := range stuck {
						s.users.until("cancel", laneControl, func(*server) core.Command { return core.Cancel{Job: id, Task: core.NoTask, By: "anna"} })
					}
					s.finish()
				})
			}
		})
	}
}

// TestTheWideAreNotStarved has an endless stream of narrow jobs of a low class, and a wide one of
// a high class, or a gang, for which a whole worker, or all of them, must be empty. It starts once
// what runs there has ended, with what was sent ahead of its place.
func TestTheWideAreNotStarved(t *testing.T) {
	const longest = 3 * time.Second
	narrow := "priority: low\ncommand: [sim, \"3000\", \"0\", \"0\"]\nresources: {cpu: 1, memory: 0}\narray: 0-99\n"
	for what, wide := range map[string]string{
		"an attempt": "resources: {cpu: 4, memory: 0}\n",
		"a gang":     "resources: {cpu: 4, memory: 0}\nnodes: 2\n",
	} {
		for _, prefetch := range []int{0, 4} {
			t.Run(fmt.Sprintf("%s, %d ahead", what, prefetch), func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(3) {
					perform(t, 1+seed, setting{machines: []machine{{4, prefetch}, {4, prefetch}}}, func(s *scenario) {
						var waits []job.ID
						stream := func() { // at least a hundred elements wait
							for s.past.live-s.ended(waits...) < 3 {
								waits = append(waits, s.submit(1, "%s", narrow)...)
							}
						}
						stream()
						s.until("all places are taken", time.Minute, func() bool { return s.running() == 8 })
						for range 5 {
							id := s.submit(1, "priority: high\ncommand: [sim, \"20\", \"0\", \"0\"]\n%s", wide)
							took := s.until("the wide one starts", 2*longest+2*time.Second, func() bool { return s.given(id...) == 1 })
							t.Logf("seed %d: it started after %v", s.opt.Seed, took)
							stream()
							s.pass(5 * time.Second)
						}
						s.finish()
					})
				}
			})
		}
	}
}

// TestANoisyTenant has one send a hundred thousand jobs, a hundred at a time, as fast as it can.
// Most are refused for its quota, in a way that says when to come again. Another one has half of
// the workers as long as it has work, and one job of it starts as soon as anything ends.
func TestANoisyTenant(t *testing.T) {
	t.Parallel()
	const quota, each, sends = 1000, 100, 1000
	for seed := range uint64(1) {
		perform(t, 1+seed, setting{machines: []machine{{4, 0}, {4, 0}, {4, 4}}}, func(s *scenario) {
			for _, name := range []string{"noisy", "quiet"} {
				s.order(core.PutNamespace{Name: name, Create: true, Change: job.NamespaceChange{Pending: new(int64(quota))}})
			}
			text := "command: [sim, \"1000\", \"0\", \"0\"]\nresources: {cpu: 1, memory: 0}\n"
			var sent []*asked
			var shout func()
			shout = func() {
				if sent = append(sent, s.ask("noisy", each, text)); len(sent) < sends {
					s.after(20*time.Millisecond, shout)
				}
			}
			shout()
			s.until("all places are taken", time.Minute, func() bool { return s.running() == 12 })
			for range 10 {
				one := s.ask("quiet", 1, text)
				s.until("a job of the quiet one starts", 1500*time.Millisecond, func() bool { return s.given(one.ids...) == 1 })
				s.pass(300 * time.Millisecond)
			}
			given := func(space string) (n int) {
				for _, j := range s.past.jobs {
					if j.space == space && j.given {
						n++
					}
				}
				return n
			}
			many := s.ask("quiet", 400, text)
			s.until("many of the quiet one wait", time.Minute, func() bool { return many.answered })
			loud, calm := given("noisy"), given("quiet")
			s.pass(10 * time.Second)
			loud, calm = given("noisy")-loud, given("quiet")-calm
			if 10*calm < 4*(calm+loud) || 10*calm > 6*(calm+loud) {
				t.Errorf("seed %d: while both had work %d of the quiet one have started and %d of the noisy one; want as many", s.opt.Seed, calm, loud)
			}
			s.until("everything is sent", time.Minute, func() bool { return len(sent) == sends && sent[sends-1].answered })
			refused := 0
			for _, a := range sent {
				if a.err == nil {
					continue
				}
				refused++
				if e, ok := errors.AsType[*job.Error](a.err); !ok || e.Code != job.Busy || e.After <= 0 {
					t.Fatalf("a submit is refused: %v; want it to say when to come again", a.err)
				}
			}
			t.Logf("seed %d: %d of %d submits refused; %d and %d started beside one another", s.opt.Seed, refused, sends, loud, calm)
			if refused < sends*8/10 {
				t.Errorf("%d of %d submits were refused; want most", refused, sends)
			}
			s.finish()
		})
	}
}

// TestTheLastSlot has two hundred jobs want the last slot at once, of one worker or of several,
// while leaders die: the judge sees to it that one has it at a time.
func TestTheLastSlot(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		for _, ahead := range []int{0, 3} {
			perform(t, 1+seed, setting{servers: 3, wild: true, machines: []machine{{1, ahead}, {1, ahead}}}, func(s *scenario) {
				held := s.submit(1, "%s", forLong)
				var all []job.ID
				for range 4 {
					all = append(all, s.submit(50, "%s", briefly)...)
				}
				for range 5 {
					s.pass(2 * time.Second)
					s.server.crash("by the scenario")
				}
				s.until("all have had it", 10*time.Minute, func() bool { return s.ended(append(all, held...)...) == 201 })
				s.finish()
			})
		}
	}
}

// TestAWorkerComesBackWithLess restarts an agent with half of what its worker had while all of
// that is in use: what runs goes on, and nothing is placed there before it has become less than
// what there is now. That nothing is the judge sees.
func TestAWorkerComesBackWithLess(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		for _, ahead := range []int{0, 3} {
			perform(t, 1+seed, setting{wild: true, lease: time.Minute, machines: []machine{{4, ahead}}}, func(s *scenario) {
				all := s.submit(20, "command: [sim, \"10000\", \"0\", \"0\"]\nresources: {cpu: 1, memory: 0}\n")
				s.until("all places are taken", time.Minute, func() bool { return s.running() == 4 })
				n := s.nodes[0]
				n.agentGone()
				n.hello.Slots, n.hello.Capacity.CPU = 2, 2000
				n.startAgent()
				s.until("it is back", time.Minute, func() bool { return s.past.workers[1].hello.Slots == 2 })
				left := s.running()
				if !s.past.workers[1].short {
					t.Fatalf("seed %d: it is back with %d that run; want more than it has", s.opt.Seed, left)
				}
				for was := left; s.ended(all...) < len(all); was = s.running() {
					s.step()
					if now := s.running(); now > was && now > 2 {
						t.Fatalf("seed %d: %d run on it, and %d did before", s.opt.Seed, now, was)
					}
				}
				s.finish()
			})
		}
	}
}

// TestNoKeyLeaks kills who holds a key, at every moment from before it was given the key to after
// it has ended: agent and keeper for good, or the server, which comes back. Whoever waits for the
// key has it once the lease is over at the latest.
func TestNoKeyLeaks(t *testing.T) {
	for what, key := range map[string]string{
		"of a job":      "concurrency: {key: one, limit: 1}\ntasks:\n  a:\n",
		"of an attempt": "tasks:\n  a:\n    concurrency: {key: one, limit: 1}\n",
	} {
		for _, victim := range []string{"worker", "server"} {
			t.Run(what+", "+victim, func(t *testing.T) {
				t.Parallel()
				moments := 0
				for over := false; !over; moments++ {
					perform(t, 7, setting{wild: true, machines: []machine{{1, 1}, {1, 1}}}, func(s *scenario) { over = s.killHolder(key, victim, moments) })
				}
				if t.Logf("killed at %d moments", moments); moments < 30 {
					t.Errorf("there were %d moments; want what happens to a job to take more", moments)
				}
			})
		}
	}
}

// killHolder kills who holds a key so many steps after it was asked for, and reports whether it
// had ended before that.
func (s *scenario) killHolder(key, victim string, at int) (over bool) {
	file := func(most int, name string) string {
		return fmt.Sprintf("%s    command: [sim, \"%d\", \"0\", \"0\"]\n    where: {name: %s}\n    retry: {on_lost: 0}\n", key, most, name)
	}
	night := func(paused bool) core.Command {
		return core.PutQueue{Namespace: core.DefaultName, Name: "night", Paused: &paused}
	}
	s.order(night(true))
	waits := s.submit(1, "queue: night\n%s", file(100, "w1"))
	s.ask(core.DefaultName, 1, file(300, "w0"))
	for range at {
		s.step()
	}
	holder := s.past.jobs[waits[0]+1] // if it was submitted by now
	switch over = holder != nil && holder.state.Terminal(); {
	case over:
	case victim == "worker":
		s.nodes[0].off = true // it does not come back
		s.nodes[0].killBoth()
	default:
		s.server.crash("by the scenario")
	}
	s.users.until("resume", laneControl, func(*server) core.Command { return night(false) })
	s.until("the queue goes on", time.Minute, func() bool { return !s.past.paused[core.DefaultName+"/night"] })
	s.until("who waits has the key", s.faults.lease+s.faults.lease/10+5*time.Second, func() bool { return s.given(waits...) == 1 })
	s.until("that has ended", time.Minute, func() bool { return s.ended(waits...) == 1 })
	for id := range s.past.unfinished() { // what was not given to the worker that is gone
		s.order(core.Cancel{Job: id, Task: core.NoTask, By: "anna"})
	}
	s.until("nothing lives", time.Minute, func() bool { return s.past.live == 0 && s.server.ready && s.server.flying == nil })
	if keys, err := s.server.state.Keys(core.DefaultName, "", "", 10); err != nil || len(keys) != 0 {
		s.t.Errorf("killed at step %d, in use are %+v (%v)", at, keys, err)
	}
	return over
}

// TestABacklogDrainsAtCapacity has fifty thousand elements wait for a hundred slots: from the
// first seconds to the last nearly all slots are busy. Nothing that protects the cluster gets in
// the way of that.
func TestABacklogDrainsAtCapacity(t *testing.T) {
	t.Parallel()
	const jobs, each, slots = 10, 5000, 100
	perform(t, 1, setting{machines: []machine{{25, 5}, {25, 5}, {25, 5}, {25, 5}}}, func(s *scenario) {
		all := s.submit(jobs, "command: [sim, \"3000\", \"0\", \"0\"]\nresources: {cpu: 1, memory: 0}\narray: 0-%d\n", each-1)
		began := s.now
		s.pass(2 * time.Second)
		least := slots
		for s.tally["process starts"] < jobs*each-slots {
			s.steps = 0
			s.pass(time.Second)
			least = min(least, s.running())
		}
		s.until("all have ended", time.Minute, func() bool { return s.ended(all...) == jobs })
		took := s.now - began
		t.Logf("%d elements took %v: %.0f/s; at least %d of %d slots were busy", jobs*each, took, jobs*each/took.Seconds(), least, slots)
		if least < slots*9/10 {
			t.Errorf("at some moment %d of %d slots were busy, with a backlog", least, slots)
		}
		s.finish()
	})
}
