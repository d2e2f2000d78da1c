package api

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/core"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// TestForecast: what jobs teach is shown of the next one of the same name, and of none other; in
// memory, in the tables and after a restart.
func TestForecast(t *testing.T) {
	r := newRig(t)
	if _, err := r.leader.Do(t.Context(), core.RaiseFormat{To: core.FormatLearns, By: "admin"}); err != nil {
		t.Fatal(err)
	}
	c := r.as(r.admin)
	w := r.join(c, "w1", 1)
	const file = "name: hourly\nrun: x\nresources: {memory: 4Gi}\n"
	first := ""
	for range 20 {
		id := r.submit(c, file)
		w.report(ended(w.take(), 0, ""))
		r.ends(c, id, "succeeded")
		if first == "" {
			first = id
		}
	}
	next, other := r.submit(c, file), r.submit(c, "name: daily\nrun: x\n")
	for _, when := range []string{"before", "after"} {
		for _, id := range []string{first, next} {
			f := do(t, c.jobs.Get, &reevev1.GetRequest{Id: id}).GetJob().GetTasks()[0].GetForecast()
			if f.GetRuns() != 20 || f.GetRunMs() < 1 || f.GetRun() == "" || f.GetMemoryRuns() != 20 || f.GetMemorySuggestedBytes() != 16<<20 ||
				f.GetMemoryAdvice() != "requested 4 GiB, p99 of 20 runs 8.5 MiB; 16 MiB would do" {
				t.Errorf("of job %s, %s the restart: %v", id, when, f)
			}
		}
		if f := do(t, c.jobs.Get, &reevev1.GetRequest{Id: other}).GetJob().GetTasks()[0].GetForecast(); f != nil {
			t.Errorf("of a job that is the first of its name, %s the restart: %v", when, f)
		}
		if when == "before" {
			r.restart()
		}
	}
}
