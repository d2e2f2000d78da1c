package sim

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/replica"
)

// tell notes what watchers are to be told of an event.
func (h *history) tell(e core.Event) {
	if n, ok := h.follower.Describe(e); ok {
		at := replica.Cursor{Generation: h.follower.Generation(), Seq: h.batches, Index: len(h.told) - h.first[h.batches]}
		h.told = append(h.told, replica.Notice{Notice: n, Cursor: at})
	}
}

// after is the first of what watchers are to be told that comes after a batch.
func (h *history) after(seq uint64) int {
	i, _ := slices.BinarySearchFunc(h.told, seq+1, func(n replica.Notice, seq uint64) int { return cmp.Compare(n.Cursor.Seq, seq) })
	return i
}

// notice makes what watchers are told of an event that is decided, as the loop does.
func (s *server) notice(e core.Event) {
	if !s.forming.wanted {
		return
	}
	if n, ok := s.state.Describe(e); ok {
		s.forming.notices = append(s.forming.notices, replica.Notice{Notice: n})
	}
}

// publish tells watchers of a batch.
func (s *server) publish(b *batch) {
	s.generation = b.gen
	end := replica.Cursor{Generation: s.generation, Seq: b.seq, Index: len(b.notices)}
	for i := range b.notices {
		b.notices[i].Cursor = replica.Cursor{Generation: s.generation, Seq: b.seq, Index: i}
	}
	if n := len(b.notices); n > 1 && s.w.opt.Bug == BugSkipNotice {
		b.notices = b.notices[:n-1]
	}
	s.watches.Publish(end, b.notices, b.wanted)
}

// watcher is somebody who watches: with a stream that ends now and then, and is begun
// again after the last that was heard.
type watcher struct {
	w       *world
	s       *server // which it watches at
	reader  *replica.Reader
	process int // of the server, when the stream began
	after   replica.Cursor
	next    int // what is to come next, in the history's words
	// astray: it was told what is lost, and nobody may know that yet. What it is told is not
	// judged until it is resynced.
	astray bool
}

// watch begins to watch, until everything has healed.
func (w *world) watch() {
	x := &watcher{w: w, s: w.server}
	w.watchers = append(w.watchers, x)
	x.again()
}

func (x *watcher) again() { x.w.after(x.w.between(time.Millisecond, 4*time.Second), x.turn) }

func (x *watcher) turn() {
	w, s := x.w, x.s
	switch {
	case !s.up || !s.ready && !s.part.follows || s.stalled > w.now:
		x.close()
		x.s = w.some()
	case x.reader == nil:
		x.open()
	case x.process != s.process || w.chance(w.faults.hangUp):
		w.count("watch is begun again")
		x.close()
		if x.s = w.some(); x.s == s {
			x.open()
		}
	default:
		x.read()
	}
	if !w.users.rested() {
		x.again()
	} else {
		x.close()
	}
}

// close ends the stream, if there is one; the process that served it may be gone.
func (x *watcher) close() {
	if x.reader != nil && x.process == x.s.process {
		x.reader.Close()
	}
	x.reader = nil
}

// open begins a stream after what was heard last.
func (x *watcher) open() {
	if x.astray && x.w.oneIn(2) {
		x.after = replica.Cursor{}
	}
	x.reader, x.process = x.s.watches.Read(x.after), x.s.process
	if x.after == (replica.Cursor{}) {
		x.stand()
	}
}

// stand takes the reader's place for granted, as after a resync: it must be the end of a
// batch and not in the future, and everything after it is to come.
func (x *watcher) stand() {
	x.after = x.reader.Cursor()
	past := x.w.past
	if x.astray = past.misses(x.s); x.astray {
		return
	}
	if x.after.Seq > past.batches {
		x.w.fail(Streams, "a watch stands at %s, and the journal at %d", x.after, past.batches)
	}
	x.next = past.after(x.after.Seq)
}

// misses reports whether what a server has told last is lost.
func (h *history) misses(s *server) bool {
	return h.gap.at != 0 && s.told.Seq > 0 && (s.told.Seq > h.batches || h.entries[s.told.Seq-1].mark != s.told)
}

// read takes what there is.
func (x *watcher) read() {
	w, past := x.w, x.w.past
	none, cancel := context.WithCancel(w.ctx())
	cancel()
	got, resync, err := x.reader.Next(none, 1+w.rnd.IntN(20))
	switch {
	case errors.Is(err, context.Canceled):
		if !x.astray && x.next < len(past.told) && past.told[x.next].Cursor.Seq <= x.s.told.Seq {
			w.fail(Streams, "a watch at %s is told nothing; to come is %+v", x.after, past.told[x.next])
		}
		return
	case resync:
		w.count("watch is resynced")
		x.stand()
		return
	}
	if w.chance(w.faults.hangUp) {
		w.count("watch loses an answer")
		x.close()
		return
	}
	for i := range got {
		if x.astray {
			break
		}
		if x.next >= len(past.told) || got[i] != past.told[x.next] {
			w.fail(Streams, "a watch at %s at %s is told %+v; to come is %+v", x.s.name, x.after, got[i], past.told[min(x.next, len(past.told)-1)])
		}
		x.next++
		w.count("watch is told")
	}
	x.after = x.reader.Cursor()
}
