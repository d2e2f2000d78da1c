package wire

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// TestAnElementSaysThatItRunsAlone from the second worker that was lost while it ran
// until its end.
func TestAnElementSaysThatItRunsAlone(t *testing.T) {
	lost := job.Cause{Kind: job.CauseWorkerLost, Detail: "w2"}
	gone := job.Cause{Kind: job.CauseQuarantined, Code: 3}
	for _, test := range []struct {
		state job.ElementState
		cause job.Cause
		lost  uint8
		want  string
	}{
		{job.Pending, job.Cause{}, 0, ""},
		{job.Pending, lost, 1, "worker lost: w2"},
		{job.Pending, lost, 2, "worker lost: w2; runs alone: 2 workers were lost while it ran"},
		{job.Running, job.Cause{}, 2, "runs alone: 2 workers were lost while it ran"},
		{job.Succeeded, job.Cause{}, 2, ""},
		{job.Failed, gone, 3, "quarantined: 3 workers were lost while it ran"},
	} {
		v := core.ElementView{Index: 4, Record: element.Record{State: test.state, Cause: test.cause}, Lost: test.lost}
		if got := Element(7, "map", &v, 0).GetCause(); got != test.want {
			t.Errorf("%s after %d losses says %q; want %q", test.state, test.lost, got, test.want)
		}
		image := core.JobImage{ID: 7, Tasks: []core.TaskImage{{N: 1, Record: v.Record, Retry: core.RetryImage{Spent: job.Spent{LostRunning: test.lost}}}}}
		var out = Job(&image)
		if err := Tasks(out, &image, &job.Spec{Tasks: []job.Task{{Name: "map"}}}, func(uint64) string { return "w3" }); err != nil {
			t.Fatal(err)
		}
		if got := out.GetTasks()[0]; got.GetCause() != test.want || got.GetElement().GetCause() != test.want {
			t.Errorf("the task of a job says %q and %q; want %q", got.GetCause(), got.GetElement().GetCause(), test.want)
		}
	}
}
