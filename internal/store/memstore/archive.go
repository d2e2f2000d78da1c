package memstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// dumpSlice is how many jobs one flush of a dump has.
const dumpSlice = 64

// Dump implements store.Archive.
func (s *Store) Dump(ctx context.Context, to store.Copier) error {
	s.mu.RLock()
	t := s.now.clone()
	log := s.log[min(len(s.log), int(max(t.projected, s.first)-s.first)):]
	log = slices.Clone(log)
	secrets := maps.Clone(s.cluster.secrets)
	s.mu.RUnlock()
	if err := t.dump(ctx, to); err != nil {
		return err
	}
	for _, b := range log {
		if err := to.Batch(cloneBatch(b)); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if err := to.Secret(name, slices.Clone(secrets[name])); err != nil {
			return err
		}
	}
	return nil
}

// dump hands over the rows.
func (t *tables) dump(ctx context.Context, to store.Copier) error {
	f := &store.Flush{Seq: t.projected, Objects: slices.Collect(maps.Values(t.objects))}
	slices.SortFunc(f.Objects, func(a, b store.ObjectRow) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key))
	})
	for ids := t.ids; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(len(ids), dumpSlice)
		brought := make(map[[32]byte]bool)
		for _, id := range ids[:n] {
			j := t.jobs[id]
			f.Jobs, f.Parts = append(f.Jobs, j), append(f.Parts, t.parts[id]...)
			if blob, ok := t.specs[j.Spec]; ok && !brought[j.Spec] {
				brought[j.Spec] = true
				f.Specs = append(f.Specs, store.SpecRow{Job: id, Hash: j.Spec, Blob: blob})
			}
		}
		if err := to.Flush(cloneFlush(f)); err != nil {
			return err
		}
		if ids = ids[n:]; len(ids) == 0 {
			return nil
		}
		f = &store.Flush{Seq: t.projected}
	}
}

// Fill implements store.Archive.
func (s *Store) Fill(ctx context.Context, from func(to store.Copier) error) error {
	f := filling{tables: newTables(), secrets: make(map[string][]byte)}
	s.mu.RLock()
	err := s.empty()
	s.mu.RUnlock()
	if err == nil {
		err = from(&f)
	}
	if err == nil {
		err = cmp.Or(f.check.Done(), ctx.Err())
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.empty(); err != nil { // still
		return err
	}
	s.log = f.log
	if len(f.log) > 0 {
		s.first = f.log[0].Seq
	}
	s.now, s.safe, s.base, s.taken, s.since = f.tables, f.tables.clone(), f.tables.clone(), nil, nil
	s.cluster.secrets = f.secrets
	return nil
}

// empty refuses a store that holds anything. The caller holds mu.
func (s *Store) empty() error {
	if len(s.log) > 0 || s.now.projected > 0 || len(s.now.objects)+len(s.now.ids)+len(s.cluster.secrets) > 0 {
		return fmt.Errorf("%w: the store is not empty: its journal ends at %d", store.ErrRefused, s.last())
	}
	return nil
}

// filling implements store.Copier.
type filling struct {
	check   store.Filling
	tables  *tables
	log     []store.Batch
	secrets map[string][]byte
}

func (f *filling) Flush(fl *store.Flush) error {
	if err := f.check.Flush(fl); err != nil {
		return err
	}
	if err := f.tables.check(fl); err != nil {
		return err
	}
	f.tables.apply(cloneFlush(fl))
	return nil
}

func (f *filling) Batch(b store.Batch) error {
	f.log = append(f.log, cloneBatch(b))
	return f.check.Batch(&b)
}

func (f *filling) Secret(name string, secret []byte) error {
	f.secrets[name] = slices.Clone(secret)
	return store.CheckSecret(name, secret)
}
