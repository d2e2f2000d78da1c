package core

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// TestNewestFormat: a state that nothing is in begins with the newest format that its first
// leader knows; one that something is in keeps its own, whoever leads.
func TestNewestFormat(t *testing.T) {
	config := Config{Format: FormatResources}
	s := New(config)
	events := s.Begin(7, 1, 1)
	want := []Event{
		EpochStarted{Epoch: 1, Generation: 1, At: 7}, NamespaceSet{Name: DefaultName, Created: 7},
		QueueSet{Namespace: DefaultName, Name: DefaultName, Created: 7}, FormatRaised{Format: FormatResources, By: "server", At: 7},
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Fatalf("an empty state (-want +got):\n%s", diff)
	}
	for _, e := range events {
		s.Apply(e)
	}
	if s.Format() != FormatResources {
		t.Errorf("it begins with format %d", s.Format())
	}
	if events = s.Begin(8, 2, 1); len(events) != 1 {
		t.Errorf("the next term begins with %+v", events)
	}
	old := New(Config{})
	for _, e := range old.Begin(7, 1, 1) {
		old.Apply(e)
	}
	old.config = config // a newer server leads
	for _, e := range old.Begin(8, 2, 1) {
		old.Apply(e)
	}
	if old.Format() != FirstFormat {
		t.Errorf("a state of format %d has become one of %d by itself", FirstFormat, old.Format())
	}
}

// TestSpecFormat: what an older server could not read in a spec is refused until the format
// is raised, and taken from then on.
func TestSpecFormat(t *testing.T) {
	l := testLab(t)
	text := "tasks:\n  plain: {run: x}\n  train: {run: x, resources: {gpu: 1, licence: 2}}\n"
	_, err := l.submit(text, nil)
	const says = "task train asks for gpu, which needs format 3, and the cluster's is 1: reeve upgrade --finalize raises it"
	if job.CodeOf(err) != job.Refused || !strings.Contains(err.Error(), says) {
		t.Fatalf("%v; want that it says %s", err, says)
	}
	conditions := map[string]string{
		"run: x\nwhere: [gpu, 'labels.zone != \"eu\"']\n": "task main has an expression in where, which needs format 3, and the cluster's is 1",
		"run: x\nprefer: zone=eu\n":                       "task main prefers some workers (prefer), which needs format 3",
	}
	for text, says := range conditions {
		if _, err := l.submit(text, nil); job.CodeOf(err) != job.Refused || !strings.Contains(err.Error(), says) {
			t.Fatalf("%v; want that it says %s", err, says)
		}
	}
	mustSubmit(t, l, "run: x\nwhere: [gpu, zone=eu]\n")
	mustTurn(t, l, RaiseFormat{To: FormatResources})
	for text := range conditions {
		mustSubmit(t, l, text)
	}
	if id := mustSubmit(t, l, text); l.s.SpecOf(id).Tasks[1].Resources.Other.Get(job.GPU) != 1 {
		t.Error("what it asks for is lost")
	}
}
