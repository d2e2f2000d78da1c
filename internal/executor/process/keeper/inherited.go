package keeper

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// closeInherited closes what the programs above left open in this one beside the
// standard streams. A keeper would hold it for as long as it lives, so that a reader of
// such a pipe waits in vain, and pass it on to attempts. What this program has opened
// itself is told apart by its mark to be closed on exec.
func closeInherited() error {
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		return err
	}
	for _, e := range list {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= unix.Stderr {
			continue
		}
		// An error says that it was the list's own, which is closed by now.
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
	return nil
}
