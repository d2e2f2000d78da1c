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
	// quietLooks is after how many looks without a collection what is free goes back to the
	// system: so little comes then that it would stay for minutes.
	quietLooks = 10
)

// tendHeap keeps the room that Go's collector leaves between collections within these
// bounds, and gives back what a wave of work has left, until ctx ends. Who has set GOGC
// decides it alone.
func tendHeap(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := heapPercent(0)
	before := debug.SetGCPercent(percent)
	defer debug.SetGCPercent(before)
	sample := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	var rest lull
	look := time.NewTicker(heapLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		metrics.Read(sample)
		live := sample[0].Value.Uint64()
		if p := heapPercent(live); p != percent {
			percent = p
			debug.SetGCPercent(p)
		}
		held := sample[2].Value.Uint64() + sample[3].Value.Uint64() + sample[4].Value.Uint64()
		if rest.over(sample[1].Value.Uint64(), live, held) {
			debug.FreeOSMemory()
		}
	}
}

// lull tells when little goes on after much did.
type lull struct {
	cycles uint64
	looks  int
}

// over takes note of how many collections there were, how much lived at the last one and how
// much memory the heap holds. It reports whether some of that should be given back, which
// takes a collection: once in a lull, and not if there is little beside what lives.
func (l *lull) over(cycles, live, held uint64) bool {
	if cycles != l.cycles {
		l.cycles, l.looks = cycles, 0
		return false
	}
	if l.looks++; l.looks != quietLooks || held < live+heapRoom(live)/2 {
		return false
	}
	l.cycles++ // that of the collection to come
	return true
}

// heapPercent is GOGC for a heap of which so much lives. It moves in steps of ten, since
// each change stops the world.
func heapPercent(live uint64) int {
	live = max(live, 4<<20) // less is not collected at all
	return max(int(100*heapRoom(live)/live/10*10), 10)
}

// heapRoom is what may be uncollected, in bytes.
func heapRoom(live uint64) uint64 { return max(leastRoom, live/moreShare) }
