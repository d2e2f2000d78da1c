package logstore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/blob"
)

// maxDropBlobs is how many blobs may say what was dropped before they become one.
const maxDropBlobs = 100

func (s *Store) dropPrefix() string { return s.o.Prefix + "-dropped/" }

// stageDrops remembers in blobs what was dropped from packs. s.packing is held.
func (s *Store) stageDrops(ctx context.Context, packs []*pack, text []byte) error {
	if err := s.putDrops(ctx, text); err != nil {
		return err
	}
	if len(s.drops) > maxDropBlobs {
		return s.mergeDrops(ctx, packs)
	}
	return nil
}

func (s *Store) putDrops(ctx context.Context, text []byte) error {
	s.dropped++
	key := fmt.Sprintf("%s%016x", s.dropPrefix(), s.o.Term<<termShift+s.dropped)
	if _, err := s.blobs.Put(ctx, key, bytes.NewReader(text)); err != nil {
		return err
	}
	s.drops = append(s.drops, key)
	return nil
}

// stagedDrops reads what all stores have dropped. Text and keys come together.
func (s *Store) stagedDrops(ctx context.Context) (text []byte, err error) {
	err = s.blobs.List(ctx, s.dropPrefix(), func(i blob.Info) error {
		s.drops = append(s.drops, i.Key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, key := range s.drops {
		r, _, err := s.blobs.Get(ctx, key, 0)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return nil, err
		}
		text = append(text, b...)
	}
	return text, nil
}

// mergeDrops puts what packs still need into one blob, in the place of those that there are.
func (s *Store) mergeDrops(ctx context.Context, packs []*pack) error {
	old := slices.Clone(s.drops)
	if len(old) == 0 {
		return nil
	}
	if err := s.putDrops(ctx, neededDrops(packs)); err != nil {
		return err
	}
	s.drops = s.drops[len(old):]
	return s.blobs.Delete(ctx, old...)
}
