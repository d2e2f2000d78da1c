package logstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/blob"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// packLoop packs full segments until ctx ends. While the blob store refuses it
// tries again, ever less often; the full segments stay readable meanwhile.
func (s *Store) packLoop(ctx context.Context) {
	const least, most = time.Second, time.Minute
	pause := least
	for {
		var retry <-chan time.Time
		switch err := s.packAll(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.o.Log.Warn("can't pack a log segment; trying again", "in", pause, "error", err)
			retry = time.After(pause)
			pause = min(2*pause, most)
		default:
			pause = least
		}
		select {
		case <-ctx.Done():
			return
		case <-retry:
		case <-s.wake:
		}
	}
}

// packAll packs every full segment, oldest first.
func (s *Store) packAll(ctx context.Context) error {
	s.packing.Lock()
	defer s.packing.Unlock()
	for {
		s.mu.Lock()
		if s.closed || len(s.segments) < 2 {
			s.mu.Unlock()
			return nil
		}
		seg := s.segments[0]
		logs := fresh(seg)
		s.mu.Unlock()
		gen := s.o.Term << termShift
		p := &pack{n: seg.n, gen: gen, key: s.packKey(seg.n, gen), newest: seg.newest}
		if err := s.writePack(ctx, p, segmentPieces(logs)); err != nil {
			return fmt.Errorf("segment %d: %w", seg.n, err)
		}
		s.packed(seg, p)
		if s.o.Staged {
			s.unstage(ctx, seg)
		}
	}
}

// freshLog is what one segment has of one attempt.
type freshLog struct {
	ref   job.Ref
	spans []span
	final int64 // where the stream ends, or -1
}

// fresh copies what is to be packed of seg, sorted. Store.mu is held.
func fresh(seg *segment) []freshLog {
	var logs []freshLog
	for _, a := range seg.attempts {
		if a.dropped {
			continue
		}
		l := freshLog{ref: a.ref, final: -1}
		for _, sp := range a.spans {
			if sp.seg == seg {
				l.spans = append(l.spans, sp)
			}
		}
		if a.sealSeg == seg {
			l.final = a.next
		}
		logs = append(logs, l)
	}
	slices.SortFunc(logs, func(a, b freshLog) int { return compareRefs(a.ref, b.ref) })
	return logs
}

// segmentPieces reads what logs say from their segment.
func segmentPieces(logs []freshLog) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		var buf []byte
		for _, l := range logs {
			for _, sp := range l.spans {
				pc := piece{entry: entry{ref: l.ref, off: sp.off, n: sp.n, cut: sp.cut}}
				if sp.cut == nil {
					buf = slices.Grow(buf[:0], int(sp.n))[:sp.n]
					if _, err := sp.seg.f.ReadAt(buf, sp.pos); err != nil {
						yield(piece{}, err)
						return
					}
					pc.data = buf
				}
				if !yield(pc, nil) {
					return
				}
			}
			if l.final >= 0 && !yield(piece{entry: entry{ref: l.ref, off: l.final, final: true}}, nil) {
				return
			}
		}
	}
}

// packed puts p in the place of seg.
func (s *Store) packed(seg *segment, p *pack) {
	s.mu.Lock()
	s.segments = slices.Clone(s.segments[1:])
	if len(p.pages) > 0 {
		s.packs = append(slices.Clone(s.packs), p)
	}
	s.gen++
	for _, a := range seg.attempts {
		a.spans = slices.DeleteFunc(slices.Clone(a.spans), func(sp span) bool { return sp.seg == seg })
		a.listed--
		if a.lastSeg == seg {
			a.lastSeg = nil
		}
		if a.sealSeg == seg {
			a.sealSeg = nil
		}
		s.evict(a)
	}
	seg.attempts = nil
	seg.gone = true
	s.mu.Unlock()
	s.release(seg)
}

// recover finds what a former process left. s is not shared yet.
func (s *Store) recover(ctx context.Context) error {
	highest, err := s.recoverPacks(ctx)
	if err != nil {
		return err
	}
	switch {
	case s.o.Staged:
		err = s.adoptStaged(ctx)
	case s.o.Term > 0:
		err = s.adopt()
	}
	if err != nil {
		return err
	}
	if err := s.recoverDrops(ctx); err != nil {
		return err
	}
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, file := range files { // sorted, and names sort as numbers
		n, ok := parseSegmentName(file.Name())
		if !ok {
			continue
		}
		highest = max(highest, n)
		if err := s.recoverSegment(n); err != nil {
			return err
		}
	}
	for _, seg := range s.segments {
		seg.staged, s.stage.at = seg.size, Mark{seg.n, seg.size} // if it is staged at all
	}
	// Into one that was adopted somebody may still write.
	if k := len(s.segments); s.o.Term == 0 && k > 0 && s.segments[k-1].n == highest && s.segments[k-1].size < s.o.SegmentBytes {
		s.cur = s.segments[k-1]
		return s.cur.f.Truncate(s.cur.size)
	}
	s.cur, err = createSegment(s.dir, max(highest+1, s.o.Term<<termShift))
	if err != nil {
		return err
	}
	s.segments = append(s.segments, s.cur)
	return nil
}

// recoverPacks reads the tails of all packs and returns the highest number. Of a
// pack that was being rewritten the newer version counts. A damaged pack is left
// where it is and not used.
func (s *Store) recoverPacks(ctx context.Context) (highest uint64, err error) {
	var infos []blob.Info
	if err := s.blobs.List(ctx, s.o.Prefix+"/", func(i blob.Info) error {
		infos = append(infos, i)
		return nil
	}); err != nil {
		return 0, err
	}
	infos = slices.DeleteFunc(infos, func(i blob.Info) bool {
		n, _, ok := s.parsePackKey(i.Key)
		highest = max(highest, n)
		return !ok
	})
	for some := range slices.Chunk(infos, openers) {
		if err := s.openPacks(ctx, some); err != nil {
			return 0, err
		}
	}
	slices.SortFunc(s.packs, func(a, b *pack) int {
		return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(b.gen, a.gen))
	})
	newest := s.packs[:0]
	for _, p := range s.packs {
		if k := len(newest); k > 0 && newest[k-1].n == p.n {
			s.deletePack(ctx, p)
			continue
		}
		newest = append(newest, p)
	}
	s.packs = newest
	return highest, nil
}

// openers is how many packs are opened at once, since far away each takes a while.
const openers = 32

// openPacks opens some packs.
func (s *Store) openPacks(ctx context.Context, infos []blob.Info) error {
	packs, errs := make([]*pack, len(infos)), make([]error, len(infos))
	var wg sync.WaitGroup
	for i, info := range infos {
		wg.Go(func() { packs[i], errs[i] = s.openPack(ctx, info) })
	}
	wg.Wait()
	for i, err := range errs {
		switch {
		case errors.Is(err, errPack):
			s.o.Log.Error("a log pack is damaged; its logs can't be read", "key", infos[i].Key, "error", err)
		case err != nil:
			return err
		default:
			s.packs = append(s.packs, packs[i])
		}
	}
	return nil
}

// recoverSegment reads segment n, unless it was packed already.
func (s *Store) recoverSegment(n uint64) error {
	path := filepath.Join(s.dir, segmentName(n))
	if slices.ContainsFunc(s.packs, func(p *pack) bool { return p.n == n }) {
		return os.Remove(path)
	}
	seg, err := openSegment(path, n, s.replay)
	if errors.Is(err, errHeader) {
		s.o.Log.Error("a log segment is damaged; it is set aside", "file", path, "error", err)
		return os.Rename(path, path+".bad")
	}
	if err != nil {
		return fmt.Errorf("segment %s: %w", path, err)
	}
	s.segments = append(s.segments, seg)
	return nil
}

// replay takes a record that was read back into the index.
func (s *Store) replay(seg *segment, r record, pos int64) {
	if r.kind == recDrop {
		s.void([]job.ID{r.ref.Job})
		return
	}
	a := s.live[r.ref]
	if a == nil {
		a = &attempt{ref: r.ref}
		s.live[r.ref] = a
	}
	s.apply(a, seg, r, pos)
}
