package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/forecast"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
	"github.com/reeve-scheduler/reeve/internal/plan/why"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// start is when elements of a group start, so many of them.
func start(first, started int64) forecast.Start {
	return forecast.Start{First: first, Last: first + 5, Ends: first + 9, Worker: 3, Started: started}
}

func TestExplanation(t *testing.T) {
	x := &core.Explanation{
		Task: "load", State: job.Pending, Reasons: []core.Reason{{Kind: "no_room", Text: "all are busy"}},
		Foresight: core.Foresight{
			Pending: 2, Expected: forecast.Expectation{Start: start(1000, 2), Worker: "w3"},
			Changes: []forecast.Change{
				{Resource: "memory", From: 8 << 30, To: 6 << 30}, {Resource: "gpu", From: 2, To: 1}, {Label: "zone=b"}, {Length: 600_000},
				{Resource: "cpu", From: 1000, To: 1500, Limit: why.AtLimit{Namespace: "team", Queue: "batch", Resource: "cpu", Most: 1000}},
				{From: 5, To: 6, Limit: why.AtLimit{Namespace: "team", Most: 5}},
			},
		},
	}
	want := &reevev1.Explanation{
		Task: "load", State: "pending", Reasons: []*reevev1.Reason{{Kind: "no_room", Text: "all are busy"}},
		ExpectedStart: Time(1000), ExpectedLastStart: Time(1005), ExpectedWorker: "w3", Waiting: 2,
		WouldStartWith: []*reevev1.Change{
			{Text: "would start now with 6Gi of memory instead of 8Gi", Resource: "memory", From: "8Gi", To: "6Gi"},
			{Text: "would start now with 1 gpu instead of 2", Resource: "gpu", From: "2", To: "1"},
			{Text: "would start now without where: zone=b", Label: "zone=b"},
			{Text: "would start now with timeout: 10m", TimeoutMs: 600_000},
			{
				Text: "would start now if queue batch might use 1.5 cpu instead of 1", Resource: "cpu", From: "1", To: "1.5",
				Namespace: "team", Queue: "batch",
			},
			{Text: "would start now if namespace team might run 6 at a time instead of 5", From: "5", To: "6", Namespace: "team"},
		},
	}
	if diff := cmp.Diff(want, Explanation(x), protocmp.Transform()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	x.Pending = 3
	if got := Explanation(x); got.GetExpectedLastStart() != nil || got.GetExpectedStart() == nil {
		t.Errorf("of three two start, and the last does at %v", got.GetExpectedLastStart())
	}
}

func TestExpect(t *testing.T) {
	image := &core.JobImage{ID: 7, State: job.JobRunning, Tasks: []core.TaskImage{
		{Counts: job.Counts{job.Succeeded: 1}}, {Counts: job.Counts{job.Pending: 2, job.Running: 1}}, {Counts: job.Counts{job.Pending: 1}},
	}}
	course := &forecast.Course{
		Now: 900, Jobs: map[job.ID]forecast.JobCourse{7: {Start: 1000, End: 5000}},
		Starts: map[plan.GroupID]forecast.Start{
			{Job: 7, Task: 0}: start(1, 1), {Job: 7, Task: 1}: start(2000, 1), {Job: 7, Task: 1, Alone: true}: start(1000, 1),
		},
	}
	out := &reevev1.Job{Tasks: []*reevev1.Task{{}, {}, {}}}
	cluster := &forecast.Cluster{Workers: []plan.Worker{{ID: 3, Name: "w3"}}, More: true}
	Expect(out, image, course, cluster)
	want := &reevev1.Job{
		ExpectedStart: Time(1000), ExpectedEnd: Time(5000), ExpectedAtLeast: true,
		Tasks: []*reevev1.Task{{}, {ExpectedStart: Time(1000), ExpectedWorker: "w3"}, {}},
	}
	if diff := cmp.Diff(want, out, protocmp.Transform()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	course.Jobs[7] = forecast.JobCourse{Start: 1000, End: 5000, Open: true}
	image.Tasks = image.Tasks[:1]
	out = &reevev1.Job{}
	if Expect(out, image, course, cluster); out.GetExpectedEnd() != nil || out.GetExpectedStart() != nil || out.GetExpectedAtLeast() {
		t.Errorf("of a job of which nobody knows the end, and nothing waits: %v", out)
	}
}

func TestEffect(t *testing.T) {
	e := &forecast.Effect{
		Verdict: forecast.Waits, End: 4000_000, AtLeast: true, Late: &forecast.Late{Job: 9, Deadline: 3000_000, At: 4000_000, Task: "b"},
		Tasks: []forecast.TaskCourse{
			{
				Name: "a", Started: 2, Count: 2, First: 700_000, Last: 800_000, Ends: 900_000, Worker: "w1",
				Reasons: []why.Reason{{Kind: "no_room", Text: "all are busy"}}, Changes: []forecast.Change{{Label: "x"}},
			},
			{Name: "b", Started: 1, Count: 2, First: 900_000, Last: 900_000}, {Name: "c", Count: 1, Skipped: true},
		},
	}
	got := &reevev1.PlanResponse{}
	Effect(got, e, 100_000)
	want := &reevev1.PlanResponse{
		Verdict: "waits", Summary: "it would wait and start in about 10m (00:11 UTC), and end in about 1h5m (01:06 UTC), at the earliest", ExpectedEnd: Time(4000_000), AtLeast: true,
		DeadlineWarning: "will miss its deadline 00:50 UTC by about 17m: task b is not expected to end before 01:06 UTC",
		Tasks: []*reevev1.PlannedTask{
			{
				Name: "a", Count: 2, Starting: 2, ExpectedStart: Time(700_000), ExpectedLastStart: Time(800_000), ExpectedEnd: Time(900_000), ExpectedWorker: "w1",
				Reasons:        []*reevev1.Reason{{Kind: "no_room", Text: "all are busy"}},
				WouldStartWith: []*reevev1.Change{{Text: "would start now without where: x", Label: "x"}},
			},
			{Name: "b", Count: 2, Starting: 1, ExpectedStart: Time(900_000)},
			{Name: "c", Count: 1, Skipped: true},
		},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
