package sim

import (
	"slices"
	"time"
)

// claim is a fault that a run says it has, and what shows that it came about.
type claim struct {
	by []string // one of these was counted
	// rate is the chance by which it comes, nil for one that comes by itself.
	rate *int
	// mean is the time between two of them, 0 for one that has a rate.
	mean time.Duration
	do   func()
}

// claims lists what this run says it has.
func (w *world) claims() (list []claim) {
	f := &w.faults
	rate := func(p *int, by ...string) {
		if *p > 0 {
			list = append(list, claim{by: by, rate: p})
		}
	}
	rate(&f.slow, "slow message")
	rate(&f.reset, "reset")
	rate(&f.unknown, "append of unknown outcome")
	rate(&f.failFlush, "flush fails")
	rate(&f.failRead, "recovery fails", "lookup fails")
	rate(&f.crashAppend, "crash beside an append")
	rate(&f.crashSend, "crash within a release")
	rate(&f.crashFlush, "crash beside a flush")
	rate(&f.broken, "store is broken")
	rate(&f.power, "power is lost")
	rate(&f.forgetful, "answer gets lost")
	rate(&f.stall, "server stalls", "loop is busy")
	rate(&f.disk, "disk is full")
	rate(&f.double, "message comes twice")
	rate(&f.dieWithin, "agent dies within a step", "keeper dies within a call")
	rate(&f.late, "facts are old")
	rate(&f.hangUp, "watch is begun again", "watch loses an answer")
	every := func(mean time.Duration, do func(), by ...string) {
		if mean > 0 {
			list = append(list, claim{by: by, mean: mean, do: do})
		}
	}
	some := func() *node { return w.nodes[w.rnd.IntN(len(w.nodes))] }
	e := &f.every
	every(e.crash, func() { w.mostly().crash("at random") }, "server crashes")
	every(e.stall, func() { w.mostly().stall() }, "server stalls", "loop is busy")
	a := &f.apart
	rate(&f.slowStore, "append takes long")
	every(a.cut, w.cutServer, "server is cut off from the store")
	every(a.away, w.breakStore, "store is away")
	every(a.part, w.part, "worker and server are parted")
	every(a.resign, func() { w.mostly().resign() }, "server resigns")
	every(a.failOver, w.failOver, "failover loses history")
	every(e.clock, w.stepClock, "clock steps")
	every(e.agentKill, func() { some().killAgent() }, "agent is killed")
	every(e.agentStop, func() { some().stopAgent(w.between(100*time.Millisecond, 2*f.lease)) }, "agent is stopped")
	every(e.keeperKill, func() { some().killKeeper() }, "keeper is killed")
	every(e.bothKill, func() { some().killBoth() }, "agent and keeper are killed")
	every(e.reboot, func() { some().reboot() }, "reboot")
	every(e.leave, func() { some().leave() }, "agent leaves")
	every(e.cut, func() { some().cutSome() }, "cut")
	return list
}

// unseen is the claims that nothing shows so far.
func (w *world) unseen() []claim {
	return slices.DeleteFunc(w.claims(), func(c claim) bool {
		return slices.ContainsFunc(c.by, func(name string) bool { return w.tally[name] > 0 })
	})
}

// insist has what a run claims and has not seen come at the next occasion, and users not
// stand in the way of one.
func (w *world) insist() {
	if w.healed {
		return
	}
	unseen := w.unseen()
	if w.wanting = len(unseen) > 0; w.wanting && w.oneIn(10) {
		w.users.letGo()
	}
	for _, c := range unseen {
		if c.do != nil {
			c.do()
			continue
		}
		if was := *c.rate; was < 1000 {
			*c.rate = 1000
			for _, name := range c.by {
				w.calm[name] = func() { *c.rate = was }
			}
		}
		if c.rate == &w.faults.power {
			w.server.crash("for want of power")
		}
	}
	w.after(time.Second, w.insist)
}

// idle names what hardly happened at all in a run, which then proves nothing.
func (w *world) idle() (names []string) {
	const least = 3
	for _, name := range []string{"core.JobEnded", "process starts"} {
		if w.tally[name] < least {
			names = append(names, name)
		}
	}
	return names
}
