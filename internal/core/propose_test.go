package core

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// fixed proposes what it has been given, one after the other.
type fixed []plan.Placement

func (f *fixed) Next(int64) (plan.Placement, bool) {
	if len(*f) == 0 {
		return plan.Placement{}, false
	}
	p := (*f)[0]
	*f = (*f)[1:]
	return p, true
}

// TestPlaceByAnother: what another than the plan proposes is carried out, up to the first
// proposal that there is no room for.
func TestPlaceByAnother(t *testing.T) {
	l := testLab(t)
	for range 4 {
		if _, err := l.submit("run: 'true'\nresources: {cpu: 1}", nil); err != nil {
			t.Fatal(err)
		}
	}
	// The worker greets without a turn, so that the plan places nothing.
	if _, err := l.do(WorkerHello{Hello: link.Hello{Protocol: link.Protocol, Name: "w1", Instance: "one", Incarnation: 1, Slots: 2,
		Capacity: job.Resources{CPU: 2000}, Executors: []string{"process"}}}); err != nil {
		t.Fatal(err)
	}
	var order fixed
	for _, id := range []job.ID{3, 1, 4} {
		order = append(order, plan.Placement{Group: plan.GroupID{Job: id}, Worker: 1})
	}
	var applied []job.ID
	d := l.s.PlaceBy(l.now, 10, &order, func(e AttemptAssigned) { applied = append(applied, e.Job) })
	if len(d.Events) != 2 || len(applied) != 2 || applied[0] != 3 || applied[1] != 1 || len(order) != 0 {
		t.Errorf("applied %v of jobs 3, 1 and 4 to two slots, %d events, %d left", applied, len(d.Events), len(order))
	}
	if used, running, _ := l.s.plan.Usage(1); running != 2 || used.CPU != 2000 {
		t.Errorf("the worker runs %d with %d of cpu", running, used.CPU)
	}
}
