package simulate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/workload"
)

// at is a moment of a day in 2026.
func at(seconds int) *client.Timestamp {
	return client.Time(time.Date(2026, 3, 1, 0, 0, seconds, 0, time.UTC))
}

func TestHistoryOfElements(t *testing.T) {
	j := &client.Job{Id: "7", Name: "etl", Queue: "night", SubmittedBy: "anna", Priority: 5, SubmittedAt: at(100), Deadline: at(500)}
	spec := &job.Spec{Tasks: []job.Task{
		{Name: "extract", Timeout: job.Duration(time.Minute), Resources: job.Resources{CPU: 1500, Memory: 1 << 20}, Where: []string{"disk=ssd"}},
		{Name: "load", Resources: job.Resources{CPU: 2000}},
	}}
	h := history{trace: &workload.Trace{}}
	load := pattern(j, spec, 1)
	load.Submit = at(140).AsTime().UnixMilli() // when what it needs had ended
	h.element(load, &client.Element{StartedAt: at(150), EndedAt: at(250)})
	extract := pattern(j, spec, 0)
	h.element(extract, &client.Element{StartedAt: at(110), EndedAt: at(140)})
	h.element(extract, &client.Element{StartedAt: at(110), EndedAt: at(190)}) // it ended a little after its time
	h.element(extract, &client.Element{StartedAt: at(110)})
	h.element(extract, &client.Element{})
	first := workload.Job{
		Number: 1, Run: 30_000, Request: 60_000, Procs: 2, CPU: 1500, Memory: 1 << 20, User: "anna", Queue: "night", Name: "etl", Priority: 5,
		Where: []string{"disk=ssd"}, Deadline: 400_000, Wait: 10_000,
	}
	second, third := first, first
	second.Number, second.Run, second.Request = 2, 80_000, 80_000
	third.Number, third.Submit, third.Run, third.Request, third.Procs, third.CPU, third.Memory, third.Where = 3, 40_000, 100_000, 100_000, 2, 0, 0, nil
	want := &workload.Trace{Start: at(100).AsTime().UnixMilli(), Jobs: []workload.Job{first, second, third}}
	if diff := cmp.Diff(want, h.done()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	h.older = true
	if diff := cmp.Diff([]string{
		"1 job dropped: they never started", "1 job dropped: they have not ended", "1 job taken with the time they ran: they have no timeout",
		"older jobs left out: --limit takes more",
	}, h.told()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if empty := (&history{trace: &workload.Trace{}}).done(); len(empty.Jobs) != 0 {
		t.Errorf("of nothing: %+v", empty)
	}
}
