package logstore

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Info describes the log of one attempt.
type Info struct {
	Ref job.Ref
	// Size is the end of the stream so far; Sealed says that it stays so.
	Size   int64
	Sealed bool
}

// Stat returns what is held of the log of attempt ref: nothing, of size 0, if it
// never logged.
func (s *Store) Stat(ctx context.Context, ref job.Ref) (Info, error) {
	if err := checkRef(ref); err != nil {
		return Info{}, err
	}
	a, err := s.pin(ctx, ref)
	if err != nil {
		return Info{}, err
	}
	defer s.unpin(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	return Info{Ref: ref, Size: a.next, Sealed: a.sealed}, nil
}

// MaxList bounds a page of List.
const MaxList = 1000

// List returns the attempts that have logs, or are expected to, among those that under names (a job, a
// task, an element or an attempt: parts from the left), in order of task, index
// and attempt, beginning after the reference after (zero: at the first); at most
// limit of them, and at most MaxList.
func (s *Store) List(ctx context.Context, under, after job.Ref, limit int) ([]Info, error) {
	if under.Job == 0 {
		return nil, fmt.Errorf("listing logs: name a job")
	}
	limit = min(max(limit, 1), MaxList)
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, ErrClosed
		}
		packs, gen := s.packs, s.gen
		l := lister{under: under, after: after, limit: limit}
		for ref, a := range s.live {
			if a.next > 0 && l.wants(ref) {
				l.found = append(l.found, Info{ref, a.next, a.sealed})
			}
		}
		for ref := range s.expected.size {
			if l.wants(ref) {
				l.found = append(l.found, Info{Ref: ref})
			}
		}
		s.mu.Unlock()
		l.merge()
		err := l.addPacks(ctx, s, packs)
		s.mu.Lock()
		same := s.gen == gen
		s.mu.Unlock()
		if same { // else a pack may have gone, or taken over what was in memory
			return l.found, err
		}
	}
}

// lister collects the first limit attempts.
type lister struct {
	under, after job.Ref
	limit        int
	found        []Info
}

// wants reports whether ref is below under and after after.
func (l *lister) wants(ref job.Ref) bool {
	u := l.under
	switch {
	case ref.Job != u.Job,
		u.Task != "" && ref.Task != u.Task,
		u.Task != "" && u.Index != job.NoIndex && ref.Index != u.Index,
		u.Attempt > 0 && ref.Attempt != u.Attempt:
		return false
	}
	return compareRefs(ref, l.after) > 0
}

// merge sorts what was found, makes the pieces of an attempt one, and keeps the
// first limit. An attempt among the first limit of all is among the first limit
// of each source, so none of its pieces is cut off.
func (l *lister) merge() {
	slices.SortFunc(l.found, func(a, b Info) int { return compareRefs(a.Ref, b.Ref) })
	out := l.found[:0]
	for _, i := range l.found {
		if k := len(out); k > 0 && out[k-1].Ref == i.Ref {
			out[k-1].Size = max(out[k-1].Size, i.Size)
			out[k-1].Sealed = out[k-1].Sealed || i.Sealed
			continue
		}
		out = append(out, i)
	}
	l.found = out[:min(len(out), l.limit)]
}

func (l *lister) addPacks(ctx context.Context, s *Store, packs []*pack) error {
	for _, p := range packs {
		if !p.has(l.under.Job) {
			continue
		}
		if err := l.addPack(ctx, s, p); err != nil {
			return err
		}
		l.merge()
	}
	return nil
}

// addPack adds the first limit attempts of p.
func (l *lister) addPack(ctx context.Context, s *Store, p *pack) error {
	least := job.Ref{Job: l.under.Job, Task: l.under.Task, Index: l.under.Index}
	if compareRefs(l.after, least) > 0 {
		least = l.after
	}
	i := sort.Search(len(p.pages), func(i int) bool { return compareRefs(p.pages[i].ref, least) >= 0 })
	count := 0
	var last job.Ref
	for i = max(i-1, 0); i < len(p.pages); i++ {
		entries, err := s.page(ctx, p, i)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.ref.Job > l.under.Job || e.ref.Job == l.under.Job && l.under.Task != "" && e.ref.Task > l.under.Task {
				return nil
			}
			if !l.wants(e.ref) {
				continue
			}
			if e.ref != last {
				if count++; count > l.limit {
					return nil
				}
				last = e.ref
			}
			l.found = append(l.found, Info{e.ref, e.end(), e.final})
		}
	}
	return nil
}
