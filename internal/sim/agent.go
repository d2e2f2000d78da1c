package sim

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// agent is one process of a worker's agent: the real step machine in a shell that does
// what package agent's does.
type agent struct {
	n       *node
	w       *world
	life    int
	machine *will.Machine
	box     []will.Event
	planned bool
	stopped bool
	dead    bool
	held    []func(*agent) // what came due while it was stopped
	conn    *conn
	session uint64
	timer   executor.Deadline
	// lanes is until when earlier calls of the executor keep a lane.
	lanes map[string]time.Duration
	// asked is when the keeper has all requests so far.
	asked time.Duration
}

// put adds to the mailbox; what comes together is stepped together.
func (a *agent) put(e will.Event) {
	a.box = append(a.box, e)
	if !a.planned {
		a.planned = true
		a.later("", a.w.between(time.Microsecond, 200*time.Microsecond), (*agent).step)
	}
}

// later plans something that this process does: never if it is dead by then, and once
// it goes on if it is stopped. What has a lane comes after what had it before.
func (a *agent) later(lane string, d time.Duration, do func(*agent)) {
	at := a.w.now + d
	if lane != "" {
		at = max(at, a.lanes[lane])
		a.lanes[lane] = at
	}
	a.w.after(a.w.until(at), func() {
		switch {
		case a.dead:
		case a.stopped:
			a.held = append(a.held, do)
		default:
			do(a)
		}
	})
}

func (a *agent) resume() {
	if a.dead || !a.stopped {
		return
	}
	a.w.trace("%s: agent %d goes on", a.n.name, a.life)
	a.stopped = false
	held := a.held
	a.held = nil
	for _, do := range held {
		a.later("", a.w.between(0, time.Millisecond), do)
	}
}

func (a *agent) step() {
	a.planned = false
	events := a.box
	a.box = nil
	actions := append([]will.Action(nil), a.machine.Step(will.Now{Boot: a.n.clock(), Wall: a.n.wall()}, events...)...)
	for _, x := range actions {
		if _, ok := x.(will.Quit); ok {
			a.w.trace("%s: agent %d quits", a.n.name, a.life)
			a.n.agentGone()
			a.w.after(a.w.between(time.Second, 2*a.w.faults.lease), a.n.startAgent)
			return
		}
		if a.w.chance(a.w.faults.dieWithin) {
			a.w.count("agent dies within a step")
			a.n.killAgent()
			return
		}
		a.do(x)
	}
}

// disk time, and that of other work of the shell.
func (a *agent) workTime() time.Duration {
	return a.w.between(100*time.Microsecond, 50*time.Millisecond)
}

func (a *agent) do(x will.Action) {
	switch x := x.(type) {
	case will.Connect:
		a.connect(x.Session)
	case will.Disconnect:
		if a.conn != nil {
			a.conn.hangUp()
			a.conn = nil
		}
	case will.Send:
		a.send(x)
	case will.SetTimer:
		a.setTimer(x.At)
	case will.Say:
		a.w.trace("%s: agent %d says %s", a.n.name, a.life, x.Text)
	case will.SealLog:
		a.later("", a.workTime(), func(a *agent) { a.put(will.Shipped{Fence: x.Fence}) })
	case will.FollowLog, will.DropLog, will.Unprepare:
	default:
		a.doAttempt(x)
	}
}

func (a *agent) connect(number uint64) {
	c := &conn{w: a.w, n: a.n, via: a.n.entrance(), number: number}
	a.conn, a.session = c, number
	c.carry(toServer, func() {
		c.session = c.via.welcome(c)
		refused := c.session == nil
		if refused {
			c.closedByServer = true
		}
		c.carry(toWorker, func() {
			switch {
			case c.closedByAgent:
			case refused:
				c.closeAtAgent("connection refused")
			case a.conn == c:
				a.put(will.Connected{Session: number})
			}
		})
	})
}

func (a *agent) send(x will.Send) {
	if a.conn == nil || a.conn.number != x.Session || a.conn.closedByAgent {
		return
	}
	c := a.conn
	if x.Message.Report != nil {
		a.w.truth.judgeReport(a.n, x.Message.Report)
	}
	c.sendUp(x.Message)
	a.w.trace("%s: sends %s", a.n.name, spellUp(&x.Message))
	a.later("", a.w.between(time.Microsecond, time.Millisecond), func(a *agent) {
		if a.conn == c {
			a.put(will.Sent{Session: c.number})
		}
	})
}

func spellUp(m *link.FromWorker) string {
	switch {
	case m.Hello != nil:
		return fmt.Sprintf("hello %d holding %v", m.Hello.Incarnation, m.Hello.Held)
	case m.Beat != nil:
		return fmt.Sprintf("beat %d holding %v", m.Beat.Number, m.Beat.Held)
	case m.Report == nil:
		return "leaving"
	}
	r, out := m.Report, []byte("report")
	for _, s := range r.Started {
		out = fmt.Appendf(out, " started %d", s.Fence)
	}
	for i := range r.Ended {
		out = fmt.Appendf(out, " ended %d (%s)", r.Ended[i].Fence, r.Ended[i].Cause)
	}
	for _, f := range r.Returned {
		out = fmt.Appendf(out, " returned %d", f)
	}
	if r.Unfit != nil {
		out = fmt.Appendf(out, " unfit %q", *r.Unfit)
	}
	return string(out)
}

func spellDown(m *link.ToWorker) string {
	switch {
	case m.Welcome != nil:
		return fmt.Sprintf("welcome %d", m.Welcome.WorkerID)
	case m.Beat != nil:
		return fmt.Sprintf("answer %d", m.Beat.Number)
	case m.Assign != nil:
		out := []byte("assign")
		for i := range m.Assign.Attempts {
			out = fmt.Appendf(out, " %d (prefetched %v)", m.Assign.Attempts[i].Fence, m.Assign.Attempts[i].Prefetched)
		}
		return string(out)
	case m.Stop != nil:
		return fmt.Sprintf("stop %d in %v, forget %v: %s", m.Stop.Fence, m.Stop.Grace, m.Stop.Forget, m.Stop.Cause)
	case m.Recall != nil:
		return fmt.Sprintf("recall %v", m.Recall)
	case m.Ack != nil:
		return fmt.Sprintf("ack %v", m.Ack)
	}
	return "goodbye: " + m.Goodbye
}

func (a *agent) setTimer(at executor.Deadline) {
	a.timer = at
	if at == 0 {
		return
	}
	a.later("", a.n.until(at)+a.w.between(0, time.Millisecond), func(a *agent) {
		if a.timer == at {
			a.put(will.Tick{})
		}
	})
}

const noSpace = "no space left on the device"

// diskFull reports whether the disk does not take something.
func (a *agent) diskFull() bool {
	if !a.w.chance(a.w.faults.disk) {
		return false
	}
	a.w.count("disk is full")
	return true
}

// doAttempt does what concerns one attempt's life.
func (a *agent) doAttempt(x will.Action) {
	n := a.n
	switch x := x.(type) {
	case will.Prepare:
		b := aboutOf(x.Work)
		a.later("", a.workTime(), func(a *agent) {
			done := will.Prepared{Fence: b.fence}
			if a.diskFull() {
				done.Cause = job.Cause{Kind: job.CauseRejected, Code: job.Lacking, Detail: noSpace}
			} else {
				n.disk.about[x.Key] = b
			}
			a.put(done)
		})
	case will.Record:
		b := aboutOf(x.Work)
		a.later("", a.workTime(), func(a *agent) {
			done := will.Recorded{Fence: b.fence}
			if a.diskFull() {
				done.Err = noSpace
			} else {
				n.disk.starts[x.Key] = b
			}
			a.put(done)
		})
	case will.KeepResult:
		key := will.Key(x.Ref, x.Result.Fence)
		a.later("", a.workTime(), func(a *agent) {
			done := will.Kept{Fence: x.Result.Fence}
			if a.diskFull() {
				done.Err = noSpace
			} else {
				n.disk.results[key] = x.Result
			}
			a.put(done)
		})
	case will.Collect:
		a.later("", a.workTime(), func(a *agent) { a.put(will.Collected{Fence: x.Fence, Outputs: a.w.truth.outputs(x.Fence)}) })
	case will.Start:
		a.start(x)
	case will.StopRun:
		a.call(x.Key, func(k *keeper) { k.stop(x.Key, x.Grace, x.Cause) })
	case will.SetDeadlines:
		keys := append([]string(nil), x.Keys...)
		a.call("deadlines", func(k *keeper) { k.renew(keys, x.Deadline) })
	case will.Forget:
		a.forget(x)
	default:
		a.w.fail(NoPanic, "action %T has no rule", x)
	}
}

func aboutOf(w *link.Assignment) about {
	t := &w.Spec.Tasks[w.Task]
	return about{fence: w.Fence, ref: w.Ref(), lease: w.Lease, resources: w.Resources(), devices: w.Devices, where: t.Where, atMostOnce: t.AtMostOnce}
}

// judgePayload judges that a worker is given what the job was submitted with.
func (w *world) judgePayload(work *link.Assignment) {
	uid, err := hex.DecodeString(work.JobUID)
	want := payloadOf(core.UID(uid))
	if err != nil || !bytes.Equal(work.Payload, want) || (work.Payload == nil) != (want == nil) {
		w.fail(Truthful, "attempt %d of job %d has the payload %q; it was submitted with %q (%v)", work.Fence, work.Job, work.Payload, want, err)
	}
}

func (a *agent) start(x will.Start) {
	t := &x.Work.Spec.Tasks[x.Work.Task]
	a.w.judgePayload(x.Work)
	r := &run{
		key: x.Key, fence: x.Work.Fence, ref: x.Work.Ref(), task: x.Work.Task, position: x.Work.Position,
		grace: time.Duration(t.Grace), timeout: time.Duration(t.Timeout), habits: habitsOf(t.Command), devices: x.Work.Devices,
		way: x.Work.Way, memory: x.Work.Memory,
	}
	if a.w.opt.Bug == BugSameDevice && r.devices != "" {
		r.devices = job.Devices("").Set(job.GPU, a.n.gpus[:1])
	}
	a.later(x.Key, a.w.between(time.Microsecond, 5*time.Millisecond), func(a *agent) {
		if x.Deadline != 0 && a.n.clock() >= x.Deadline {
			a.put(will.Refused{Fence: r.fence, Cause: job.Cause{Kind: job.CauseRejected, Detail: "its lease ran out before it could start"}})
			return
		}
		a.toKeeper(r.fence, func(k *keeper) { k.start(r, x.Deadline) })
	})
}

// call has the keeper do something, after earlier calls of the same lane.
func (a *agent) call(lane string, do func(*keeper)) {
	a.later(lane, a.w.between(time.Microsecond, 5*time.Millisecond), func(a *agent) { a.toKeeper(0, do) })
}

// toKeeper is a request on its way to the keeper, which gets it after earlier ones, even
// if the agent dies or is stopped meanwhile. If the keeper dies first, the next one gets it, but for a start
// that the dead one may have seen, which is lost.
func (a *agent) toKeeper(start link.Fence, do func(*keeper)) {
	n, k := a.n, a.n.keeper
	seen := start != 0 && a.w.oneIn(2)
	a.asked = max(a.asked, a.w.now+a.w.between(time.Microsecond, 300*time.Microsecond))
	a.w.after(a.w.until(a.asked), func() {
		dies := !k.dead && a.w.chance(a.w.faults.dieWithin)
		if dies && a.w.oneIn(2) {
			n.dieWithin()
		}
		switch {
		case !k.dead:
			do(k)
		case a.dead:
		case seen:
			x := will.Exit{Cause: job.Cause{Kind: job.CauseWorkerLost, Detail: "its keeper died"}, Ended: n.wall()}
			a.later("", a.w.between(time.Millisecond, 200*time.Millisecond), func(a *agent) { a.put(will.Ended{Fence: start, Exit: x}) })
		default:
			do(n.keeper)
		}
		if dies && !k.dead {
			n.dieWithin()
		}
	})
}

func (a *agent) forget(x will.Forget) {
	if x.Key == "" {
		return
	}
	n := a.n
	if x.OnDisk {
		a.later("", a.workTime(), func(a *agent) {
			delete(n.disk.starts, x.Key)
			a.later("", a.workTime(), func(*agent) { delete(n.disk.results, x.Key) })
		})
	}
	if x.Executor != "" {
		a.call(x.Key, func(k *keeper) { k.release(x.Key) })
	}
	delete(n.disk.about, x.Key)
}
