package demo

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
)

func demoTask(name, state string, over, total int64, outputs map[string]string) *client.Task {
	t := &client.Task{Name: name, State: state, Array: total > 1, Counts: &client.Counts{Total: total, Succeeded: over}, Outputs: outputs}
	if over == total {
		t.EndedAt = timestamppb.New(time.Unix(1, 0))
	} else if state == "running" {
		t.Counts.Running = 1
	}
	return t
}

func demoJob(tasks ...*client.Task) *client.Job { return &client.Job{Id: "1", Tasks: tasks} }

var clock = regexp.MustCompile(`(?m)^ +\d+\.\ds  `)

// TestScreenLines: without a terminal each quarter and each end is told once.
func TestScreenLines(t *testing.T) {
	files := map[string]string{"files": "1234", "bytes": "90449000"}
	var out bytes.Buffer
	s := newScreen(&Options{Err: &out}, time.Now())
	for _, j := range []*client.Job{
		demoJob(demoTask("list", "running", 0, 1, nil), demoTask("count", "pending", 0, 8, nil)),
		demoJob(demoTask("list", "succeeded", 1, 1, files), demoTask("count", "pending", 0, 8, nil)),
		demoJob(demoTask("list", "succeeded", 1, 1, files), demoTask("count", "running", 1, 8, nil)),
		demoJob(demoTask("list", "succeeded", 1, 1, files), demoTask("count", "running", 5, 8, nil)),
		demoJob(demoTask("list", "succeeded", 1, 1, files), demoTask("count", "succeeded", 8, 8, nil)),
		demoJob(demoTask("list", "succeeded", 1, 1, files), demoTask("count", "succeeded", 8, 8, nil)),
	} {
		s.tasks(j)
	}
	s.event("w1", "killed")
	want := "list      1,234 Go files, 90.4 MB\ncount     5 of 8\ncount     8 of 8\nw1        killed\n"
	if diff := cmp.Diff(want, clock.ReplaceAllString(out.String(), "")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	out.Reset()
	s = newScreen(&Options{Err: &out, Quiet: true}, time.Now())
	s.line("hello")
	s.event("w1", "killed")
	s.tasks(demoJob(demoTask("list", "succeeded", 1, 1, files)))
	s.stop()
	if out.Len() > 0 {
		t.Errorf("a quiet screen says %q", out.String())
	}
}

// TestScreenBars: on a terminal there is a bar per task, events stand above them, and
// what was drawn last stays.
func TestScreenBars(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&Options{Err: &out}, time.Now())
	s.draw()
	s.tasks(demoJob(demoTask("list", "running", 0, 1, nil), demoTask("count", "pending", 0, 64, nil)))
	s.event("w1", "killed")
	s.tasks(demoJob(demoTask("list", "succeeded", 1, 1, map[string]string{"files": "7", "bytes": "1000"}), demoTask("count", "running", 33, 64, nil)))
	s.stop()
	s.event("", "after")
	text := out.String()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if n := len(lines); n < 3 || !strings.Contains(lines[n-3], "  list ") || !strings.Contains(lines[n-3], "1/1") ||
		!strings.Contains(lines[n-2], "  count ") || !strings.Contains(lines[n-2], "33/64") || !strings.HasSuffix(lines[n-1], "after") {
		t.Errorf("it ends with\n%s", strings.Join(lines[max(0, len(lines)-3):], "\n"))
	}
	if strings.Count(text, "killed") != 1 {
		t.Errorf("the event is not told once:\n%s", text)
	}
}

func TestOutcome(t *testing.T) {
	for _, test := range []struct {
		task *client.Task
		want string
	}{
		{demoTask("single", "succeeded", 1, 1, map[string]string{"identifiers": "4775875"}), "4,775,875 identifiers"},
		{demoTask("compare", "succeeded", 1, 1, nil), "exactly the same"},
		{demoTask("report", "succeeded", 1, 1, nil), "done"},
		{&client.Task{Name: "compare", State: "failed", Cause: "exit 1"}, "failed: exit 1"},
		{&client.Task{Name: "compare", State: "skipped"}, "skipped"},
	} {
		if got := outcome(test.task); got != test.want {
			t.Errorf("%s: %q, want %q", test.task.GetName(), got, test.want)
		}
	}
}

// TestJobText: the job file is right, whatever the paths are called.
func TestJobText(t *testing.T) {
	for _, path := range []string{"/usr/bin/reeve", "/a b/it's \"q\"/\\n\n#: é", "/x/${{ params.dir }}/$HOME"} {
		text := jobText(path, strings.ReplaceAll(path, "${{", ""), path)
		r, err := jobfile.Parse("job.yaml", []byte(text))
		if err != nil {
			t.Errorf("%q: %v\n%s", path, err, text)
			continue
		}
		if len(r.Spec.Tasks) != 6 || r.Spec.Tasks[1].Array.Len() != shards {
			t.Errorf("%q: %+v", path, r.Spec)
		}
		want := strings.ReplaceAll(path, "${{", "$${{") // which expressions are written with
		if got := r.Spec.Tasks[0].Command[0]; got != want {
			t.Errorf("%q: the program is %q", path, got)
		}
	}
}

func TestShellWord(t *testing.T) {
	for s, want := range map[string]string{"": "''", "/a-b_c.d/e@f:1+2": "/a-b_c.d/e@f:1+2", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'", "ü": "'ü'"} {
		if got := shellWord(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}
