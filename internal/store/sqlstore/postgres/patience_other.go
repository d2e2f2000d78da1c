//go:build !linux

package postgres

import "syscall"

// patience leaves a socket as it is.
func patience(_, _ string, _ syscall.RawConn) error { return nil }
