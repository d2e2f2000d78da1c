package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// node is one worker's machine: its disk, its agent and its keeper.
type node struct {
	w       *world
	name    string
	wallOff time.Duration
	// drift is how much faster its clocks run than the server's, in thousandths.
	drift int
	// cut is until when messages in a direction are held back.
	cut [2]time.Duration
	// apart is until when nothing passes between it and a server.
	apart map[*server]time.Duration
	// hint is the server that is said to lead.
	hint *server

	hello link.Hello
	disk  disk
	// licences and gpus are what it has of those when nothing is missing.
	licences int64
	gpus     []string
	// boots counts the machine's boots; off: it is being booted.
	boots int
	off   bool

	agent  *agent
	agents int // processes so far, which are the incarnations
	keeper *keeper
}

// disk is a worker's state directory.
type disk struct {
	about   map[string]about
	starts  map[string]about
	results map[string]link.Result
}

// about is what is written down of an attempt.
type about struct {
	fence      link.Fence
	ref        job.Ref
	lease      time.Duration
	resources  job.Resources
	devices    job.Devices
	where      []string
	atMostOnce bool
}

func newNode(w *world, i int) *node {
	r := w.rnd
	n := &node{w: w, name: fmt.Sprintf("w%d", i), drift: w.drift(), apart: map[*server]time.Duration{}, disk: disk{map[string]about{}, map[string]about{}, map[string]link.Result{}}}
	n.hello = link.Hello{
		Protocol: link.Protocol, Name: n.name, Instance: "instance-" + n.name, Labels: map[string]string{"name": n.name, "zone": []string{"a", "b"}[i%2], "price": strconv.Itoa(1 + i%3)},
		Capacity: job.Resources{CPU: int64(1+r.IntN(4)) * 1000, Memory: int64(1+r.IntN(4)) << 30},
		Slots:    1 + r.IntN(4), Prefetch: r.IntN(4), Executors: []string{"process"},
	}
	n.licences, n.gpus = int64(r.IntN(4)), []string{"a", "b", "c"}[:r.IntN(4)]
	n.equip()
	return n
}

// equip says what the machine has beside processors and memory: with faults, now and then less
// than before, or other devices, but never nothing of what it had.
func (n *node) equip() {
	licences, gpus := n.licences, n.gpus
	if !n.w.faults.calm && n.w.oneIn(4) {
		n.w.count("worker comes back with less")
		licences = min(licences, 1)
		if len(gpus) > 1 {
			from := n.w.rnd.IntN(len(gpus))
			gpus = gpus[from : from+1+n.w.rnd.IntN(len(gpus)-from)]
		}
	}
	n.hello.Capacity.Other = job.AmountsOf(map[string]int64{job.Disk: 4 << 30, job.GPU: int64(len(gpus)), "licence": licences})
	n.hello.Devices = job.Devices("").Set(job.GPU, gpus)
}

// String says what a worker holds.
func (n *node) String() string {
	if n.agent == nil {
		return fmt.Sprintf("%s: no agent, %d attempts in the keeper", n.name, n.keeper.count())
	}
	running, held := n.agent.machine.Load()
	return fmt.Sprintf("%s: %d running %d held, %d attempts in the keeper, stopped %v, session %d", n.name, running, held, n.keeper.count(), n.agent.stopped, n.agent.session)
}

// clock is the boot clock, which leases and timeouts are counted on.
func (n *node) clock() executor.Deadline {
	return executor.Deadline(n.w.now + n.w.now*time.Duration(n.drift)/1000)
}

// until is how long it takes until the boot clock has come to a moment.
func (n *node) until(at executor.Deadline) time.Duration {
	left := max(time.Duration(at-n.clock()), 0)
	return left*1000/time.Duration(1000+n.drift) + time.Microsecond
}

func (n *node) wall() int64 { return began + (n.w.now - bootedAt + n.wallOff).Milliseconds() }

func (n *node) boot() {
	n.boots++
	n.off = false
	n.startAgent()
}

// startAgent starts a process of the agent, and a keeper if there is none.
func (n *node) startAgent() {
	if n.off || n.agent != nil {
		return
	}
	if n.keeper == nil {
		n.keeper = newKeeper(n)
	}
	n.agents++
	n.equip()
	hello := n.hello
	hello.Incarnation, hello.Place = uint64(n.agents), fmt.Sprint("boot ", n.boots)
	a := &agent{n: n, w: n.w, life: n.agents, lanes: map[string]time.Duration{}}
	a.machine = will.New(will.Settings{
		Hello: hello, Seed: n.w.opt.Seed ^ uint64(n.agents), ReadSpec: n.w.readSpec, Durable: true,
		KeepAfter: time.Second, LogWait: 2 * time.Second, LeaveRunning: n.w.rnd.IntN(2) == 0,
		LeaveWait: 5 * time.Second, LeaveGrace: time.Second, Reconnect: 5 * time.Second,
	})
	n.agent = a
	n.keeper.agent = a
	n.w.trace("%s: agent %d starts, %d attempts in the keeper", n.name, n.agents, n.keeper.count())
	a.put(will.Begin{Adopted: n.left()})
}

// left lists what earlier processes left, as the agent's state does.
func (n *node) left() []will.Adopted {
	all := map[link.Fence]*will.Adopted{}
	for _, key := range slices.Sorted(maps.Keys(n.keeper.runs)) {
		r := n.keeper.runs[key]
		o := &will.Adopted{Fence: r.fence, Ref: r.ref, Key: key, Executor: "process", Started: r.started, Exit: r.exit}
		if b, ok := n.disk.about[key]; ok {
			o.Lease, o.Where, o.AtMostOnce, o.Resources, o.Devices = b.lease, b.where, b.atMostOnce, b.resources, b.devices
		} else {
			o.Foreign = true
		}
		all[r.fence] = o
	}
	for _, key := range slices.Sorted(maps.Keys(n.disk.results)) {
		r := n.disk.results[key]
		o := all[r.Fence]
		if o == nil {
			o = &will.Adopted{Fence: r.Fence, Ref: n.disk.about[key].ref, Key: key}
			all[r.Fence] = o
		}
		o.Result, o.Foreign = &r, false
	}
	for _, key := range slices.Sorted(maps.Keys(n.disk.starts)) {
		b := n.disk.starts[key]
		if all[b.fence] == nil {
			all[b.fence] = &will.Adopted{Fence: b.fence, Ref: b.ref, Key: key, AtMostOnce: true}
		}
	}
	var list []will.Adopted
	for _, o := range all {
		list = append(list, *o)
	}
	slices.SortFunc(list, func(a, b will.Adopted) int { return cmp.Compare(a.Fence, b.Fence) })
	maps.DeleteFunc(n.disk.about, func(_ string, b about) bool { return all[b.fence] == nil })
	return list
}

func (n *node) killAgent() {
	if n.agent == nil {
		return
	}
	n.w.count("agent is killed")
	n.w.trace("%s: agent %d is killed", n.name, n.agent.life)
	n.agentGone()
	n.w.after(n.w.between(100*time.Millisecond, 2*n.w.faults.lease), n.startAgent)
}

func (n *node) agentGone() {
	if n.agent == nil {
		return
	}
	if c := n.agent.conn; c != nil {
		c.hangUp()
	}
	n.agent.dead = true
	n.agent = nil
	if n.keeper != nil {
		n.keeper.agent = nil
	}
}

func (n *node) stopAgent(d time.Duration) {
	a := n.agent
	if a == nil || a.stopped {
		return
	}
	n.w.count("agent is stopped")
	n.w.trace("%s: agent %d is stopped for %v", n.name, a.life, d)
	a.stopped = true
	n.w.after(d, a.resume)
}

// dieWithin ends the keeper just before or after it was asked for something, perhaps
// with its agent.
func (n *node) dieWithin() {
	n.w.count("keeper dies within a call")
	if n.w.oneIn(2) {
		n.killBoth()
		return
	}
	n.killKeeper()
}

// killKeeper ends the keeper alone: what it ran dies, and the agent starts another.
func (n *node) killKeeper() {
	if n.keeper == nil || n.agent == nil {
		return
	}
	n.w.count("keeper is killed")
	n.w.trace("%s: the keeper is killed", n.name)
	old := n.keeper
	old.die()
	n.keeper = newKeeper(n)
	n.keeper.agent = n.agent
	for _, key := range slices.Sorted(maps.Keys(old.runs)) {
		r := old.runs[key]
		if r.exit == nil { // what had ended is known to the agent, which releases it in vain
			x := r.exitNow(n, job.Cause{Kind: job.CauseWorkerLost, Detail: "its keeper died"})
			n.agent.later("", n.w.between(time.Millisecond, 200*time.Millisecond), func(a *agent) {
				a.put(will.Ended{Fence: r.fence, Exit: x})
			})
		}
	}
}

func (n *node) killBoth() {
	if n.keeper == nil {
		return
	}
	n.w.count("agent and keeper are killed")
	n.w.trace("%s: agent and keeper are killed", n.name)
	n.agentGone()
	n.keeper.die()
	n.keeper = nil
	n.w.after(n.w.between(50*time.Millisecond, 2*n.w.faults.lease), n.startAgent)
}

// reboot takes everything away at once but what is on disk.
func (n *node) reboot() {
	if n.off {
		return
	}
	n.w.count("reboot")
	n.w.trace("%s: the machine is rebooted", n.name)
	n.off = true
	if n.keeper != nil {
		n.keeper.die()
		n.keeper = nil
	}
	n.agentGone()
	n.w.after(n.w.between(time.Second, 3*n.w.faults.lease), n.boot)
}

// cutOff holds messages in a direction back for a while.
func (n *node) cutOff(direction int, d time.Duration) {
	if n.w.healed {
		return
	}
	n.w.trace("%s: the network %s is cut for %v", n.name, []string{"from it", "to it"}[direction], d)
	n.cut[direction] = max(n.cut[direction], n.w.now+d)
}

// cutSome cuts the network to or from a worker, or both.
func (n *node) cutSome() {
	w, lease := n.w, n.w.faults.lease
	w.count("cut")
	d := w.between(100*time.Millisecond, 2*lease)
	switch w.rnd.IntN(4) {
	case 0:
		n.cutOff(toServer, d)
	case 1:
		n.cutOff(toWorker, d)
	case 2:
		n.cutOff(toServer, d)
		n.cutOff(toWorker, d)
	default: // it is heard for the last time, and is answered late
		n.cutOff(toWorker, w.between(0, lease/2))
		w.after(w.between(0, time.Second), func() { n.cutOff(toServer, lease+d) })
	}
}

// leave asks the agent to end in good order; it comes back a while later.
func (n *node) leave() {
	if n.agent != nil {
		n.w.count("agent leaves")
		n.w.trace("%s: agent %d is asked to leave", n.name, n.agent.life)
		n.agent.put(will.Leave{})
	}
}

func (n *node) heal() {
	if n.off {
		return // it boots by itself
	}
	if n.agent == nil {
		n.startAgent()
	} else {
		n.agent.resume()
	}
}

func (n *node) received(c *conn, m link.ToWorker) {
	if a := n.agent; a != nil && a.conn == c {
		n.w.trace("%s: hears %s", n.name, spellDown(&m))
		a.put(will.Received{Session: c.number, Message: m})
	}
}

func (n *node) disconnected(c *conn, why string) {
	if a := n.agent; a != nil && a.conn == c {
		a.put(will.Disconnected{Session: c.number, Why: why})
	}
}
