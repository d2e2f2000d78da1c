package executor

import "golang.org/x/sys/unix"

// bootClock counts while the machine is suspended: on this system CLOCK_MONOTONIC does.
const bootClock = unix.CLOCK_MONOTONIC
