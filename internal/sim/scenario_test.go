package sim

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// scenario is a cluster in which nothing happens by chance but how long things take: a test
// equips it, asks for what it likes and says what must follow. The judge looks on.
type scenario struct {
	*world
	t *testing.T
}

// setting is where a scenario takes place.
type setting struct {
	// servers is how many there are, 1 if 0.
	servers int
	// wild: something is going to fail. Where nothing does more is asked of the cluster.
	wild bool
	// lease is of workers, 10 seconds if 0.
	lease    time.Duration
	machines []machine
}

// machine is a worker: so many slots, as many processors, and what may be sent ahead.
type machine struct{ slots, prefetch int }

// asked is a submit, and what became of it.
type asked struct {
	answered bool
	err      error
	ids      []job.ID
}

// perform plays a scenario. Nothing fails in it but what that lets fail.
func perform(t *testing.T, seed uint64, at setting, play func(*scenario)) {
	t.Helper()
	w := newWorld(Options{Seed: seed})
	s := &scenario{world: w, t: t}
	w.faults = faults{
		calm: !at.wild, lease: cmp.Or(at.lease, 10*time.Second), delay: 5 * time.Millisecond, batch: 10_000, rows: 2000, flushEvery: 200 * time.Millisecond, ring: 100,
		servers: max(at.servers, 1), term: 2 * time.Second, poll: 25 * time.Millisecond,
	}
	for range w.faults.servers {
		w.servers = append(w.servers, newServer(w))
	}
	w.server = w.servers[0]
	for i, m := range at.machines {
		n := newNode(w, i)
		n.hello.Slots, n.hello.Prefetch, n.licences, n.gpus = m.slots, m.prefetch, 0, nil
		n.hello.Capacity.CPU, n.hello.Capacity.Memory = int64(m.slots)*1000, int64(m.slots)<<30
		w.nodes = append(w.nodes, n)
	}
	if err := w.watched(func() {
		for _, x := range w.servers {
			x.start()
		}
		for _, n := range w.nodes {
			n.boot()
		}
		s.until("a server leads", time.Minute, func() bool { return s.server.ready })
		s.order(core.PutQueue{Namespace: core.DefaultName, Name: "night", Create: true})
		s.until("the workers are there", time.Minute, func() bool { return len(w.past.workers) == len(at.machines) })
		play(s)
	}); err != nil {
		t.Fatal(err)
	}
}

// until lets things happen until ok, which must be so in time, and returns how long it took.
func (s *scenario) until(what string, most time.Duration, ok func() bool) time.Duration {
	s.t.Helper()
	began := s.now
	for !ok() {
		if s.now-began > most {
			s.t.Fatalf("seed %d: after %v it is not so that %s:\n%.2000s", s.opt.Seed, most, what, s.stuck())
		}
		s.steps = 0 // a scenario may be long
		s.step()
	}
	return s.now - began
}

// pass lets things happen for a while.
func (s *scenario) pass(d time.Duration) {
	for end := s.now + d; s.now < end; {
		s.step()
	}
}

// order has a command carried out.
func (s *scenario) order(c core.Command) {
	s.t.Helper()
	over := false
	s.users.ask(&call{what: "order", lane: laneControl, command: func(*server) core.Command { return c }, heard: func(_ any, err error) {
		if over = true; err != nil {
			s.t.Errorf("%+v: %v", c, err)
		}
	}})
	s.until("it is carried out", time.Minute, func() bool { return over })
}

// ask submits so many jobs of a file, and does not wait.
func (s *scenario) ask(space string, n int, text string) *asked {
	sub, a := s.users.parse(text), &asked{}
	sub.times = n
	s.users.ask(&call{
		what: "submit", lane: laneSubmit,
		command: func(srv *server) core.Command {
			c := sub.command(srv).(core.Submit)
			c.Namespace = space
			return c
		},
		heard: func(reply any, err error) {
			a.answered, a.err = true, err
			if err != nil {
				return
			}
			for _, r := range reply.([]core.Submitted) {
				a.ids = append(a.ids, r.ID)
			}
		},
	})
	return a
}

// submit submits so many jobs of a file, and returns their ids.
func (s *scenario) submit(n int, format string, args ...any) []job.ID {
	s.t.Helper()
	a := s.ask(core.DefaultName, n, fmt.Sprintf(format, args...))
	s.until("a submit is answered", time.Minute, func() bool { return a.answered })
	if a.err != nil {
		s.t.Fatal(a.err)
	}
	return a.ids
}

// given is how many of some jobs have been given to a worker, ended how many have ended.
func (s *scenario) given(ids ...job.ID) (n int) {
	for _, id := range ids {
		if j := s.past.jobs[id]; j != nil && j.given {
			n++
		}
	}
	return n
}

func (s *scenario) ended(ids ...job.ID) (n int) {
	for _, id := range ids {
		if j := s.past.jobs[id]; j != nil && j.state.Terminal() {
			n++
		}
	}
	return n
}

// running is how many processes run.
func (s *scenario) running() (n int) {
	for _, n2 := range s.nodes {
		n += len(s.truth.running[n2])
	}
	return n
}

// finish wants everything to end that was asked for, and nothing to be left of it.
func (s *scenario) finish() {
	s.t.Helper()
	s.heal()
	s.until("everything has ended", 2*time.Hour, s.users.done)
	s.pass(settleFor)
	s.judgeEnd()
}
