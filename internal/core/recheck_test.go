package core

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// TestTheNextLeaderSeesTooManyFailures ends a leader's term between the failure of an
// element and what max_fails makes of it: the next leader must not let the array run on.
func TestTheNextLeaderSeesTooManyFailures(t *testing.T) {
	l := testLab(t)
	if err := l.join(link.Hello{Protocol: link.Protocol, Name: "w1", Instance: "w1", Incarnation: 1, Slots: 1,
		Capacity: job.Resources{CPU: 1000}, Executors: []string{"process"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.submit("array: 0-3\nrun: \"false\"\nmax_fails: {count: 0, pending: skip}\n", nil); err != nil {
		t.Fatal(err)
	}
	w := l.workers["w1"]
	g := w.held[0]
	l.begin(w, g)
	g.phase, g.result = link.Ended, link.Result{Fence: g.fence, Ended: l.now, Cause: job.Cause{Kind: job.CauseExit, Code: 1}}
	l.cutOff(WorkerReport{Worker: w.id, Report: link.Report{Ended: []link.Result{g.result}}}, 0)
	m, _ := l.s.Image(1)
	if m.State != job.JobFailed || m.Tasks[0].Counts[job.Skipped] != 3 {
		t.Errorf("the job is %s with %v; want it failed, and three elements skipped", m.State, m.Tasks[0].Counts)
	}
}
