package keeper

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// children collects the keeper's children. This system can't leave one to takeExit
// that nextExit has seen, so that exits are held in between. Numbers are used again
// only after tens of thousands of others.
type children struct{ exits sync.Map }

func (c *children) nextExit() (pid int, err error) {
	for {
		var ws unix.WaitStatus
		var ru unix.Rusage
		pid, err := unix.Wait4(-1, &ws, 0, &ru)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, err
		}
		st := status{usage: job.Usage{
			CPU:    time.Duration(ru.Utime.Nano() + ru.Stime.Nano()),
			Memory: ru.Maxrss,
		}}
		if ws.Signaled() {
			st.signal = linuxSignal(int(ws.Signal()))
		} else {
			st.code = ws.ExitStatus()
		}
		c.exits.Store(pid, st)
		return pid, nil
	}
}

func (c *children) exited(int) bool { return false }

func (c *children) takeExit(pid int) (status, bool) {
	st, ok := c.exits.LoadAndDelete(pid)
	if !ok {
		return status{}, false
	}
	return st.(status), true
}

// linuxSignal gives a signal its number on Linux, the one that is stored.
func linuxSignal(n int) int {
	differ := map[int]int{7: 7, 10: 7, 12: 31, 16: 23, 17: 19, 18: 20, 19: 18, 20: 17, 23: 29, 30: 10, 31: 12}
	if m, ok := differ[n]; ok {
		return m
	}
	return n
}

func pipe(p *[2]int) error {
	if err := unix.Pipe(p[:]); err != nil {
		return err
	}
	// Forks are serialized with this by the starter, so that nothing leaks between.
	unix.CloseOnExec(p[0])
	unix.CloseOnExec(p[1])
	return unix.SetNonblock(p[0], true)
}

func adopt() error { return nil }
