package app

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// heapRoom is what the collector may leave uncollected however little lives: a busy
	// server makes some hundred megabytes of garbage a second, and each collection costs
	// what lives.
	heapRoom = 96 << 20
	// heapShare is the part of what lives that may be uncollected beside it, once that is
	// more than heapRoom. Go's own rule, as much again, would make a backlog of a million
	// jobs cost twice its memory.
	heapShare = 3
	// heapLook is how often what lives is looked at.
	heapLook = time.Second
)

// tendHeap keeps the room that Go's collector leaves between collections to heapRoom or
// a part of what lives, until ctx ends. Who has set GOGC decides it alone.
func tendHeap(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	before := debug.SetGCPercent(heapPercent(0))
	defer debug.SetGCPercent(before)
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	look := time.NewTicker(heapLook)
	defer look.Stop()
	for percent := heapPercent(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		metrics.Read(sample)
		if p := heapPercent(sample[0].Value.Uint64()); p != percent {
			percent = p
			debug.SetGCPercent(p)
		}
	}
}

// heapPercent is GOGC for a heap of which so much lives. It moves in steps of a tenth,
// since each change stops the world.
func heapPercent(live uint64) int {
	room := max(heapRoom, live/heapShare)
	percent := 100 * float64(room) / float64(max(live, heapRoom))
	return max(int(math.Round(percent/10))*10, 10)
}
