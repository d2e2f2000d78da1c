package logstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

const (
	dropName = "dropped"
	// dropSlack is how large the file of drops may get beyond what is needed.
	dropSlack = 1 << 20
)

// Drop forgets the logs of these jobs for good; their readers get ErrDropped. The
// caller passes only jobs that will log no more: what is appended to one later may
// be forgotten too. Room is given back when a pack holds
// nothing else, or more dropped jobs than others.
func (s *Store) Drop(ctx context.Context, ids ...job.ID) error {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	s.packing.Lock()
	defer s.packing.Unlock()
	if err := s.dropFresh(ids); err != nil {
		return err
	}
	s.mu.Lock()
	packs := slices.Clone(s.packs)
	s.mu.Unlock()
	var dropped []job.ID
	for i, p := range packs {
		if hit := p.among(ids); len(hit) > 0 {
			dropped = append(dropped, hit...)
			packs[i] = p.without(hit)
		}
	}
	if len(dropped) == 0 {
		return nil
	}
	slices.Sort(dropped)
	if err := s.rememberDrops(ctx, packs, slices.Compact(dropped)); err != nil {
		return fmt.Errorf("dropping logs: %w", err)
	}
	s.swap(packs)
	return s.giveBack(ctx, packs)
}

// dropFresh drops what is not packed.
func (s *Store) dropFresh(ids []job.ID) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	closed := s.closed
	var hit []job.ID
	if !closed {
		hit = s.void(ids)
	}
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	for _, id := range hit {
		if _, err := s.put(&record{kind: recDrop, ref: job.Ref{Job: id, Index: job.NoIndex}}); err != nil {
			return fmt.Errorf("dropping logs of job %s: %w", id, err)
		}
	}
	return nil
}

// void drops the attempts of these jobs (sorted) from memory and returns the jobs
// that had any. s.mu is held, or s not shared yet.
func (s *Store) void(ids []job.ID) (hit []job.ID) {
	for ref, a := range s.live {
		if _, ok := slices.BinarySearch(ids, ref.Job); ok {
			a.dropped = true
			a.spans = nil
			a.notify()
			s.arrived(a)
			delete(s.live, ref)
			hit = append(hit, ref.Job)
		}
	}
	slices.Sort(hit)
	return slices.Compact(hit)
}

// among returns those of ids (sorted) that p has and were not dropped before.
func (p *pack) among(ids []job.ID) (hit []job.ID) {
	from, _ := slices.BinarySearch(ids, p.jobs[0])
	for _, id := range ids[from:] {
		if id > p.jobs[len(p.jobs)-1] {
			break
		}
		if p.has(id) {
			hit = append(hit, id)
		}
	}
	return hit
}

// without returns a copy of p in which these jobs (sorted) are void.
func (p *pack) without(ids []job.ID) *pack {
	np := *p
	np.dropped = slices.Concat(p.dropped, ids)
	slices.Sort(np.dropped)
	return &np
}

// swap lets readers see packs, which the caller must not change any more.
func (s *Store) swap(packs []*pack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packs = packs
	s.gen++
}

// giveBack removes packs without a living job and rewrites those that are half
// dead. s.packing is held.
func (s *Store) giveBack(ctx context.Context, packs []*pack) error {
	kept := make([]*pack, 0, len(packs))
	var dead []*pack
	var errs []error
	for _, p := range packs {
		switch {
		case len(p.dropped) == len(p.jobs):
			dead = append(dead, p)
			continue
		case 2*len(p.dropped) >= len(p.jobs):
			gen := max(p.gen+1, s.o.Term<<termShift)
			np := &pack{n: p.n, gen: gen, key: s.packKey(p.n, gen), newest: p.newest}
			if err := s.writePack(ctx, np, s.repack(ctx, p)); err != nil {
				errs = append(errs, fmt.Errorf("rewriting log pack %s: %w", p.key, err))
				break
			}
			dead = append(dead, p)
			p = np
		}
		kept = append(kept, p)
	}
	if len(dead) > 0 {
		s.swap(kept)
	}
	for _, p := range dead {
		s.deletePack(ctx, p)
	}
	return errors.Join(errs...)
}

// DropBefore forgets the packs in which nothing is younger than t, whatever jobs
// they belong to, and returns how many. What is not packed yet is packed first, so
// it goes with a later call.
func (s *Store) DropBefore(ctx context.Context, t time.Time) (packs int, err error) {
	s.writing.Lock()
	if s.closed {
		s.writing.Unlock()
		return 0, ErrClosed
	}
	if s.cur.records > 0 && s.cur.newest < t.UnixMilli() {
		s.rotate()
	}
	s.writing.Unlock()
	s.packing.Lock()
	defer s.packing.Unlock()
	s.mu.Lock()
	var kept, dead []*pack
	for _, p := range s.packs {
		if p.newest < t.UnixMilli() {
			dead = append(dead, p)
		} else {
			kept = append(kept, p)
		}
	}
	s.mu.Unlock()
	if len(dead) > 0 {
		s.swap(kept)
	}
	for _, p := range dead {
		s.deletePack(ctx, p)
	}
	return len(dead), nil
}

// dropLines is ids as lines.
func dropLines(ids []job.ID) (text []byte) {
	for _, id := range ids {
		text = append(append(text, id.String()...), '\n')
	}
	return text
}

// rememberDrops writes ids durably to the file of drops, and writes that anew when
// most of it is about packs that are gone. s.packing is held.
func (s *Store) rememberDrops(ctx context.Context, packs []*pack, ids []job.ID) error {
	text := dropLines(ids)
	if s.o.Staged {
		return s.stageDrops(ctx, packs, text)
	}
	before, err := s.appendDrops(text)
	if err != nil {
		return err
	}
	needed := 0
	for _, p := range packs {
		needed += len(p.dropped)
	}
	if before > int64(dropSlack+40*needed) {
		return s.rewriteDrops(packs)
	}
	return nil
}

// appendDrops adds lines to the file of drops, durably, and returns how long it was.
func (s *Store) appendDrops(text []byte) (before int64, err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, dropName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err == nil {
		before = info.Size()
		_, err = f.Write(text)
	}
	if err == nil {
		err = f.Sync()
	}
	return before, errors.Join(err, f.Close())
}

// neededDrops is what packs still need to be remembered.
func neededDrops(packs []*pack) []byte {
	var ids []job.ID
	for _, p := range packs {
		ids = append(ids, p.dropped...)
	}
	slices.Sort(ids)
	return dropLines(slices.Compact(ids))
}

// rewriteDrops replaces the file of drops by what packs still need.
func (s *Store) rewriteDrops(packs []*pack) error {
	text := neededDrops(packs)
	path := filepath.Join(s.dir, dropName)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// recoverDrops marks what was dropped in the packs. A last line without an end
// was torn by a crash; whoever dropped that had no answer yet.
func (s *Store) recoverDrops(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(s.dir, dropName))
	if s.o.Staged {
		text, err = s.stagedDrops(ctx)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var ids []job.ID
	for line := range bytes.Lines(text) {
		if id, err := job.ParseID(string(bytes.TrimSuffix(line, []byte("\n")))); err == nil && bytes.HasSuffix(line, []byte("\n")) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	packs := make([]*pack, 0, len(s.packs))
	for _, p := range s.packs {
		if hit := p.among(ids); len(hit) > 0 {
			p = p.without(hit)
		}
		if len(p.dropped) == len(p.jobs) {
			s.deletePack(ctx, p)
			continue
		}
		packs = append(packs, p)
	}
	s.packs = packs
	if s.o.Staged {
		return s.mergeDrops(ctx, packs)
	}
	return s.rewriteDrops(packs)
}
