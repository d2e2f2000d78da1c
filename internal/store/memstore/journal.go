package memstore

import (
	"context"
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/store"
)

type journal struct{ s *Store }

func (j journal) Append(ctx context.Context, b store.Batch) error {
	if err := b.Check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s := j.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch last := s.last(); {
	case b.Seq > last+1:
		return fmt.Errorf("%w: batch %d after %d leaves a gap", store.ErrRefused, b.Seq, last)
	case b.Seq == last+1 && b.Prev != s.mark().ID:
		return fmt.Errorf("%w: the batch before %d is another", store.ErrFenced, b.Seq)
	case b.Seq == last+1:
		s.log = append(s.log, cloneBatch(b))
		return nil
	case b.Seq < s.first:
		return fmt.Errorf("%w: %d was trimmed", store.ErrFenced, b.Seq)
	case s.log[b.Seq-s.first].ID != b.ID:
		return fmt.Errorf("%w: %d is of epoch %d", store.ErrFenced, b.Seq, s.log[b.Seq-s.first].Epoch)
	}
	return nil
}

func (j journal) Read(ctx context.Context, from uint64, maxBytes int) ([]store.Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := j.s
	s.mu.RLock()
	defer s.mu.RUnlock()
	if from < s.first {
		return nil, fmt.Errorf("%w: %d, the first kept is %d", store.ErrTrimmed, from, s.first)
	}
	var out []store.Batch
	for n := 0; from <= s.last(); from++ {
		b := s.log[from-s.first]
		n += len(b.Payload)
		if len(out) > 0 && n > maxBytes {
			break
		}
		out = append(out, cloneBatch(b))
	}
	return out, nil
}

func (j journal) Last(ctx context.Context) (store.Mark, error) {
	if err := ctx.Err(); err != nil {
		return store.Mark{}, err
	}
	j.s.mu.RLock()
	defer j.s.mu.RUnlock()
	return j.s.mark(), nil
}

func (j journal) Bounds(ctx context.Context) (first, last uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	j.s.mu.RLock()
	defer j.s.mu.RUnlock()
	return j.s.first, j.s.last(), nil
}

func (j journal) Trim(ctx context.Context, below uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := j.s
	s.mu.Lock()
	defer s.mu.Unlock()
	below = min(below, s.last())
	if below <= s.first {
		return nil
	}
	s.log = append([]store.Batch(nil), s.log[below-s.first:]...)
	s.first = below
	s.settle()
	return nil
}
