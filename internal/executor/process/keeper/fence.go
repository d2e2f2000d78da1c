package keeper

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// MarkerEnv is the variable that marks every process of an attempt with the
// keeper's home and the attempt's key, so that a process which left its session
// is still known, even by a later keeper of the same directory.
const MarkerEnv = "REEVE_ATTEMPT_KEY"

// ForceDescentEnv, when set in the keeper's environment, makes it do without cgroups.
const ForceDescentEnv = "REEVE_KEEPER_NO_CGROUP"

// fence knows which processes belong to an attempt and kills them. Keeper.mu is
// held at every call; none waits.
type fence interface {
	// enter says how to start a so that its tree can be told apart.
	enter(a *attempt) (*syscall.SysProcAttr, error)
	// kill sends SIGKILL to everything of a.
	kill(a *attempt)
	// left says whether a process of a lives beside its main process. It is called
	// when that one has ended, before and after it is collected; before, it may
	// already kill.
	left(a *attempt) bool
	// orphan is told that pid, a process that was adopted, has ended and is about to
	// be collected. It answers the key it belonged to, or "".
	orphan(pid int) string
	// leave frees what enter took; outOfMemory says whether the kernel killed in
	// a for want of memory.
	leave(a *attempt) (outOfMemory bool)
	// about says in words what is enforced.
	about() string
	// sweep kills what a keeper that died left behind.
	sweep() error
	// close removes what the fence made.
	close()
}

// slot is a cgroup that attempts use one after the other.
type slot struct {
	name string
	// dir, events and stat are descriptors of the directory, of cgroup.events and of
	// cpu.stat; the last is -1 where there is none.
	dir, events, stat int
	// used: something had to be killed in it, so that it is not used again.
	used bool
	// cpu is the processor time, in µs, that was used in it before.
	cpu int64
	// kills is memory.events' oom_kill as last seen; -1 where there is none.
	kills int64
}

// removed says whether the cgroup is not there any more. There may be no slot.
func (s *slot) removed() bool {
	return s != nil && errors.Is(unix.Access(s.name, unix.F_OK), unix.ENOENT)
}
