package leader

import (
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// TestGate lets as many come as may, a second at a time.
func TestGate(t *testing.T) {
	for _, c := range []struct {
		what         string
		ended, ready int64 // in a second, and at each look
		want         int   // let in, of far more
	}{
		{"nothing ends", 0, 10_000_000, -1},
		{"the workers set the pace", gatePace - 100, 10_000_000, -1},
		{"little waits", 40_000, gateWait * 39_000, -1},
		{"much waits", 40_000, gateWait * 41_000, 40_000 * gateAim * 40 / (gateWait * 41)},
		{"more waits", 80_000, 10_000_000, 80_000 / gateFewest},
		{"much waits on slow workers", gatePace + 500, 10_000_000, gateLeast},
	} {
		var g gate
		now := time.Unix(1, 0)
		taken := 0
		for step := range 100 { // of a tenth of a second; the first nine seconds only show the pace
			g.ended += c.ended / 10
			now = now.Add(gateEvery)
			g.look(now, c.ready)
			for range 1000 {
				if step < 90 {
					break
				}
				full := g.shut.Load() != nil
				err := g.take(100)
				if full != (err != nil) {
					t.Fatalf("%s: full says %v, take %v", c.what, full, err)
				}
				if err != nil {
					wantCode(t, err, job.Busy, "try again in a second")
					break
				}
				taken += 100
			}
		}
		if c.want < 0 && taken != 1_000_000 {
			t.Errorf("%s: %d were let in, want all", c.what, taken)
		}
		if slack := 1000; c.want >= 0 && (taken < c.want-slack || taken > c.want+slack) {
			t.Errorf("%s: %d were let in, want about %d", c.what, taken, c.want)
		}
	}
}

// TestGateSettles offers twice what ends for a while, and then half of it: what waits comes
// down to what is aimed at and stays there, and afterwards everything is let in again.
func TestGateSettles(t *testing.T) {
	const ends = 4000 // at each look
	var g gate
	now := time.Unix(1, 0)
	ready := int64(0)
	refused := false
	offer := func(looks, n int) {
		refused = false
		for range looks {
			now = now.Add(gateEvery)
			g.look(now, ready)
			for range n / 100 {
				if err := g.take(100); err != nil {
					refused = true
				} else {
					ready += 100
				}
			}
			g.ended = min(ends, ready)
			ready -= g.ended
		}
	}
	offer(200, 2*ends)
	for range 100 {
		offer(1, 2*ends)
		if aim := int64(gateAim * 10 * ends); ready < aim*9/10 || ready > aim*11/10 {
			t.Fatalf("%d wait, want about %d", ready, aim)
		}
	}
	offer(100, ends/2)
	if refused || g.tight || ready > ends {
		t.Errorf("ten seconds after the overload: %d wait, tight %t, somebody was refused %t", ready, g.tight, refused)
	}
}

// TestGateStaysShutWhenWorkSlowsDown: a pace that falls is no reason to let everybody in,
// unless it stays low.
func TestGateStaysShutWhenWorkSlowsDown(t *testing.T) {
	var g gate
	now := time.Unix(1, 0)
	looks := func(n int, ended int64) {
		for range n {
			now = now.Add(gateEvery)
			g.ended = ended
			g.look(now, 1_000_000)
		}
	}
	looks(2*gateLooks, 4000)
	looks(5*gateLooks, 10)
	if !g.tight {
		t.Error("the gate opened five seconds after the work all but stood still")
	}
	looks(20*gateLooks, 10)
	if g.tight {
		t.Error("the gate is shut 25 seconds after the workers began to set the pace")
	}
}

// TestGateKeepsAccount: a submit larger than the room there is takes from the room to come.
func TestGateKeepsAccount(t *testing.T) {
	var g gate
	now := time.Unix(1, 0)
	look := func() {
		now = now.Add(gateEvery)
		g.ended = 2000
		g.look(now, 1_000_000)
	}
	aimed := func() {
		now = now.Add(gateEvery)
		g.ended = 2000
		g.look(now, gateAim*20_000)
	}
	for range gateLooks {
		if err := g.take(10_000); err != nil {
			t.Errorf("a burst was refused: %v", err)
		}
		look()
	}
	aimed()
	if err := g.take(5000); err != nil {
		t.Fatal(err)
	}
	for step := range 2 {
		aimed()
		if err := g.take(1); (err == nil) != (step == 1) {
			t.Errorf("%d looks after a submit of 2.5 times the room: %v", step+1, err)
		}
	}
}

// TestNoMoreThanMemoryHolds has a process that keeps as much as it may: submits are refused,
// ends are not, and then submits are taken again.
func TestNoMoreThanMemoryHolds(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var full guarded[bool]
		r.settings.MemoryFull = full.get
		r.run()
		worker := r.join("w1")
		r.do(submit(t, plain, 1))
		full.set(true)
		after(2 * censusEvery)
		_, err := r.leader.Do(t.Context(), submit(t, plain, 1))
		wantCode(t, err, job.Busy, "no memory")
		wantCode(t, r.leader.Full(), job.Busy, "no memory")
		r.do(ended(worker, r.given(worker)[0]))
		full.set(false)
		after(2 * censusEvery)
		r.do(submit(t, plain, 1))
		if err := r.leader.Full(); err != nil {
			t.Error(err)
		}
		r.end()
	})
}

// TestTheGateCountsTasks: what a job brings is as much as its tasks are.
func TestTheGateCountsTasks(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.state(func(*core.State) {
			r.leader.gate.tight, r.leader.gate.room, r.leader.gate.looked = true, 7, time.Now().Add(time.Minute)
		})
		r.do(submit(t, `{"tasks": {"a": {"run": "true"}, "b": {"run": "true"}, "c": {"run": "true"}}}`, 2))
		r.state(func(*core.State) {
			if room := r.leader.gate.room; room != 1 {
				t.Errorf("two jobs of three tasks leave room for %d of 7, want 1", room)
			}
		})
		r.end()
	})
}

// TestOnlySubmitsAreRefusedAtTheGate shuts it: what is no submit goes on, and when what
// waits has become less, submits do too.
func TestOnlySubmitsAreRefusedAtTheGate(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		worker := r.join("w1")
		r.do(submit(t, plain, 2))
		r.state(func(s *core.State) {
			if s.Ready() != 1 {
				t.Errorf("%d tasks are ready beside the one that was given out, want 1", s.Ready())
			}
			r.leader.gate.tight, r.leader.gate.looked = true, time.Now().Add(time.Minute)
			r.leader.gate.shut.Store(r.leader.gate.refusal())
		})
		_, err := r.leader.Do(t.Context(), submit(t, plain, 1))
		wantCode(t, err, job.Busy, "hands full")
		wantCode(t, r.leader.Full(), job.Busy, "hands full")
		r.do(ended(worker, r.given(worker)[0]))
		r.do(core.Cancel{Job: 2, Task: core.NoTask, By: "anna"})
		after(time.Minute + 2*gateEvery)
		if err := r.leader.Full(); err != nil {
			t.Error(err)
		}
		r.do(submit(t, plain, 1))
		r.end()
	})
}
