package logstore

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// Append adds frames to the log of attempt ref at offset and returns the offset to
// go on from. Bytes that are held already are skipped, so that a repeat is
// harmless; an offset past the end is refused with a *GapError; frames that are
// cut in two with ErrFrames; new bytes of a sealed log with ErrSealed. Where there
// is no room the bytes are taken but not kept: the log gets a mark that says how
// many, and the worker is not held up.
//
// Append keeps nothing of frames. Appends of one attempt may come from any
// goroutine; a stale one is like a repeat.
func (s *Store) Append(ctx context.Context, ref job.Ref, offset int64, frames []byte) (next int64, err error) {
	if err := checkRef(ref); err != nil {
		return 0, err
	}
	if err := checkFrames(ref, offset, frames); err != nil {
		return 0, err
	}
	a, err := s.pin(ctx, ref)
	if err != nil {
		return 0, err
	}
	defer s.unpin(a)
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.usable(a); err != nil {
		return 0, err
	}
	held := a.next - offset
	switch {
	case held < 0:
		return a.next, &GapError{Ref: ref, Want: a.next, Got: offset}
	case held >= int64(len(frames)):
		return a.next, nil
	case a.sealed:
		return a.next, fmt.Errorf("log of %s: %w at offset %d", ref, ErrSealed, a.next)
	}
	if edge, _ := logline.Whole(frames[:held]); int64(edge) != held {
		return a.next, fmt.Errorf("log of %s: %w: offset %d, where the log ends, is inside a frame of what was sent from %d", ref, ErrFrames, a.next, offset)
	}
	s.store(a, frames[held:])
	return a.next, nil
}

func checkFrames(ref job.Ref, offset int64, frames []byte) error {
	if offset < 0 || offset > 1<<60 || len(frames) > MaxAppend {
		return fmt.Errorf("log of %s: %d bytes at offset %d; want at most %d at an offset from 0", ref, len(frames), offset, MaxAppend)
	}
	if n, err := logline.Whole(frames); err != nil || n != len(frames) {
		return fmt.Errorf("log of %s: %w: the frame at offset %d is damaged or cut short", ref, ErrFrames, offset+int64(n))
	}
	return nil
}

// store writes frames in pieces that end at frames' edges. s.writing is held.
func (s *Store) store(a *attempt, frames []byte) {
	why := s.limit.why(s, a, int64(len(frames)))
	for len(frames) > 0 && why == "" {
		n := chunkOf(frames)
		r := record{kind: recData, ref: a.ref, off: a.next, n: int64(n), data: frames[:n]}
		if err := s.write(a, r); err != nil {
			why = err.Error()
			break
		}
		frames = frames[n:]
	}
	if len(frames) > 0 {
		s.cutFrom(a, int64(len(frames)), lostIn(frames), why)
	}
}

// chunkOf returns how many leading bytes of whole frames go into one record.
func chunkOf(frames []byte) int {
	at := 0
	for at < len(frames) {
		_, n, _ := logline.Next(frames[at:])
		if at > 0 && at+n > maxChunk {
			break
		}
		at += n
	}
	return at
}

// lostIn counts the bytes of output in frames, those that marks stand for too.
func lostIn(frames []byte) (lost int64) {
	for len(frames) > 0 {
		f, n, _ := logline.Next(frames)
		if f.Kind == logline.Gap {
			more, _ := strconv.ParseInt(string(f.Data), 10, 64)
			lost += max(more, 0)
		} else {
			lost += int64(len(f.Data))
		}
		frames = frames[n:]
	}
	return lost
}

// cutFrom marks the next n stream bytes as not kept. A mark that follows another
// one makes it longer, so that a flood without room costs one span. If even the
// mark can't be written it lives in memory.
func (s *Store) cutFrom(a *attempt, n, lost int64, why string) {
	s.limit.report(s, a.ref, why)
	seg := s.cur
	r := record{kind: recCut, ref: a.ref, off: a.next, n: n, lost: lost}
	s.mu.Lock() // the packer takes spans away
	if k := len(a.spans); k > 0 && a.spans[k-1].cut != nil && a.spans[k-1].seg == seg {
		last := a.spans[k-1]
		r.off, r.n, r.lost = last.off, last.n+n, last.cut.lost+lost
	}
	s.mu.Unlock()
	if err := s.write(a, r); err != nil {
		s.mu.Lock()
		a.add(span{off: r.off, n: r.n, seg: seg, cut: &cut{r.lost, s.o.Now().UnixMilli()}})
		a.list(seg)
		a.notify()
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.cutBytes += n
	s.mu.Unlock()
}

// write appends r to the current segment and takes it into the index. s.writing
// is held.
func (s *Store) write(a *attempt, r record) error {
	seg := s.cur
	pos, err := s.put(&r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.apply(a, seg, r, pos)
	s.mu.Unlock()
	if seg.size >= s.o.SegmentBytes || seg.records >= maxRecords {
		s.rotate()
	}
	return nil
}

// put appends r to the current segment and returns where its data lies. s.writing
// is held.
func (s *Store) put(r *record) (dataPos int64, err error) {
	seg := s.cur
	r.time = s.o.Now().UnixMilli()
	enc, pos, err := seg.write(s.buf, *r)
	s.buf = enc
	if err != nil {
		return 0, err
	}
	s.limit.wrote(int64(len(enc)))
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.size += int64(len(enc))
	seg.records++
	s.stage.grew(int64(len(enc)))
	seg.newest = max(seg.newest, r.time)
	return pos, nil
}

// apply takes a record of seg into the index. s.mu is held, or s not shared yet.
func (s *Store) apply(a *attempt, seg *segment, r record, pos int64) {
	switch r.kind {
	case recData:
		a.add(span{off: r.off, n: r.n, seg: seg, pos: pos})
	case recCut:
		a.add(span{off: r.off, n: r.n, seg: seg, cut: &cut{r.lost, r.time}})
	case recSeal:
		a.next, a.sealed, a.sealSeg = r.off, true, seg
	}
	a.list(seg)
	a.notify()
	s.arrived(a)
}

// rotate begins a new segment, and the full one waits to be packed. If there is
// no room for a new one the full one goes on. s.writing is held.
func (s *Store) rotate() {
	seg, err := createSegment(s.dir, s.cur.n+1)
	if err != nil {
		s.limit.report(s, job.Ref{}, err.Error())
		return
	}
	s.mu.Lock()
	s.segments = append(s.segments, seg)
	s.mu.Unlock()
	s.cur = seg
	s.signal()
}

// Seal says that the log of ref is complete at size stream bytes; from then on it
// never changes. A negative size is what is held: for a worker that is lost. Bytes
// that are missing below size get a mark. Sealing again at the same size is
// harmless, at another one is ErrSealed. A log without any bytes leaves no trace.
func (s *Store) Seal(ctx context.Context, ref job.Ref, size int64) error {
	return s.change(ctx, ref, func(a *attempt) error {
		if size < 0 {
			size = a.next
		}
		switch {
		case a.sealed && size == a.next:
			return nil
		case a.sealed:
			return fmt.Errorf("log of %s: %w at offset %d, not %d", ref, ErrSealed, a.next, size)
		case size < a.next:
			return fmt.Errorf("log of %s: it can't end at offset %d, %d bytes are held", ref, size, a.next)
		case size > a.next:
			s.cutFrom(a, size-a.next, size-a.next, "the worker did not send the end of the log")
		}
		if size == 0 {
			s.mu.Lock()
			defer s.mu.Unlock()
			a.sealed = true
			a.notify()
			s.arrived(a)
			return nil
		}
		err := s.write(a, record{kind: recSeal, ref: ref, off: size})
		if err != nil {
			return fmt.Errorf("log of %s: sealing it: %w", ref, err)
		}
		return nil
	})
}

// Skip says that the stream bytes of ref below offset to that are not held are
// lost: a worker calls it after a *GapError for bytes that it has no more. The log
// gets a mark.
func (s *Store) Skip(ctx context.Context, ref job.Ref, to int64) error {
	return s.change(ctx, ref, func(a *attempt) error {
		switch {
		case to <= a.next:
			return nil
		case to > 1<<60:
			return fmt.Errorf("log of %s: offset %d is too large", ref, to)
		case a.sealed:
			return fmt.Errorf("log of %s: %w at offset %d", ref, ErrSealed, a.next)
		}
		s.cutFrom(a, to-a.next, to-a.next, "the worker has lost a part of the log")
		return nil
	})
}

// change calls fn for the attempt with s.writing held.
func (s *Store) change(ctx context.Context, ref job.Ref, fn func(*attempt) error) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	a, err := s.pin(ctx, ref)
	if err != nil {
		return err
	}
	defer s.unpin(a)
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.usable(a); err != nil {
		return err
	}
	return fn(a)
}

// usable reports why a pinned attempt can't be written to. s.writing is held.
func (s *Store) usable(a *attempt) error {
	if s.closed {
		return ErrClosed
	}
	if a.dropped {
		return fmt.Errorf("log of %s: %w", a.ref, ErrDropped)
	}
	return nil
}

// limiter decides whether there is room. Guarded by Store.writing.
type limiter struct {
	free    int64     // at the last look
	since   int64     // bytes written since
	next    time.Time // when to look again
	stat    Stats
	warnAt  time.Time
	ignored int
}

const (
	lookEvery = time.Second
	lookBytes = 4 << 20
	warnEvery = time.Minute
)

// why returns what keeps n more bytes of a from being stored, or nothing.
func (l *limiter) why(s *Store, a *attempt, n int64) string {
	if s.o.MaxAttempt > 0 && a.next+n > s.o.MaxAttempt {
		return fmt.Sprintf("one attempt may log %d bytes", s.o.MaxAttempt)
	}
	now := s.o.Now()
	if l.since+n >= lookBytes || !now.Before(l.next) || l.next.Sub(now) > lookEvery {
		free, err := s.o.Free()
		if err != nil {
			free = math.MaxInt64 // no answer is no reason to cut
		}
		*l = limiter{free: free, next: now.Add(lookEvery), stat: s.Stats(), warnAt: l.warnAt, ignored: l.ignored}
	}
	switch held := l.stat.SegmentBytes + l.stat.PackBytes + l.since + n; {
	case s.pending() >= s.o.MaxPending:
		return fmt.Sprintf("%d log segments wait for the blob store", s.o.MaxPending)
	case s.o.MaxBytes > 0 && held > s.o.MaxBytes:
		return fmt.Sprintf("all logs together may take %d bytes", s.o.MaxBytes)
	case l.free-l.since-n < s.o.MinFree:
		return fmt.Sprintf("the disk has %d bytes free, of which %d are kept for the server's state", l.free, s.o.MinFree)
	}
	return ""
}

// pending is how many segments wait to be packed.
func (s *Store) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.segments) - 1
}

func (l *limiter) wrote(n int64) { l.since += n }

// report warns that logs are cut, at most once a minute.
func (l *limiter) report(s *Store, ref job.Ref, why string) {
	now := s.o.Now()
	if now.Before(l.warnAt) && l.warnAt.Sub(now) <= warnEvery {
		l.ignored++
		return
	}
	s.o.Log.Warn("a log is cut", "attempt", ref.String(), "reason", why, "cut_since_last_warning", l.ignored)
	l.warnAt, l.ignored = now.Add(warnEvery), 0
}
