package logstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/blob"
)

const (
	// stageBytes is how much of a segment one blob holds at most, and from how much on nothing is
	// waited for.
	stageBytes = 4 << 20
	// stageFan is how many blobs become one, where that is not longer than stageBytes: so a segment
	// that fills slowly does not leave thousands.
	stageFan = 16
	// lastStageWait bounds what a store waits for that is closed.
	lastStageWait = 2 * time.Second
)

// stage is how far what was appended is in blobs, too. Its fields are guarded by Store.mu.
type stage struct {
	// staging is held while something is put or removed; before mu.
	staging sync.Mutex
	// at is what is there; turned is closed when it moves on, or never will.
	at     Mark
	turned chan struct{}
	over   bool
	// bytes were appended since the stager last looked.
	bytes int64
	wake  chan struct{}
}

// Mark is a place in what a store has taken.
type Mark struct {
	segment uint64
	size    int64
}

func (m Mark) before(o Mark) bool {
	return cmp.Or(cmp.Compare(m.segment, o.segment), cmp.Compare(m.size, o.size)) < 0
}

// stagedPart is a part of a segment that is a blob, which begins at off. Level is how often it was made of others.
type stagedPart struct {
	off   int64
	level int
}

// grew wakes the stager when there is much to do.
func (g *stage) grew(n int64) {
	if g.bytes += n; g.bytes >= stageBytes {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
}

// reached says that all before m is safe. Store.mu is held.
func (g *stage) reached(m Mark) {
	if g.at.before(m) {
		g.at = m
	}
	close(g.turned)
	g.turned = make(chan struct{})
}

// Mark returns the place after what was taken so far.
func (s *Store) Mark() Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range slices.Backward(s.segments) {
		if seg.records > 0 {
			return Mark{seg.n, seg.size}
		}
	}
	return Mark{}
}

// Has reports whether what was taken before m is where another store finds it that takes over;
// always, unless that is staged.
func (s *Store) Has(m Mark) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.o.Staged || !s.stage.at.before(m)
}

// Kept waits until Has. It ends with the error of ctx, or ErrClosed.
func (s *Store) Kept(ctx context.Context, m Mark) error {
	for s.o.Staged {
		s.mu.Lock()
		there, over, turned := !s.stage.at.before(m), s.stage.over, s.stage.turned
		s.mu.Unlock()
		switch {
		case there:
			return nil
		case over:
			return ErrClosed
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// stageLoop stages until ctx ends.
func (s *Store) stageLoop(ctx context.Context) {
	pause := s.o.StageEvery
	for {
		next := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
		case <-s.stage.wake:
			next.Stop()
		}
		switch err := s.stageAll(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			pause = min(2*pause, 30*time.Second)
			s.o.Log.Warn("can't put fresh logs into the blob store; trying again, and workers keep theirs until then", "in", pause, "error", err)
		default:
			pause = s.o.StageEvery
		}
	}
}

// lastStage stages what is left when the store is closed, and ends all waiting.
func (s *Store) lastStage() error {
	ctx, cancel := context.WithTimeout(context.Background(), lastStageWait)
	defer cancel()
	err := s.stageAll(ctx)
	s.mu.Lock()
	s.stage.over = true
	s.stage.reached(Mark{})
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("the last logs are not in the blob store; workers send them again: %w", err)
	}
	return nil
}

// stageAll puts whatever is not yet there, in the order in which it was appended.
func (s *Store) stageAll(ctx context.Context) error {
	for {
		more, err := s.stageNext(ctx)
		if !more || err != nil {
			return err
		}
	}
}

func (s *Store) stageNext(ctx context.Context) (more bool, err error) {
	s.stage.staging.Lock()
	defer s.stage.staging.Unlock()
	seg, from, to := s.unstaged()
	if seg == nil {
		return false, nil
	}
	defer s.release(seg)
	if err := s.stagePart(ctx, seg, from, to); err != nil {
		return false, err
	}
	s.mu.Lock()
	seg.staged = to
	seg.parts = append(seg.parts, stagedPart{off: from})
	s.stage.reached(Mark{seg.n, to})
	s.mu.Unlock()
	return true, s.mergeParts(ctx, seg)
}

// unstaged returns the first piece that is not there, and holds its segment.
func (s *Store) unstaged() (seg *segment, from, to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.segments {
		if seg.records > 0 && seg.size > seg.staged {
			seg.holds++
			return seg, seg.staged, min(seg.size, seg.staged+stageBytes)
		}
	}
	s.stage.bytes = 0
	return nil, 0, 0
}

func (s *Store) stagedPrefix() string { return s.o.Prefix + "-fresh/" }

func (s *Store) stagedDir(n uint64) string { return fmt.Sprintf("%s%016x/", s.stagedPrefix(), n) }

func (s *Store) stagedKey(n uint64, off int64) string {
	return fmt.Sprintf("%s%016x", s.stagedDir(n), off)
}

func (s *Store) stagePart(ctx context.Context, seg *segment, from, to int64) error {
	_, err := s.blobs.Put(ctx, s.stagedKey(seg.n, from), io.NewSectionReader(seg.f, from, to-from))
	return err
}

// mergeParts makes one part of the last ones, as long as they are many and small. A part that is
// left over says the same as the one that took its place.
func (s *Store) mergeParts(ctx context.Context, seg *segment) error {
	for {
		k := len(seg.parts) - stageFan
		if k < 0 || seg.parts[k].level != seg.parts[len(seg.parts)-1].level || seg.staged-seg.parts[k].off > stageBytes {
			return nil
		}
		if err := s.stagePart(ctx, seg, seg.parts[k].off, seg.staged); err != nil {
			return err
		}
		var old []string
		for _, p := range seg.parts[k+1:] {
			old = append(old, s.stagedKey(seg.n, p.off))
		}
		seg.parts = append(seg.parts[:k], stagedPart{seg.parts[k].off, seg.parts[k].level + 1})
		if err := s.blobs.Delete(ctx, old...); err != nil {
			return err
		}
	}
}

// unstage forgets what was staged of a segment that is packed. What stays is removed by the next
// store.
func (s *Store) unstage(ctx context.Context, seg *segment) {
	s.stage.staging.Lock()
	defer s.stage.staging.Unlock()
	s.mu.Lock()
	s.stage.reached(Mark{seg.n, seg.size})
	s.mu.Unlock()
	if err := s.blobs.Delete(ctx, s.stagedDir(seg.n)); err != nil {
		s.o.Log.Warn("can't remove fresh logs that are packed", "segment", seg.n, "error", err)
	}
}

// adoptStaged fetches the segments that other stores have staged, except those that are packed.
func (s *Store) adoptStaged(ctx context.Context) error {
	packed := map[uint64]bool{}
	for _, p := range s.packs {
		packed[p.n] = true
	}
	var parts []blob.Info
	err := s.blobs.List(ctx, s.stagedPrefix(), func(i blob.Info) error {
		parts = append(parts, i)
		return nil
	})
	if err != nil {
		return err
	}
	var done []string
	for _, part := range parts {
		n, off, ok := s.parseStagedKey(part.Key)
		switch {
		case !ok:
		case packed[n]:
			done = append(done, part.Key)
		default:
			if err := s.fetchPart(ctx, part, n, off); err != nil {
				return fmt.Errorf("take over fresh logs: %w", err)
			}
		}
	}
	return s.blobs.Delete(ctx, done...)
}

func (s *Store) parseStagedKey(key string) (n uint64, off int64, ok bool) {
	dir, at, _ := strings.Cut(strings.TrimPrefix(key, s.stagedPrefix()), "/")
	n, err1 := strconv.ParseUint(dir, 16, 64)
	off, err2 := strconv.ParseInt(at, 16, 64)
	return n, off, errors.Join(err1, err2) == nil && s.stagedKey(n, off) == key
}

// fetchPart writes a part of segment n into that. Records know where they stand: what comes after
// a part that is missing is dead.
func (s *Store) fetchPart(ctx context.Context, part blob.Info, n uint64, off int64) error {
	r, _, err := s.blobs.Get(ctx, part.Key, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.OpenFile(filepath.Join(s.dir, segmentName(n)), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(f, off), r)
	return errors.Join(err, f.Close())
}
