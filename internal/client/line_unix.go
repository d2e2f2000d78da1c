//go:build linux || darwin

package client

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// mostUnsent bounds what waits in the system to be sent, in bytes. Without it megabytes would stand
// before a ping on a thin line, and the line would pass for dead. What is on its way is not counted,
// so that a fast line stays full.
const mostUnsent = 128 << 10

// holdLittle sets it for a socket.
func holdLittle(_, _ string, raw syscall.RawConn) error {
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, mostUnsent)
	}); err != nil {
		return err
	}
	return failed
}
