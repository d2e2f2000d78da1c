package render

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// ahead runs a test at a fixed moment and hands it moments from there.
func ahead(t *testing.T, test func(in func(time.Duration) *client.Timestamp, clock func(time.Duration) string)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		now := time.Now()
		test(func(d time.Duration) *client.Timestamp { return client.Time(now.Add(d)) },
			func(d time.Duration) string { return now.Add(d).Local().Format("2006-01-02 15:04:05") })
	})
}

func TestMoments(t *testing.T) {
	ahead(t, func(in func(time.Duration) *client.Timestamp, clock func(time.Duration) string) {
		for _, test := range []struct {
			at           *client.Timestamp
			near, moment string
		}{
			{nil, "-", "-"},
			{in(-time.Minute), "now", "now"},
			{in(999 * time.Millisecond), "now", "now"},
			{in(4 * time.Minute), "in 4m", clock(4*time.Minute) + " (in 4m)"},
			{in(26*time.Hour + 5*time.Second), "in 1d2h", clock(26*time.Hour+5*time.Second) + " (in 1d2h)"},
		} {
			if got := In(test.at); got != test.near {
				t.Errorf("%v is %q, want %q", test.at, got, test.near)
			}
			if got := Moment(test.at); got != test.moment {
				t.Errorf("%v is %q, want %q", test.at, got, test.moment)
			}
		}
		for _, test := range []struct {
			from, to *client.Timestamp
			want     string
		}{
			{in(time.Minute), in(4 * time.Minute), "3m"}, {in(time.Minute), in(0), "0ms"}, {in(time.Minute), nil, "-"}, {nil, in(0), "-"},
		} {
			if got := Later(test.from, test.to); got != test.want {
				t.Errorf("from %v to %v is %q, want %q", test.from, test.to, got, test.want)
			}
		}
	})
}

// TestETA: it is of the end, else of the start of what has not begun.
func TestETA(t *testing.T) {
	ahead(t, func(in func(time.Duration) *client.Timestamp, _ func(time.Duration) string) {
		start, end := in(time.Minute), in(time.Hour)
		for _, test := range []struct {
			job  *client.Job
			want string
		}{
			{&client.Job{State: "pending"}, "-"},
			{&client.Job{State: "pending", ExpectedStart: start}, "starts in 1m"},
			{&client.Job{State: "pending", ExpectedStart: start, ExpectedEnd: end}, "in 1h"},
			{&client.Job{State: "running", StartedAt: in(-time.Hour), ExpectedStart: start}, "-"},
			{&client.Job{State: "running", StartedAt: in(-time.Hour), ExpectedEnd: in(-time.Second)}, "now"},
			{&client.Job{State: "succeeded", ExpectedEnd: end}, "-"},
			{&client.Job{State: "pending", ExpectedStart: start, ExpectedAtLeast: true}, "starts in 1m or later"},
			{&client.Job{State: "pending", ExpectedStart: start, ExpectedEnd: end, ExpectedAtLeast: true}, "in 1h or later"},
		} {
			if got := ETA(test.job); got != test.want {
				t.Errorf("%v: %q, want %q", test.job, got, test.want)
			}
		}
	})
}

// TestProspect: what is in the way comes first, then what is expected, and nothing twice.
func TestProspect(t *testing.T) {
	ahead(t, func(in func(time.Duration) *client.Timestamp, clock func(time.Duration) string) {
		first, last := in(time.Minute), in(time.Hour)
		in1m, in1h := clock(time.Minute)+" (in 1m)", clock(time.Hour)+" (in 1h)"
		reason := func(kind, text string) *client.Reason { return &client.Reason{Kind: kind, Text: text} }
		for name, test := range map[string]struct {
			is   Prospect
			want string
		}{
			"nothing":              {Prospect{}, ""},
			"one":                  {Prospect{Count: 1, First: first, Last: first, Worker: "w1"}, "expected to start " + in1m + ", on worker w1"},
			"now":                  {Prospect{Count: 1, First: in(0), Last: in(0), End: last, Worker: "w1"}, "expected to start now, on worker w1\nexpected to end " + in1h},
			"many at once":         {Prospect{Count: 9, First: first, Last: first, Worker: "w1"}, "expected to start " + in1m + ", the first on worker w1"},
			"many":                 {Prospect{Count: 9, First: first, Last: last, Worker: "w1"}, "expected to start from " + in1m + " to " + in1h + ", the first on worker w1"},
			"the last is unknown":  {Prospect{Count: 9, First: first, Worker: "w1"}, "expected to start from " + in1m + ", the first on worker w1; when the last does nobody knows"},
			"one of many":          {Prospect{Count: 9, Among: true, First: first, Last: last, Worker: "w1"}, "expected to start between " + in1m + " and " + in1h},
			"one of unknown":       {Prospect{Count: 9, Among: true, First: first, Worker: "w1"}, "expected to start " + in1m + " at the earliest"},
			"the last one of many": {Prospect{Count: 1, Among: true, First: first, Last: first, Worker: "w1"}, "expected to start " + in1m + ", on worker w1"},
			"all": {
				Prospect{
					Reasons: []*client.Reason{
						reason("no_room", "all are\x1b[31m busy"), reason("expected", "it is expected"), reason("at_least", "it may be later"),
						reason("near", "would rather run on w2"), reason("would_start", "with 6Gi"), reason("hold", "it is held"), reason("of tomorrow", "whatever"),
					},
					Changes: []*client.Change{{Text: "with 6Gi"}, {Text: "with 1 gpu"}},
					Count:   1, First: first, Last: first, Worker: "w1",
				},
				"- all are [31m busy\n- it is held\n- whatever\nexpected to start " + in1m + ", on worker w1\nit may be later\nwould rather run on w2\nwith 6Gi\nwith 1 gpu",
			},
			"unknown": {Prospect{Reasons: []*client.Reason{reason("unknown_start", "nobody knows"), reason("limit", "at its limit")}}, "- at its limit\nnobody knows"},
		} {
			if got := strings.Join(test.is.Lines(), "\n"); got != test.want {
				t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
			}
		}
	})
}
