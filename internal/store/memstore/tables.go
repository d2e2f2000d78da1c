package memstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
)

type objectKey struct {
	kind uint8
	key  string
}

// tables are the rows at one moment. Rows are never changed in place, so that a
// clone may share them.
type tables struct {
	projected uint64
	maxJob    uint64
	objects   map[objectKey]store.ObjectRow
	ids       []uint64 // of jobs, rising
	jobs      map[uint64]store.JobRow
	parts     map[uint64][]store.PartRow // by job, in order of task, kind, N
	specs     map[[32]byte][]byte
}

func newTables() *tables {
	return &tables{
		objects: make(map[objectKey]store.ObjectRow),
		jobs:    make(map[uint64]store.JobRow),
		parts:   make(map[uint64][]store.PartRow),
		specs:   make(map[[32]byte][]byte),
	}
}

func (t *tables) clone() *tables {
	c := *t
	c.objects = maps.Clone(t.objects)
	c.ids = slices.Clone(t.ids)
	c.jobs = maps.Clone(t.jobs)
	c.parts = make(map[uint64][]store.PartRow, len(t.parts))
	for job, parts := range t.parts {
		c.parts[job] = slices.Clone(parts)
	}
	c.specs = maps.Clone(t.specs)
	return &c
}

// check refuses what the tables can't take.
func (t *tables) check(f *store.Flush) error {
	if err := f.Check(); err != nil {
		return err
	}
	if f.Seq < t.projected {
		return fmt.Errorf("%w: a flush at %d, the tables are at %d", store.ErrFenced, f.Seq, t.projected)
	}
	if f.Since > t.projected {
		return fmt.Errorf("%w: a flush of what has changed since %d, the tables are at %d", store.ErrFenced, f.Since, t.projected)
	}
	brought := make(map[[32]byte]bool, len(f.Specs))
	for i := range f.Specs {
		brought[f.Specs[i].Hash] = true
	}
	for i := range f.Jobs {
		j := &f.Jobs[i]
		if j.ID > t.maxJob && j.Spec != ([32]byte{}) && !brought[j.Spec] {
			return fmt.Errorf("%w: the flush at %d brings job %d without its spec %x", store.ErrRefused, f.Seq, j.ID, j.Spec[:4])
		}
	}
	return nil
}

// apply writes a checked flush whose bytes are the store's own.
func (t *tables) apply(f *store.Flush) {
	t.projected = f.Seq
	for _, o := range f.Objects {
		if o.Deleted {
			delete(t.objects, objectKey{o.Kind, o.Key})
		} else {
			t.objects[objectKey{o.Kind, o.Key}] = o
		}
	}
	for _, j := range f.Jobs {
		if at, known := slices.BinarySearch(t.ids, j.ID); !known {
			t.ids = slices.Insert(t.ids, at, j.ID)
		} else {
			j.Payload = t.jobs[j.ID].Payload
		}
		t.jobs[j.ID] = j
		t.maxJob = max(t.maxJob, j.ID)
	}
	for _, p := range f.Parts {
		parts := t.parts[p.Job]
		at, known := slices.BinarySearchFunc(parts, p, comparePart)
		if known {
			parts[at] = p
		} else {
			t.parts[p.Job] = slices.Insert(parts, at, p)
		}
	}
	for _, s := range f.Specs {
		t.specs[s.Hash] = s.Blob
	}
}

// change makes a change.
func (t *tables) change(c change) {
	if c.flush != nil {
		t.apply(c.flush)
	} else {
		t.retain(c.at)
	}
}

// retain drops every finished job past its time, with its parts and the specs
// that nothing uses any more.
func (t *tables) retain(now int64) (dropped int) {
	kept := make([]uint64, 0, len(t.ids))
	used := make(map[[32]byte]bool)
	for _, id := range t.ids {
		j := t.jobs[id]
		if j.Past(now) {
			delete(t.jobs, id)
			delete(t.parts, id)
			dropped++
			continue
		}
		kept = append(kept, id)
		used[j.Spec] = true
	}
	t.ids = kept
	maps.DeleteFunc(t.specs, func(hash [32]byte, _ []byte) bool { return !used[hash] })
	return dropped
}

func comparePart(a, b store.PartRow) int {
	return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.N, b.N))
}

type projector struct{ s *Store }

func (p projector) Flush(ctx context.Context, f *store.Flush) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.now.check(f); err != nil {
		return err
	}
	if f.ID != ([16]byte{}) && f.Seq >= s.first && (f.Seq > s.last() || s.log[f.Seq-s.first].ID != f.ID) {
		return fmt.Errorf("%w: another batch stands at %d", store.ErrFenced, f.Seq)
	}
	own := cloneFlush(f)
	s.now.apply(own)
	s.since = append(s.since, change{flush: own})
	return nil
}

func (p projector) Durable(ctx context.Context) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.since {
		s.safe.change(c)
	}
	s.taken, s.since = append(s.taken, s.since...), nil
	return s.safe.projected, nil
}

func (p projector) Retain(ctx context.Context, now time.Time, gone func(ids []uint64) error) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s := p.s
	s.mu.RLock()
	var ids []uint64
	for _, id := range s.now.ids {
		if j := s.now.jobs[id]; j.Past(now.UnixMilli()) {
			ids = append(ids, id)
		}
	}
	s.mu.RUnlock()
	if gone != nil && len(ids) > 0 {
		if err := gone(ids); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = append(s.since, change{at: now.UnixMilli()})
	return s.now.retain(now.UnixMilli()), nil
}

func (p projector) Load(ctx context.Context, into store.Loader) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	p.s.mu.RLock()
	t := p.s.now.clone()
	p.s.mu.RUnlock()
	keys := slices.SortedFunc(maps.Keys(t.objects), func(a, b objectKey) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.key, b.key))
	})
	for _, k := range keys {
		o := t.objects[k]
		o.Blob = slices.Clone(o.Blob)
		if err := into.Object(o); err != nil {
			return 0, err
		}
	}
	told := make(map[[32]byte]bool)
	for _, id := range t.ids {
		if j := t.jobs[id]; j.Live {
			if err := t.load(j, told, into); err != nil {
				return 0, err
			}
		}
	}
	return t.projected, nil
}

// load hands over one live job with what belongs to it.
func (t *tables) load(j store.JobRow, told map[[32]byte]bool, into store.Loader) error {
	if blob, ok := t.specs[j.Spec]; ok && !told[j.Spec] {
		told[j.Spec] = true
		if err := into.Spec(store.SpecRow{Job: j.ID, Hash: j.Spec, Blob: slices.Clone(blob)}); err != nil {
			return err
		}
	}
	if err := into.Job(cloneJob(j)); err != nil {
		return err
	}
	for _, p := range t.parts[j.ID] {
		if p.Kind == store.PartAttempt {
			continue
		}
		p.Blob = slices.Clone(p.Blob)
		if err := into.Part(p); err != nil {
			return err
		}
	}
	return nil
}

// cloneJob copies a job but for its payload, which has a call of its own.
func cloneJob(j store.JobRow) store.JobRow {
	j.Labels = slices.Clone(j.Labels)
	j.Blob = slices.Clone(j.Blob)
	j.Payload = nil
	return j
}

func cloneFlush(f *store.Flush) *store.Flush {
	c := &store.Flush{
		Seq:     f.Seq,
		Objects: slices.Clone(f.Objects),
		Jobs:    slices.Clone(f.Jobs),
		Parts:   slices.Clone(f.Parts),
		Specs:   slices.Clone(f.Specs),
	}
	for i := range c.Objects {
		c.Objects[i].Blob = slices.Clone(c.Objects[i].Blob)
	}
	for i := range c.Jobs {
		payload := slices.Clone(c.Jobs[i].Payload)
		c.Jobs[i] = cloneJob(c.Jobs[i])
		c.Jobs[i].Payload = payload
	}
	for i := range c.Parts {
		c.Parts[i].Blob = slices.Clone(c.Parts[i].Blob)
	}
	for i := range c.Specs {
		c.Specs[i].Blob = slices.Clone(c.Specs[i].Blob)
	}
	return c
}
