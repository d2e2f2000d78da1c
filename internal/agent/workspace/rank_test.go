package workspace

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// TestRankEnvironment: a rank is told its number and where all of them are, and of no array.
func TestRankEnvironment(t *testing.T) {
	s, _ := newSpace(t, &memStore{})
	w := assignment(&job.Spec{Name: "j", Tasks: []job.Task{{Name: "m", Command: []string{"x"}, Nodes: 3, Array: job.Ranks(3)}}})
	w.Index, w.Position, w.Count, w.Last, w.Hosts = 1, 1, 3, 2, []string{"a", "10.0.0.2", "c.example"}
	task, cause := s.Prepare(context.Background(), "k", w)
	if cause != (job.Cause{}) {
		t.Fatal(cause)
	}
	for _, v := range []string{"REEVE_RANK=1", "REEVE_NODES=3", "REEVE_HOSTS=a,10.0.0.2,c.example"} {
		if !slices.Contains(task.Env, v) {
			t.Errorf("no %s in %q", v, task.Env)
		}
	}
	if slices.ContainsFunc(task.Env, func(v string) bool { return strings.HasPrefix(v, "REEVE_ARRAY_") }) {
		t.Errorf("a rank is told of an array: %q", task.Env)
	}
}
