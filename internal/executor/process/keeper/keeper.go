// Package keeper is the small process that owns an agent's children: it starts
// them, reads what they write, collects how they end, and kills whole trees at
// deadlines on a clock that counts suspend, whether its agent is there or not.
//
// It lives in its own session, keeps everything in memory and persists nothing but
// the attempts' logs. An agent connects, becomes the one in charge and is told what
// is held; when it goes, attempts run on until their deadlines. When the keeper
// itself is killed, the kernel kills the attempts' main processes, and the next
// keeper of the same directory sweeps what they left.
//
// No foreign process is ever signalled: signals go to children that the keeper has
// not collected, to the groups they lead, or to cgroups it made. Numbers of such
// processes can't be used again.
package keeper

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/attemptlog"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// maxAttempts bounds what one keeper holds, live and ended.
const maxAttempts = 100_000

// resultsKept is how long a keeper without an agent keeps results that nobody
// fetched. What must not run again is recorded by the agent before it starts, so that
// such a loss makes it a failure and never a second run.
const resultsKept = time.Hour

// pipeBuffer is how much is read from an attempt at once.
const pipeBuffer = 32 << 10

// Keeper holds attempts. Its methods are called from several goroutines.
type Keeper struct {
	// identity tells one keeper process from the next.
	identity string
	log      *slog.Logger
	fence    fence
	children children
	// idle is how long it stays with nothing to keep and no agent.
	idle time.Duration
	// atHome says whether its directory is still its own; nil means that it is.
	atHome func() bool
	pool   sync.Pool
	// forking is held from a fork until its pid is in pids.
	forking sync.Mutex
	// forked, poke and starts have room for one: they say "look again".
	forked, poke, startable chan struct{}
	// over is closed when the keeper is to exit.
	over chan struct{}

	mu       sync.Mutex
	attempts map[string]*attempt
	pids     map[int]*attempt
	watch    *Deadlines
	starts   []*attempt
	// live counts attempts that have not ended.
	live int
	// agent is the connection in charge, nil if there is none.
	agent *session
	// news lists attempts with something to tell to agent.
	news []*attempt
	// quiet is since when there is no agent and nothing lives; 0 while not.
	quiet executor.Deadline
	// leaving: it was told to end and goes as soon as nothing lives. homeless: no agent
	// can find it, so that it goes then too.
	leaving, homeless bool
	closed            bool
}

// New makes a keeper. The marker names its home in MarkerEnv.
func New(marker string, idle time.Duration, log *slog.Logger) (*Keeper, error) {
	k := &Keeper{
		identity: rand.Text(),
		log:      log,
		idle:     idle,
		pool:     sync.Pool{New: func() any { b := make([]byte, 0, pipeBuffer+256); return &b }},
		forked:   make(chan struct{}, 1), poke: make(chan struct{}, 1), startable: make(chan struct{}, 1),
		over:     make(chan struct{}),
		attempts: map[string]*attempt{}, pids: map[int]*attempt{},
		watch: NewDeadlines(),
		quiet: executor.Now(),
	}
	var err error
	k.fence, err = newFence(marker, func(pid int) bool { return k.pids[pid] != nil }, log)
	if err != nil {
		return nil, err
	}
	return k, k.fence.sweep()
}

// About says what this keeper enforces.
func (k *Keeper) About() string { return k.fence.about() }

// wake makes the goroutine that listens on c look again.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// start accepts an attempt; one that it has already is accepted again.
func (k *Keeper) start(t executor.Task) error {
	now := executor.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.attempts[t.Key] != nil:
		return nil
	case k.closed || k.leaving:
		return fmt.Errorf("the keeper is about to end")
	case len(k.attempts) >= maxAttempts:
		return fmt.Errorf("the keeper holds %d attempts, which is its limit; release ended ones", maxAttempts)
	}
	a := &attempt{key: t.Key, ref: t.Ref, dir: t.Dir, task: t, log: attemptlog.New(filepath.Join(t.Dir, "log"), t.LogLimit, &k.pool)}
	k.attempts[t.Key] = a
	k.live++
	k.quiet = 0
	k.watch.Add(t.Key, now, t.Grace, t.Deadline)
	if t.Deadline != 0 {
		wake(k.poke)
	}
	k.starts = append(k.starts, a)
	wake(k.startable)
	return nil
}

// renew moves the deadlines of the attempts named.
func (k *Keeper) renew(keys []string, d executor.Deadline) {
	now := executor.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.step(now) // a deadline that has passed is not moved, however late this keeper is
	for _, key := range keys {
		k.watch.Renew(key, now, d)
	}
	wake(k.poke)
}

// stop asks an attempt to end. It reports false if there is none of that key.
func (k *Keeper) stop(key string, grace time.Duration, cause job.Cause) bool {
	now := executor.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.attempts[key] == nil {
		return false
	}
	k.watch.Stop(key, now, grace, cause)
	k.step(now)
	wake(k.poke)
	return true
}

// release forgets an ended attempt. known is false if there is none of that key,
// done if it still lives.
func (k *Keeper) release(key string) (known, done bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.attempts[key]
	if a == nil {
		return false, false
	}
	if a.phase != ended {
		return true, false
	}
	delete(k.attempts, key)
	k.settle()
	return true, true
}

// abandon kills an attempt and forgets it.
func (k *Keeper) abandon(key string) {
	now := executor.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.attempts[key]
	if a == nil {
		return
	}
	if a.phase == ended {
		delete(k.attempts, key)
		k.settle()
		return
	}
	a.abandoned = true
	k.watch.Stop(key, now, 0, job.Cause{Kind: job.CauseKilled, Detail: "its agent gave it up"})
	k.step(now)
	wake(k.poke)
}

// step does what is due. The caller holds mu.
func (k *Keeper) step(now executor.Deadline) {
	for _, todo := range k.watch.Step(now) {
		a := k.attempts[todo.Key]
		switch {
		case a == nil:
		case todo.Verb == VerbDrain:
			for _, p := range a.pipes {
				if p != nil {
					// An error means that the pump has closed it.
					_ = p.SetReadDeadline(time.Unix(1, 0))
				}
			}
		default:
			k.end(a, todo)
		}
	}
}

// end signals an attempt. The caller holds mu.
func (k *Keeper) end(a *attempt, todo Action) {
	if a.phase > running || !a.asked && a.pid != 0 && k.children.exited(a.pid) {
		// It ended by itself; how it ended is about to be collected.
		return
	}
	first := !a.asked
	if first {
		a.asked, a.cause = true, todo.Cause
	}
	if first || todo.Verb == VerbKill && !a.killed {
		a.log.Note(describe(todo.Verb, todo.Cause))
	}
	a.killed = a.killed || todo.Verb == VerbKill
	switch {
	case a.pid == 0:
		// The starter finds what it was told.
	case todo.Verb == VerbTerm:
		terminate(a.pid)
	default:
		k.fence.kill(a)
	}
}

// timers runs step whenever something is due, until the keeper is to exit.
func (k *Keeper) timers() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-k.over:
			return
		case <-k.poke:
		case <-timer.C:
		}
		now := executor.Now()
		k.lookHome()
		k.mu.Lock()
		k.step(now)
		next, some := k.watch.Next()
		if k.quiet != 0 {
			leave := k.leaveAt()
			if leave <= now && !k.closed {
				k.closed = true
				close(k.over)
			}
			if !some || leave < next {
				next, some = leave, true
			}
		}
		k.mu.Unlock()
		if some {
			timer.Reset(nap(next.Sub(now)))
		}
	}
}

// lookHome notices that a quiet keeper's directory has gone. While anything lives it
// does not look: a disk that hangs must not delay a kill.
func (k *Keeper) lookHome() {
	k.mu.Lock()
	quiet := k.quiet != 0
	k.mu.Unlock()
	if !quiet || k.atHome == nil || k.atHome() {
		return
	}
	k.mu.Lock()
	k.homeless = true
	k.mu.Unlock()
}

// nap is how long to sleep for something that is due after d. Go's timers stand
// still while the machine is suspended; the clock of deadlines does not, so that it
// is looked at now and then.
func nap(d time.Duration) time.Duration {
	return min(max(d, 0), time.Second/2)
}

// leaveAt is when a quiet keeper exits. The caller holds mu.
func (k *Keeper) leaveAt() executor.Deadline {
	switch {
	case k.leaving, k.homeless:
		return k.quiet
	case len(k.attempts) > 0:
		return k.quiet.Add(max(resultsKept, k.idle))
	}
	return k.quiet.Add(k.idle)
}

// settle notices whether the keeper has become quiet. The caller holds mu.
func (k *Keeper) settle() {
	if k.live > 0 || k.agent != nil && !(k.leaving && len(k.attempts) == 0) {
		k.quiet = 0
		return
	}
	k.quiet = executor.Now()
	wake(k.poke)
}

// leave stops all attempts and then ends the keeper. With an agent in charge it
// waits until that has fetched the results or is gone.
func (k *Keeper) leave() {
	now := executor.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.leaving = true
	for key, a := range k.attempts {
		k.watch.Stop(key, now, a.task.Grace, job.Cause{Kind: job.CauseWorkerLost, Detail: "its keeper was told to end"})
	}
	k.step(now)
	k.settle()
	wake(k.poke)
}
