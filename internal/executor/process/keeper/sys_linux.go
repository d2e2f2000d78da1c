package keeper

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// siPid is where waitid puts the child's number in a siginfo: after three ints,
// aligned to a pointer.
const siPid = (12 + unsafe.Alignof(uintptr(0)) - 1) &^ (unsafe.Alignof(uintptr(0)) - 1)

// children collects the keeper's children.
type children struct{}

// nextExit waits for any child to end and leaves it uncollected, so that its
// number stays its own. ECHILD means that there are no children.
func (*children) nextExit() (pid int, err error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return sender(&info), err
		}
	}
}

// exited says whether a child that is not collected has ended.
func (*children) exited(pid int) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	return err == nil && sender(&info) == pid
}

func sender(info *unix.Siginfo) int {
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), siPid)))
}

// takeExit collects a child that has ended.
func (*children) takeExit(pid int) (status, bool) {
	var ws unix.WaitStatus
	var ru unix.Rusage
	for {
		got, err := unix.Wait4(pid, &ws, unix.WNOHANG, &ru)
		if err == unix.EINTR {
			continue
		}
		if err != nil || got != pid {
			return status{}, false
		}
		break
	}
	st := status{usage: job.Usage{
		CPU: time.Duration(ru.Utime.Nano() + ru.Stime.Nano()),
		// Linux counts in KiB, and counts what the keeper itself had at the fork.
		Memory: ru.Maxrss << 10,
	}}
	if ws.Signaled() {
		st.signal = int(ws.Signal())
	} else {
		st.code = ws.ExitStatus()
	}
	return st, true
}

// pipe makes a pipe whose reading end does not block.
func pipe(p *[2]int) error {
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	return unix.SetNonblock(p[0], true)
}

// adopt makes orphaned descendants children of this process.
func adopt() error {
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}
