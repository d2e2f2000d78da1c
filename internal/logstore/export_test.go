package logstore

import (
	"context"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Flush packs everything that was appended.
func (s *Store) Flush(ctx context.Context) error {
	s.Rotate()
	return s.packAll(ctx)
}

// Rotate begins a new segment.
func (s *Store) Rotate() {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.cur.records > 0 {
		s.rotate()
	}
}

// Spans returns how many pieces memory holds of an attempt.
func (s *Store) Spans(ref job.Ref) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.live[ref]; a != nil {
		return len(a.spans)
	}
	return 0
}

// Waiters returns how many attempts are waited for.
func (s *Store) Waiters() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.live {
		if a.changed != nil {
			n++
		}
	}
	return n
}

// PackMemory estimates the bytes that packs take in memory.
func (s *Store) PackMemory() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.packs {
		n += 300 + len(p.refs) + 8*(len(p.jobs)+len(p.dropped)) + 80*len(p.pages)
	}
	return n
}

// Stage puts everything that was appended into the blob store, too.
func (s *Store) Stage(ctx context.Context) error { return s.stageAll(ctx) }
