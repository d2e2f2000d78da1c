package sqlstore

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/pgtest"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/sieve"
)

func keyed(t *testing.T, s *Store, seq, first, n uint64, submitted int64) {
	t.Helper()
	f := store.Flush{Seq: seq}
	for id := first; id < first+n; id++ {
		f.Jobs = append(f.Jobs, store.JobRow{ID: id, Submitted: submitted, KeyHash: hashOf(id)})
	}
	if err := s.Tables().Flush(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
}

func hashOf(id uint64) uint64 { return id * 0x9e3779b97f4a7c15 >> 1 }

// found looks up the keys of jobs [1, n] and as many that nobody has.
func found(t *testing.T, s *Store, n uint64) int {
	t.Helper()
	total := 0
	for from := uint64(1); from <= n; from += 500 {
		var hashes []uint64
		for id := from; id < from+500; id++ {
			hashes = append(hashes, hashOf(id), hashOf(id+1<<40))
		}
		rows, _, err := s.History().JobsByKey(t.Context(), store.Latest, hashes)
		if err != nil {
			t.Fatal(err)
		}
		total += len(rows)
	}
	return total
}

func TestKeysAreLearned(t *testing.T) {
	dir := t.TempDir()
	const day = 86_400_000
	s, err := OpenSQLite(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Journal().Append(t.Context(), numbered(1, 10)); err != nil {
		t.Fatal(err)
	}
	keyed(t, s, 1, 1, 2*sieve.Page, day)
	if got := found(t, s, 2*sieve.Page); got != 2*sieve.Page {
		t.Errorf("%d keys are found of those that this process wrote, want %d", got, 2*sieve.Page)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openIn(t, dir)
	if got := found(t, s, 2*sieve.Page); got != 2*sieve.Page {
		t.Errorf("%d keys are found while they are learned, want %d", got, 2*sieve.Page)
	}
	keyed(t, s, 1, 2*sieve.Page+1, 1000, 2*day)
	s.tables.keys.Learners.Wait()
	known := func(parts ...int64) {
		t.Helper()
		for _, number := range parts {
			if !s.tables.keys.Known(number) {
				t.Errorf("partition %d is not known", number)
			}
		}
	}
	known(1, 2)
	if got := found(t, s, 2*sieve.Page+1000); got != 2*sieve.Page+1000 {
		t.Errorf("%d keys are found, want %d", got, 2*sieve.Page+1000)
	}
	some, learn := s.tables.keys.Pick(nil, 1, 1, []uint64{hashOf(1), hashOf(1 << 50), hashOf(1<<50 + 1), hashOf(1<<50 + 2)})
	if learn != nil || len(some) > 2 || !slices.Contains(some, any(int64(hashOf(1)))) {
		t.Errorf("%v are to be looked up (learn: %v)", some, learn)
	}
}

func TestKeysOfAFlushUnderWay(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenSQLite(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Journal().Append(t.Context(), numbered(1, 10)); err != nil {
		t.Fatal(err)
	}
	keyed(t, s, 1, 1, 1000, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s, err := OpenSQLite(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close() //nolint:errcheck // the files are the test's
		f := store.Flush{Seq: 1}
		for id := uint64(1001); id <= 2000; id++ {
			f.Jobs = append(f.Jobs, store.JobRow{ID: id, KeyHash: hashOf(id)})
		}
		tables := s.tables
		if err := tables.db.write(t.Context(), func(ctx context.Context, w *session) error {
			return w.transact(ctx, tables.db.d.beginWrite, func() error {
				if err := tables.flush(ctx, w, &f); err != nil {
					return err
				}
				found(t, s, 1000)
				synctest.Wait() // until it has learned, or waits
				return nil
			})
		}); err != nil {
			t.Fatal(err)
		}
		tables.keys.Learners.Wait()
		if got := found(t, s, 2000); got != 2000 {
			t.Errorf("%d keys are found, want 2000", got)
		}
	})
}

// TestNewKeysNeedNoDatabase looks up keys that nobody has, which is what nearly all are, without a
// question to the database, as long as nobody else can have written what counts.
func TestNewKeysNeedNoDatabase(t *testing.T) {
	server := pgtest.Start(t, pgtest.Config{})
	url := server.Database(t)
	s, other := connected(t, url), connected(t, url)
	write := func(s *Store, seq uint64) {
		t.Helper()
		insist(t, s, numbered(seq, 10))
		f := store.Flush{Seq: seq, ID: numbered(seq, 1).ID, Jobs: []store.JobRow{{ID: seq, Changed: seq, KeyHash: hashOf(seq)}}}
		for err := s.Tables().Flush(t.Context(), &f); err != nil; err = s.Tables().Flush(t.Context(), &f) {
			if !errors.Is(err, store.ErrUnavailable) || t.Context().Err() != nil {
				t.Fatal(err)
			}
		}
	}
	found := func(s *Store, seen, job uint64) int {
		t.Helper()
		rows, _, err := s.History().JobsByKey(t.Context(), seen, []uint64{hashOf(job)})
		if err != nil {
			t.Fatal(err)
		}
		return len(rows)
	}
	write(s, 1)
	write(s, 2)
	server.Stop(t, true)
	if n := found(s, 2, 77); n != 0 {
		t.Errorf("%d jobs have a key that nobody has", n)
	}
	for _, ask := range []struct{ seen, job uint64 }{{2, 1}, {3, 77}, {store.Latest, 77}} {
		if _, _, err := s.History().JobsByKey(t.Context(), ask.seen, []uint64{hashOf(ask.job)}); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("the key of job %d as of %d, without the database: %v, want %v", ask.job, ask.seen, err, store.ErrUnavailable)
		}
	}
	server.Start(t)
	write(other, 3)
	if n := found(s, 3, 3); n != 1 {
		t.Errorf("%d jobs have the key that another server has written, want 1", n)
	}
	write(s, 4)
	for job := uint64(1); job <= 4; job++ {
		if n := found(s, 4, job); n != 1 {
			t.Errorf("%d jobs have the key of job %d, want 1", n, job)
		}
	}
	var c counting
	if _, err := other.Tables().Load(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	if n := found(other, 3, 4); n != 1 {
		t.Errorf("%d jobs have the key of job 4 for a server that has begun again, want 1", n)
	}
}
