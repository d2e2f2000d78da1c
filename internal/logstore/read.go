package logstore

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// Kinds is a set of frame kinds.
type Kinds uint8

// KindsOf makes a set.
func KindsOf(kinds ...logline.Kind) (set Kinds) {
	for _, k := range kinds {
		set |= 1 << k
	}
	return set
}

func (k Kinds) has(kind logline.Kind) bool { return k == 0 || k&(1<<kind) != 0 }

// ReadOptions choose what Read yields. The zero value is all that is there now.
type ReadOptions struct {
	// Offset is where to begin: an Entry's Next, so that nothing is missed or
	// repeated.
	Offset int64
	// Tail begins at the last so many lines of those that exist now, if that is
	// later; negative is none of them. A mark or note counts as a line.
	Tail int
	// Since begins at the first frame that is not older, if that is later.
	Since time.Time
	// Kinds restricts what is yielded; zero is everything.
	Kinds Kinds
	// Follow waits for more until the log is sealed.
	Follow bool
	// Ended, when closed, ends Follow as soon as it has caught up, with what is
	// expected too. An attempt that wrote nothing is never sealed: whoever follows
	// one closes Ended when the attempt is over. It may be nil.
	Ended <-chan struct{}
}

// Entry is a frame with its place in the stream.
type Entry struct {
	// Offset is where the frame begins, Next where the next one does. They need
	// not be as far apart as the frame is long: a mark stands for what was cut.
	Offset, Next int64
	// Frame's data is only valid until the next entry. Where Tail begins inside a
	// frame, it is the rest of it.
	logline.Frame
}

// Read yields the frames of attempt ref in order. An attempt without a log yields
// nothing. The last thing yielded may be an error: that of ctx, ErrDropped,
// ErrClosed, or of reading. A reader holds at most two blocks (256 KiB each) in
// memory and delays no writer, however slow it is. At the end it waits for bytes that
// are expected.
func (s *Store) Read(ctx context.Context, ref job.Ref, o ReadOptions) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		fail := func(err error) { yield(Entry{}, err) }
		if err := checkRef(ref); err != nil {
			fail(err)
			return
		}
		a, err := s.pin(ctx, ref)
		if err != nil {
			fail(err)
			return
		}
		defer s.unpin(a)
		r := &reader{s: s, a: a, o: o, off: max(o.Offset, 0)}
		defer r.stop()
		if err := r.seek(ctx); err != nil {
			fail(err)
			return
		}
		for {
			more, err := r.next(ctx, yield)
			if err != nil {
				fail(fmt.Errorf("log of %s: %w", ref, err))
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// reader reads one log.
type reader struct {
	s   *Store
	a   *attempt // pinned
	o   ReadOptions
	off int64 // the next frame to yield
	// skip is how many bytes of that frame's data Tail leaves out.
	skip int
	// from and back narrow the search in packs: reading on, none before pack from
	// matters; reading back, none after pack upto.
	from, upto uint64
	back       bool

	buf      []byte // of a segment
	block    []byte // of a pack
	blockKey string
	blockPos int64

	lateTimer *time.Timer // runs while bytes are expected
	waited    bool        // it has run out
}

// chunk is a piece of the stream: whole frames, or a cut. A hole is a cut that
// begins somewhere at or before off.
type chunk struct {
	off, n int64
	data   []byte
	cut    *cut
	hole   bool
}

// next yields the next chunk's frames, waiting for it if it must. more is false at
// the end, and when the consumer wants no more.
func (r *reader) next(ctx context.Context, yield func(Entry, error) bool) (more bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c, changed, err := r.chunk(ctx, r.off)
	if err != nil {
		return false, err
	}
	if c.n > 0 {
		return r.emit(c, yield)
	}
	if changed == nil {
		return false, nil
	}
	if r.o.Follow {
		select {
		case <-changed:
		case <-ctx.Done():
		case <-r.o.Ended:
			r.o.Follow = false // one more look: something may have come just before
		}
		return true, nil
	}
	late := r.late()
	if late == nil {
		return false, nil
	}
	select {
	case <-changed:
	case <-ctx.Done():
	case <-late:
		r.waited = true // one more look
	}
	return true, nil
}

// emit yields the frames of c from r.off on.
func (r *reader) emit(c chunk, yield func(Entry, error) bool) (more bool, err error) {
	if c.cut != nil {
		e := Entry{Offset: r.off, Next: c.off + c.n}
		lost := c.cut.lost
		if r.off > c.off { // what a follower saw of a growing mark is not counted again
			lost = int64(float64(lost) * float64(e.Next-r.off) / float64(c.n))
		}
		e.Frame = logline.Frame{Kind: logline.Gap, Time: c.cut.time, Data: strconv.AppendInt(nil, lost, 10)}
		r.off = e.Next
		return !r.wants(e.Frame) || yield(e, nil), nil
	}
	at := c.off
	for data := c.data; len(data) > 0; {
		f, n, err := logline.Next(data)
		if err != nil || n == 0 {
			return false, fmt.Errorf("%w at offset %d", logline.ErrDamaged, at)
		}
		data = data[n:]
		e := Entry{Offset: at, Next: at + int64(n), Frame: f}
		at = e.Next
		if e.Next <= r.off {
			continue
		}
		r.off = e.Next
		if !r.wants(f) {
			continue
		}
		e.Data, r.skip = e.Data[min(r.skip, len(e.Data)):], 0
		if !yield(e, nil) {
			return false, nil
		}
	}
	return true, nil
}

func (r *reader) wants(f logline.Frame) bool {
	return r.o.Kinds.has(f.Kind) && (r.o.Since.IsZero() || f.Time >= r.o.Since.UnixMilli())
}

// chunk returns what holds offset off. At the end it returns none, and a channel
// that is closed when there is more, or nil if there never will be.
func (r *reader) chunk(ctx context.Context, off int64) (chunk, <-chan struct{}, error) {
	for {
		s, a := r.s, r.a
		s.mu.Lock()
		switch {
		case a.dropped:
			s.mu.Unlock()
			return chunk{}, nil, ErrDropped
		case s.closed:
			s.mu.Unlock()
			return chunk{}, nil, ErrClosed
		case off >= a.next:
			var changed <-chan struct{}
			if !a.sealed {
				changed = a.wait()
			}
			s.mu.Unlock()
			return chunk{}, changed, nil
		}
		floor := a.next
		if len(a.spans) > 0 {
			if sp, ok := a.at(off); ok && off >= a.spans[0].off {
				if sp.off > off {
					s.mu.Unlock()
					return hole(off, sp.off), nil, nil
				}
				sp.seg.holds++
				s.mu.Unlock()
				c, err := r.readSpan(sp)
				return c, nil, err
			}
			if off < a.spans[0].off {
				floor = a.spans[0].off
			}
		}
		packs, gen := s.packs, s.gen
		s.mu.Unlock()
		c, err := r.chunkInPacks(ctx, packs, off, floor)
		if err == nil {
			return c, nil, nil
		}
		s.mu.Lock()
		again := s.gen != gen
		s.mu.Unlock()
		if !again { // else the pack was rewritten or dropped meanwhile
			return chunk{}, nil, err
		}
	}
}

func hole(off, end int64) chunk {
	return chunk{off: off, n: end - off, cut: &cut{lost: end - off}, hole: true}
}

// readSpan reads a span whose segment is held, and releases that.
func (r *reader) readSpan(sp span) (chunk, error) {
	defer r.s.release(sp.seg)
	c := chunk{off: sp.off, n: sp.n, cut: sp.cut}
	if sp.cut != nil {
		return c, nil
	}
	r.buf = slices.Grow(r.buf[:0], int(sp.n))[:sp.n]
	if _, err := sp.seg.f.ReadAt(r.buf, sp.pos); err != nil {
		return chunk{}, err
	}
	c.data = r.buf
	return c, nil
}

// chunkInPacks finds off in packs; floor is where what is not packed begins.
func (r *reader) chunkInPacks(ctx context.Context, packs []*pack, off, floor int64) (chunk, error) {
	p, e, err := r.search(ctx, packs, off)
	switch {
	case err != nil:
		return chunk{}, err
	case p == nil || e.off >= floor:
		return hole(off, floor), nil
	case e.off > off:
		return hole(off, e.off), nil
	}
	c := chunk{off: e.off, n: e.n, cut: e.cut}
	if e.cut != nil {
		return c, nil
	}
	if r.blockKey != p.key || r.blockPos != e.blockPos {
		if r.block, err = r.s.unpack(ctx, p.key, e.blockPos, e.blockLen); err != nil {
			return chunk{}, err
		}
		r.blockKey, r.blockPos = p.key, e.blockPos
	}
	c.data, err = sliceBlock(r.block, e, p.key)
	return c, err
}

func sliceBlock(block []byte, e entry, key string) ([]byte, error) {
	if int64(e.at)+e.n > int64(len(block)) {
		return nil, fmt.Errorf("%w: %s: a block is too short", errPack, key)
	}
	return block[e.at : int64(e.at)+e.n], nil
}

// search finds the first piece that ends after off. Pieces rise with packs, so
// reading on it goes through them forwards, reading back backwards.
func (r *reader) search(ctx context.Context, packs []*pack, off int64) (*pack, entry, error) {
	if !r.back {
		for _, p := range packs {
			if p.n < r.from || !p.mayHave(r.a.ref) {
				continue
			}
			if e, ok, err := r.s.find(ctx, p, r.a.ref, off); err != nil || ok {
				r.from = p.n
				return p, e, err
			}
		}
		return nil, entry{}, nil
	}
	var after *pack
	var first entry
	for _, p := range slices.Backward(packs) {
		if p.n > r.upto || !p.mayHave(r.a.ref) {
			continue
		}
		e, ok, err := r.s.find(ctx, p, r.a.ref, off)
		if err != nil || ok && e.off <= off {
			r.upto = p.n
			return p, e, err
		}
		if ok {
			after, first = p, e
		}
	}
	return after, first, nil
}

// seek moves r.off to where Tail and Since begin, reading back from the end.
func (r *reader) seek(ctx context.Context) error {
	if r.o.Tail == 0 && r.o.Since.IsZero() {
		return nil
	}
	r.s.mu.Lock()
	end := r.a.next
	r.s.mu.Unlock()
	if r.o.Tail < 0 {
		r.off = max(r.off, end)
		return nil
	}
	r.back, r.upto = true, math.MaxUint64
	defer func() { r.back = false }()
	t := tail{o: r.o, start: end}
	for end > r.off && !t.done {
		c, _, err := r.chunk(ctx, end-1)
		if err != nil {
			return err
		}
		if c.hole || c.n == 0 {
			break
		}
		if err := t.chunk(c, end); err != nil {
			return err
		}
		end = c.off
	}
	if t.start >= r.off {
		r.off, r.skip = t.start, t.skip
	}
	return nil
}
