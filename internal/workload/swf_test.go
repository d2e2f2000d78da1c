package workload

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const sample = `; Version: 2.2
; Computer: a small one
; MaxProcs: 64 (of 72)
; UnixStartTime: 843480031
;
    1        0   10   100   4     -1    -1    8    200   1024  1   7   1   3  2 -1 -1 -1
; a comment between jobs: it is no header
    2       30   -1  50.5  16     -1    -1   -1     -1     -1  1  -1   1  -1 -1 -1 -1 -1
    3       20    0   500  16     -1    -1   16    400     -1  0   7   1  -1 -1 -1 -1 -1
    4       40    0     0   1     -1    -1    1     60     -1  5   7   1  -1 -1 -1 -1 -1
    5       50    0     0   1     -1    -1    1     60     -1  0   7   1  -1 -1 -1 -1 -1
    6       60    0    10   0     -1    -1    0     60     -1  1   7   1  -1 -1 -1 -1 -1
    7       70    0    10  65     -1    -1   65     60     -1  1   7   1  -1 -1 -1 -1 -1
    8       80    0    10   1     -1    -1    1     60     -1  3   7   1  -1 -1 -1 -1 -1
    9       -1    0    10   1     -1    -1    1     60     -1  1   7   1  -1 -1 -1 -1 -1
`

func read(t *testing.T, text string) *Log {
	t.Helper()
	l, err := ReadSWF(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestReadSWF(t *testing.T) {
	l := read(t, sample)
	want := []Field{{"Version", "2.2"}, {"Computer", "a small one"}, {"MaxProcs", "64 (of 72)"}, {"UnixStartTime", "843480031"}}
	if diff := cmp.Diff(want, l.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if got, said := l.Processors(); got != 64 || !said {
		t.Errorf("the machine has %d processors (said: %v), want 64", got, said)
	}
	if got := len(l.Records); got != 9 {
		t.Fatalf("%d records, want 9", got)
	}
	first := Record{
		Number: 1, Wait: 10_000, Run: 100_000, Procs: 4, CPUTime: -1, UsedMemory: -1, ReqProcs: 8, ReqTime: 200_000, ReqMemory: 1024,
		Status: 1, User: 7, Group: 1, Executable: 3, Queue: 2, Partition: -1, Preceding: -1, Think: -1,
	}
	if diff := cmp.Diff(first, l.Records[0]); diff != "" {
		t.Errorf("first record (-want +got):\n%s", diff)
	}
	if got := l.Records[1].Run; got != 50_500 {
		t.Errorf("a fraction of a second became %d ms, want 50500", got)
	}
}

func TestProcessorsOfALogThatDoesNotSay(t *testing.T) {
	_, body, _ := strings.Cut(sample, ";\n")
	for _, c := range []struct {
		header string
		want   int64
		said   bool
	}{
		{"; MaxNodes: 9\n", 9, true}, {";\tMaxProcs:\t9\t(of 10)\r\n", 9, true}, {";MaxNodes: 4\n;MaxProcs: 9.\n", 9, true},
		{"; MaxProcs: -1\n; MaxNodes: 9, all alike\n", 9, true}, {"; MaxProcs:\n", 65, false}, {"; MaxProcs: many\n", 65, false}, {"", 65, false},
	} {
		if got, said := read(t, c.header+body).Processors(); got != c.want || said != c.said {
			t.Errorf("%q: %d processors (said: %v), want %d (%v)", c.header, got, said, c.want, c.said)
		}
	}
}

// TestReadSWFThatBreaksOff: what is wrong is the end of the input, not the line that it
// cuts.
func TestReadSWFThatBreaksOff(t *testing.T) {
	in := io.MultiReader(strings.NewReader("; MaxProcs: 4\n1 0 -1"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := ReadSWF(in); err == nil || err.Error() != "line 2: unexpected EOF" {
		t.Errorf("a broken input: %v", err)
	}
}

func TestReadSWFSaysWhere(t *testing.T) {
	line := strings.Repeat("1 ", 17)
	for _, c := range []struct{ text, want string }{
		{"; Version: 2\n1 0 -1 12x " + line, `line 2, column 8: "12x" is no number; field 4 is the run time`},
		{line, "line 1, column 34: the line ends after field 17, the preceding job; it should have 18"},
		{line + "1 9", `line 1, column 37: "9" is a field too many; a line has 18`},
		{"1 99999999999999999999 " + line, `line 1, column 3: "99999999999999999999" is no number; field 2 is the submit time`},
		{strings.Repeat("x", maxLine+1), "line 1: longer than 65536 bytes; is it a log?"},
		{strings.Repeat("; a: b\n", maxHeader+1), "line 10001: more than 10000 lines of header; is it a log?"},
	} {
		if _, err := ReadSWF(strings.NewReader(c.text)); err == nil || err.Error() != c.want {
			t.Errorf("%.60q:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestClean(t *testing.T) {
	trace, told := read(t, sample).Clean(Rules{})
	want := &Trace{Procs: 64, Start: 843480031000, Jobs: []Job{
		{Number: 1, Run: 100_000, Request: 200_000, Procs: 8, Memory: 8 << 20, User: "7", Queue: "2", Name: "3", Wait: 10_000},
		{Number: 3, Submit: 20_000, Run: 400_000, Request: 400_000, Procs: 16, User: "7"},
		{Number: 2, Submit: 30_000, Run: 50_500, Request: 50_500, Procs: 16, Wait: -1},
	}}
	if diff := cmp.Diff(want, trace); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	var lines []string
	for _, d := range told {
		lines = append(lines, d.String())
	}
	if diff := cmp.Diff([]string{
		"1 job dropped: parts of jobs that were stopped and went on",
		"1 job dropped: when they were submitted is unknown",
		"1 job dropped: cancelled before they started",
		"1 job dropped: their run time is 0 or unknown",
		"1 job dropped: their processors are 0 or unknown",
		"1 job dropped: wider than the machine's 64 processors",
		"1 job taken with the processors they were given: what they asked for is unknown",
		"1 job taken with the time they ran: what they asked for is unknown",
		"1 job clipped to the time they had asked for: they ran longer",
		"1 job stood before an earlier one: sorted by submit time",
	}, lines); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

func TestCleanByOtherRules(t *testing.T) {
	trace, told := read(t, sample).Clean(Rules{Procs: 10, ClipWide: true, KeepLong: true})
	if trace.Procs != 10 || len(trace.Jobs) != 4 {
		t.Fatalf("%d jobs on %d processors, want 4 on 10", len(trace.Jobs), trace.Procs)
	}
	if j := trace.Jobs[1]; j.Run != 500_000 || j.Request != 500_000 || j.Procs != 10 {
		t.Errorf("job 3 became %+v; want all of the machine, and its whole run", j)
	}
	for _, want := range []Decision{{3, "clipped to the machine's 10 processors"}, {1, "ran longer than they had asked for: taken as if they had asked for that"}} {
		if !slices.Contains(told, want) {
			t.Errorf("told %v, and not that %s", told, want)
		}
	}
}

func TestCleanDropsThoseThatAskForNoTime(t *testing.T) {
	trace, told := read(t, sample).Clean(Rules{DropUnasked: true})
	if want := (Decision{1, "dropped: how long they asked for is unknown"}); len(trace.Jobs) != 2 || !slices.Contains(told, want) {
		t.Errorf("%d jobs are left, want 2; told %v", len(trace.Jobs), told)
	}
}

func TestWriteSWFIsReadAgain(t *testing.T) {
	trace, _ := read(t, sample).Clean(Rules{})
	var b bytes.Buffer
	if err := WriteSWF(&b, trace, nil); err != nil {
		t.Fatal(err)
	}
	again, _ := read(t, b.String()).Clean(Rules{})
	if diff := cmp.Diff(trace, again); diff != "" {
		t.Errorf("written and read (-want +got):\n%s", diff)
	}
	b.Reset()
	trace.Jobs[0].User, trace.Jobs[1].User = "anna", "bert"
	if err := WriteSWF(&b, trace, []int64{1500, 20_000, 99_000}); err != nil {
		t.Fatal(err)
	}
	named := read(t, b.String())
	if r := named.Records; r[0].Wait != 1500 || r[1].Wait != 0 || r[2].Wait != 69_000 {
		t.Errorf("waits of %d, %d and %d ms, want 1500, 0 and 69000", r[0].Wait, r[1].Wait, r[2].Wait)
	}
	if r := named.Records; r[0].User == r[1].User || r[0].User < 0 || r[2].User != Unknown {
		t.Errorf("users %d, %d and %d, want two numbers and none", r[0].User, r[1].User, r[2].User)
	}
}

func FuzzReadSWF(f *testing.F) {
	f.Add(sample)
	f.Add("1 2 3")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ReadSWF(strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") {
				t.Errorf("error %q names no line", err)
			}
			return
		}
		trace, _ := l.Clean(Rules{})
		for i := range trace.Jobs {
			j := &trace.Jobs[i]
			if j.Run < 1 || j.Request < j.Run || j.Procs < 1 || j.Procs > trace.Procs || j.Submit < 0 {
				t.Errorf("job %+v can't run on %d processors", j, trace.Procs)
			}
			if i > 0 && j.Submit < trace.Jobs[i-1].Submit {
				t.Errorf("job %d comes before the one before it", i)
			}
		}
	})
}
