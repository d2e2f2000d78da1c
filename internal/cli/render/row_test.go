package render

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// TestFailed: a job that is one array says how many of its elements failed.
func TestFailed(t *testing.T) {
	t.Parallel()
	array := func(failed, timedOut, total int64) *client.Task {
		return &client.Task{Array: true, Counts: &client.Counts{Failed: failed, TimedOut: timedOut, Total: total}}
	}
	for _, test := range []struct {
		name  string
		tasks []*client.Task
		want  string
	}{
		{"some", []*client.Task{array(2, 1, 50)}, "3 of 50 elements failed"},
		{"none", []*client.Task{array(0, 0, 50)}, ""},
		{"no array", []*client.Task{{Counts: &client.Counts{Failed: 1, Total: 1}}}, ""},
		{"a graph", []*client.Task{array(1, 0, 2), array(1, 0, 2)}, ""},
	} {
		if got := Failed(&client.Job{Tasks: test.tasks}); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
