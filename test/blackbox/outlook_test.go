package blackbox

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// outlookView is what -o json says of what is expected.
type outlookView struct {
	Warning string    `json:"deadline_warning"`
	Start   time.Time `json:"expected_start"`
	End     time.Time `json:"expected_end"`
	Tasks   []struct {
		Start   time.Time `json:"expected_start"`
		Worker  string    `json:"expected_worker"`
		Waiting int       `json:"waiting"`
		Changes []struct {
			Resource, From, To string
		} `json:"would_start_with"`
	} `json:"tasks"`
}

// like checks a text against a pattern in which TIME is a moment and SPAN how far off one is.
func like(t *testing.T, what, text, pattern string) {
	t.Helper()
	pattern = strings.NewReplacer("TIME", `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`, "CLOCK", `(\d+ [A-Z][a-z]+ )?\d\d:\d\d UTC`, "SPAN", `([0-9.]+[a-z]+)+`).Replace(pattern)
	if !regexp.MustCompile(`^(?s:` + pattern + `)$`).MatchString(text) {
		t.Errorf("%s:\n%s\nwant\n%s", what, text, pattern)
	}
}

// soon checks that a moment is in about so long, with much room for a slow machine.
func soon(t *testing.T, what string, at time.Time, want time.Duration) {
	t.Helper()
	if d := time.Until(at); d > want+time.Minute || d < want-5*time.Minute {
		t.Errorf("%s is in %s, want %s", what, d, want)
	}
}

// busy is a cluster in which a job takes an hour of a worker, and one that needs more than is
// left waits for it, with a deadline that it will miss.
func busy(t *testing.T) (c *cluster, hog, big string) {
	t.Helper()
	c = newCluster(t)
	c.worker("w1", "--cpu", "4", "--memory", "8Gi", "--slots", "8")
	hog = c.submit("name: hog\ntimeout: 1h\nresources: {memory: 2Gi}\nrun: sleep 3600\n")
	await(t, "the first job runs", func() bool { return c.show(hog).State == "running" })
	return c, hog, c.submit("name: big\ntimeout: 1h\ndeadline: 90m\nresources: {memory: 7Gi}\nrun: echo\n")
}

// TestOutlook: what waits says when it starts, where, and what would let it start now; and that
// it will be too late.
func TestOutlook(t *testing.T) {
	t.Parallel()
	c, hog, big := busy(t)
	const late = `will miss its deadline CLOCK by about (30m|2[5-9]m): task main is not expected to end before CLOCK`
	like(t, "explain", c.ok("explain", big), `job `+big+` is pending
warning: `+late+`

main: pending
  - the only fitting worker is busy: 1 has too little memory free \(needs 7Gi, the most free is 6Gi\)
  expected to start TIME \(in SPAN\), on worker w1
  would start now with 6Gi of memory instead of 7Gi
`)
	why := decode[outlookView](t, c.ok("explain", big, "-o", "json"))
	if len(why.Tasks) != 1 || why.Warning == "" {
		t.Fatalf("explain: %+v", why)
	}
	task := why.Tasks[0]
	soon(t, "the start of big", task.Start, time.Hour)
	if task.Worker != "w1" || task.Waiting != 1 || len(task.Changes) != 1 || task.Changes[0].Resource != "memory" || task.Changes[0].To != "6Gi" {
		t.Errorf("explain: %+v", task)
	}
	like(t, "show", c.ok("show", big), `.*\ndeadline   TIME\nwarning    `+late+`\nexpected   to start TIME \(in SPAN\), to end TIME \(in SPAN\)\n
TASK +STATE +DONE +TOOK +STARTS +WORKER +CAUSE +RESOURCES
main +pending +0/1 +- +in SPAN on w1 +- +- +cpu 1, memory 7Gi
`)
	like(t, "show", c.ok("show", hog), `.*\nexpected   to end TIME \(in SPAN\)\n\nTASK +STATE +DONE +TOOK +WORKER +CAUSE .*`)
	shown := decode[outlookView](t, c.ok("show", big, "-o", "json"))
	soon(t, "the start of big", shown.Start, time.Hour)
	soon(t, "the end of big", shown.End, 2*time.Hour)

	many := c.submit("name: many\narray: 0-9\ntimeout: 1h\nresources: {memory: 8Gi}\nrun: echo\n")
	like(t, "explain an array", c.ok("explain", many), `.*
  - 1 ready element is ahead of it in order, of job `+big+`
  expected to start from TIME \(in SPAN\) to TIME \(in SPAN\), the first on worker w1
.*`)
	like(t, "explain an element", c.ok("explain", many+".main.3"), `.*\n  expected to start between TIME \(in SPAN\) and TIME \(in SPAN\)\n.*`)
	endless := c.submit("name: endless\nresources: {memory: 8Gi}\nrun: echo\n", "--hold")
	like(t, "ls", c.ok("ls", "-o", "wide"), `JOB +NAME +STATE +DONE +AGE +TOOK +ETA +CAUSE +QUEUE +PRIORITY +BY +LABELS
`+endless+` +endless +pending, held +0/1 +SPAN +- +- +- +default .*
`+many+` +many +pending +0/10 +SPAN +- +in SPAN +- +default .*
`+big+` +big +pending +0/1 +SPAN +- +in SPAN +`+late+` +default .*
`+hog+` +hog +running +0/1 +SPAN +SPAN +in SPAN +- +default .*
`)
	c.ok("cancel", hog)
	c.ends(big, "succeeded")
	like(t, "show", c.ok("show", big), `.*\nsubmitted  TIME by local\nstarted    TIME\nended      TIME\ndeadline   TIME\n\nTASK +STATE +DONE +TOOK +WORKER .*`)
}

// TestPlan: what would happen is said, in words and by exit code, and nothing happens.
func TestPlan(t *testing.T) {
	t.Parallel()
	c, _, big := busy(t)
	keyed := c.submit("run: echo\n", "--key", "once", "--hold")
	for _, test := range []struct {
		name, file string
		args       []string
		code       int
		verdict    string
		says       string
	}{
		{"starts", "run: echo\ntimeout: 10m\n", nil, 0, "starts",
			"it would start at once, and end in about 10m \\(CLOCK\\)\n\nmain\n  expected to start now, on worker w1\n  expected to end TIME \\(in 10m\\)\n"},
		{"waits", "run: echo\nresources: {memory: 8Gi}\ntimeout: 30m\n", nil, 1, "waits",
			"it would wait and start in about SPAN \\(CLOCK\\), and end in about SPAN \\(CLOCK\\)\n\nmain\n  - the only fitting worker is busy: .*\n  - 1 ready element is ahead of it in order, of job " + big + "\n" +
				"  expected to start TIME \\(in SPAN\\), on worker w1\n  expected to end TIME \\(in SPAN\\)\n  would start now with 6Gi of memory instead of 8Gi\n"},
		{"some of it waits", "array: 0-9\nrun: echo\ntimeout: 1m\n", nil, 1, "waits", "some of it would start at once, .*\n\nmain: 10 elements\n.*  expected to start from now to TIME \\(in SPAN\\), the first on worker w1\n.*"},
		{"held", "run: echo\n", []string{"--hold"}, 1, "waits", "it would wait, and nobody knows for how long\n\nmain\n  - the job is held until it is released\n"},
		{"is late", "run: echo\ntimeout: 30m\nresources: {memory: 7Gi}\ndeadline: 40m\n", nil, 1, "waits", ".*\nwarning: will miss its deadline CLOCK by .*"},
		{"delays another", "name: urgent\nrun: echo\npriority: high\nresources: {memory: 6Gi}\ntimeout: 3h\n", nil, 0, "starts",
			".*\n\nit would delay 1 job\nJOB +NAME +STARTS +WOULD START +LATER BY\n" + big + " +big +TIME \\(in SPAN\\) +TIME \\(in SPAN\\) +SPAN\n"},
		{"a graph", "params: {n: {type: int}}\ntasks:\n  a: {run: echo, timeout: 1m}\n  b: {needs: a, run: echo, timeout: 1m}\n  c: {needs: {a: failed}, run: echo}\n", []string{"-p", "n=3"}, 0, "starts",
			".*\na\n.*\nb\n  expected to start TIME .*\nc\n  - it would run only if something else did not succeed\n"},
		{"never", "run: echo\nresources: {cpu: 64}\n", nil, 2, "never",
			"it could never start as the cluster is: task main: the only worker is too small: needs 64 cpu, the largest has 4\n\nmain\n  - .*  would start now with 3 cpu instead of 64\n"},
		{"refused", "run: echo\nqueue: gpu\n", nil, 2, "refused", "the submit would be refused: queue \"gpu\" does not exist in namespace default; known: default\n"},
		{"no such namespace", "run: echo\n", []string{"-n", "nope"}, 2, "refused", ".*namespace \"nope\" does not exist; known: default\n"},
		{"exists", "run: echo\n", []string{"--key", "once", "--hold"}, 2, "exists", "there would be no new job: its key stands for job " + keyed + "\n"},
		{"another under its key", "run: true\n", []string{"--key", "once"}, 2, "refused", ".*idempotency key \"once\" belongs to job " + keyed + ".*"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ask := func(more ...string) string {
				r := run(t, c.dir, c.env, test.file, append(append([]string{"plan", "-"}, test.args...), more...)...)
				if r.code != test.code || strings.Contains(r.err, "reeve:") {
					t.Errorf("exit %d, want %d: %s%s", r.code, test.code, r.out, r.err)
				}
				return r.out
			}
			like(t, "the plan", ask(), test.says)
			if got := decode[struct{ Verdict string }](t, ask("-o", "json")); got.Verdict != test.verdict {
				t.Errorf("the verdict is %q, want %s", got.Verdict, test.verdict)
			}
		})
	}
	if r := run(t, c.dir, c.env, "run: echo\n", "plan", "-q", "-", "--hold"); r.code != 1 || r.out != "waits\n" {
		t.Errorf("-q: exit %d, %q", r.code, r.out)
	}
	if ids := strings.Fields(c.ok("ls", "-q")); len(ids) != 3 {
		t.Errorf("after the plans there are the jobs %s", ids)
	}
}

// TestOutlookOfAny: every server answers, also one that has just begun to lead.
func TestOutlookOfAny(t *testing.T) {
	t.Parallel()
	v := startSeveral(t, 2)
	v.worker("w1", "--cpu", "4", "--memory", "8Gi", "--slots", "8")
	hog := v.submit("name: hog\ntimeout: 1h\nresources: {memory: 2Gi}\nrun: sleep 3600\n")
	await(t, "the first job runs", func() bool { return v.show(hog).State == "running" })
	file := mustWrite(t, v.dir+"/big.yaml", "timeout: 30m\nresources: {memory: 7Gi}\nrun: echo\n")
	big := v.submit("timeout: 1h\nresources: {memory: 7Gi}\nrun: echo\n")
	check := func(c *cluster) {
		t.Helper()
		for _, args := range [][]string{{"explain", big}, {"plan", file}} {
			r := c.reeve(args...)
			if (r.code == 0) != (args[0] == "explain") || !strings.Contains(r.out, ", on worker w1\n") || !strings.Contains(r.out, "would start now with 6Gi of memory instead of 7Gi\n") {
				t.Errorf("%s: exit %d\n%s%s", args, r.code, r.out, r.err)
			}
		}
	}
	for _, m := range v.members {
		check(m.only)
	}
	old, epoch := v.leader()
	old.proc.kill(t)
	v.another(epoch)
	// Its worker comes back to the new one; until then its places are nobody's.
	await(t, "the worker is there", func() bool { return v.stock("w1").State == "ready" })
	check(v.cluster)
}

// TestPlanOfItems: a list that a submit would store is weighed, and known again, and not stored.
func TestPlanOfItems(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	file, list := mustWrite(t, c.dir+"/item.yaml", "run: echo\n"), mustWrite(t, c.dir+"/list", strings.Repeat("a rather long item\n", 20_000))
	args := []string{file, "--each-line", list, "--key", "many"}
	for range 2 {
		if r := c.reeve(append([]string{"plan"}, args...)...); r.code != 2 || !strings.Contains(r.out, "main: 20000 elements\n  - there is no worker\n") {
			t.Errorf("without a worker: exit %d\n%s%s", r.code, r.out, r.err)
		}
	}
	if found, err := filepath.Glob(c.dir + "/data/blobs/items/*"); err != nil || len(found) > 0 {
		t.Errorf("plans have stored %s (%v)", found, err)
	}
	c.ok(append([]string{"submit"}, args...)...)
	if found, err := filepath.Glob(c.dir + "/data/blobs/items/*"); err != nil || len(found) == 0 {
		t.Errorf("a submit has stored %s (%v): the test looks at the wrong place", found, err)
	}
	for text, want := range map[string]string{strings.Repeat("a rather long item\n", 20_000): "exists\n", strings.Repeat("another list's item\n", 20_000): "refused\n"} {
		mustWrite(t, list, text)
		if r := c.reeve(append([]string{"plan", "-q"}, args...)...); r.code != 2 || r.out != want {
			t.Errorf("exit %d, %q, want %q: %s", r.code, r.out, want, r.err)
		}
	}
}

// TestPlanIsAsked: what keeps a plan from being made is Reeve's own failure.
func TestPlanIsAsked(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	good := mustWrite(t, c.dir+"/good.yaml", "run: echo\n")
	if err := os.Mkdir(c.dir+"/folder", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"plan"}, "plan: nothing is named; usage: reeve plan FILE|- (see reeve plan --help)"},
		{[]string{"plan", good, good}, "is too much"},
		{[]string{"plan", "none.yaml"}, "job file none.yaml: no such file or directory"},
		{[]string{"plan", "folder"}, "job file folder: is a directory"},
		{[]string{"plan", mustWrite(t, c.dir+"/bad.yaml", "rum: echo\n")}, "bad.yaml:1:1: rum: unknown key; did you mean run?"},
		{[]string{"plan", mustWrite(t, c.dir+"/bytes.yaml", "run: \"\xff\"\n")}, "bytes.yaml:1:"},
		{[]string{"plan", mustWrite(t, c.dir+"/param.yaml", "run: echo\nparams: {day: }\n")}, `day`},
		{[]string{"plan", good, "-p", "day"}, `--param "day": want name=value`},
		{[]string{"plan", good, "-p", "day=1"}, `day`},
		{[]string{"plan", good, "--key", ""}, "--key: want a key"},
		{[]string{"plan", good, "--throttle", "3"}, "--throttle goes with --each-line and --each-json"},
		{[]string{"plan", good, "--each-line", "none"}, "items none: no such file or directory"},
		{[]string{"plan", good, "--wait"}, "wait"},
		{[]string{"plan", good, "--addr", "http://127.0.0.1:1"}, "127.0.0.1:1"},
	} {
		r := c.reeve(test.args...)
		if r.code != 125 || r.out != "" || !strings.HasPrefix(r.err, "reeve: ") || !strings.Contains(r.err, test.want) {
			t.Errorf("reeve %q: exit %d\n%s%s\nwant exit 125 and %s", test.args, r.code, r.out, r.err, test.want)
		}
	}
	r := run(t, c.dir, c.env, "rum: echo\n", "plan", "-", "--failure-code", "77")
	if r.code != 77 || !strings.HasPrefix(r.err, "reeve: stdin:1:1: rum") {
		t.Errorf("from standard input: exit %d, %s", r.code, r.err)
	}
}
