package postgres

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// patienceMs is how long bytes may stay unacknowledged by the other machine before the
// connection is given up, in milliseconds. The system's own patience is a quarter of an hour.
const patienceMs = 15_000

// patience sets it for a socket.
func patience(network, _ string, raw syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, patienceMs)
	})
	if err != nil {
		return err
	}
	return failed
}
