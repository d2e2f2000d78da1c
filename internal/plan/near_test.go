package plan

import (
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func nearTo(g Group, workers ...uint64) Group {
	g.Near = NearOf(workers...)
	return g
}

func TestNearOf(t *testing.T) {
	all := []uint64{1 << 60, 2, 2, 1<<64 - 1, 5, 6, 7, 8, 9, 10}
	if diff := gocmp.Diff(all[:job.MaxNear], slices.Collect(workersOf(NearOf(all...)))); diff != "" {
		t.Error(diff)
	}
	if NearOf() != "" {
		t.Errorf("near nothing is %q", NearOf())
	}
}

// TestNear: the first that has room, else as if nothing had been said, and without waiting.
func TestNear(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 1))
	x.SetWorker(host(2, 1))
	x.SetWorker(host(3, 4))
	for id := range job.ID(4) {
		x.SetGroup(nearTo(group(task(id+1), cpu1), 2, 7, 1), 1)
	}
	wantPlaced(t, x, "1.0>2", "2.0>1", "3.0>3", "4.0>3")
	x.SetGroup(nearTo(group(task(5), needing(2000, 0)), 2), 1) // it never fits there
	x.SetGroup(nearTo(group(task(6), Shape{Executor: "wasm"}), 2), 1)
	wantPlaced(t, x, "5.0>3")
	give(x, 2, cpu1, false, false)
	x.SetGroup(nearTo(group(alone(7), cpu1), 3), 1) // not while anything else runs there
	wantPlaced(t, x, "7.0>2 alone")
}

// TestNearIsNotSentAhead: it would be wherever the like of it runs.
func TestNearIsNotSentAhead(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 1))
	x.SetGroup(nearTo(group(task(1), cpu1), 1), 3)
	wantPlaced(t, x, "1.0>1")
}

// TestNearChanges: what a group is near may become another while it waits, or stop.
func TestNearChanges(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 2))
	x.SetWorker(host(2, 4))
	x.SetGroup(nearTo(group(task(1), cpu1), 2), 3)
	x.SetGroup(nearTo(group(task(1), cpu1), 1), 3)
	if p, ok := x.Next(0); !ok || p.Worker != 1 {
		t.Errorf("placed: %v on %+v", ok, p)
	}
	x.SetGroup(group(task(1), cpu1), 1)
	wantPlaced(t, x, "1.0>2")
	if len(x.nears) > 0 {
		t.Errorf("what is gone is near %v", x.nears)
	}
}

// TestNearBesideWhatIsKept: on a worker on which a place is kept for what comes first, it takes what
// room there is beside, and until then.
func TestNearBesideWhatIsKept(t *testing.T) {
	b := newBatch(job.QueuePolicy{}, 2, 2)
	b.submit(1, &batchJob{length: 1000, lasts: 1000, cpu: 1})
	b.submit(2, &batchJob{length: 2000, lasts: 2000, cpu: 1})
	b.place()
	if b.runs[0].run.worker.ID != 1 || b.runs[1].run.worker.ID != 2 {
		t.Fatal("they are not on a worker each")
	}
	b.submit(3, &batchJob{length: 1000, lasts: 1000, cpu: 2}) // on worker 1 from 1000 on
	for id, length := range map[job.ID]int64{4: 900, 5: 1100} {
		b.jobs[id] = &batchJob{length: length, lasts: length, cpu: 1}
		g := nearTo(group(task(id), cpu1), 1)
		g.Length = length
		b.x.SetGroup(g, 1)
	}
	b.place()
	got := map[job.ID]uint64{}
	for _, r := range b.runs {
		got[r.id] = r.run.worker.ID
	}
	if diff := gocmp.Diff(map[job.ID]uint64{1: 1, 2: 2, 4: 1, 5: 2}, got); diff != "" {
		t.Errorf("worker by job: -want +got\n%s", diff)
	}
}

// TestNearOfManyJobs: jobs that are each near another worker are of one class.
func TestNearOfManyJobs(t *testing.T) {
	x := New()
	for id := range uint64(100) {
		x.SetWorker(host(id+1, 1))
		x.SetGroup(nearTo(group(task(job.ID(id+1)), cpu1), 100-id), 1)
	}
	if x.Classes() != 1 {
		t.Errorf("%d classes", x.Classes())
	}
	for range 100 {
		p, ok := x.Next(0)
		if !ok || p.Worker != 101-uint64(p.Group.Job) {
			t.Fatalf("placed: %v, %+v", ok, p)
		}
		taken(x, p.Worker, cpu1, false, false)
		x.SetReady(p.Group, 0)
	}
}
