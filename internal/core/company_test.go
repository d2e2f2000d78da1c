package core

import (
	"fmt"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// enter submits a job without a turn, so that nothing of it is placed.
func (l *lab) enter(t *testing.T, text string, args ...any) job.ID {
	t.Helper()
	file, err := jobfile.Parse("", fmt.Appendf(nil, text, args...))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := l.do(Submit{Namespace: DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, By: "anna", Items: []Item{{Params: []byte("{}")}}})
	if err != nil {
		t.Fatal(err)
	}
	done, _ := reply.([]Submitted)
	return done[0].ID
}

// TestATurnAsksSoMany: where the plan has to ask many workers and finds nothing, a turn is over all the same, and says
// that there is more to do. What was asked for in vain is not asked for again.
func TestATurnAsksSoMany(t *testing.T) {
	const workers, jobs = 300, 100
	l := testLab(t)
	do := func(c Command) {
		if _, err := l.do(c); err != nil {
			t.Fatal(err)
		}
	}
	do(RaiseFormat{To: FormatAsks})
	for i := range workers {
		name := fmt.Sprint("w", i)
		do(WorkerHello{Hello: link.Hello{
			Protocol: link.Protocol, Name: name, Instance: name, Incarnation: 1, Slots: 2, Executors: []string{"process"},
			Capacity: job.Resources{CPU: 2000, Memory: 1 << 40},
		}})
	}
	const key = "\nrun: 'true'\napart: {by: worker, key: disk}\n"
	l.enter(t, "array: 0-%d"+key, workers-1)
	if d := l.s.Place(l.now, workers+1); len(d.Events) != workers || d.More {
		t.Fatalf("%d were placed, more: %v", len(d.Events), d.More)
	}
	for i := range jobs { // each is of a class of its own
		l.enter(t, "resources: {memory: %dMi}"+key, i+1)
	}
	turns := 1
	for d := l.s.Place(l.now, 1000); d.More; d = l.s.Place(l.now, 1000) {
		if turns++; len(d.Events) > 0 || turns > jobs {
			t.Fatalf("%d were placed in turn %d", len(d.Events), turns)
		}
	}
	if least := jobs * workers / mostAsked; turns < least+1 || turns > 2*least+2 {
		t.Errorf("it took %d turns to ask %d workers for each of %d", turns, workers, jobs)
	}
}

// TestApartIsCheckedAgain: the core refuses a proposal that puts together what is to be apart,
// until what is in the way has ended.
func TestApartIsCheckedAgain(t *testing.T) {
	for by, refused := range map[string][]uint64{job.AtWorker: {1}, "zone": {1, 2}} {
		t.Run(by, func(t *testing.T) {
			l := testLab(t)
			do := func(c Command) {
				if _, err := l.do(c); err != nil {
					t.Fatal(err)
				}
			}
			do(RaiseFormat{To: FormatAsks})
			for i, zone := range []string{"a", "a", "b"} {
				name := fmt.Sprint("w", i+1)
				do(WorkerHello{Hello: link.Hello{
					Protocol: link.Protocol, Name: name, Instance: name, Incarnation: 1, Slots: 9, Executors: []string{"process"},
					Capacity: job.Resources{CPU: 9000}, Labels: map[string]string{"zone": zone},
				}})
			}
			submit := func(key string) job.ID {
				return l.enter(t, "run: 'true'\napart: {by: %s, key: %s}", by, key)
			}
			// places reports whether a job may start on a worker.
			places := func(id job.ID, worker uint64) bool {
				d := l.s.PlaceBy(l.now, 1, &fixed{{Group: plan.GroupID{Job: id}, Worker: worker}}, func(AttemptAssigned) {})
				return len(d.Events) > 0
			}
			first := submit("disk")
			if !places(first, 1) || !places(submit("web"), 1) {
				t.Fatal("the first of each key must start")
			}
			for _, w := range refused {
				if places(submit("disk"), w) {
					t.Errorf("a second one starts on worker %d", w)
				}
			}
			for fence, a := range l.s.attempts {
				if a.job.id == first {
					l.s.Apply(AttemptEnded{Fence: fence, Next: job.Succeeded, At: l.now, Ended: l.now})
				}
			}
			if len(l.s.kept) > 1 || !places(submit("disk"), 1) {
				t.Errorf("what has ended is in the way: %v", l.s.kept)
			}
		})
	}
}
