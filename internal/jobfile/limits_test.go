package jobfile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/expr"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

// TestLimits: everything that a file can have many of is bounded, and the message
// says by how much.
func TestLimits(t *testing.T) {
	repeat := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, c := range []struct{ name, text, want string }{
		{"text", "run: " + strings.Repeat("x", tree.MaxText), "at most 4194304"},
		{"canonical", `{"command": ["x", "` + strings.Repeat(`\u0001`, 1<<19) + strings.Repeat("é", 600_000) + `"]}`, "at most 4194304"},
		{"tasks", "tasks:\n" + repeat(job.MaxTasks+1, "  t%d: {run: x}\n"), "at most 10000"},
		{"files", "run: x\nfiles:\n  a: " + strings.Repeat("x", job.MaxFiles/2) + "\n  b: " + strings.Repeat("x", job.MaxFiles/2+1) + "\n", "at most 1048576"},
		{"labels", "run: x\nlabels:\n" + repeat(job.MaxLabels+1, "  l%d: x\n"), "at most 64"},
		{"after", "run: x\nafter: [" + repeat(maxAfter+1, "1%d,") + "]\n", "at most 1000"},
		{"script", "run: " + strings.Repeat("x", maxScript+1), "at most 1048576"},
		{"arguments", "command: [" + strings.Repeat("x,", maxArgs+1) + "]", "at most 10000"},
		{"stdin", "run: x\nstdin: " + strings.Repeat("x", job.MaxFiles+1), "at most 1048576"},
		{"input", "function: f\ninput: " + strings.Repeat("x", job.MaxPayload), "at most 262144"},
		{"where", "run: x\nwhere: [" + repeat(maxWhere+1, "l%d,") + "]\n", "at most 64"},
		{"key", "run: x\nidempotency_key: " + strings.Repeat("x", maxKey+1), "at most 256"},
		{"parameter", "run: x\nparams: {a: " + strings.Repeat("x", maxParam) + "}", "at most 65536"},
		{"expression", "run: x\nenv: {A: \"${{ params." + strings.Repeat("x", expr.Max) + " }}\"}", "at most 256"},
		{"path", "run: x\nfiles: {" + strings.Repeat("x", maxPath+1) + ": x}", "at most 255"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("f", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("fails with %.300v, want %q", err, c.want)
			}
		})
	}
}

// TestAtTheLimits: what is just allowed is, and expressions may refer to
// what is far upstream.
func TestAtTheLimits(t *testing.T) {
	var b strings.Builder
	b.WriteString("tasks:\n  t0: {run: x}\n")
	for i := 1; i < job.MaxTasks; i++ {
		fmt.Fprintf(&b, "  t%d: {needs: t%d, command: [x, \"${{ tasks.t0.outputs.x }}\"]}\n", i, i-1)
	}
	result, err := Parse("f", []byte(b.String()))
	if err != nil {
		t.Fatalf("%.300v", err)
	}
	if len(result.Spec.Tasks) != job.MaxTasks {
		t.Errorf("%d tasks", len(result.Spec.Tasks))
	}
	checkRoundTrip(t, result)
}

// TestLongCycleIsCut: a cycle through thousands of tasks is named in one short
// line.
func TestLongCycleIsCut(t *testing.T) {
	var b strings.Builder
	b.WriteString("tasks:\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "  t%d: {run: x, needs: t%d}\n", i, (i+1)%5000)
	}
	_, err := Parse("f", []byte(b.String()))
	if err == nil || len(err.Error()) > 500 || !strings.Contains(err.Error(), "t0 -> t1 -> ") || !strings.Contains(err.Error(), "… -> t0") {
		t.Errorf("fails with %.600v", err)
	}
}

// TestResult: what Parse answers beside the spec.
func TestResult(t *testing.T) {
	result, err := Parse("f", []byte("namespace: data\ndeadline: 5m\ntasks:\n  a: {run: x, timeout: 10m}\n  b: {run: x, needs: {a: any}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if result.Namespace != "data" {
		t.Errorf("namespace %q", result.Namespace)
	}
	want := []string{
		"task a: its timeout (10m) is longer than the job's deadline (5m), which ends it first",
		"task b is a clean-up task: all its needs say any, so it also runs after a cancel",
	}
	got := append([]string{}, result.Notes...)
	if len(got) == 2 && got[0] > got[1] {
		got[0], got[1] = got[1], got[0]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if strings.Contains(string(result.Canonical), "namespace") {
		t.Error("the canonical form names a namespace, which belongs to the submit")
	}
}

// TestSameMeaningSameHash: spellings that mean the same have the same hash, others
// do not.
func TestSameMeaningSameHash(t *testing.T) {
	groups := [][]string{
		{"run: x\n", "{run: x}\n", `{"run":"x"}`, "tasks: {main: {run: x}}\n", "tasks: [{name: main, run: x}]\n", "run: x\nretry: 1\nresources: {cpu: 1000m}\ngrace: 0m30s\npriority: normal\n", "run: 'x'\nenv: {}\nlabels: {}\n"},
		{"run: y\n"},
		{"run: x\narray: 1,2,3\n", "run: x\narray: {indexes: 1-3}\n", "run: x\narray: 3,1-2\n"},
		{"run: x\narray: {each: [a, b]}\n", "run: x\narray: {each: {lines: \"a\\n\\nb\"}}\n"},
		{"run: x\ndeadline: 2026-12-01T04:00:00+01:00\n", "run: x\ndeadline: 2026-12-01T03:00:00Z\n"},
		{"function: f\ninput: {b: 1, a: 2}\n", "{\"input\": {\"a\": 2, \"b\": 1}, \"function\": \"f\"}"},
		{"run: x\nmax_fails: 5%\narray: 0-3\n", "run: x\narray: 0-3\nmax_fails: {percent: 5}\n"},
	}
	seen := map[[32]byte]int{}
	for i, group := range groups {
		for _, text := range group {
			result, err := Parse("f", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if was, ok := seen[result.Hash]; ok != (text != group[0]) || ok && was != i {
				t.Errorf("%q has a hash of group %d (known %v), want %d", text, was, ok, i)
			}
			seen[result.Hash] = i
		}
	}
}
