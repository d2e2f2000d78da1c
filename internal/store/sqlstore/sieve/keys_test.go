package sieve

import (
	"math/rand/v2"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store"
)

func TestSieve(t *testing.T) {
	const n = 300_000
	r := rand.New(rand.NewPCG(1, 2))
	hashes := make([]uint64, n)
	var s Sieve
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
// TestKeysOfAnotherProcess has somebody else move the tables: what is known is worth
// nothing then.
func TestKeysOfAnotherProcess(t *testing.T) {
	k := &Keys{}
	k.Forget(5)
	k.Made(1)
	all := []uint64{1, 2, 3}
	if some, _ := k.Pick(nil, 1, 5, all); len(some) != 0 {
		t.Errorf("an empty partition may have %v", some)
	}
	if some, learn := k.Pick(nil, 1, 6, all); len(some) != 3 || learn != nil {
		t.Errorf("of a partition that another process wrote, %v are to be looked up", some)
	}
	k.Flushing(6, 7, nil) // this one goes on after the other
	if some, _ := k.Pick(nil, 1, 7, all); len(some) != 3 {
		t.Errorf("after that, %v are to be looked up", some)
	}
}

// TestNone is what is certain without a look at any partition.
func TestNone(t *testing.T) {
	k := &Keys{}
	none := func(when string, seen uint64, hash uint64, want bool) {
		t.Helper()
		if _, got := k.None(seen, []uint64{hash}); got != want {
			t.Errorf("%s, it is certain that nobody has %d: %t", when, hash, got)
		}
	}
	k.Forget(0)
	none("at first", 0, 1, false)
	k.Flushing(0, 5, []int64{})
	none("before the first partition", 5, 1, true)
	k.Made(1)
	k.Add(1, []store.JobRow{{KeyHash: 7}})
	none("with one key", 5, 1, true)
	none("with one key", 5, 7, false)
	none("with one key and what may have been written since", 6, 1, false)
	k.Flushing(5, 8, []int64{1, 2}) // of 2 nothing is known
	none("with a strange partition", 8, 1, false)
	_, learn := k.Pick(nil, 2, 8, make([]uint64, sievePays))
	if learn == nil {
		t.Fatal("it is not learned")
	}
	none("while that is learned", 8, 1, false)
	k.Learned(2, learn, []uint64{9}, nil)
	none("once that is learned", 8, 1, true)
	none("once that is learned", 8, 9, false)
	k.Keep([]int64{2})
	none("while a partition may be dropped or not", 8, 1, false)
	k.Flushing(8, 9, []int64{2})
	none("once it is dropped", 9, 1, true)
	k.Flushing(12, 13, []int64{2})
	none("after another process has written", 13, 1, false)
}

// TestKeysForgottenWhileLearned does not take the end of what was read for all of it.
func TestKeysForgottenWhileLearned(t *testing.T) {
	k := &Keys{}
	k.Forget(1)
	_, learn := k.Pick(nil, 1, 1, make([]uint64, sievePays))
	if learn == nil || !k.Learned(1, learn, make([]uint64, Page), nil) {
		t.Fatal("it is not learned")
	}
	k.Forget(2)
	if _, second := k.Pick(nil, 1, 2, make([]uint64, sievePays)); second != nil {
		t.Error("two learn at a time")
	}
	if k.Learned(1, learn, nil, nil) || k.sieves[1].ready {
		t.Error("the end of what was read before counts as all")
	}
	if _, again := k.Pick(nil, 1, 2, make([]uint64, 1)); again == nil || again == learn {
		t.Error("it is not learned again")
	}
}

// TestTooManyKeys gives up a partition that finds no room, and looks it up.
func TestTooManyKeys(t *testing.T) {
	k := &Keys{}
	k.Forget(1)
	k.Made(1)
	k.Made(2)
	k.Add(2, []store.JobRow{{KeyHash: 7}})
	small := k.size
	k.size = sieveMost // as if others had taken it
	k.Add(1, []store.JobRow{{KeyHash: 8}})
	if some, learn := k.Pick(nil, 1, 1, []uint64{1, 2}); len(some) != 2 || learn != nil {
		t.Errorf("without room, %v are to be looked up (learn: %v)", some, learn)
	}
	if some, _ := k.Pick(nil, 2, 1, []uint64{7}); len(some) != 1 {
		t.Error("the other partition has lost its key")
	}
	k.size = small
	k.Keep([]int64{1})
	if k.size != 0 || len(k.sieves) != 1 {
		t.Errorf("%d bytes and %d sieves are left", k.size, len(k.sieves))
	}
}
