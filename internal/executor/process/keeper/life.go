package keeper

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/attemptlog"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// collector collects children as they end, until the process does.
func (k *Keeper) collector() {
	for {
		pid, err := k.children.nextExit()
		switch {
		case err == nil:
			k.collect(pid)
		case errors.Is(err, unix.ECHILD):
			<-k.forked
		}
	}
}

// collect takes the exit of one child. Until then its number can't be used again,
// so that what must be killed by that number is killed first.
func (k *Keeper) collect(pid int) {
	k.mu.Lock()
	a := k.pids[pid]
	if a == nil {
		// It may be a child that is being started: wait until that is known.
		k.mu.Unlock()
		k.forking.Lock()
		k.forking.Unlock() //nolint:staticcheck // the pair waits for a fork under way
		k.mu.Lock()
		a = k.pids[pid]
	}
	defer k.mu.Unlock()
	if a == nil {
		// Whose it was is told by its session, which goes with its number.
		owner := k.attempts[k.fence.orphan(pid)]
		if st, ok := k.children.takeExit(pid); ok && owner != nil && owner.phase != ended {
			owner.usage = add(owner.usage, st.usage)
		}
		return
	}
	left := k.fence.left(a)
	st, ok := k.children.takeExit(pid)
	if !ok {
		return
	}
	delete(k.pids, pid)
	a.pid = 0
	a.status = st
	a.usage = add(a.usage, st.usage)
	a.phase = clearing
	k.watch.Exited(a.key)
	if left {
		k.fence.kill(a)
		go k.clear(a)
		return
	}
	k.gone(a)
}

// clear kills what is left of a tree whose main process is gone, until nothing is.
// Only a process that the kernel can't kill keeps it here.
func (k *Keeper) clear(a *attempt) {
	pause := time.NewTimer(time.Millisecond)
	defer pause.Stop()
	for wait := time.Millisecond; ; wait = min(2*wait, time.Second/4) {
		select {
		case <-k.over:
			return
		case <-pause.C:
		}
		k.mu.Lock()
		if !k.fence.left(a) {
			k.gone(a)
			k.mu.Unlock()
			return
		}
		k.fence.kill(a)
		k.mu.Unlock()
		pause.Reset(wait)
	}
}

// gone notes that no process of a is left. The caller holds mu.
func (k *Keeper) gone(a *attempt) {
	a.treeGone = true
	if a.pumping > 0 {
		k.watch.Gone(a.key, executor.Now())
		wake(k.poke)
		return
	}
	k.finish(a)
}

// finish ends a: nothing of it is left. The caller holds mu.
func (k *Keeper) finish(a *attempt) {
	outOfMemory := k.fence.leave(a)
	k.conclude(a, executor.Exit{
		Cause: a.why(outOfMemory), Usage: a.usage,
		Started: a.started, Ended: time.Now(), LogSize: a.logSize,
	})
}

// conclude records an attempt's end. The caller holds mu.
func (k *Keeper) conclude(a *attempt, x executor.Exit) {
	x.Cause = x.Cause.Trim()
	a.exit = &x
	a.phase = ended
	a.task, a.log = executor.Task{}, nil
	k.watch.Remove(a.key)
	k.live--
	if a.abandoned {
		delete(k.attempts, a.key)
	} else {
		k.tell(a, newsEnded)
	}
	k.settle()
}

// tell queues news for the agent, if there is one; an agent that comes later is
// told everything then. The caller holds mu.
func (k *Keeper) tell(a *attempt, n news) {
	if k.agent == nil {
		return
	}
	a.news |= n
	if !a.listed {
		a.listed = true
		k.news = append(k.news, a)
	}
	k.agent.urge(n != newsWrote)
}

// pump copies one of an attempt's pipes to its log until the pipe ends. It holds a
// buffer only while there is something to read.
func (k *Keeper) pump(a *attempt, pipe *os.File, kind logline.Kind) {
	log := a.log
	raw, err := pipe.SyscallConn()
	for more := err == nil; more; {
		err := raw.Read(func(fd uintptr) bool {
			buf := k.pool.Get().(*[]byte)
			defer k.pool.Put(buf)
			n, err := unix.Read(int(fd), (*buf)[:pipeBuffer])
			if err == unix.EAGAIN {
				return false
			}
			if n > 0 {
				log.Write(kind, time.Now(), (*buf)[:n])
				k.wrote(a)
			}
			more = n > 0 || err == unix.EINTR
			return true
		})
		more = more && err == nil
	}
	pipe.Close()
	k.pumped(a, log)
}

func (k *Keeper) wrote(a *attempt) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a.news&newsWrote == 0 {
		k.tell(a, newsWrote)
	}
}

// pumped notes that one pipe has ended, and closes the log after the last.
func (k *Keeper) pumped(a *attempt, log *attemptlog.File) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a.pumping > 1 {
		a.pumping--
		return
	}
	k.mu.Unlock()
	size := log.Close(time.Now())
	k.mu.Lock()
	a.pumping, a.logSize = 0, size
	if a.treeGone {
		k.finish(a)
	}
}

// add sums processor time and takes the larger peak.
func add(a, b job.Usage) job.Usage {
	return job.Usage{CPU: a.CPU + b.CPU, Memory: max(a.Memory, b.Memory)}
}
