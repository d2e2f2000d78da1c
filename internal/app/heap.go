package app

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go's own rule is to leave as much garbage as lives. That makes a backlog of a million
// jobs cost twice its memory, and a busy server with few of them collect all the time: it
// makes some hundred megabytes of garbage a second.
const (
	// leastRoom is what may be uncollected however little lives.
	leastRoom = 128 << 20
	// moreShare is the part of what lives that may be uncollected once that is more.
	moreShare = 3
	// heapLook is how often what lives is looked at.
	heapLook = time.Second
)

// tendHeap keeps the room that Go's collector leaves between collections within these
// bounds, until ctx ends. Who has set GOGC decides it alone.
func tendHeap(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := heapPercent(0)
	before := debug.SetGCPercent(percent)
	defer debug.SetGCPercent(before)
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	look := time.NewTicker(heapLook)
	defer look.Stop()
	for {
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

// heapPercent is GOGC for a heap of which so much lives. It moves in steps of ten, since
// each change stops the world.
func heapPercent(live uint64) int {
	live = max(live, 4<<20) // less is not collected at all
	room := max(leastRoom, live/moreShare)
	return max(int(100*room/live/10*10), 10)
}
