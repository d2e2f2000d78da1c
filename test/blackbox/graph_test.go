package blackbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestExamples runs the example files that need nothing special.
func TestExamples(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8", "--label", "zone=b")
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]string{
		"hello": "hello from job", "command": "two words\n$HOME stays as it is\n1.10\n010\nno\n", "etl": "loading total 5050 of 2026-01-01",
		"files": "level: 1\n2\n", "items": "a text with spaces\n", "map-reduce": "14 letters\n3\n", "params": "alpha 2026-01-01 dry_run=true\n",
		"element-wise": "361\n", "at-most-once": "paying invoice 17, fence ", "resources": "\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := c.reeve("submit", "--wait", filepath.Join(examples, name+".yaml"))
			if r.code != 0 {
				t.Fatalf("exit %d: %s", r.code, r.err)
			}
			id := fmt.Sprint(number(t, r.out))
			if log := c.ok("logs", id); !strings.Contains(log, out) {
				t.Errorf("the log does not hold %q:\n%s", out, log)
			}
		})
	}
}

// TestOutputsAndArtifacts follows values and files from task to task and out to the
// user.
func TestOutputsAndArtifacts(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8")
	id := c.submit(`
tasks:
  list:
    run: |
      echo 'n=4' >> "$REEVE_OUTPUT"
      mkdir -p "$REEVE_ARTIFACTS/deep dir"
      printf 'a\0b' > "$REEVE_ARTIFACTS/deep dir/ünïcode file"
  square:
    needs: list
    array: ${{ tasks.list.outputs.n }}
    run: |
      echo "sq=$((REEVE_ARRAY_INDEX * REEVE_ARRAY_INDEX))" >> "$REEVE_OUTPUT"
      echo $REEVE_ARRAY_INDEX > "$REEVE_ARTIFACTS/index"
  sum:
    needs: [square, list]
    fetch: [square, list]
    env: {N: "${{ tasks.list.outputs.n }}"}
    run: |
      cat "$REEVE_INPUTS"/square/*/index | tr -d '\n'
      cat "$REEVE_INPUTS/square/outputs.jsonl"
      od -An -c "$REEVE_INPUTS/list/deep dir/ünïcode file"
      echo "N=$N" | tee "$REEVE_ARTIFACTS/n.txt"
`)
	c.ends(id, "succeeded")
	want := `0123{"index":0,"outputs":{"sq":"0"}}
{"index":1,"outputs":{"sq":"1"}}
{"index":2,"outputs":{"sq":"4"}}
{"index":3,"outputs":{"sq":"9"}}
   a  \0   b
N=4
`
	if got := c.ok("logs", id+".sum"); got != want {
		t.Errorf("sum printed\n%s\nwant\n%s", got, want)
	}
	golden(t, "artifacts", c.ok("artifacts", id))
	if got := c.ok("artifacts", id+".list", "deep dir/ünïcode file"); got != "a\x00b" {
		t.Errorf("the artifact came back as %q", got)
	}
	c.ok("artifacts", id+".square.3", "index", "--to", "got")
	if got, err := os.ReadFile(filepath.Join(c.dir, "got")); err != nil || string(got) != "3\n" {
		t.Errorf("--to wrote %q, %v", got, err)
	}
	c.refused([]string{"artifacts", id + ".sum", "nothing"}, "nothing")
}

// TestHandlers runs graphs to every end that the truth table knows.
func TestHandlers(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8")
	graph := func(main string) string {
		return `
tasks:
  main: {run: "` + main + `"}
  then: {needs: main, run: echo then}
  handler: {needs: {main: failed}, run: "${HANDLER:-true}"}
  finally: {needs: {main: done}, run: echo finally}
  cleanup: {needs: {then: any, handler: any}, run: echo cleanup}
`
	}
	for _, test := range []struct{ name, main, state, tasks string }{
		{"good", "true", "succeeded", "main=succeeded then=succeeded handler=skipped finally=succeeded cleanup=succeeded"},
		{"handled", "exit 4", "succeeded", "main=failed then=skipped handler=succeeded finally=succeeded cleanup=succeeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := c.ends(c.submit(graph(test.main)), test.state)
			if got := j.states(); got != test.tasks {
				t.Errorf("got  %s\nwant %s", got, test.tasks)
			}
		})
	}
	t.Run("not handled", func(t *testing.T) {
		j := c.ends(c.submit(graph("exit 4")+"env: {HANDLER: exit 6}\n"), "failed")
		if j.ExitCode != 6 || !strings.Contains(j.states(), "handler=failed") {
			t.Errorf("exit code %d, tasks %s", j.ExitCode, j.states())
		}
	})
}

// TestAfter makes jobs wait for others by their ends, also for one that has long
// ended.
func TestAfter(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	first := c.submit(l.env() + "\nrun: '" + gated + "'")
	second := c.submit(fmt.Sprintf("name: second\nafter: %s\n%s\nrun: '%s'", first, l.env(), noted))
	never := c.submit(fmt.Sprintf("after: {%s: failed}\nrun: echo no", first))
	l.seen(1, "begin", "main")
	if why := c.ok("explain", second); !strings.Contains(why, "job "+first) {
		t.Errorf("explain does not name job %s: %s", first, why)
	}
	l.open("gate")
	c.ends(second, "succeeded")
	j := c.ends(never, "cancelled")
	if j.states() != "main=skipped" {
		t.Errorf("a job after a failure that did not happen: %s %s", j.State, j.states())
	}
	c.ends(c.submit("after: "+first+"\nrun: echo late"), "succeeded")
	c.refusedFile("after: 999999\nrun: echo x", "999999")
}

// refusedFile submits a job file that must be refused with these words.
func (c *cluster) refusedFile(text string, words ...string) {
	c.t.Helper()
	refused(c.t, run(c.t, c.dir, c.env, text, "submit", "-"), []string{"submit"}, words...)
}

// TestParams gives parameters in every type, and wrong ones.
func TestParams(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1")
	file := `
params:
  day:
  level: {type: int, default: 1}
  hosts: {type: list, default: [a]}
  mode: {enum: [slow, quick], default: slow}
env: {DAY: "${{ params.day }}", LEVEL: "${{ params.level }}", HOSTS: "${{ params.hosts }}", MODE: "${{ params.mode }}"}
run: echo "$DAY|$LEVEL|$HOSTS|$MODE"
`
	id := c.submit(file, "-p", `day=it's "x"; $(id) ${{ params.level }}`, "-p", "level=7", "-p", "hosts=x,y", "-p", "mode=quick")
	c.ends(id, "succeeded")
	if got, want := c.ok("logs", id), `it's "x"; $(id) ${{ params.level }}|7|["x","y"]|quick`+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, test := range []struct{ args, words []string }{
		{nil, []string{"day"}},
		{[]string{"-p", "day=1", "-p", "level=x"}, []string{"level", `"x"`}},
		{[]string{"-p", "day=1", "-p", "mode=fast"}, []string{"mode", `"fast"`, "slow", "quick"}},
		{[]string{"-p", "day=1", "-p", "dya=2"}, []string{"dya", "did you mean day"}},
		{[]string{"-p", "day"}, []string{"name=value"}},
	} {
		r := run(t, c.dir, c.env, file, append([]string{"submit", "-"}, test.args...)...)
		refused(t, r, test.args, test.words...)
	}
}

// TestTimes tries what starts late, too late, or takes too long.
func TestTimes(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	begun := time.Now()
	late := c.submit("start_after: 1s\nrun: echo late")
	tooLate := c.submit("start_before: 1s\nwhere: [nowhere]\nrun: echo never")
	overdue := c.submit("deadline: 1s\n" + l.env() + "\ngrace: 100ms\nrun: '" + gated + "'")
	slow := c.submit("timeout: 1s\n" + l.env() + "\nretry: {max_attempts: 1, on_timeout: 1, delay: 1ms}\nrun: '" + gated + "'")
	if why := c.ok("explain", tooLate); !strings.Contains(why, "nowhere") {
		t.Errorf("explain says nothing of the label: %s", why)
	}
	c.ends(late, "succeeded")
	if d := time.Since(begun); d < time.Second {
		t.Errorf("start_after 1s started after %s", d)
	}
	c.ends(tooLate, "cancelled")
	j := c.ends(overdue, "failed")
	if !strings.Contains(j.Cause, "deadline") {
		t.Errorf("the cause of a missed deadline is %q", j.Cause)
	}
	c.ends(slow, "failed")
	if code := c.wait(slow); code != 124 {
		t.Errorf("wait for a timed-out job gave %d, want 124", code)
	}
	if n := len(c.attempts(slow + ".main")); n != 2 {
		t.Errorf("a timeout with one more attempt had %d", n)
	}
}

// TestMaxFails ends an array early.
func TestMaxFails(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "4", "--prefetch", "-1")
	l := newLedger(t)
	id := c.submit(l.env() + `
array: 0-99%4
resources: {cpu: 0.1}
max_fails: {count: 1, running: cancel, pending: skip}
run: |
  ` + noteBegin + `
  case $REEVE_ARRAY_INDEX in 2|3) exit 9 ;; esac
  ` + atGate)
	j := c.ends(id, "failed")
	counts := j.Tasks[0].Counts
	if fmt.Sprint(counts["failed"]) != "2" || counts["skipped"] == nil {
		t.Errorf("counts are %v, want 2 failed and the rest skipped or cancelled", counts)
	}
	if n := len(l.of("begin", "main")); n > 8 {
		t.Errorf("%d elements began, though the array ended after the first four", n)
	}
	if code := c.wait(id); code != 9 {
		t.Errorf("wait gave %d, want 9", code)
	}
}
