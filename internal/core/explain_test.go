package core

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/jobfile"
)

// TestReasonsBetweenTwoBatches asks a copy that stands between two batches: what follows
// from the first of them is in the next.
func TestReasonsBetweenTwoBatches(t *testing.T) {
	l := newLab(t.Fatalf)
	file, err := jobfile.Parse("", []byte(`run: "true"`))
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.s.Decide(Input{Now: l.now}, Submit{
		Namespace: DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, Items: []Item{{Params: []byte("{}")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range d.Events {
		l.s.Apply(e)
	}
	why := l.s.Explain(d.Reply.([]Submitted)[0].ID, "", l.now)
	if len(why) != 1 || len(why[0].Reasons) == 0 {
		t.Errorf("the job waits for %v; want a reason", why)
	}
}
