package blackbox

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// outputsJob ends in every way that one worker can show.
const outputsJob = `name: outputs
labels: {team: data}
tasks:
  good: {run: echo hello; echo rows=3 >> $REEVE_OUTPUT; echo kept > $REEVE_ARTIFACTS/kept.txt}
  code: {needs: good, run: exit 3}
  signal: {needs: {code: done}, run: kill -9 $$}
  slow: {needs: {signal: done}, run: sleep 60, timeout: 1s}
  skipped: {needs: code, run: echo never}
  many: {needs: {slow: done}, array: 1-3, run: exit $((REEVE_ARRAY_INDEX % 2))}
`

// TestOutputs: what the commands print about one job, in every format.
func TestOutputs(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "2", "--slots", "2", "--memory", "1Gi",
		"--resource", "disk=10G", "--resource", "bandwidth=0", "--resource", "licence=3", "--device", "gpu=a,b")
	if r := run(t, c.dir, c.env, outputsJob, "submit", "--wait", "-"); r.code != 137 {
		t.Fatalf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	id := c.submit("name: held\nrun: echo\n", "--hold")
	var b strings.Builder
	for _, args := range [][]string{
		{"ls"},
		{"ls", "-o", "wide", "--label", "team=data"},
		{"ls", "-q"},
		{"ls", "-q", "--state", "pending"},
		{"ls", "-o", "json", "--limit", "1", "--state", "failed"},
		{"show", "1"},
		{"show", "1", "-q"},
		{"show", "1.many"},
		{"show", "1.many", "--state", "failed", "-q"},
		{"show", "1.many.2", "-o", "yaml"},
		{"show", "1.signal"},
		{"show", "1.signal", "-q"},
		{"show", "1.many.3@1", "-q"},
		{"show", "1.many.3@2"},
		{"show", "1", "--state", "failed"},
		{"ls", "--queue", "gpu"},
		{"explain", "1.skipped"},
		{"explain", "1.many"},
		{"explain", "1.many.3"},
		{"explain", id},
		{"explain", "last", "-o", "json"},
		{"logs", "1.good"},
		{"logs", "1.good", "--names"},
		{"logs", "1", "--task", "slow"},
		{"artifacts", "1"},
		{"artifacts", "1", "-q"},
		{"artifacts", "1.good", "kept.txt"},
		{"queues"},
		{"queues", "create", "gpu"},
		{"queues", "pause", "gpu"},
		{"queues", "-q"},
		{"queues", "-o", "json"},
		{"namespaces"},
		{"namespaces", "create", "team-a", "-o", "json"},
		{"workers"},
		{"workers", "-q"},
		{"pools"},
		{"pools", "set", "night", "--overcommit", "memory=0.9"},
		{"pools", "show", "night"},
		{"pools", "reset", "night"},
		{"reserve", "repair", "--pool", "night", "--from", "2h", "--for", "1h"},
		{"reservations"},
		{"unreserve", "repair"},
		{"drain", "w9"},
		{"drain", "w1"},
		{"drain", "w1", "--undo", "-o", "json"},
		{"release", "last"},
		{"wait", "last", "-q"},
		{"cancel", "last"},
		{"cancel", "1", "2", "-o", "json"},
		{"retry", "1", "--wait", "-q"},
		{"wait", "3"},
		{"show", "3"},
		{"tokens"},
	} {
		r := c.reeve(args...)
		fmt.Fprintf(&b, "$ reeve %s\n%s", strings.Join(args, " "), r.out)
		if r.err != "" {
			fmt.Fprintf(&b, "-- standard error\n%s", r.err)
		}
		if r.code != 0 {
			fmt.Fprintf(&b, "-- exit %d\n", r.code)
		}
	}
	golden(t, "outputs", steady(b.String()))
}

// TestRefusals: what is asked of a server for things that are not there.
func TestRefusals(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.refused([]string{"show", "last"}, "there is no last job in namespace default")
	c.submit("name: a\ntasks:\n  map: {array: 1-3, run: echo}\n  reduce: {needs: map, run: echo}\n", "--hold")
	kept := mustWrite(t, c.dir+"/kept.txt", "precious")
	const form = "; want JOB, JOB.TASK, JOB.TASK.INDEX or JOB.TASK.INDEX@ATTEMPT, such as 4217.transform.3@2"
	name := strings.Repeat("q", 64)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"show", "99"}, "job 99 does not exist, or is past its retention"},
		{[]string{"show", "--", "-1"}, `reference "-1": the job id is a positive whole number` + form},
		{[]string{"show", "0"}, `reference "0": the job id is a positive whole number` + form},
		{[]string{"show", ""}, `reference "": the job id is a positive whole number` + form},
		{[]string{"show", "99999999999999999999999"}, `reference "99999999999999999999999": the job id is a positive whole number` + form},
		{[]string{"show", "zwölf"}, `reference "zwölf": the job id is a positive whole number` + form},
		{[]string{"show", "a b"}, `reference "a b": the job id is a positive whole number` + form},
		{[]string{"show", "last.mpa"}, `job 1 has no task "mpa"; it has map, reduce`},
		{[]string{"show", "last.map.7"}, "job 1 task map has no element 7"},
		{[]string{"logs", "last.map.7"}, "job 1 task map has no element 7"},
		{[]string{"wait", "99"}, "job 99 does not exist, or is past its retention"},
		{[]string{"cancel", "1.map", "--elements", "3-1"}, ""},
		{[]string{"cancel", "1.map", "--elements", "9"}, ""},
		{[]string{"cancel", "1", "--elements", "1"}, `elements "1": name the task as well`},
		{[]string{"cancel", "1.map.1", "--elements", "1"}, "1.map.1 names an element already; leave out --elements"},
		{[]string{"retry", "1"}, "job 1 has not ended; only what has ended can be retried"},
		{[]string{"ls", "--state", "done"}, `state "done": want one of pending, running, succeeded, failed, cancelled`},
		{[]string{"ls", "--since", "yesterday"}, `--since "yesterday": want a duration such as 5m, or a time such as 2026-01-02T15:04:05Z`},
		{[]string{"ls", "--before", "2026-13-01T00:00:00Z"}, `--before "2026-13-01T00:00:00Z": want a duration such as 5m, or a time such as 2026-01-02T15:04:05Z`},
		{[]string{"ls", "--limit", "0"}, "--limit 0: want 1 or more"},
		{[]string{"ls", "--label", "=x"}, `label "=x": want key=value, or key`},
		{[]string{"ls", "-n", "nope"}, `namespace "nope" does not exist; known: default`},
		{[]string{"run", "--queue", "gpu", "true"}, `queue "gpu" does not exist in namespace default; known: default`},
		{[]string{"queues", "create", "a b"}, ""},
		{[]string{"queues", "create", name}, ""},
		{[]string{"queues", "create", "default"}, ""},
		{[]string{"queues", "create", "last"}, ""},
		{[]string{"queues", "pause", "nope"}, `queue "nope" does not exist in namespace default; known: default`},
		{[]string{"namespaces", "pause", "nope"}, `namespace "nope" does not exist; known: default`},
		{[]string{"pools", "show", "nope"}, `pool "nope" does not exist; there is none`},
		{[]string{"pools", "reset", "nope"}, `pool "nope" has no worker and no setting; there is no pool`},
		{[]string{"pools", "set", "nope", "--overcommit", "gpu=2"}, ""},
		{[]string{"drain", "nope"}, ""},
		{[]string{"tokens", "revoke", "nope"}, ""},
		{[]string{"logs", "1", "--attempt", "1"}, "--attempt 1: name the task as well, such as 1.main"},
		{[]string{"logs", "1.reduce", "--attempt", "-1"}, "--attempt -1: attempts count from 1"},
		{[]string{"logs", "1.reduce", "--attempt", "9"}, "1.reduce has no attempt 9; it had 0 attempts"},
		{[]string{"logs", "1.reduce@9"}, "1.reduce has no attempt 9; it had 0 attempts"},
		{[]string{"logs", "1.reduce", "--attempt", "0"}, "--attempt 0: attempts count from 1"},
		{[]string{"logs", "1.reduce@1", "--attempt", "1"}, "--attempt 1: 1.reduce@1 names an attempt already; leave one out"},
		{[]string{"logs", "1.reduce", "--task", "map"}, "--task map: 1.reduce names a task already; leave one out"},
		{[]string{"logs", "1.reduce", "--tail", "-1"}, "--tail -1: want 0 lines or more"},
		{[]string{"logs", "1.reduce", "--tail", "-5"}, "--tail -5: want 0 lines or more"},
		{[]string{"logs", "1.reduce", "--since", "\xff"}, ""},
		{[]string{"artifacts", "1.reduce", "no/such", "--to", "kept.txt"}, `1.reduce left no artifact "no/such"`},
		{[]string{"hold", "1.map.2"}, "1.map.2 names an element; only jobs and tasks can be held, such as 1.map"},
		{[]string{"wait", "1.map"}, `"1.map" is a part of a job; this is for whole jobs, such as 4217 or last`},
		{[]string{"retry", "last.map"}, `"last.map" is a part of a job; this is for whole jobs, such as 4217 or last`},
		{[]string{"explain", "last.map.9"}, "job 1 task map has no element 9"},
		{[]string{"artifacts", "1.reduce", "../../etc/passwd"}, ""},
		{[]string{"cancel", "1", "--reason", "\xff"}, ""},
		{[]string{"submit", "no-such.yaml"}, "job file no-such.yaml: no such file or directory"},
	} {
		r := c.reeve(test.args...)
		line := refused(t, r, test.args)
		if test.want != "" && line != "reeve: "+test.want {
			t.Errorf("reeve %s:\n%s\nwant\nreeve: %s", strings.Join(test.args, " "), line, test.want)
		}
		for _, word := range []string{"Usage:", "rpc", "proto", "*", "strconv", "invalid argument"} {
			if strings.Contains(line, word) {
				t.Errorf("reeve %s: the error speaks of %q: %s", strings.Join(test.args, " "), word, line)
			}
		}
	}
	if text, err := os.ReadFile(kept); err != nil || string(text) != "precious" {
		t.Errorf("a file was overwritten by an artifact that is not there: %q, %v", text, err)
	}
}

// TestJSON: for programs, one thing is an object, several are a list, and numbers are
// numbers.
func TestJSON(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	mustWrite(t, c.dir+"/job.yaml", "array: 0-4\nrun: echo\n")
	for _, test := range []struct {
		args []string
		list bool
	}{
		{[]string{"submit", "--hold", "job.yaml"}, false},
		{[]string{"submit", "--hold", "job.yaml", "job.yaml"}, true},
		{[]string{"show", "1"}, false},
		{[]string{"show", "1.main"}, true},
		{[]string{"ls"}, true},
		{[]string{"ls", "--state", "failed"}, true},
		{[]string{"hold", "1"}, false},
		{[]string{"hold", "1", "2"}, true},
		{[]string{"explain", "1"}, false},
		{[]string{"workers"}, true},
		{[]string{"servers"}, true},
		{[]string{"upgrade"}, false},
		{[]string{"upgrade", "--finalize"}, false},
		{[]string{"cancel", "1"}, false},
		{[]string{"cancel", "2", "3"}, true},
		{[]string{"wait", "1"}, false},
		{[]string{"wait", "1", "2"}, true},
		{[]string{"version"}, false},
		{[]string{"version", "--server"}, false},
		{[]string{"queues", "create", "gpu"}, false},
		{[]string{"tokens"}, true},
	} {
		for _, format := range []string{"json", "yaml"} {
			r := c.reeve(append(test.args, "-o", format)...)
			if format == "yaml" {
				if r.out == "" && r.err == "" {
					t.Errorf("reeve %s -o yaml prints nothing", strings.Join(test.args, " "))
				}
				continue
			}
			var v any
			if err := json.Unmarshal([]byte(r.out), &v); err != nil {
				t.Errorf("reeve %s: %v\n%s%s", strings.Join(test.args, " "), err, r.out, r.err)
				continue
			}
			if _, list := v.([]any); list != test.list {
				t.Errorf("reeve %s: a list is %v, want %v\n%s", strings.Join(test.args, " "), list, test.list, r.out)
			}
		}
	}
	var j struct {
		ID    string
		Tasks []struct {
			Counts struct{ Total int64 }
		}
	}
	if err := json.Unmarshal([]byte(c.ok("show", "1", "-o", "json")), &j); err != nil {
		t.Fatal(err)
	}
	if j.ID != "1" || len(j.Tasks) != 1 || j.Tasks[0].Counts.Total != 5 {
		t.Errorf("job 1 is %+v", j)
	}
}
