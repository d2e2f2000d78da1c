package bars

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/reeve-scheduler/reeve/internal/client"
)

func task(name, state, cause string, array bool, c *client.Counts) *client.Task {
	return &client.Task{Name: name, State: state, Cause: cause, Array: array, Counts: c}
}

// steps is a job that comes along: what Follow would show of it.
func steps(id string) []*client.Job {
	one := func(n int64) *client.Counts { return &client.Counts{Total: 1, Succeeded: n} }
	return []*client.Job{
		{Id: id, State: "pending", Tasks: []*client.Task{task("load", "pending", "", false, one(0)), task("map", "pending", "", true, &client.Counts{Total: 3})}},
		{Id: id, State: "running", Tasks: []*client.Task{task("load", "assigned", "", false, one(0)), task("map", "pending", "", true, &client.Counts{Total: 3})}},
		{Id: id, State: "running", Tasks: []*client.Task{task("load", "running", "", false, one(0)), task("map", "pending", "", true, &client.Counts{Total: 3})}},
		{Id: id, State: "running", Tasks: []*client.Task{task("load", "succeeded", "", false, one(1)), task("map", "running", "", true, &client.Counts{Total: 3, Running: 2, Succeeded: 1})}},
		{Id: id, State: "running", Tasks: []*client.Task{task("load", "succeeded", "", false, one(1)), task("map", "running", "", true, &client.Counts{Total: 3, Running: 1, Succeeded: 2})}},
		{Id: id, State: "failed", Tasks: []*client.Task{task("load", "succeeded", "", false, one(1)), task("map", "failed", "exit\x1b 3", true, &client.Counts{Total: 3, Succeeded: 2, Failed: 1})}},
	}
}

// TestLinesOf: without a terminal each step is told once, and an array's elements do
// not flood.
func TestLinesOf(t *testing.T) {
	for _, test := range []struct {
		name string
		o    Options
		jobs int
		want string
	}{
		{"one job", Options{Lines: true}, 1, "load: running\nload: succeeded\nmap: failed (exit  3), 2 of 3 succeeded\na word\n"},
		{"several", Options{Lines: true}, 2, "7.load: running\n7.load: succeeded\n7.map: failed (exit  3), 2 of 3 succeeded\na word\n"},
		{"quiet", Options{}, 1, ""},
	} {
		var out bytes.Buffer
		test.o.Out = &out
		p := New(test.o, test.jobs)
		for _, j := range steps("7") {
			p.Update(j)
			p.Update(j)
		}
		if _, err := fmt.Fprintln(p, "a word"); err != nil {
			t.Fatal(err)
		}
		p.Stop()
		p.Update(steps("7")[2])
		fmt.Fprintln(p, "too late")
		if diff := cmp.Diff(test.want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestBarsOf: a bar per task of one job, per job of several, one for very many. What
// was drawn last stays.
func TestBarsOf(t *testing.T) {
	for _, test := range []struct {
		name string
		jobs []string
		want []string
	}{
		{"one job", []string{"7"}, []string{"load", "1/1  succeeded", "map", "3/3  failed"}},
		{"several", []string{"7", "8"}, []string{"job 7", "4/4  failed", "job 8", "4/4  failed"}},
		{"many", strings.Split("1 2 3 4 5 6 7 8 9 10 11 12 13", " "), []string{"jobs", "13/13"}},
	} {
		var out bytes.Buffer
		p := New(Options{Out: &out, Terminal: true}, len(test.jobs))
		for _, id := range test.jobs {
			for _, j := range steps(id) {
				p.Update(j)
			}
		}
		p.Stop()
		p.Stop()
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) < len(test.want)/2 {
			t.Fatalf("%s: %q", test.name, out.String())
		}
		lines = lines[len(lines)-len(test.want)/2:]
		for i, line := range lines {
			name, text := test.want[2*i], test.want[2*i+1]
			if !strings.Contains(line, "  "+name+" ") || !strings.Contains(line, text) {
				t.Errorf("%s: row %d is %q, want %q and %q", test.name, i, line, name, text)
			}
		}
	}
}

// TestBehind: the text behind a bar gives way where there is no room.
func TestBehind(t *testing.T) {
	for columns, want := range map[int]string{80: "  größer, 3 failed", 29: "  größer, 3 failed", 28: "  größer, 3 fail…", 14: "  …", 12: "…", 11: "", 0: ""} {
		r := &row{}
		text := "größer, 3 failed"
		r.text.Store(&text)
		if got := r.behind(decor.Statistics{AvailableWidth: columns}); got != want {
			t.Errorf("in %d columns %q, want %q", columns, got, want)
		}
	}
}

// TestUpload: what is read is read, shown or not.
func TestUpload(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		var out, got bytes.Buffer
		u := NewUpload(Options{Out: &out, Terminal: terminal}, "items", 3<<20)
		text := strings.Repeat("x", 3<<20)
		if _, err := got.ReadFrom(u.Reader(strings.NewReader(text))); err != nil || got.String() != text {
			t.Errorf("terminal %v: %d bytes, %v", terminal, got.Len(), err)
		}
		u.Stop()
		u.Stop()
		if !terminal && out.Len() > 0 {
			t.Errorf("without a terminal it draws %q", out.String())
		}
	}
}
