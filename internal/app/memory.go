package app

import (
	"math"
	"runtime/debug"
	"runtime/metrics"

	"github.com/reeve-scheduler/reeve/internal/agent/inventory"
)

// memoryShare is the part of the memory there is that what a server keeps may take before
// it takes no more jobs: a third of that again is the collector's room, and the rest is for
// everything else.
const memoryShare = 2

// memoryFull makes the question whether this process keeps as much as it may.
func memoryFull() func() bool {
	limit := debug.SetMemoryLimit(-1) // GOMEMLIMIT
	if all := inventory.Memory(); all > 0 {
		limit = min(limit, all)
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	return func() bool {
		if limit == math.MaxInt64 {
			return false
		}
		metrics.Read(sample)
		return sample[0].Value.Uint64() > uint64(limit)/memoryShare
	}
}
