package agent

import "golang.org/x/sys/unix"

// memory is the bytes that the machine has; there are no cgroups here.
func memory() int64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return int64(n)
}
