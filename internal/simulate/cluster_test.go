package simulate

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/classic"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/outcome"
	"github.com/reeve-scheduler/reeve/internal/workload"
)

// TestCoreAgreesWithTheMachine: a policy that proposes to the core, which checks and
// applies, starts every job when it does on the machine.
func TestCoreAgreesWithTheMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := workload.Model{Jobs: rapid.IntRange(1, 120).Draw(t, "jobs"), Procs: 16, Seed: rapid.Uint64().Draw(t, "seed"), Load: 1000, Users: 3, Repeat: 2, Overestimate: 300}
		trace := m.Trace()
		p, err := classic.Parse(rapid.SampledFrom([]string{
			"fcfs", "easy", "easy++", "conservative", "aged", "sjf", "order=wfp3,backfill=easy", "rlscheduler,order=sjf,backfill=scan",
		}).Draw(t, "policy"))
		if err != nil {
			t.Fatal(err)
		}
		want, err := Machine(trace, p, 16)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Cluster(trace, Processors(16), job.QueueChange{}, &p)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Start, want) {
			t.Fatalf("%s: through the core jobs start at %v, want %v", p.Name, got.Start, want)
		}
		for i := range trace.Jobs {
			if got.End[i] != want[i]+trace.Jobs[i].Run {
				t.Fatalf("job %d starts at %d and ends at %d", i, want[i], got.End[i])
			}
		}
	})
}

// TestClusterNeverGivesMoreThanThereIs, and leaves nothing that fits waiting.
func TestClusterNeverGivesMoreThanThereIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := workload.Model{Jobs: rapid.IntRange(1, 150).Draw(t, "jobs"), Procs: 8, Seed: rapid.Uint64().Draw(t, "seed"), Load: 900}
		trace := m.Trace()
		r, err := Cluster(trace, []Worker{{Name: "big", N: 1, Capacity: job.Resources{CPU: 8000}, Slots: 8}, {Name: "small", N: 2, Capacity: job.Resources{CPU: 2000}, Slots: 2}}, job.QueueChange{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Capacity != 12 {
			t.Fatalf("the fleet has %d processors, want 12", r.Capacity)
		}
		for i := range trace.Jobs {
			if r.Start[i] < trace.Jobs[i].Submit {
				t.Fatalf("job %d was submitted at %d and starts at %d", i, trace.Jobs[i].Submit, r.Start[i])
			}
			at, used := r.Start[i], int64(0)
			for k := range trace.Jobs {
				if r.Start[k] <= at && at < r.End[k] {
					used += trace.Jobs[k].Procs
				}
			}
			if used > 12 {
				t.Fatalf("at %d, %d of 12 processors are in use", at, used)
			}
		}
	})
}

func TestClusterOfAFleet(t *testing.T) {
	trace := jobsOf([4]int64{0, 10, 10, 2}, [4]int64{0, 10, 10, 2}, [4]int64{0, 10, 10, 4}, [4]int64{1, 10, 10, 2})
	trace.Jobs[0].Queue, trace.Jobs[0].Name, trace.Jobs[0].Deadline = "night", "etl", 3000_000
	trace.Jobs[1].Memory = 1 << 30
	r, err := Cluster(trace, []Worker{{Name: "w", N: 2, Capacity: job.Resources{CPU: 2000, Memory: 2 << 30}, Slots: 2}}, job.QueueChange{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int64{0, 0, outcome.Never, 10_000}; !slices.Equal(r.Start, want) {
		t.Errorf("starts at %v, want %v: no worker has four processors", r.Start, want)
	}
	p := policy(t, "easy")
	if _, err := Cluster(trace, []Worker{{Name: "w", N: 2, Capacity: job.Resources{CPU: 2000}, Slots: 2}}, job.QueueChange{}, &p); err == nil ||
		err.Error() != "policy easy is for one worker; the fleet has 2" {
		t.Errorf("a policy on two workers: %v", err)
	}
}

// TestDeadlinesEndJobs: what is late is given up as on a server.
func TestDeadlinesEndJobs(t *testing.T) {
	trace := jobsOf([4]int64{0, 100, 100, 1}, [4]int64{0, 10, 10, 1}, [4]int64{0, 10, 10, 1})
	trace.Jobs[1].Deadline = 50_000
	r, err := Cluster(trace, Processors(1), job.QueueChange{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int64{0, outcome.Never, 100_000}; !slices.Equal(r.Start, want) {
		t.Errorf("starts at %v, want %v", r.Start, want)
	}
}

// TestLongRunsLeaveMemory: so many jobs that those which have ended are let go on the
// way.
func TestLongRunsLeaveMemory(t *testing.T) {
	trace := (&workload.Model{Jobs: flushEvery + 2000, Procs: 64, Seed: 5, Load: 600}).Trace()
	r, err := Cluster(trace, Processors(64), job.QueueChange{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(r.Start, outcome.Never) {
		t.Error("not every job ran")
	}
}

// TestThePlanKeepsToEasy: the plan's own backfilling, on one machine and by what users
// request, is that of the literature. Nothing is learned of jobs that nobody knows.
func TestThePlanKeepsToEasy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := workload.Model{Jobs: rapid.IntRange(1, 150).Draw(t, "jobs"), Procs: 16, Seed: rapid.Uint64().Draw(t, "seed"), Load: 1000,
			Overestimate: rapid.Int64Range(0, 400).Draw(t, "overestimate")}
		trace := m.Trace()
		p, err := classic.Parse("easy")
		if err != nil {
			t.Fatal(err)
		}
		want, err := Machine(trace, p, 16)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Cluster(trace, Processors(16), job.QueueChange{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Start, want) {
			t.Fatalf("the plan starts jobs at %v, and EASY at %v", got.Start, want)
		}
	})
}
