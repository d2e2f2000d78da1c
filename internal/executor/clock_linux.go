package executor

import "golang.org/x/sys/unix"

// bootClock counts while the machine is suspended, as CLOCK_MONOTONIC does not.
const bootClock = unix.CLOCK_BOOTTIME
