package core

import "github.com/reeve-scheduler/reeve/internal/job"

// keyTable finds the job in memory that an idempotency key stands for. It knows a
// key by its hash, and the job has its text: most jobs have a key that nobody asks
// for again. The few that meet in a hash are kept by name.
type keyTable struct {
	hashes map[uint64]job.ID
	names  map[nameKey]job.ID
}

type nameKey struct{ namespace, key string }

// hash is FNV-1a. Whoever makes keys meet makes their own look-ups dearer, no more.
func (k nameKey) hash() uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [2]string{k.key, k.namespace} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h *= 1099511628211 // as if a zero byte stood between them
	}
	return h
}

func keyOf(j *jobState) nameKey { return nameKey{j.queue.space.name, j.key} }

// keyed returns the job that a key stands for, nil for none.
func (s *State) keyed(k nameKey) *jobState {
	if j := s.jobs.get(s.keys.hashes[k.hash()]); j != nil && keyOf(j) == k {
		return j
	}
	return s.jobs.get(s.keys.names[k])
}

// addKey makes the key of a job in memory stand for it.
func (s *State) addKey(j *jobState) {
	k := keyOf(j)
	h := k.hash()
	if old := s.jobs.get(s.keys.hashes[h]); old == nil || keyOf(old) == k {
		if s.keys.hashes == nil {
			s.keys.hashes = map[uint64]job.ID{}
		}
		s.keys.hashes[h] = j.id
		return
	}
	if s.keys.names == nil {
		s.keys.names = map[nameKey]job.ID{}
	}
	s.keys.names[k] = j.id
}

// dropKey is called before a job with a key leaves memory.
func (s *State) dropKey(j *jobState) {
	k := keyOf(j)
	if h := k.hash(); s.keys.hashes[h] == j.id {
		delete(s.keys.hashes, h)
	}
	if s.keys.names[k] == j.id {
		delete(s.keys.names, k)
	}
}
