package link

import (
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

func TestBeatEvery(t *testing.T) {
	for lease, want := range map[time.Duration]time.Duration{
		0: 200 * time.Millisecond, time.Second: 200 * time.Millisecond, 6 * time.Second: time.Second,
		30 * time.Second: 5 * time.Second, time.Hour: 5 * time.Second,
	} {
		if got := BeatEvery(lease); got != want {
			t.Errorf("a lease of %s is renewed every %s; want %s", lease, got, want)
		}
	}
}

// TestBeatsFitIntoALease: a few lost beats must do no harm, whatever the lease that a
// job file may ask for.
func TestBeatsFitIntoALease(t *testing.T) {
	for lease := time.Second; lease < 24*time.Hour; lease += lease / 3 {
		if beats := lease / BeatEvery(lease); beats < 5 {
			t.Errorf("only %d beats fit into a lease of %s", beats, lease)
		}
	}
}

func TestAssignmentRef(t *testing.T) {
	spec := &job.Spec{Tasks: []job.Task{{Name: "extract"}, {Name: "map"}}}
	for want, a := range map[string]Assignment{
		"4217.extract@2": {Job: 4217, Task: 0, Index: job.NoIndex, Attempt: 2, Spec: spec},
		"4217.map.3@1":   {Job: 4217, Task: 1, Index: 3, Attempt: 1, Spec: spec},
	} {
		if got := a.Ref().String(); got != want {
			t.Errorf("%+v is spelled %q; want %q", a, got, want)
		}
	}
}
