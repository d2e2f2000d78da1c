package agent

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// processors is how many thousandths of a processor there are.
func processors() int64 { return int64(runtime.NumCPU()) * 1000 }

// Memory is the bytes of memory that the machine has. 0 is unknown.
func Memory() int64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return int64(n)
}
