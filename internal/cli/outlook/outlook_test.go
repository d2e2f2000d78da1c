package outlook

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/client"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// TestOthers: a few of the jobs that a plan would disturb are shown, and how many there are.
func TestOthers(t *testing.T) {
	at := client.Time(time.Now().Add(-time.Hour))
	plan := func(delayed, shown, preempts int, atLeast bool) *client.Plan {
		p := &client.Plan{Delayed: int64(delayed), AtLeast: atLeast}
		for i := range shown {
			p.Delays = append(p.Delays, &reevev1.Delay{Id: fmt.Sprint(100 + i), ExpectedStart: at})
		}
		for i := range preempts {
			p.Preempts = append(p.Preempts, fmt.Sprint(200+i))
		}
		return p
	}
	for _, test := range []struct {
		name, format string
		plan         *client.Plan
		head, foot   string // the first line, the last
		rows         int
	}{
		{"none", "table", plan(0, 0, 0, true), "", "", 0},
		{"one", "table", plan(1, 1, 0, false), "it would delay 1 job", "", 1},
		{"more than is known", "table", plan(2, 2, 0, true), "it would delay 2 jobs or more", "", 2},
		{"those of others", "table", plan(2, 0, 0, false), "it would delay 2 jobs", "", 0},
		{"many", "table", plan(500, 100, 12, false), "it would delay 500 jobs, these the most",
			"attempts of these jobs would have to make room: 200, 201, 202, 203, 204, 205, 206, 207, 208, 209 and 2 more", 10},
		{"many, wide", "wide", plan(500, 100, 2, true), "it would delay 500 jobs or more, these the most", "attempts of these jobs would have to make room: 200, 201", 100},
		{"only room", "table", plan(0, 0, 1, false), "attempts of these jobs would have to make room: 200", "attempts of these jobs would have to make room: 200", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := (Env{Printer: &render.Printer{Out: &out, Format: test.format}}).others(test.plan); err != nil {
				t.Fatal(err)
			}
			text := strings.TrimPrefix(out.String(), "\n")
			if head, _, _ := strings.Cut(text, "\n"); head != test.head {
				t.Errorf("it begins %q, want %q", head, test.head)
			}
			if n := strings.Count(text, "nobody knows"); n != test.rows {
				t.Errorf("%d jobs are shown, want %d:\n%s", n, test.rows, text)
			}
			lines := strings.Split(strings.TrimSpace(text), "\n")
			if test.foot != "" && lines[len(lines)-1] != test.foot {
				t.Errorf("it ends %q, want %q", lines[len(lines)-1], test.foot)
			}
		})
	}
}

// TestVerdict: every verdict has its exit code, and one that is yet to be thought of is no start.
func TestVerdict(t *testing.T) {
	e := Env{Exit: func(code int) error { return fmt.Errorf("exit %d", code) }}
	for verdict, want := range map[string]string{
		"starts": "<nil>", "waits": "exit 1", "never": "exit 2", "refused": "exit 2", "exists": "exit 2", "of tomorrow": "exit 2",
	} {
		if got := fmt.Sprint(e.verdict(&client.Plan{Verdict: verdict})); got != want {
			t.Errorf("%s ends with %s, want %s", verdict, got, want)
		}
	}
}
