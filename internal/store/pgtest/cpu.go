package pgtest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// CPU returns the processor time that the server's processes have taken, those that have ended
// included. It skips where there is no /proc.
func (s *Server) CPU(tb testing.TB) time.Duration {
	tb.Helper()
	pid, err := s.PID()
	if err != nil {
		tb.Fatal(err)
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	if len(stats) == 0 {
		tb.Skip("no /proc to read processor time from")
	}
	const tick = 10 * time.Millisecond // of the fields below, on every Linux that Go runs on
	var total time.Duration
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended, and its parent has its time
		}
		// After the name, which may hold anything, come state, parent, and from the 12th on
		// user and system time, its own and its children's.
		_, rest, _ := strings.Cut(string(text), ") ")
		f := strings.Fields(rest)
		if len(f) < 15 {
			continue
		}
		own := f[1] == strconv.Itoa(pid)
		main := filepath.Base(filepath.Dir(name)) == strconv.Itoa(pid)
		for i, field := range f[11:15] {
			if n, err := strconv.Atoi(field); err == nil && (main || own && i < 2) {
				total += time.Duration(n) * tick
			}
		}
	}
	return total
}
