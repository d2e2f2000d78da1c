package sim

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/executor"
	reevekeeper "github.com/reeve-scheduler/reeve/internal/executor/process/keeper"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// keeper is one process of a worker's keeper: the real deadlines in a shell that does
// what package keeper does. Nothing stops it but its death.
type keeper struct {
	n     *node
	w     *world
	dead  bool
	watch *reevekeeper.Deadlines
	runs  map[string]*run
	// agent hears the news, if there is one.
	agent *agent
	timer executor.Deadline
}

// run is an attempt that a keeper holds.
type run struct {
	key            string
	fence          link.Fence
	ref            job.Ref
	task           uint32
	position       int64
	grace, timeout time.Duration
	habits         habits
	devices        job.Devices
	way            uint8 // and memory: what it was given
	memory         int64
	process        *process
	asked          bool
	cause          job.Cause
	started        int64
	exit           *will.Exit
}

// habits is how a task's processes behave, by the words of its command.
type habits struct {
	most    time.Duration // the longest run
	fails   int           // of a hundred
	ignores int           // of a hundred ignore SIGTERM
	poison  int           // of a hundred take agent and keeper along when they end
	hunger  int64         // bytes of memory that it needs
}

func habitsOf(command []string) habits {
	var n [6]int
	for i := range min(len(command), len(n)) {
		n[i], _ = strconv.Atoi(command[i])
	}
	return habits{most: time.Duration(n[1]) * time.Millisecond, fails: n[2], ignores: n[3], poison: n[4], hunger: int64(n[5]) << 20}
}

func newKeeper(n *node) *keeper {
	return &keeper{n: n, w: n.w, watch: reevekeeper.NewDeadlines(), runs: map[string]*run{}}
}

func (k *keeper) count() int {
	if k == nil {
		return 0
	}
	return len(k.runs)
}

func (k *keeper) later(d time.Duration, do func()) {
	k.w.after(d, func() {
		if !k.dead {
			do()
		}
	})
}

func (k *keeper) start(r *run, deadline executor.Deadline) {
	if k.dead || k.runs[r.key] != nil {
		return
	}
	k.runs[r.key] = r
	k.watch.Add(r.key, k.n.clock(), r.grace, deadline)
	k.later(k.w.between(10*time.Microsecond, 5*time.Millisecond), func() { k.launch(r) })
	k.step()
}

// launch starts the process, unless it was asked to end before.
func (k *keeper) launch(r *run) {
	if r.asked {
		k.conclude(r)
		return
	}
	r.started = k.n.wall()
	k.watch.Began(r.key, k.n.clock(), r.timeout)
	k.spawn(r)
	k.tell(func(a *agent) { a.put(will.Started{Fence: r.fence, At: r.started}) })
	k.step()
}

func (k *keeper) spawn(r *run) {
	p := k.w.truth.begin(k.n, r)
	r.process = p
	k.w.after(p.lasts, func() {
		switch {
		case !p.alive:
		case p.poison:
			k.n.killBoth()
		default:
			p.end(p.code)
			k.exited(r)
		}
	})
}

// exited notes that the process is gone, whatever ended it.
func (k *keeper) exited(r *run) {
	if k.dead {
		return
	}
	if k.w.opt.Bug == BugStartTwice && !r.asked {
		r.asked = true
		k.spawn(r)
		return
	}
	k.later(k.w.between(time.Microsecond, 2*time.Millisecond), func() {
		k.watch.Exited(r.key)
		k.watch.Gone(r.key, k.n.clock())
		k.conclude(r)
	})
}

func (k *keeper) conclude(r *run) {
	if r.exit != nil {
		return
	}
	x := r.exitNow(k.n, r.cause)
	r.exit = &x
	k.watch.Remove(r.key)
	k.tell(func(a *agent) { a.put(will.Ended{Fence: r.fence, Exit: x}) })
}

// exitNow is the end as the keeper reports it.
func (r *run) exitNow(n *node, asked job.Cause) will.Exit {
	x := will.Exit{Cause: asked, Started: r.started, Ended: n.wall()}
	if p := r.process; asked.Kind == job.CauseNone && p != nil {
		switch {
		case n.w.opt.Bug == BugLie:
		case p.hungry:
			x.Cause = job.Cause{Kind: job.CauseMemory}
		case p.code > 0:
			x.Cause = job.Cause{Kind: job.CauseExit, Code: p.code}
		case p.code < 0:
			x.Cause = job.Cause{Kind: job.CauseSignal, Code: -p.code}
		}
	}
	if r.process != nil {
		x.LogSize = int64(r.fence % 3) // some attempts write nothing
	}
	return x
}

// tell has the agent that is there now hear of something.
func (k *keeper) tell(do func(*agent)) {
	if a := k.agent; a != nil {
		a.later("news", k.w.between(time.Microsecond, 2*time.Millisecond), do)
	}
}

func (k *keeper) renew(keys []string, d executor.Deadline) {
	if k.w.opt.Bug == BugNoRenewal {
		return
	}
	for _, key := range keys {
		k.watch.Renew(key, k.n.clock(), d)
	}
	k.step()
}

func (k *keeper) stop(key string, grace time.Duration, cause job.Cause) {
	if k.w.opt.Bug == BugDeaf {
		return
	}
	k.watch.Stop(key, k.n.clock(), grace, cause)
	k.step()
}

func (k *keeper) release(key string) {
	if r := k.runs[key]; r != nil && r.exit != nil {
		delete(k.runs, key)
	}
}

// step does what is due and plans the next.
func (k *keeper) step() {
	if k.dead {
		return
	}
	for _, todo := range k.watch.Step(k.n.clock()) {
		if r := k.runs[todo.Key]; r != nil && r.exit == nil && todo.Verb != reevekeeper.VerbDrain {
			k.signal(r, todo)
		}
	}
	if at, ok := k.watch.Next(); ok && at != k.timer {
		k.timer = at
		k.later(k.n.until(at)+k.w.between(0, 2*time.Millisecond), func() {
			if k.timer == at {
				k.timer = 0
			}
			k.step()
		})
	}
}

func (k *keeper) signal(r *run, todo reevekeeper.Action) {
	if r.process != nil && !r.process.alive {
		return // how it ended is about to be collected
	}
	if k.w.opt.Bug == BugNoKill && todo.Cause.Kind == job.CauseWorkerLost {
		return
	}
	if k.w.opt.Bug == BugNoTimeout && todo.Cause.Kind == job.CauseTimeout {
		return
	}
	if !r.asked {
		r.asked, r.cause = true, todo.Cause
		k.w.trace("%s: attempt %d is asked to end: %s", k.n.name, r.fence, todo.Cause)
	}
	p := r.process
	if p == nil {
		return
	}
	d := k.w.between(10*time.Microsecond, 5*time.Millisecond)
	code := int32(-9)
	if todo.Verb == reevekeeper.VerbTerm {
		if p.ignores {
			return
		}
		d, code = k.w.between(time.Millisecond, time.Second), -15
	}
	k.w.after(d, func() {
		if p.alive {
			p.end(code)
			k.exited(r)
		}
	})
}

// die ends the keeper; the system ends its children.
func (k *keeper) die() {
	k.dead = true
	for _, key := range slices.Sorted(maps.Keys(k.runs)) {
		if p := k.runs[key].process; p != nil && p.alive {
			p.end(-9)
		}
	}
}
