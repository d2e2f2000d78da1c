package jobfile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// TestReadGiven puts arrays from outside into job files.
func TestReadGiven(t *testing.T) {
	const (
		plain = "command: [echo, '${{ array.item }}']\n"
		own   = "array: {each: [x, y], throttle: 3}\nmax_fails: 1\n" + plain
		graph = "tasks:\n  map: {run: echo}\n  pair: {array: 0-1, needs: {map: {each: succeeded}}, run: echo}\n"
	)
	two := &job.Array{Items: []string{"a", "b"}}
	blob := &job.Array{Blob: "items/1", Count: 1_000_000, Throttle: 7}
	for _, test := range []struct {
		name, text string
		given      *Given
		task       int
		want       *job.Array
		err        string
	}{
		{"nothing", own, nil, 0, &job.Array{Items: []string{"x", "y"}, Throttle: 3}, ""},
		{"to a task without", plain, &Given{Array: two}, 0, two, ""},
		{"without it the item is unknown", plain, nil, 0, nil, "array.item"},
		{"with max_fails", "max_fails: 1\n" + plain, &Given{Array: two}, 0, two, ""},
		{"keeps the throttle", own, &Given{Array: two}, 0, &job.Array{Items: two.Items, Throttle: 3}, ""},
		{"brings its throttle", own, &Given{Array: blob}, 0, blob, ""},
		{"by the name of the only task", plain, &Given{Task: "main", Array: two}, 0, two, ""},
		{"to one of several", graph, &Given{Task: "map", Array: two}, 0, two, ""},
		{"that do not go together", graph, &Given{Task: "map", Array: blob}, 0, nil, "each needs equal indexes"},
		{"not known yet", graph, &Given{Task: "map"}, 0, &job.Array{Items: []string{""}}, ""},
		{"to nobody", graph, &Given{Task: "mop", Array: two}, 0, nil, `job.yaml:1:1: the items are for a task "mop", which the job does not have; did you mean map?`},
		{"to whom?", graph, &Given{Array: two}, 0, nil, "job.yaml:1:1: the job has 2 tasks; say for which one the items are: map, pair"},
		{"to a wrong file", "run: [", &Given{Array: two}, 0, nil, "job.yaml:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := Read("job.yaml", []byte(test.text), test.given)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, r.Spec.Tasks[test.task].Array); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if r.Canonical != nil {
				t.Error("Read makes a canonical form")
			}
		})
	}
	if two.Throttle != 0 {
		t.Error("Read changes the array that it is given")
	}
}

// TestReadLong: what is too long for a job can be read, and is refused by Parse.
func TestReadLong(t *testing.T) {
	// A line of two bytes becomes an item of four.
	text := []byte("run: echo\narray: {each: {lines: \"" + strings.Repeat(`a\n`, 1_200_000) + "\"}}\n")
	if len(text) > job.MaxSpec {
		t.Fatalf("the test's file has %d bytes", len(text))
	}
	if _, err := Read("job.yaml", text, nil); err != nil {
		t.Fatalf("Read: %.200s", err)
	}
	if _, err := Parse("job.yaml", text); err == nil || !strings.Contains(err.Error(), "job.yaml:1:1: the job has ") {
		t.Fatalf("Parse: %.200v", err)
	}
}
