package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/reeve-scheduler/reeve/internal/replica"
)

// faults is how ill a run is. Each kind has a rate of its own, drawn per seed and often
// zero: a run with one kind of fault reaches corners that a run with all of them never
// does (Groce et al., "Swarm Testing", 2012).
type faults struct {
	// length is how long faults and users go on.
	length time.Duration
	lease  time.Duration
	// delay is the longest usual delay of a message; slow ones take much longer.
	delay time.Duration
	// The rest is chances in a thousand: per message, append or flush.
	slow, reset                                int
	unknown, failFlush, crashAppend, crashSend int
	forgetful                                  int // answers to users that get lost
	stall                                      int // of the server, with messages of workers unread
	disk                                       int // what a worker's disk does not take
	broken, failRead, crashFlush               int // per append; call of tables and journal that reads; flush
	power                                      int // of the server's crashes
	double                                     int // messages that come twice
	dieWithin                                  int // of the steps of an agent, and the calls of a keeper
	late                                       int // submits whose facts get old
	hangUp                                     int // of a watcher's reads
	// every is the mean time between two faults of a kind, zero for never.
	every struct{ crash, stall, agentKill, agentStop, keeperKill, bothKill, reboot, leave, cut, clock time.Duration }
	// servers is how many there are. The rest is of several: term is how long the leader's
	// lease lasts, poll how often a follower looks for more, slowStore the chance that an
	// append takes long, in a thousand.
	servers    int
	term, poll time.Duration
	slowStore  int
	apart      struct{ cut, away, part, resign, failOver time.Duration }
	// drift is by how much workers' clocks are fast or slow at most, in thousandths. A
	// server allows for a tenth.
	drift int
	// calm is a run without a fault, in which more can be asked.
	calm bool
	// dropTail is whether a session that breaks loses what it has received.
	dropTail bool
	// rows is how many jobs a flush encodes per turn.
	rows int
	// batch is after how many events a batch is full.
	batch      int
	flushEvery time.Duration
	// ring is how much the hub of watchers keeps.
	ring int
}

// settleFor is how long a healed cluster is watched after everything has ended: a finished
// job stays in memory for a minute, by a clock that may go at half its pace.
const settleFor = 150 * time.Second

// drawFaults draws how ill a run is. A bug that only calm runs show gets one.
func drawFaults(r *rand.Rand, bug Bug) faults {
	rate := func(most int) int {
		if r.IntN(2) == 0 {
			return 0
		}
		return 1 + r.IntN(most)
	}
	every := func(least time.Duration) time.Duration {
		if r.IntN(2) == 0 {
			return 0
		}
		return least * time.Duration(1+r.IntN(4))
	}
	f := faults{
		length: time.Duration(40+r.IntN(120)) * time.Second,
		lease:  []time.Duration{5 * time.Second, 10 * time.Second, 10 * time.Second, 30 * time.Second}[r.IntN(4)],
		delay:  []time.Duration{time.Millisecond, 5 * time.Millisecond, 50 * time.Millisecond}[r.IntN(3)],
		slow:   rate(30), reset: rate(10), unknown: rate(100), failFlush: rate(200), crashAppend: rate(20), crashSend: rate(20),
		forgetful: rate(300), stall: rate(3), disk: rate(30), dropTail: r.IntN(2) == 0,
		batch: []int{1, 2, 20, 10_000, 10_000, 10_000}[r.IntN(6)], rows: []int{1, 3, 2000}[r.IntN(3)], flushEvery: []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, 5 * time.Second}[r.IntN(3)],
	}
	f.broken, f.failRead, f.crashFlush, f.power = rate(5), rate(30), rate(20), rate(1000)
	f.double, f.dieWithin, f.late, f.hangUp = rate(30), rate(3), rate(60), rate(200)
	if r.IntN(2) == 0 && bug != BugOldFacts {
		f.late = 0
	}
	if f.late > 0 { // there must be time for what was read to get old, and to be used
		f.length += 3 * time.Minute
	}
	f.ring, f.servers = []int{4, 100, replica.DefaultRing}[r.IntN(3)], 1
	if f.calm = (r.IntN(8) == 0 || bug == BugNoRenewal) && bug != BugOldFacts; f.calm {
		f.quiet()
		return f
	}
	f.drawServers(r, bug, every)
	f.drift = []int{0, 0, 1, 40}[r.IntN(4)]
	e := &f.every
	e.crash, e.stall = every(10*time.Second), every(8*time.Second)
	e.agentKill, e.agentStop = every(10*time.Second), every(10*time.Second)
	e.keeperKill, e.bothKill, e.reboot, e.leave = every(20*time.Second), every(15*time.Second), every(20*time.Second), every(20*time.Second)
	e.cut, e.clock = every(6*time.Second), every(15*time.Second)
	if f.late > 0 && r.IntN(4) > 0 || bug == BugOldFacts { // else the server hardly lives for long enough
		e.crash, f.crashAppend, f.crashSend, f.crashFlush, f.broken = 0, 0, 0, 0, 0
	}
	return f
}

// drawServers draws how many servers there are, and what fails where there are several.
func (f *faults) drawServers(r *rand.Rand, bug Bug, every func(time.Duration) time.Duration) {
	f.servers = []int{1, 1, 2, 3}[r.IntN(4)]
	if bug != "" {
		f.servers = 1
	}
	switch bug {
	case BugNoFencing, BugHoldOn, BugNoReadIndex, BugNoGrace, BugNoLeap:
		f.servers = 2
	}
	if f.servers == 1 {
		return
	}
	f.term = time.Duration(1+r.IntN(3)) * time.Second
	f.poll = []time.Duration{25 * time.Millisecond, 250 * time.Millisecond, 2 * time.Second}[r.IntN(3)]
	f.broken, f.power = 0, 0 // the store is another machine's
	if r.IntN(2) == 0 {
		f.slowStore = 1 + r.IntN(10)
	}
	a := &f.apart
	a.cut, a.away, a.part, a.resign = every(10*time.Second), every(20*time.Second), every(10*time.Second), every(15*time.Second)
	if r.IntN(3) == 0 || bug == BugNoLeap {
		a.failOver = 15 * time.Second
	}
}

// quiet takes every fault out of what goes on all the time.
func (f *faults) quiet() {
	f.slow, f.reset, f.unknown, f.failFlush, f.crashAppend, f.crashSend, f.forgetful, f.stall, f.disk = 0, 0, 0, 0, 0, 0, 0, 0, 0
	f.broken, f.failRead, f.crashFlush, f.power, f.double, f.dieWithin, f.late, f.hangUp, f.slowStore = 0, 0, 0, 0, 0, 0, 0, 0, 0
}

func (f faults) String() string {
	return fmt.Sprintf("calm %v length %v lease %v delay %v slow %d reset %d unknown %d flush %d crash %d %d stall %d disk %d forgetful %d drop %v rows %d flush every %v drift %d, broken %d reads %d crash %d power %d double %d within %d late %d hang up %d ring %d, %d servers term %v poll %v slow store %d %+v, %+v",
		f.calm, f.length, f.lease, f.delay, f.slow, f.reset, f.unknown, f.failFlush, f.crashAppend, f.crashSend, f.stall, f.disk, f.forgetful, f.dropTail, f.rows, f.flushEvery, f.drift,
		f.broken, f.failRead, f.crashFlush, f.power, f.double, f.dieWithin, f.late, f.hangUp, f.ring, f.servers, f.term, f.poll, f.slowStore, f.apart, f.every)
}

// drift draws how fast a worker's clock is.
func (w *world) drift() int { return w.rnd.IntN(2*w.faults.drift+1) - w.faults.drift }

// plague begins each kind of fault, and near the end those that did not come by chance.
func (w *world) plague() {
	for _, c := range w.claims() {
		if c.do != nil {
			w.haunt(c.mean, c.do)
		}
	}
	w.after(w.faults.length/2, w.insist)
}

// stepClock sets a wall clock forward or back.
func (w *world) stepClock() {
	w.count("clock steps")
	step := time.Duration(w.rnd.Int64N(int64(10*time.Minute))) - 5*time.Minute
	if k := w.rnd.IntN(len(w.nodes) + 1); k < len(w.nodes) {
		w.nodes[k].wallOff += step
	} else {
		w.some().wallOff += step
	}
	w.trace("a wall clock steps by %v", step)
}

// haunt does something again and again until the world is healed.
func (w *world) haunt(mean time.Duration, do func()) {
	w.after(mean/10+time.Duration(w.rnd.Int64N(int64(2*mean))), func() {
		if w.healed {
			return
		}
		do()
		w.haunt(mean, do)
	})
}

// heal ends every fault and lets nothing new begin.
func (w *world) heal() {
	w.trace("everything heals")
	for _, c := range w.unseen() {
		w.voids = append(w.voids, c.by[0])
	}
	w.healed = true
	f := &w.faults
	f.quiet()
	w.away = 0
	for _, s := range w.servers {
		if s.cut = 0; !s.up {
			s.start()
		}
	}
	for _, n := range w.nodes {
		n.cut = [2]time.Duration{}
		clear(n.apart)
		n.heal()
	}
	w.users.heal()
}
