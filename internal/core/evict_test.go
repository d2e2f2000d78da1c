package core

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// TestEvictKeepsUp lets more finished jobs linger than may: the oldest leave early, but
// none at once, and in steps.
func TestEvictKeepsUp(t *testing.T) {
	const many = crowd + 2500
	s := New(Config{})
	sp := &spec{refs: many + 1}
	for id := range job.ID(many) {
		j := s.newJob(0)
		j.id, j.spec = id, sp
		s.jobs.put(j)
		s.evict = append(s.evict, eviction{began + linger, j})
	}
	for _, step := range []struct {
		what string
		now  int64
		want int
	}{
		{"at once", began, many},
		{"just before the least time", began + leastLinger - 1, many},
		{"at the least time", began + leastLinger, many - 1000},
		{"again", began + leastLinger, many - 2000},
		{"until there is no crowd", began + leastLinger, crowd},
		{"without one", began + linger - 1, crowd},
		{"at the end", began + linger, crowd - 1000},
	} {
		s.Evict(step.now)
		if got := len(s.evict); got != step.want || s.jobs.n != got {
			t.Fatalf("%s: %d jobs linger and %d are in memory; want %d", step.what, got, s.jobs.n, step.want)
		}
	}
}
