package outcome

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/workload"
)

var near = cmpopts.EquateApprox(1e-9, 0)

// four jobs on four processors: one of them is late, one never runs.
func four() *Run {
	return &Run{
		Capacity: 4,
		Jobs: []workload.Job{
			{Submit: 1000, Procs: 4, User: "a"},
			{Submit: 2000, Procs: 1, User: "a", Deadline: 30_000},
			{Submit: 3000, Procs: 2, User: "b", Deadline: 60_000},
			{Submit: 4000, Procs: 8, User: "c", Deadline: 60_000},
		},
		Start: []int64{1000, 21_000, 21_000, Never},
		End:   []int64{21_000, 33_000, 41_000, 0},
	}
}

func TestMeasure(t *testing.T) {
	want := Figures{
		Jobs: 3, Unstarted: 1,
		Wait:        Spread{Mean: 37.0 / 3, Median: 18, P90: 19, P99: 19, Max: 19},
		Slowdown:    Spread{Mean: (1 + 31.0/12 + 38.0/20) / 3, Median: 1.9, P90: 31.0 / 12, P99: 31.0 / 12, Max: 31.0 / 12},
		Utilisation: float64(20*4+12*1+20*2) / (40 * 4), Makespan: 40,
		Users: 2, Deadlines: 3, Missed: 2, Late: 3,
		Cost: 132.0 / 3600 * 0.5, CostOfAll: 160.0 / 3600 * 0.5,
	}
	a, b := (1+31.0/12)/2, 1.9
	want.Fairness = (a + b) * (a + b) / (2 * (a*a + b*b))
	want.WorstUser = b / ((a + b) / 2)
	if diff := cmp.Diff(want, Measure(four(), Rules{Price: 0.5}), near); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

func TestShortJobsCountAsTenSeconds(t *testing.T) {
	r := &Run{Capacity: 1, Jobs: []workload.Job{{Procs: 1}, {Procs: 1}}, Start: []int64{0, 19_000}, End: []int64{1000, 20_000}}
	if got := Measure(r, Rules{}).Slowdown; got.Max != 2 || got.Median != 1 {
		t.Errorf("slowdowns %+v, want 1 and 2", got)
	}
}

func TestWarmUp(t *testing.T) {
	for _, c := range []struct {
		rules Rules
		jobs  int64
	}{
		{Rules{}, 3}, {Rules{WarmUpJobs: 1}, 2}, {Rules{WarmUpTime: 1000}, 2}, {Rules{WarmUpTime: 1001}, 1}, {Rules{WarmUpJobs: 9}, 0},
	} {
		f := Measure(four(), c.rules)
		if f.Jobs != c.jobs {
			t.Errorf("%+v: %d jobs count, want %d", c.rules, f.Jobs, c.jobs)
		}
		if f.Makespan != 40 || math.Abs(f.Utilisation-0.825) > 1e-9 {
			t.Errorf("%+v: the machine worked for %g s at %g, want all of it", c.rules, f.Makespan, f.Utilisation)
		}
	}
	if f := Measure(four(), Rules{WarmUpJobs: 9}); f.Fairness != 1 || f.Wait != (Spread{}) || f.Missed != 0 {
		t.Errorf("of no jobs: %+v", f)
	}
}

func TestOfNothing(t *testing.T) {
	if diff := cmp.Diff(Figures{Fairness: 1, WorstUser: 1}, Measure(&Run{}, Rules{})); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

func TestMean(t *testing.T) {
	a := Measure(four(), Rules{Price: 1})
	if diff := cmp.Diff(a, Mean([]Figures{a})); diff != "" {
		t.Errorf("the mean of one (-want +got):\n%s", diff)
	}
	b := a
	b.Wait.Mean, b.Slowdown.Max, b.Utilisation, b.Users = a.Wait.Mean+2, 100, a.Utilisation-0.2, 7
	m := Mean([]Figures{a, b})
	want := a
	want.Jobs, want.Unstarted, want.Deadlines, want.Missed = 6, 2, 6, 4
	want.Cost, want.CostOfAll = 2*a.Cost, 2*a.CostOfAll
	want.Wait.Mean, want.Slowdown.Max, want.Utilisation, want.Users = a.Wait.Mean+1, 100, a.Utilisation-0.1, 7
	if diff := cmp.Diff(want, m, near); diff != "" {
		t.Errorf("the mean of two (-want +got):\n%s", diff)
	}
}

// TestBounds: figures that are shares are shares, whatever ran.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Run{Capacity: 10}
		at := int64(0)
		for range rapid.IntRange(1, 30).Draw(t, "n") {
			at += rapid.Int64Range(0, 9000).Draw(t, "gap")
			j := workload.Job{Submit: at, Procs: rapid.Int64Range(1, 10).Draw(t, "procs"), User: rapid.StringMatching("[abc]").Draw(t, "user")}
			start := at
			if n := len(r.End); n > 0 {
				start = max(start, r.End[n-1]) // one after the other
			}
			r.Jobs, r.Start = append(r.Jobs, j), append(r.Start, start)
			r.End = append(r.End, start+rapid.Int64Range(1, 50_000).Draw(t, "run"))
		}
		f := Measure(r, Rules{})
		if f.Utilisation <= 0 || f.Utilisation > 1+1e-9 || f.Fairness > 1+1e-9 || f.Fairness < 1/float64(f.Users)-1e-9 ||
			f.WorstUser < 1-1e-9 || f.WorstUser > float64(f.Users)+1e-9 || f.Slowdown.Mean < 1 ||
			f.Wait.Median > f.Wait.P90 || f.Wait.P90 > f.Wait.P99 || f.Wait.P99 > f.Wait.Max {
			t.Fatalf("%+v", f)
		}
	})
}
