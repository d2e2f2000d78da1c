package plan

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// TestKeptForNothing: what a place was kept for is sent ahead to another worker, and whoever was
// held back by that starts at once.
func TestKeptForNothing(t *testing.T) {
	x := New()
	cpu2 := cpu1
	cpu2.Resources.CPU = 2000
	one, two := host(1, 2), host(2, 3)
	one.Slots, two.Slots, two.Prefetch = 1, 2, 0
	x.SetWorker(one)
	x.SetWorker(two)
	x.SetGroup(group(task(1), cpu2), 3)
	later := group(task(2), cpu1)
	later.Score = -1
	x.SetGroup(later, 1)
	wantPlaced(t, x, "1.0>2", "1.0>1", "1.0>1 ahead", "2.0>2")
}

// TestOverdue: a place is kept until something ends. When that should have and has not, the plan
// looks again by itself: nobody knows any more when the place is needed.
func TestOverdue(t *testing.T) {
	b := newBatch(job.QueuePolicy{}, 4)
	b.submit(1, &batchJob{length: 60_000, lasts: 500_000, cpu: 3})
	b.place()
	b.submit(2, &batchJob{length: 10_000, lasts: 10_000, cpu: 4})
	b.submit(3, &batchJob{length: 300_000, lasts: 300_000, cpu: 1})
	b.place()
	if k := b.x.Kept(); len(k) != 1 || k[0] != (Kept{Group: task(2), Worker: 1, From: 60_000}) {
		t.Fatalf("kept: %v; want the worker for job 2 at 60 s", k)
	}
	for _, at := range []int64{59_999, 60_000} {
		b.now = at
		b.place()
		if _, ok := b.started[3]; ok != (at == 60_000) {
			t.Errorf("at %d job 3 has started: %v", at, ok)
		}
	}
	if p, ok := b.x.Next(b.now); ok {
		t.Errorf("it goes on to propose %v", p)
	}
}

// TestLeaves: nobody knows when what runs ends, until it is asked to: then there is room beside
// the place that is kept.
func TestLeaves(t *testing.T) {
	b := newBatch(job.QueuePolicy{}, 4)
	b.submit(1, &batchJob{cpu: 3})
	b.place()
	b.submit(2, &batchJob{cpu: 3})
	b.submit(3, &batchJob{cpu: 1})
	b.place()
	if len(b.started) != 1 {
		t.Fatalf("started: %v; want job 1 alone", b.started)
	}
	b.x.Leave(b.runs[0].run, 5000)
	b.place()
	if _, ok := b.started[3]; !ok || len(b.started) != 2 {
		t.Errorf("started: %v; want job 3 too", b.started)
	}
}
