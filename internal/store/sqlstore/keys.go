package sqlstore

import (
	"context"
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
	// learnPage is how many keys are read at a time.
	learnPage = 4000
)

// sieve holds keys, and takes some others for keys that it holds.
type sieve struct {
	blocks [][]uint64
	room   int // keys, of the last block
	// ready says that it holds every key of its partition, full that there is no room
	// for them.
	ready, full bool
	// missed counts the keys that were looked up because it was not ready.
	missed int
}

// has reports whether it may hold hash.
func (s *sieve) has(hash uint64) bool {
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

func (s *sieve) bytes() int {
	n := 0
	for _, b := range s.blocks {
		n += 8 * len(b)
	}
	return n
}

// add adds hash. It returns how many bytes it grew.
func (s *sieve) add(hash uint64) int {
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

// keys are the sieves of the partitions, by number. They know what this process wrote and
// what it has read, and are worth nothing once another one writes.
type keys struct {
	mu     sync.RWMutex
	sieves map[int64]*sieve
	size   int // bytes of all blocks
	// seq is the last flush that the sieves know of. A reader that sees a later one sees
	// what another process wrote.
	seq uint64
	// learning says that a partition's keys are being read, one partition at a time.
	learning bool
	learners sync.WaitGroup
}

// forget forgets everything, and knows nothing of what is written up to seq.
func (k *keys) forget(seq uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sieves, k.size, k.seq = make(map[int64]*sieve), 0, seq
}

// flushing is called by the writer before what it writes at seq can be seen by anybody; it
// has seen the flush before.
func (k *keys) flushing(before, seq uint64) {
	k.mu.RLock()
	mine := before <= k.seq
	k.mu.RUnlock()
	if !mine {
		k.forget(before)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seq = seq
}

// made is called by the writer for a new partition, which has no keys.
func (k *keys) made(number int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sieves[number] = &sieve{ready: true}
}

// add is called by the writer before its jobs can be seen by anybody.
func (k *keys) add(number int64, jobs []store.JobRow) {
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

func (k *keys) put(s *sieve, hash uint64) {
	if s.full {
		return
	}
	if k.size += s.add(hash); k.size > sieveMost {
		k.size -= s.bytes()
		*s = sieve{full: true}
	}
}

// keep forgets the partitions that are not in parts.
func (k *keys) keep(parts []partition) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for number, s := range k.sieves {
		if !slices.ContainsFunc(parts, func(p partition) bool { return p.number == number }) {
			k.size -= s.bytes()
			delete(k.sieves, number)
		}
	}
}

// pick appends to picked those of hashes that a partition may have, for a reader who sees
// the flush at seq. learn is what is to learn the partition's keys now, nil for nothing.
func (k *keys) pick(picked []any, number int64, seq uint64, hashes []uint64) (some []any, learn *sieve) {
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
func (k *keys) missed(number int64, seq uint64, n int) (learn *sieve) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if seq > k.seq {
		return nil
	}
	s := k.sieves[number]
	if s == nil {
		s = &sieve{}
		k.sieves[number] = s
	}
	s.missed += n
	if s.ready || s.full || s.missed < sievePays || k.learning {
		return nil
	}
	k.learning = true
	return s
}

// learned takes in a page of a partition's keys, and reports whether more are wanted. err
// says that there are none to be had.
func (k *keys) learned(number int64, s *sieve, page []uint64, err error) bool {
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
		if len(page) == learnPage && !s.full {
			return true
		}
		s.ready = !s.full
	}
	k.learning = false
	return false
}

const selectKeys = `SELECT key_hash FROM {{s}}jobs_{{n}} WHERE key_hash <> 0 AND key_hash > ? ORDER BY key_hash LIMIT ?`

// learn reads the keys of a partition, while flushes go on to add theirs. One that passed by
// before there was a sieve has to end first: what it writes is not in the sieve, and not yet
// in the tables.
func (t *tables) learn(ctx context.Context, number int64, into *sieve) {
	defer t.keys.learners.Done()
	from, page := int64(0), make([]uint64, 0, learnPage)
	err := t.db.write(ctx, func(context.Context, *session) error { return nil })
	if err != nil {
		t.keys.learned(number, into, nil, err)
		return
	}
	for {
		page = page[:0]
		err = t.db.read(ctx, func(ctx context.Context, s *session) error {
			page = page[:0]
			return s.query(ctx, statement{text: selectKeys, partition: number}, func(rows row) (bool, error) {
				var h integer
				err := rows.Scan(&h)
				page = append(page, uint64(h))
				return true, err
			}, from, int64(learnPage))
		})
		if !t.keys.learned(number, into, page, err) {
			return
		}
		from = int64(page[len(page)-1])
	}
}
