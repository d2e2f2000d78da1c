package inventory

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Processors is how many thousandths of a processor there are.
func Processors() int64 { return int64(runtime.NumCPU()) * 1000 }

// Memory is the bytes of memory that the machine has. 0 is unknown.
func Memory() int64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return int64(n)
}

// bandwidth is unknown here.
func bandwidth() int64 { return 0 }
