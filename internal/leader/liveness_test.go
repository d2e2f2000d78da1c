package leader

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// quiet is who has been silent for at least a lease.
func quiet(l *Liveness, now, lease time.Duration) (out []uint64) {
	for _, s := range l.Step(now, lease) {
		out = append(out, s.Worker)
	}
	return out
}

func TestSilenceIsCounted(t *testing.T) {
	var l Liveness
	const lease = 3 * time.Second
	l.Heard(1)
	l.Heard(2)
	for at := range 10 {
		now := time.Duration(at) * time.Second
		if at%2 == 0 {
			l.Heard(2)
		}
		got := quiet(&l, now, lease)
		if want := at >= 3; slices.Contains(got, 1) != want || slices.Contains(got, 2) {
			t.Errorf("at %s %v are silent", now, got)
		}
	}
	l.Heard(2)
	if s := l.Step(10*time.Second, lease); len(s) != 1 || s[0] != (Silence{Worker: 1, For: 10 * time.Second}) {
		t.Errorf("%v are silent; want worker 1 for 10s", s)
	}
	l.Forget(1)
	l.Forget(1)
	l.Forget(9)
	if got := quiet(&l, 11*time.Second, 0); !slices.Equal(got, []uint64{2}) {
		t.Errorf("%v are watched after worker 1 was forgotten", got)
	}
}

// TestAStallOfTheServerIsNobodysSilence lets a long time pass between two steps: the
// heartbeats that came meanwhile are still to be received.
func TestAStallOfTheServerIsNobodysSilence(t *testing.T) {
	var l Liveness
	const lease = 10 * time.Second
	l.Heard(1)
	l.Step(0, lease)
	if got := quiet(&l, time.Hour, lease); got != nil {
		t.Errorf("%v are given up at the first step after a stall", got)
	}
	l.Heard(1) // what waited in the socket
	l.Step(time.Hour, lease)
	for at := time.Second; at < lease; at += time.Second {
		if got := quiet(&l, time.Hour+at, lease); got != nil {
			t.Errorf("%v are given up %s after a stall, in which they were heard", got, at)
		}
	}
	if got := quiet(&l, time.Hour+lease, lease); !slices.Equal(got, []uint64{1}) {
		t.Errorf("%v are silent a lease later; want worker 1", got)
	}
	if got := quiet(&l, 0, 2*lease); got != nil {
		t.Errorf("a clock that goes back makes %v silent", got)
	}
}

// TestALongTurnIsNobodysSilence hears from a worker all through a step that takes long: its
// session goes on beside a loop that is busy.
func TestALongTurnIsNobodysSilence(t *testing.T) {
	var l Liveness
	l.Heard(1)
	l.Step(0, 0)
	l.Heard(1)
	if s := l.Step(stallAfter, time.Second); s != nil {
		t.Errorf("%v are silent; want nobody, since worker 1 was heard since the last step", s)
	}
	if s := l.Step(stallAfter+time.Second, time.Second); len(s) != 1 || s[0].For != time.Second {
		t.Errorf("%v are silent; want worker 1 for 1s", s)
	}
}

// TestALostWorkerIsInTheLog tells whoever reads the server's log of it, once.
func TestALostWorkerIsInTheLog(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.join("w1")
		after(r.leader.Lease() / 2)
		if strings.Contains(r.log.String(), "lost") {
			t.Errorf("it is too soon:\n%s", r.log)
		}
		after(2 * r.leader.Lease())
		r.end()
		if n := strings.Count(r.log.String(), "a worker is lost"); n != 1 {
			t.Errorf("the log says so %d times:\n%s", n, r.log)
		}
		r.log.wants(t, "worker=w1")
	})
}

// TestLivenessAgainstAModel holds it against a plain sum of steps.
func TestLivenessAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Liveness
		model := map[uint64]time.Duration{} // how long each was silent
		fresh := map[uint64]bool{}          // who was heard since the last step
		now := time.Duration(0)
		l.Step(now, 0)
		for range rapid.IntRange(0, 50).Draw(t, "steps") {
			w := rapid.Uint64Range(1, 4).Draw(t, "worker")
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				l.Heard(w)
				model[w], fresh[w] = 0, true
			case 1:
				l.Forget(w)
				delete(model, w)
			default:
				d := time.Duration(rapid.Int64Range(0, 5000).Draw(t, "ms")) * time.Millisecond
				now += d
				for w := range model {
					if !fresh[w] {
						model[w] += min(d, stallAfter)
					}
				}
				clear(fresh)
				lease := time.Duration(rapid.Int64Range(0, 9000).Draw(t, "lease")) * time.Millisecond
				got := map[uint64]time.Duration{}
				for _, s := range l.Step(now, lease) {
					got[s.Worker] = s.For
				}
				for w, silent := range model {
					if f, ok := got[w]; ok != (silent >= lease) || ok && f != silent {
						t.Fatalf("worker %d is silent for %s, %v of %s", w, f, ok, silent)
					}
					delete(got, w)
				}
				if len(got) > 0 {
					t.Fatalf("%v are not watched", got)
				}
			}
		}
	})
}

func TestClockFollowsTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClock()
		begin := time.Now()
		if c.Now() != begin.UnixMilli() {
			t.Errorf("a new clock says %d; the machine %d", c.Now(), begin.UnixMilli())
		}
		for range 100 {
			after(100*time.Millisecond + 333*time.Microsecond)
			c.Anchor()
		}
		if d := time.Now().UnixMilli() - c.Now(); d < 0 || d > 1 {
			t.Errorf("after 100 anchors the clock is %d ms behind", d)
		}
	})
}

// TestClockOfSeveralServers has clocks go by a time that is read over a network: answers that are late
// move none of them, so that servers agree on when something is due.
func TestClockOfSeveralServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const shift = 3600_000
		shared := func() int64 { return time.Now().UnixMilli() + shift }
		prompt, late := NewClock(), NewClock()
		off := func(when string, c *Clock, most int64) {
			t.Helper()
			if d := c.Now() - shared(); d < -most || d > most {
				t.Errorf("%s: the clock is off by %d ms", when, d)
			}
		}
		for range 50 {
			wall := shared()
			after(time.Millisecond)
			prompt.Keep(wall, time.Millisecond)
			late.Keep(wall, time.Millisecond)
			after(249 * time.Millisecond)
		}
		off("at first", prompt, 3)
		for range 50 {
			wall := shared()
			after(200 * time.Millisecond)
			late.Keep(wall, 200*time.Millisecond)
			off("after a late answer", late, 3)
			after(50 * time.Millisecond)
			off("a moment after a late answer", late, 3)
		}
		wall := shared() - 10_000 // it is set back
		before := late.Now()
		late.Keep(wall, time.Millisecond)
		after(time.Second)
		if d := late.Now() - before; d < 400 || d > 600 {
			t.Errorf("ten seconds behind: %d ms in a second; want half", d)
		}
	})
}

// TestClockThatIsSet sets the machine's clock forward and back: ours never goes back,
// and never stands still.
func TestClockThatIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClock()
		shift := int64(0)
		run := func(d time.Duration) (passed int64) {
			from := c.Now()
			for range int(d / (100 * time.Millisecond)) {
				before := c.Now()
				after(100 * time.Millisecond)
				if now := c.Now(); now <= before {
					t.Fatalf("the clock went from %d to %d in 100 ms", before, now)
				}
				c.set(time.Now(), time.Now().UnixMilli()+shift)
			}
			return c.Now() - from
		}
		shift = 3600_000
		if d := run(time.Minute); d != 3600_000+60_000 {
			t.Errorf("an hour ahead: %d ms in a minute", d)
		}
		shift = 3590_000 // set back by ten seconds
		if d := run(10 * time.Second); d < 4_900 || d > 5_100 {
			t.Errorf("ten seconds behind: %d ms in ten seconds; want half", d)
		}
		run(11 * time.Second)
		if d := run(10 * time.Second); d < 9_990 || d > 10_010 {
			t.Errorf("caught up: %d ms in ten seconds", d)
		}
		if d := c.Now() - time.Now().UnixMilli() - shift; d < -3 || d > 3 {
			t.Errorf("the clock is off by %d ms after it has caught up", d)
		}
	})
}
