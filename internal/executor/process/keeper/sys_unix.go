package keeper

import "golang.org/x/sys/unix"

// terminate asks the group that pid leads to end. One that is stopped is woken, or
// it could not.
func terminate(pid int) {
	// Errors mean that the group is gone or not ours to signal; the kill follows.
	_ = unix.Kill(-pid, unix.SIGTERM)
	_ = unix.Kill(-pid, unix.SIGCONT)
}
