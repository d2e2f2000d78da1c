package leader

import (
	"testing"
	"testing/synctest"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// TestAPoisonedJobIsGivenUp has a job that Reeve itself fails at, as a fault of our own
// would make it: what follows in it can't be decided. The job ends, and all others go on.
func TestAPoisonedJobIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.do(submit(t, `
tasks:
  first: {run: "true", where: {special: "yes"}}
  beside: {run: "true", where: {special: "yes"}}
  then: {needs: first, array: 0-9, run: "true"}
  cleans: {needs: {first: any}, run: "true"}
`, 1))
		r.do(submit(t, plain, 1))
		h := hello("w1")
		h.Hello.Labels, h.Hello.Slots = map[string]string{"special": "yes"}, 3
		w := r.do(h).(core.Welcomed).Worker
		given := r.given(w)
		if len(given) != 3 {
			t.Fatalf("the worker holds %d attempts", len(given))
		}
		r.state(func(s *core.State) { // a need that no task stands for
			needs := &s.SpecOf(1).Tasks[2].Needs
			*needs = append(*needs, job.Need{Task: "nobody"})
		})
		r.do(ended(w, given[0]))
		synctest.Wait() // the mail goes out after the answer
		var stopped []link.Fence
		for _, m := range r.mail.of(w) {
			if m.Stop != nil && m.Stop.Grace == 0 && m.Stop.Cause.Kind == job.CauseQuarantined {
				stopped = append(stopped, m.Stop.Fence)
			}
		}
		if len(stopped) != 1 || stopped[0] != given[1] {
			t.Errorf("%v are killed; want what runs beside it, %d", stopped, given[1])
		}
		r.log.wants(t, "the job is given up", "job=1", "index out of range", "internal/core")
		for _, f := range given[1:] {
			r.do(ended(w, f))
		}
		r.state(func(s *core.State) {
			m, _ := s.Image(1)
			if m.State != job.JobFailed || m.Cause.Kind != job.CauseQuarantined {
				t.Errorf("the job is %s (%s); want it failed and quarantined", m.State, m.Cause)
			}
			if m, _ := s.Image(2); m.State != job.JobSucceeded {
				t.Errorf("the job beside it is %s (%s)", m.State, m.Cause)
			}
		})
		r.end()
		r.run()
		if n := r.live(); n != 0 {
			t.Errorf("the next leader has %d jobs", n)
		}
		r.end()
	})
}
