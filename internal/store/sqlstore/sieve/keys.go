// Package sieve knows roughly which idempotency keys a partition's jobs have, so that most of
// those that nobody has are looked up nowhere.
package sieve

import (
	"math/bits"
	"slices"
	"sync"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// Nearly every key that is looked up is a new one, and costs a walk down the index of every
// partition. So what a partition's index holds is kept in memory roughly: a Bloom filter
// (Bloom, 1970) in which each key has its bits within one word (Putze, Sanders, Singler,
// Cache-, Hash- and Space-Efficient Bloom Filters, 2007, section 3).
const (
	// sieveBits is how many bits of memory a key takes, of which it sets up to
	// sieveSets: then one of fifty keys is looked up in vain.
	sieveBits = 16
	sieveSets = 5
	// sieveFirst is how many keys a sieve's first block has room for; each further block
	// has twice as much.
	sieveFirst = 1 << 13
	// sieveMost bounds the memory of all sieves in bytes, enough for sixteen million
	// keys. A partition that finds no room is looked up.
	sieveMost = 32 << 20
	// sievePays is how many keys have been looked up in a partition before it pays to
	// read those that it has.
	sievePays = 1000
	// Page is how many keys are read at a time.
	Page = 4000
)

// Sieve holds keys, and takes some others for keys that it holds.
type Sieve struct {
	blocks [][]uint64
	room   int // keys, of the last block
	// ready says that it holds every key of its partition, full that there is no room
	// for them.
	ready, full bool
	// missed counts the keys that were looked up because it was not ready.
	missed int
}

// has reports whether it may hold hash.
func (s *Sieve) has(hash uint64) bool {
	at, mask := sieveSlot(hash)
	for _, b := range s.blocks {
		if b[at>>(64-bits.Len(uint(len(b)))+1)]&mask == mask {
			return true
		}
	}
	return false
}

// sieveSlot is where in a block a hash belongs, by its highest bits, and which bits it has
// there.
func sieveSlot(hash uint64) (at, mask uint64) {
	at = hash * 0x9e3779b97f4a7c15 // Knuth, The Art of Computer Programming, 6.4
	low := at ^ at>>32
	for range sieveSets {
		mask |= 1 << (low & 63)
		low >>= 6
	}
	return at, mask
}

func (s *Sieve) bytes() int {
	n := 0
	for _, b := range s.blocks {
		n += 8 * len(b)
	}
	return n
}

// add adds hash. It returns how many bytes it grew.
func (s *Sieve) add(hash uint64) int {
	if s.has(hash) {
		return 0
	}
	grown := 0
	if s.room == 0 {
		s.room = sieveFirst << len(s.blocks)
		s.blocks = append(s.blocks, make([]uint64, s.room*sieveBits/64))
		grown = s.room * sieveBits / 8
	}
	s.room--
	last := s.blocks[len(s.blocks)-1]
	at, mask := sieveSlot(hash)
	last[at>>(64-bits.Len(uint(len(last)))+1)] |= mask
	return grown
}

// Keys are the sieves of the partitions, by number. They know what this process wrote and
// what it has read, and are worth nothing once another one writes.
type Keys struct {
	mu     sync.RWMutex
	sieves map[int64]*Sieve
	size   int // bytes of all blocks
	// seq is the last flush that the sieves know of. A reader that sees a later one sees
	// what another process wrote.
	seq uint64
	// all are the partitions that there are or were at seq, nil while that is not known.
	all []int64
	// learning says that a partition's keys are being read, one partition at a time.
	learning bool
	// Learners are the goroutines that read keys: whoever starts one adds it before.
	Learners sync.WaitGroup
}

// Forget forgets everything, and knows nothing of what is written up to seq.
func (k *Keys) Forget(seq uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sieves, k.size, k.seq, k.all = make(map[int64]*Sieve), 0, seq, nil
}

// Flushing is called by the writer before what it writes at seq can be seen by anybody; it
// has seen the flush before, and the partitions all, which are k's from now on.
func (k *Keys) Flushing(before, seq uint64, all []int64) {
	k.mu.RLock()
	mine := before <= k.seq
	k.mu.RUnlock()
	if !mine {
		k.Forget(before)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seq, k.all = seq, all
}

// Made is called by the writer for a new partition, which has no keys.
func (k *Keys) Made(number int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sieves[number] = &Sieve{ready: true}
	if k.all != nil {
		k.all = append(k.all, number)
	}
}

// Add is called by the writer before its jobs can be seen by anybody.
func (k *Keys) Add(number int64, jobs []store.JobRow) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.sieves[number]
	if s == nil {
		return
	}
	for i := range jobs {
		if jobs[i].KeyHash != 0 {
			k.put(s, jobs[i].KeyHash)
		}
	}
}

func (k *Keys) put(s *Sieve, hash uint64) {
	if s.full {
		return
	}
	if k.size += s.add(hash); k.size > sieveMost {
		k.size -= s.bytes()
		*s = Sieve{full: true}
	}
}

// Keep forgets the partitions that are not among numbers.
func (k *Keys) Keep(numbers []int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for number, s := range k.sieves {
		if !slices.Contains(numbers, number) {
			k.size -= s.bytes()
			delete(k.sieves, number)
		}
	}
}

// None reports whether it is certain that no partition has any of hashes, as far as flushes
// have written what had changed up to seen, and which flush that is known of.
func (k *Keys) None(seen uint64, hashes []uint64) (seq uint64, none bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.all == nil || seen > k.seq {
		return 0, false
	}
	for _, number := range k.all {
		s := k.sieves[number]
		if s == nil || !s.ready || slices.ContainsFunc(hashes, s.has) {
			return 0, false
		}
	}
	return k.seq, true
}

// Pick appends to picked those of hashes that a partition may have, for a reader who sees
// the flush at seq. learn is what is to learn the partition's keys now, nil for nothing.
func (k *Keys) Pick(picked []any, number int64, seq uint64, hashes []uint64) (some []any, learn *Sieve) {
	k.mu.RLock()
	s := k.sieves[number]
	known := s != nil && s.ready && seq <= k.seq
	for _, h := range hashes {
		if !known || s.has(h) {
			picked = append(picked, int64(h))
		}
	}
	k.mu.RUnlock()
	if known {
		return picked, nil
	}
	return picked, k.missed(number, seq, len(hashes))
}

// missed counts what had to be looked up.
func (k *Keys) missed(number int64, seq uint64, n int) (learn *Sieve) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if seq > k.seq {
		return nil
	}
	s := k.sieves[number]
	if s == nil {
		s = &Sieve{}
		k.sieves[number] = s
	}
	s.missed += n
	if s.ready || s.full || s.missed < sievePays || k.learning {
		return nil
	}
	k.learning = true
	return s
}

// Learned takes in a page of a partition's keys, and reports whether more are wanted. err
// says that there are none to be had.
func (k *Keys) Learned(number int64, s *Sieve, page []uint64, err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.sieves[number] != s: // forgotten meanwhile
	case err != nil:
		s.missed = 0 // to be tried again, and not at once
	default:
		for _, h := range page {
			k.put(s, h)
		}
		if len(page) == Page && !s.full {
			return true
		}
		s.ready = !s.full
	}
	k.learning = false
	return false
}

// Known reports whether every key of a partition is known.
func (k *Keys) Known(number int64) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	s := k.sieves[number]
	return s != nil && s.ready
}
