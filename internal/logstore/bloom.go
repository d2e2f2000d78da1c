package logstore

import "github.com/reeve-scheduler/reeve/internal/job"

// bloom is a Bloom filter of references: ten bits and seven probes each, about one
// wrong yes in a hundred. It is stored, so the hash may not change.
type bloom []byte

const bloomProbes = 7

func newBloom(refs int) bloom { return make(bloom, (refs*10+7)/8+8) }

func (b bloom) add(ref job.Ref) {
	h, step := hashRef(ref)
	for range bloomProbes {
		bit := h % uint64(len(b)*8)
		b[bit/8] |= 1 << (bit % 8)
		h += step
	}
}

func (b bloom) has(ref job.Ref) bool {
	h, step := hashRef(ref)
	for range bloomProbes {
		bit := h % uint64(len(b)*8)
		if b[bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
		h += step
	}
	return true
}

// hashRef is FNV-1a over the encoded reference, stirred so that all bits depend
// on all, and a second, odd hash for the steps (Kirsch and Mitzenmacher).
func hashRef(ref job.Ref) (h, step uint64) {
	var buf [128]byte
	h = 14695981039346656037
	for _, c := range appendRef(buf[:0], ref) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	step = h * 0xc4ceb9fe1a85ec53
	step ^= step >> 29
	return h, step | 1
}
