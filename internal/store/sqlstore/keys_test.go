package sqlstore

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/reeve-scheduler/reeve/internal/store"
)

func TestSieve(t *testing.T) {
	const n = 300_000
	r := rand.New(rand.NewPCG(1, 2))
	hashes := make([]uint64, n)
	var s sieve
	size := 0
	for i := range hashes {
		hashes[i] = r.Uint64() >> 1
		size += s.add(hashes[i])
	}
	for _, h := range hashes {
		if !s.has(h) {
			t.Fatalf("it does not have %x, which was added", h)
		}
	}
	wrong := 0
	for range n {
		if s.has(r.Uint64() >> 1) {
			wrong++
		}
	}
	if wrong > n/25 {
		t.Errorf("it has %d of %d that were not added", wrong, n)
	}
	if size != s.bytes() || size > 2*n*sieveBits/8+sieveFirst*sieveBits/8 {
		t.Errorf("%d bytes (%d by count) for %d keys", s.bytes(), size, n)
	}
	t.Logf("%.2f %% in vain, %.1f bits a key", 100*float64(wrong)/n, 8*float64(size)/n)
}

// keyed writes n jobs from id first on, whose hashes are their ids times a number.
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
		rows, _, err := s.History().JobsByKey(t.Context(), hashes...)
		if err != nil {
			t.Fatal(err)
		}
		total += len(rows)
	}
	return total
}

// TestKeysAreLearned looks keys up in partitions that were written before the start, by
// this process, and meanwhile.
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
	keyed(t, s, 1, 1, 2*learnPage, day)
	if got := found(t, s, 2*learnPage); got != 2*learnPage {
		t.Errorf("%d keys are found of those that this process wrote, want %d", got, 2*learnPage)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openIn(t, dir)
	if got := found(t, s, 2*learnPage); got != 2*learnPage {
		t.Errorf("%d keys are found while they are learned, want %d", got, 2*learnPage)
	}
	keyed(t, s, 1, 2*learnPage+1, 1000, 2*day)
	s.tables.keys.learners.Wait()
	known := func(parts ...int64) {
		t.Helper()
		for _, number := range parts {
			v := s.tables.keys.sieves[number]
			if v == nil || !v.ready {
				t.Errorf("partition %d is not known: %+v", number, v)
			}
		}
	}
	known(1, 2)
	if got := found(t, s, 2*learnPage+1000); got != 2*learnPage+1000 {
		t.Errorf("%d keys are found, want %d", got, 2*learnPage+1000)
	}
	some, learn := s.tables.keys.pick(nil, 1, 1, []uint64{hashOf(1), hashOf(1 << 50), hashOf(1<<50 + 1), hashOf(1<<50 + 2)})
	if learn != nil || len(some) > 2 || !slices.Contains(some, any(int64(hashOf(1)))) {
		t.Errorf("%v are to be looked up (learn: %v)", some, learn)
	}
}

// TestKeysOfAnotherProcess has somebody else move the tables: what is known is worth
// nothing then.
func TestKeysOfAnotherProcess(t *testing.T) {
	k := &keys{}
	k.forget(5)
	k.made(1)
	all := []uint64{1, 2, 3}
	if some, _ := k.pick(nil, 1, 5, all); len(some) != 0 {
		t.Errorf("an empty partition may have %v", some)
	}
	if some, learn := k.pick(nil, 1, 6, all); len(some) != 3 || learn != nil {
		t.Errorf("of a partition that another process wrote, %v are to be looked up", some)
	}
	k.flushing(6, 7) // this one goes on after the other
	if some, _ := k.pick(nil, 1, 7, all); len(some) != 3 {
		t.Errorf("after that, %v are to be looked up", some)
	}
}

// TestKeysForgottenWhileLearned does not take the end of what was read for all of it.
func TestKeysForgottenWhileLearned(t *testing.T) {
	k := &keys{}
	k.forget(1)
	_, learn := k.pick(nil, 1, 1, make([]uint64, sievePays))
	if learn == nil || !k.learned(1, learn, make([]uint64, learnPage), nil) {
		t.Fatal("it is not learned")
	}
	k.forget(2)
	if _, second := k.pick(nil, 1, 2, make([]uint64, sievePays)); second != nil {
		t.Error("two learn at a time")
	}
	if k.learned(1, learn, nil, nil) || k.sieves[1].ready {
		t.Error("the end of what was read before counts as all")
	}
	if _, again := k.pick(nil, 1, 2, make([]uint64, 1)); again == nil || again == learn {
		t.Error("it is not learned again")
	}
}

// TestTooManyKeys gives up a partition that finds no room, and looks it up.
func TestTooManyKeys(t *testing.T) {
	k := &keys{}
	k.forget(1)
	k.made(1)
	k.made(2)
	k.add(2, []store.JobRow{{KeyHash: 7}})
	small := k.size
	k.size = sieveMost // as if others had taken it
	k.add(1, []store.JobRow{{KeyHash: 8}})
	if some, learn := k.pick(nil, 1, 1, []uint64{1, 2}); len(some) != 2 || learn != nil {
		t.Errorf("without room, %v are to be looked up (learn: %v)", some, learn)
	}
	if some, _ := k.pick(nil, 2, 1, []uint64{7}); len(some) != 1 {
		t.Error("the other partition has lost its key")
	}
	k.size = small
	k.keep([]partition{{number: 1}})
	if k.size != 0 || len(k.sieves) != 1 {
		t.Errorf("%d bytes and %d sieves are left", k.size, len(k.sieves))
	}
}

// TestKeysOfAFlushUnderWay begins to learn a partition's keys while a flush writes some that
// passed by before anybody knew that they would be wanted.
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
		tables.keys.learners.Wait()
		if got := found(t, s, 2000); got != 2000 {
			t.Errorf("%d keys are found, want 2000", got)
		}
	})
}
