package workload

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadList(t *testing.T) {
	trace, err := ReadList(strings.NewReader(`submit, run, request, cpu, memory, count, every, deadline, priority, user, queue, name
# two of these
1m, 10s, 20s, 1500m, 4Gi, 2, 30s, 1h, 5, anna, night, etl
0s, 2m,,,,,,,,,,
10s, 30s, 20s, 8,,,,,,,,
`))
	if err != nil {
		t.Fatal(err)
	}
	etl := Job{Number: 3, Submit: 60_000, Run: 10_000, Request: 20_000, Procs: 2, CPU: 1500, Memory: 4 << 30, User: "anna", Queue: "night", Name: "etl",
		Priority: 5, Deadline: 3660_000, Wait: -1}
	second := etl
	second.Number, second.Submit, second.Deadline = 4, 90_000, 3690_000
	want := []Job{
		{Number: 1, Run: 120_000, Request: 120_000, Procs: 1, Wait: -1},
		{Number: 2, Submit: 10_000, Run: 20_000, Request: 20_000, Procs: 8, Wait: -1},
		etl, second,
	}
	if diff := cmp.Diff(want, trace.Jobs); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func TestReadListSaysWhere(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "line 1: the list is empty; its first line names the columns: submit, run, request, cpu, memory, count, every, deadline, priority, user, queue, name"},
		{"run,tempo", `line 1, column 5: "tempo" is no column; known: submit, run, request, cpu, memory, count, every, deadline, priority, user, queue, name`},
		{"submit\n1s", "line 1: the column run is missing: how long each job runs"},
		{"submit,run\n0s,10", `line 2, column 4: run: duration "10": want numbers with units w, d, h, m, s, ms, such as 90s, 1h30m or 2d`},
		{"run,count\n1s,0", `line 2, column 4: count: "0": want a number from 1 to 20000000`},
		{"run,priority\n1s,high", `line 2, column 4: priority: "high": want a whole number; higher goes first`},
		{"run,submit\n,1s", "line 2: run is missing or 0; want a duration such as 10m"},
		{"run\n1s,2s", "record on line 2: wrong number of fields"},
	} {
		if _, err := ReadList(strings.NewReader(c.text)); err == nil || err.Error() != c.want {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func FuzzReadList(f *testing.F) {
	f.Add("submit,run,cpu,count\n0s,1m,2,3\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "count") {
			t.Skip("a count may ask for more memory than a fuzzer has")
		}
		trace, err := ReadList(strings.NewReader(text))
		if err != nil {
			return
		}
		for i := range trace.Jobs {
			if j := &trace.Jobs[i]; j.Run < 1 || j.Request < j.Run || j.Procs < 1 || j.Submit < 0 {
				t.Errorf("job %+v can't run", j)
			}
		}
	})
}
