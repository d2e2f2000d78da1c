package agent

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// processors is how many thousandths of a processor there are.
func processors() int64 { return int64(runtime.NumCPU()) * 1000 }

// memory is the bytes that the machine has; there are no cgroups here.
func memory() int64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return int64(n)
}
