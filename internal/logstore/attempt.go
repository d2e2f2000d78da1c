package logstore

import (
	"cmp"
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// attempt is what memory holds of a log that has bytes in a segment, or that
// somebody reads or writes at the moment. Guarded by Store.mu; next, sealed and
// dropped change only with Store.writing held too, so either lock will do to read
// them.
type attempt struct {
	ref job.Ref
	// spans are the pieces in segments, rising by offset; older pieces are in packs.
	spans []span
	// next is the end of the stream so far, sealed whether it stays so.
	next    int64
	sealed  bool
	dropped bool
	// sealSeg is the segment with the seal's record; the pack made of it says so.
	sealSeg *segment
	// lastSeg is the last segment that lists the attempt, listed how many do.
	lastSeg *segment
	listed  int
	// pins counts callers that hold the attempt.
	pins int
	// changed is closed at the next change; nil while nobody waits.
	changed chan struct{}
}

// span is a piece of a stream: n bytes from off, whole frames. They lie at pos in
// the segment's file, except that a cut one has none.
type span struct {
	off, n int64
	seg    *segment
	pos    int64
	cut    *cut
}

func (sp span) end() int64 { return sp.off + sp.n }

// cut stands for stream bytes that were not kept.
type cut struct {
	// lost is how many bytes of output that were, at time, in Unix milliseconds.
	lost, time int64
}

// notify wakes those who wait for a change.
func (a *attempt) notify() {
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
}

func (a *attempt) wait() <-chan struct{} {
	if a.changed == nil {
		a.changed = make(chan struct{})
	}
	return a.changed
}

// add takes a piece in. One that begins before the end replaces what is there from
// its beginning: so a growing cut is one span, in memory and when records are read
// back.
func (a *attempt) add(sp span) {
	for n := len(a.spans); n > 0 && a.spans[n-1].off >= sp.off; n-- {
		a.spans = a.spans[:n-1]
	}
	a.spans = append(a.spans, sp)
	a.next = sp.end()
}

// at returns the first span that ends after off.
func (a *attempt) at(off int64) (span, bool) {
	i := sort.Search(len(a.spans), func(i int) bool { return a.spans[i].end() > off })
	if i == len(a.spans) {
		return span{}, false
	}
	return a.spans[i], true
}

// list adds the attempt to seg's, once.
func (a *attempt) list(seg *segment) {
	if a.lastSeg != seg {
		a.lastSeg = seg
		a.listed++
		seg.attempts = append(seg.attempts, a)
	}
}

// pin returns the attempt, which stays in memory until unpin. If memory does not
// know it, packs are asked how far it got.
func (s *Store) pin(ctx context.Context, ref job.Ref) (*attempt, error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, ErrClosed
		}
		if a := s.live[ref]; a != nil {
			a.pins++
			s.mu.Unlock()
			return a, nil
		}
		packs, gen := s.packs, s.gen
		s.mu.Unlock()
		last, err := s.lastInPacks(ctx, packs, ref)
		s.mu.Lock()
		if s.gen != gen { // what was read may be old
			s.mu.Unlock()
			continue
		}
		if err != nil {
			s.mu.Unlock()
			return nil, err
		}
		a := s.live[ref]
		if a == nil {
			a = &attempt{ref: ref, next: last.end(), sealed: last.final}
			s.live[ref] = a
		}
		a.pins++
		s.mu.Unlock()
		return a, nil
	}
}

func (s *Store) unpin(a *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.pins--
	s.evict(a)
}

// evict forgets an attempt that packs know as well. s.mu is held.
func (s *Store) evict(a *attempt) {
	if a.pins == 0 && a.listed == 0 && s.live[a.ref] == a {
		delete(s.live, a.ref)
	}
}

// compareRefs orders references: by job, task, index, attempt.
func compareRefs(a, b job.Ref) int {
	return cmp.Or(
		cmp.Compare(a.Job, b.Job),
		strings.Compare(a.Task, b.Task),
		cmp.Compare(a.Index, b.Index),
		cmp.Compare(a.Attempt, b.Attempt),
	)
}

func checkRef(ref job.Ref) error {
	if ref.Job == 0 || ref.Attempt < 1 || ref.Attempt > 1<<16 || ref.Index < job.NoIndex {
		return fmt.Errorf("log of %s: want a whole attempt, such as 4217.transform.3@2", ref)
	}
	if err := job.CheckName(ref.Task); err != nil {
		return fmt.Errorf("log of %s: %w", ref, err)
	}
	return nil
}
