package simulate

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/client"
)

// ran is what a command printed.
type ran struct{ out, err string }

// simulate runs the command on standard input, in a format.
func runCommand(t *testing.T, format, stdin string, args ...string) (ran, error) {
	t.Helper()
	var out, told bytes.Buffer
	e := Env{
		Printer: &render.Printer{Out: &out, Format: format}, In: strings.NewReader(stdin), Err: &told,
		Dial:  func() (*client.Client, error) { return nil, errors.New("no server") },
		Space: func() string { return "default" },
	}
	c := e.Command()
	c.SetArgs(args)
	c.SetOut(io.Discard)
	c.SetErr(io.Discard)
	c.SilenceErrors, c.SilenceUsage = true, true
	err := c.ExecuteContext(context.Background())
	return ran{out.String(), told.String()}, err
}

// small is a log on four processors, in which the second job blocks the third.
const small = `; MaxProcs: 4
1  0 5 10 3 -1 -1 3 20 -1 1 1 1 1 1 -1 -1 -1
2 10 5 10 4 -1 -1 4 20 -1 1 2 1 1 1 -1 -1 -1
3 20 5 10 1 -1 -1 1 20 -1 1 1 1 1 1 -1 -1 -1
4 30 5  0 1 -1 -1 1 20 -1 0 1 1 1 1 -1 -1 -1
5 30 5 10 9 -1 -1 9 20 -1 1 1 1 1 1 -1 -1 -1
`

func TestTable(t *testing.T) {
	r, err := runCommand(t, "table", small, "-", "-p", "recorded", "-p", "reeve", "-p", "easy", "--price", "1")
	if err != nil {
		t.Fatal(err)
	}
	want := ran{`POLICY    SLOWDOWN  P99   WAIT  P99  MAX  USED   FAIR  COST
recorded  1.50      1.50  5s    5s   5s   57.1%  1.00  0.02
reeve     1.00      1.00  0s    0s   0s   66.7%  1.00  0.02
easy      1.00      1.00  0s    0s   0s   66.7%  1.00  0.02
`, `standard input: 3 jobs on 4 processors, a load of 1.00
  1 job dropped: their run time is 0 or unknown
  1 job dropped: wider than the machine's 4 processors
`}
	if diff := cmp.Diff(want, r, cmp.AllowUnexported(ran{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWindowsInEveryFormat(t *testing.T) {
	args := []string{"-", "-p", "easy", "--window", "2", "--at", "0,1", "--wide", "clip"}
	r, err := runCommand(t, "wide", small, args...)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(r.out, "\n"); len(lines) != 5 || !strings.HasPrefix(lines[2], "easy    1       2 ") || !strings.HasPrefix(lines[3], "easy    mean    4 ") {
		t.Errorf("wide table:\n%s", r.out)
	}
	r, err = runCommand(t, "json", small, args...)
	if err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Jobs != 4 || got.Processors != 4 || len(got.Results) != 1 || len(got.Results[0].Windows) != 2 || got.Results[0].Windows[1].At != 1 ||
		got.Results[0].Slowdown.Mean < 1 || len(got.Told) != 2 || r.err != "" {
		t.Errorf("JSON: %+v, told %q", got, r.err)
	}
	r, err = runCommand(t, "table", small, append(args, "--csv", "-")...)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "policy,window,jobs,unstarted,slowdown_mean,") || !strings.HasPrefix(lines[1], "easy,0,2,0,1,") ||
		!strings.HasPrefix(lines[3], "easy,,4,0,") {
		t.Errorf("CSV:\n%s", r.out)
	}
}

// TestServedOtherwise: settings of the queue reach the plan.
func TestServedOtherwise(t *testing.T) {
	// One job runs, a long one waits before a short one.
	const log = "; MaxProcs: 1\n1 0 0 100 1 -1 -1 1 100 -1 1 1 1 1 1 -1 -1 -1\n2 1 0 90 1 -1 -1 1 90 -1 1 1 1 2 1 -1 -1 -1\n3 2 0 10 1 -1 -1 1 10 -1 1 1 1 3 1 -1 -1 -1\n"
	r, err := runCommand(t, "json", log, "-", "-p", "reeve,order=fifo", "-p", "reeve,order=shortest,ageing=never,backfill=none", "-p", "fcfs", "-p", "sjf")
	if err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	if w := got.Results; len(w) != 4 || w[0].Wait.Mean != w[2].Wait.Mean || w[1].Wait.Mean != w[3].Wait.Mean || w[0].Wait.Mean <= w[1].Wait.Mean {
		t.Errorf("waits: %+v", w)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	log, chart, figures, after := filepath.Join(dir, "log.swf.gz"), filepath.Join(dir, "chart.svg"), filepath.Join(dir, "figures.csv"), filepath.Join(dir, "after.swf")
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(small)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Close(), os.WriteFile(log, zipped.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := runCommand(t, "table", "", log, "-p", "easy,estimate=actual", "--chart", chart, "--csv", figures, "--swf", after); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(chart)
	if err != nil {
		t.Fatal(err)
	}
	bars, d := 0, xml.NewDecoder(bytes.NewReader(b))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the chart is no XML: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if bars != 1+6 { // and the ground
		t.Errorf("the chart has %d bars, want 6", bars-1)
	}
	if b, err := os.ReadFile(figures); err != nil || bytes.Count(b, []byte("\n")) != 2 {
		t.Errorf("figures: %q, %v", b, err)
	}
	r, err := runCommand(t, "table", "", after, "-p", "recorded")
	if err != nil || !strings.Contains(r.out, "recorded  1.00 ") {
		t.Errorf("what was written is read as\n%s%s%v", r.out, r.err, err)
	}
	if _, err := runCommand(t, "table", "", log, "--csv", dir); err == nil {
		t.Error("figures were written into a directory")
	}
}

func TestModelAndList(t *testing.T) {
	args := []string{"--model", "--jobs", "300", "--procs", "32", "--load", "0.9", "--users", "5", "--repeat", "3", "--overestimate", "2", "-p", "easy++", "-p", "easy++,events=each"}
	first, err := runCommand(t, "table", "", args...)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := runCommand(t, "table", "", args...); again != first || !strings.HasPrefix(first.err, "model of 300 jobs, seed 1: 300 jobs on 32 processors, a load of 0.9") {
		t.Errorf("first\n%s%s, then\n%s%s", first.out, first.err, again.out, again.err)
	}
	checked, err := runCommand(t, "table", "", append(args, "--checked")...)
	if err != nil || checked.out != first.out {
		t.Errorf("through the core\n%s%v\nnot\n%s", checked.out, err, first.out)
	}
	dir := t.TempDir()
	list := filepath.Join(dir, "tasks.csv")
	text := "submit,run,cpu,count,every,deadline\n0s,10m,500m,4,1s,12m\n0s,1h,2,1,,\n"
	if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := runCommand(t, "json", "", list, "--workers", "n=2,cpu=1,memory=4Gi,slots=2,name=small,label=disk=ssd")
	if err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	if f := got.Results[0].Figures; f.Jobs != 4 || f.Unstarted != 1 || f.Deadlines != 4 || f.Missed != 0 || got.Processors != 2 {
		t.Errorf("a list on two workers: %+v", got)
	}
	if r, err := runCommand(t, "table", "", list, "-p", "easy"); err != nil || !strings.Contains(r.err, "5 jobs on 2 processors") {
		t.Errorf("a list by itself: %s%v", r.err, err)
	}
}

// TestTextAsItComes: marks that editors leave are passed over, and what is no text is
// called by its name.
func TestTextAsItComes(t *testing.T) {
	windows := "\ufeff" + strings.ReplaceAll(small, "\n", "\r\n")
	if r, err := runCommand(t, "table", windows, "-"); err != nil || !strings.HasPrefix(r.err, "standard input: 3 jobs on 4 processors") {
		t.Errorf("lines of Windows: %s%v", r.err, err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(small)); err != nil || z.Flush() != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(small, "\n")
	for _, c := range []struct{ text, want string }{
		{"\xfd7zXZ\x00", "standard input: is compressed by xz; want text, or what gzip made of it"},
		{zipped.String(), "standard input: line 7: unexpected EOF"},
	} {
		if _, err := runCommand(t, "table", c.text, "-"); err == nil || err.Error() != c.want {
			t.Errorf("%.9q:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
	r, err := runCommand(t, "table", body, "-", "-p", "easy")
	if want := "  the log does not say how many processors there are: taken to be 9, as many as its widest job has; --procs says otherwise\n"; err != nil || !strings.Contains(r.err, want) {
		t.Errorf("a log of no machine: %s%v", r.err, err)
	}
}

func TestWarmUpAndQuiet(t *testing.T) {
	for _, c := range []struct{ flag, want string }{{"2", `"jobs": 1,`}, {"15s", `"jobs": 1,`}, {"10s", `"jobs": 2,`}, {"0", `"jobs": 3,`}} {
		r, err := runCommand(t, "json", small, "-", "--warm-up", c.flag)
		if _, results, _ := strings.Cut(r.out, "results"); err != nil || !strings.Contains(results, c.want) {
			t.Errorf("--warm-up %s: %v\n%s", c.flag, err, r.out)
		}
	}
	var out bytes.Buffer
	e := Env{Printer: &render.Printer{Out: &out, Quiet: true}, In: strings.NewReader(small), Err: &out}
	c := e.Command()
	c.SetArgs([]string{"-"})
	if err := c.Execute(); err != nil || out.String() != "1.00\n" {
		t.Errorf("quiet: %q, %v; want the mean slowdown", out.String(), err)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.swf")
	if err := os.WriteFile(broken, []byte("1 2 three"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "what is to be run? Want one of FILE, --model and --history"},
		{[]string{"-", "--model"}, "what is to be run? Want one of FILE, --model and --history"},
		{[]string{"-", "--jobs", "5"}, "--jobs goes with --model"},
		{[]string{"--model", "--since", "1d"}, "--since goes with --history"},
		{[]string{"-", "--window", "0"}, "--window 0: want 1 or more"},
		{[]string{"-", "--window", "9"}, "--window 9: there are 3 jobs"},
		{[]string{"-", "--at", "9"}, "--at says where windows begin; --window says how long they are"},
		{[]string{"-", "--window", "2", "--at", "2"}, "--at 2: a window of 2 jobs begins at 0 to 1"},
		{[]string{"-", "--price", "-1"}, "--price -1: want 0 or more"},
		{[]string{"-", "--swf", "x", "-p", "easy", "-p", "fcfs"}, "--swf writes one log: want one --policy and no --window"},
		{[]string{"-", "--wide", "cut"}, `--wide "cut": want drop or clip`},
		{[]string{"-", "--long", "cut"}, `--long "cut": want clip or keep`},
		{[]string{"-", "--unasked", "cut"}, `--unasked "cut": want take or drop`},
		{[]string{"-", "--procs", "0"}, "--procs 0: want 1 or more"},
		{[]string{"--history", "--limit", "0"}, "--limit 0: want 1 or more"},
		{[]string{"-", "--procs", "4", "--workers", "cpu=1"}, "--procs and --workers: one of them says how many processors there are"},
		{[]string{"-", "--workers", "n=2"}, "--workers n=2: want cpu=, how many processors each has"},
		{[]string{"-", "--workers", "n=0,cpu=1"}, "--workers n=0,cpu=1: n=0: want a number from 1 to 50000"},
		{[]string{"-", "--workers", "gpu=1"}, `--workers gpu=1: "gpu" is nothing that a worker has; known: n, name, cpu, memory, slots, label`},
		{[]string{"-", "--workers", "big"}, `--workers big: "big": want key=value`},
		{[]string{"-", "--warm-up", "-3"}, `--warm-up "-3": want a number of jobs, or a duration such as 2d`},
		{[]string{"-", "-p", "best"}, `--policy best: "best" is no policy; known: fcfs, sjf, easy, easy-sjbf, easy++, aged, conservative, rlscheduler, or key=value with commas; and reeve and recorded`},
		{[]string{"-", "-p", "easy,reeve"}, "--policy easy,reeve: reeve is a policy of its own; to compare several give --policy for each"},
		{[]string{"-", "-p", "easy,fast"}, `--policy easy,fast: "fast": want key=value`},
		{[]string{"-", "-p", "easy,events=pyss", "--checked"}, "easy,events=pyss: events=pyss lets jobs start just before those have ended that they follow, which the core refuses"},
		{[]string{"-", "-p", "reeve,by=sjf"}, `--policy reeve,by=sjf: "by=sjf": want one of order=, backfill=, ageing= and half-life=`},
		{[]string{"-", "-p", "reeve,order=x"}, `--policy reeve,order=x: order "x": want one of priority, fifo, shortest, deadline, fair`},
		{[]string{"-", "-p", "reeve,half-life=1ms"}, "--policy reeve,half-life=1ms: half-life 1ms: want 1s to 365d"},
		{[]string{"--model", "--repeat", "2"}, "--model: 2 repetitions without users: nobody is there to repeat"},
		{[]string{broken}, broken + ": line 1, column 5: \"three\" is no number; field 3 is the wait time"},
		{[]string{"--history"}, "no server"},
	} {
		_, err := runCommand(t, "table", small, c.args...)
		if err == nil {
			t.Errorf("%v: done, want %s", c.args, c.want)
		} else if err.Error() != c.want {
			t.Errorf("%v:\n got %s\nwant %s", c.args, err, c.want)
		}
	}
	if _, err := runCommand(t, "table", "; MaxProcs: 4\n", "-"); err == nil || !strings.HasPrefix(err.Error(), "standard input: no job is left to run") {
		t.Errorf("an empty log: %v", err)
	}
}
