package app

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// TestMemoryFull sets a limit that what is kept is far from, and then one that it is past.
func TestMemoryFull(t *testing.T) {
	kept := make([]byte, 32<<20)
	runtime.GC()
	before := debug.SetMemoryLimit(1 << 40)
	defer debug.SetMemoryLimit(before)
	if memoryFull()() {
		t.Error("memory is full with a limit of a tebibyte, or of the machine's")
	}
	debug.SetMemoryLimit(memoryShare * 16 << 20)
	if !memoryFull()() {
		t.Error("32 MiB are kept where 16 may be, and memory is not full")
	}
	runtime.KeepAlive(kept)
}
