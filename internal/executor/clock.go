package executor

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now reads the boot clock that deadlines are given on. It never goes back, knows
// nothing of wall time and is the same for every process of the machine.
func Now() Deadline {
	var ts unix.Timespec
	if err := unix.ClockGettime(bootClock, &ts); err != nil {
		// Every kernel that Go runs on has this clock; going on without it would
		// leave deadlines that never come.
		panic("executor: no boot clock: " + err.Error())
	}
	return Deadline(ts.Nano())
}

// Add returns the moment that is after d.
func (d Deadline) Add(after time.Duration) Deadline { return d + Deadline(after) }

// Sub returns the time from other to d.
func (d Deadline) Sub(other Deadline) time.Duration { return time.Duration(d - other) }
