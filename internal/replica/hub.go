package replica

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/reeve-scheduler/reeve/internal/core"
)

// Cursor is a place in the stream of notices: resuming after it misses nothing.
type Cursor struct {
	Generation, Seq uint64
	Index           int
}

// String is the opaque form that clients hand back.
func (c Cursor) String() string { return fmt.Sprintf("%d-%d-%d", c.Generation, c.Seq, c.Index) }

// ParseCursor reads what String wrote.
func ParseCursor(s string) (Cursor, error) {
	var c Cursor
	if n, err := fmt.Sscanf(s, "%d-%d-%d", &c.Generation, &c.Seq, &c.Index); n != 3 || err != nil || c.Index < 0 || c.String() != s {
		return Cursor{}, fmt.Errorf("cursor %q: want one that an earlier answer gave", s)
	}
	return c, nil
}

func (c Cursor) less(o Cursor) bool {
	return c.Seq < o.Seq || c.Seq == o.Seq && c.Index < o.Index
}

// Notice is one thing that happened, with its place in the stream.
type Notice struct {
	core.Notice
	Cursor Cursor
}

// Hub carries notices of durable batches from the leader's loop to any number of
// readers, through a ring that holds the newest. A slow reader delays nobody: it
// falls out of the ring and is told to read everything anew. All methods may be
// called concurrently.
type Hub struct {
	mu      sync.Mutex
	ring    []Notice
	next    int // where the next notice goes, modulo the ring's size
	count   int
	floor   Cursor // readers at or after it miss nothing
	end     Cursor
	changed chan struct{} // closed and replaced at each Publish
	readers int
	idle    int
}

// DefaultRing is how many notices a hub keeps for readers that lag or resume.
const DefaultRing = 1 << 16

// idleBatches is for how many batches the ring is still filled after its last
// reader has left, so that a reader who reconnects at once misses nothing.
const idleBatches = 10_000

// NewHub returns a hub whose ring holds size notices and which stands at a place.
func NewHub(size int, at Cursor) *Hub {
	return &Hub{ring: make([]Notice, 0, min(size, 1024)), floor: at, end: at, changed: make(chan struct{}), idle: idleBatches, next: 0, count: size}
}

// Wanted reports whether anybody would read notices: if not, there is no need to
// make them.
func (h *Hub) Wanted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.readers > 0 || h.idle < idleBatches
}

// Publish adds a durable batch's notices. made is false if none were made because
// nobody wanted them: then the stream has a hole before the batch's end, which counts as
// being behind every notice that another server may have made of it.
func (h *Hub) Publish(end Cursor, notices []Notice, made bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readers == 0 {
		h.idle++
	}
	if !made {
		end.Index = math.MaxInt
	}
	h.end = end
	if !made {
		h.ring, h.next, h.floor = h.ring[:0], 0, end
	}
	for _, n := range notices {
		if len(h.ring) < h.count {
			h.ring = append(h.ring, n)
			continue
		}
		h.floor = h.ring[h.next].Cursor
		h.ring[h.next] = n
		h.next = (h.next + 1) % h.count
	}
	if h.readers > 0 {
		close(h.changed)
		h.changed = make(chan struct{})
	}
}

// Reader reads a hub's notices from a place on. It belongs to one goroutine.
type Reader struct {
	hub *Hub
	at  Cursor
}

// Read opens a reader after a cursor; the zero cursor means from now on. Close it.
func (h *Hub) Read(after Cursor) *Reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readers++
	h.idle = 0
	if after == (Cursor{}) {
		after = h.end
	}
	return &Reader{hub: h, at: after}
}

// Close lets the hub forget the reader.
func (r *Reader) Close() {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	r.hub.readers--
}

// Next returns the next notices, at most limit, waiting for one if there is none.
// resync says that some were missed; the reader then stands at the stream's end.
// Cursor is where the reader stands afterwards.
func (r *Reader) Next(ctx context.Context, limit int) (notices []Notice, resync bool, err error) {
	for {
		notices, resync, wait := r.take(limit)
		if len(notices) > 0 || resync {
			return notices, resync, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// Cursor is where the reader stands.
func (r *Reader) Cursor() Cursor { return r.at }

func (r *Reader) take(limit int) ([]Notice, bool, <-chan struct{}) {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.at.Generation != h.end.Generation || r.at.less(h.floor) || h.end.less(r.at) {
		r.at = h.end
		return nil, true, nil
	}
	var out []Notice
	n := len(h.ring)
	lo, hi := 0, n // the first notice after r.at, by bisection over the ring's order
	for lo < hi {
		mid := (lo + hi) / 2
		if r.at.less(h.ring[(h.next+mid)%n].Cursor) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	for ; lo < n && len(out) < limit; lo++ {
		out = append(out, h.ring[(h.next+lo)%n])
	}
	if len(out) > 0 {
		r.at = out[len(out)-1].Cursor
	}
	return out, false, h.changed
}

// End is the place of the newest durable batch.
func (h *Hub) End() Cursor {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.end
}
