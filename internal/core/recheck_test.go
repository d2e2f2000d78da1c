package core

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// TestTheNextLeaderSeesTooManyFailures ends a leader's term between the failure of an
// element and what max_fails makes of it: the next leader must not let the array run on.
func TestTheNextLeaderSeesTooManyFailures(t *testing.T) {
	for _, before := range []int{0, recheckSlice - 2, recheckSlice - 1, recheckSlice, 2 * recheckSlice} {
		l := testLab(t)
		if err := l.join(link.Hello{Protocol: link.Protocol, Name: "w1", Instance: "w1", Incarnation: 1, Slots: 1,
			Capacity: job.Resources{CPU: 1000}, Executors: []string{"process"}}); err != nil {
			t.Fatal(err)
		}
		for range before { // what nobody takes
			if _, err := l.submit("where: [zone=nowhere]\nrun: \"true\"\n", nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.submit("array: 0-3\nrun: \"false\"\nmax_fails: {count: 0, pending: skip}\n", nil); err != nil {
			t.Fatal(err)
		}
		w := l.workers["w1"]
		g := w.held[0]
		l.begin(w, g)
		g.phase, g.result = link.Ended, link.Result{Fence: g.fence, Ended: l.now, Cause: job.Cause{Kind: job.CauseExit, Code: 1}}
		l.cutOff(WorkerReport{Worker: w.id, Report: link.Report{Ended: []link.Result{g.result}}}, 0)
		m, _ := l.s.Image(job.ID(before) + 1)
		if m.State != job.JobFailed || m.Tasks[0].Counts[job.Skipped] != 3 {
			t.Errorf("the job after %d others is %s with %v; want it failed, and three elements skipped", before, m.State, m.Tasks[0].Counts)
		}
	}
}

// TestTheNextLeaderAsksWhatRunsToEnd does the same where what waits runs on: what ran when
// an element failed must be asked to end, what has started since must not.
func TestTheNextLeaderAsksWhatRunsToEnd(t *testing.T) {
	l := testLab(t)
	if err := l.join(link.Hello{Protocol: link.Protocol, Name: "w1", Instance: "w1", Incarnation: 1, Slots: 2,
		Capacity: job.Resources{CPU: 9000}, Executors: []string{"process"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.submit("array: 0-3\nrun: \"false\"\nmax_fails: {count: 0, running: cancel, pending: run}\n", nil); err != nil {
		t.Fatal(err)
	}
	w := l.workers["w1"]
	failed, beside := w.held[0], w.held[1]
	l.begin(w, failed)
	l.begin(w, beside)
	failed.phase, failed.result = link.Ended, link.Result{Fence: failed.fence, Ended: l.now, Cause: job.Cause{Kind: job.CauseExit, Code: 1}}
	l.cutOff(WorkerReport{Worker: w.id, Report: link.Report{Ended: []link.Result{failed.result}}}, 0)
	if beside.stop == nil || beside.stop.Cause.Kind != job.CauseMaxFails {
		t.Fatalf("what ran beside the failed element was not asked to end: %+v", beside.stop)
	}
	l.finish(w, beside, link.Result{Cause: job.Cause{Kind: job.CauseSignal, Code: 15}})
	l.failOver()
	l.flush(1 << 30)
	l.failOver()
	for _, g := range w.held {
		if g.stop != nil {
			t.Errorf("%s, which started later, is asked to end: %s", l.ref(g.fence), g.stop.Cause)
		}
	}
	if m, _ := l.s.Image(1); len(w.held) != 2 || m.Tasks[0].Counts[job.Cancelled] != 1 {
		t.Errorf("the worker holds %d attempts, the task has %v; want 2 of them, and one element cancelled", len(w.held), m.Tasks[0].Counts)
	}
}

// TestManyAreAskedToEnd stops more than are named one by one: one event says so, in a job
// that is cancelled, killed after that, or out of time, and every worker is told.
func TestManyAreAskedToEnd(t *testing.T) {
	const n = 3*sliceEvents + 1
	for _, tt := range []struct {
		name string
		stop func(l *lab) error
		want job.CauseKind
	}{
		{"cancel", func(l *lab) error { _, err := l.turn(Cancel{Job: 1, Task: NoTask, By: "anna"}); return err }, job.CauseCancelled},
		{"elements", func(l *lab) error {
			_, err := l.turn(Cancel{Job: 1, Task: 0, Spans: []element.Span{{First: 0, Last: n - 1}}, By: "anna"})
			return err
		}, job.CauseCancelled},
		{"cancel and kill", func(l *lab) error {
			_, err := l.turn(Cancel{Job: 1, Task: NoTask, By: "anna"})
			if err == nil {
				_, err = l.turn(Cancel{Job: 1, Task: NoTask, Kill: true, By: "anna"})
			}
			return err
		}, job.CauseKilled},
		{"deadline", func(l *lab) error { l.advance(3600_000); return nil }, job.CauseDeadline},
		{"one fails", func(l *lab) error {
			w := l.workers["w1"]
			l.finish(w, w.held[n-1], link.Result{Cause: job.Cause{Kind: job.CauseExit, Code: 1}})
			return nil
		}, job.CauseMaxFails},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := testLab(t)
			if err := l.join(link.Hello{Protocol: link.Protocol, Name: "w1", Instance: "w1", Incarnation: 1, Slots: n,
				Capacity: job.Resources{CPU: 1000 * n}, Executors: []string{"process"}}); err != nil {
				t.Fatal(err)
			}
			spec := fmt.Sprintf("deadline: 1h\narray: 0-%d\nrun: \"true\"\nmax_fails: {count: 0, running: cancel}\n", n-1)
			if _, err := l.submit(spec, nil); err != nil {
				t.Fatal(err)
			}
			before := len(l.journal)
			if err := tt.stop(l); err != nil {
				t.Fatal(err)
			}
			events := 0
			for _, batch := range l.journal[before:] {
				events += len(batch)
			}
			if events > 10 {
				t.Errorf("it took %d events", events)
			}
			for _, g := range l.workers["w1"].held {
				if g.stop == nil || g.stop.Cause.Kind != tt.want {
					t.Fatalf("%s was not asked to end, or not for that: %+v", l.ref(g.fence), g.stop)
				}
			}
			now, then := l.s.dump(), l.recovered().dump()
			if diff := cmp.Diff(now, then, byValue()); diff != "" {
				t.Errorf("what would be recovered differs (-state +recovered):\n%s", diff)
			}
		})
	}
}
