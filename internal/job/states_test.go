package job

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite docs/states.md")

// TestStatesDocument compares docs/states.md with what the code says.
func TestStatesDocument(t *testing.T) {
	const path = "../../docs/states.md"
	got := statesDocument()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update to make it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/states.md differs from the code (-file +code; -update rewrites it):\n%s", diff)
	}
}

func statesDocument() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# States and dependencies\n")
	line("*Written by a test from `internal/job`; `go test ./internal/job -update` writes it again.*\n")
	line("## An element's way\n")
	line("A task that is not an array has one element. Why something ended is kept apart from its state, as its *cause*: an exit code,")
	line("a signal, a timeout, a lost worker, who cancelled it.\n")
	line("```mermaid\nstateDiagram-v2")
	line("    [*] --> %s", Pending)
	for _, step := range Transitions() {
		line("    %s --> %s", step.From, step.To)
	}
	for _, s := range ElementStates() {
		if s.Terminal() {
			line("    %s --> [*]", s)
		}
	}
	line("```\n")
	line("| from | to | when |\n|---|---|---|")
	for _, step := range Transitions() {
		line("| %s | %s | %s |", step.From, step.To, step.Why)
	}
	line("\nNo other step is taken, and a terminal state never changes: a retry of a finished job is a new job.\n")
	line("## Dependencies\n")
	line("What a task does once what it needs has ended. The same table holds between jobs (`after`), where a job is `succeeded`, `failed`")
	line("or `cancelled`. A task with several needs runs if all of them say run, and is skipped as soon as one says skip.\n")
	writeConditions(line)
	line("\nA skipped task counts as `skipped` for what needs it, so that skips spread along `succeeded`, `failed` and `done`, and end at `any`.")
	line("A task all of whose needs say `any` is a clean-up task: it runs after a cancel too, though not after a kill.\n")
	line("## The end of a task\n")
	line("A task's state is the worst of its elements': `failed`, `timed_out`, `cancelled`; else `succeeded`; `skipped` only if every element is.\n")
	line("## The end of a job\n")
	line("Once every task has ended. A failure is *handled* if a task that needs it with `failed` ran and succeeded.\n")
	writeOutcomes(line)
	return b.String()
}

func writeConditions(line func(string, ...any)) {
	var ends []ElementState
	head, rule := "| condition |", "|---|"
	for _, s := range ElementStates() {
		if s.Terminal() {
			ends = append(ends, s)
			head, rule = head+" "+s.String()+" |", rule+"---|"
		}
	}
	line("%s\n%s", head, rule)
	for _, c := range Conditions() {
		row := "| `" + c.String() + "` |"
		for _, end := range ends {
			row += " " + Decide(c, end).String() + " |"
		}
		line("%s", row)
	}
}

func writeOutcomes(line func(string, ...any)) {
	stops := []struct {
		kind CauseKind
		name string
	}{{CauseNone, "ran to its end"}, {CauseCancelled, "cancelled"}, {CauseKilled, "killed"}, {CauseDeadline, "deadline passed"}, {CauseWindow, "not started by `start_before`"}, {CauseDependency, "ruled out by `after`"}}
	cases := []struct {
		name string
		ends []End
	}{
		{"all succeeded or were skipped", []End{{State: Succeeded}, {State: Skipped}}},
		{"a failure, handled", []End{{State: Failed, Handled: true}, {State: Succeeded}}},
		{"a failure or timeout, not handled", []End{{State: Failed}, {State: Succeeded}}},
		{"one cancelled", []End{{State: Cancelled}, {State: Succeeded}}},
		{"one cancelled, and a failure, not handled", []End{{State: Cancelled}, {State: Failed}}},
	}
	head, rule := "| the tasks |", "|---|"
	for _, s := range stops {
		head, rule = head+" "+s.name+" |", rule+"---|"
	}
	line("%s\n%s", head, rule)
	for _, c := range cases {
		row := "| " + c.name + " |"
		for _, s := range stops {
			row += " " + Outcome(c.ends, s.kind).String() + " |"
		}
		line("%s", row)
	}
}

// TestTransitions: terminal states have no way out, every state can be reached,
// and every state that is not terminal can end.
func TestTransitions(t *testing.T) {
	reached := map[ElementState]bool{Pending: true}
	for range ElementStates() {
		for _, step := range Transitions() {
			if reached[step.From] {
				reached[step.To] = true
			}
		}
	}
	for _, from := range ElementStates() {
		if !reached[from] {
			t.Errorf("%s can't be reached", from)
		}
		ends := false
		for _, to := range ElementStates() {
			if from.Terminal() && CanMove(from, to) {
				t.Errorf("%s is terminal but can move to %s", from, to)
			}
			ends = ends || to.Terminal() && CanMove(from, to)
		}
		if ends == from.Terminal() {
			t.Errorf("%s (terminal %v) can end: %v", from, from.Terminal(), ends)
		}
		if CanMove(from, from) {
			t.Errorf("%s can move to itself", from)
		}
		if back, err := ParseElementState(from.String()); err != nil || back != from {
			t.Errorf("%s is read as %v, %v", from, back, err)
		}
	}
	for _, step := range Transitions() {
		if step.Why == "" {
			t.Errorf("%s -> %s has no reason", step.From, step.To)
		}
	}
	for _, s := range States() {
		if back, err := ParseState(s.String()); err != nil || back != s {
			t.Errorf("%s is read as %v, %v", s, back, err)
		}
	}
}

// TestDecide: the laws that the truth table keeps whatever its entries.
func TestDecide(t *testing.T) {
	for _, end := range ElementStates() {
		if !end.Terminal() {
			continue
		}
		if Decide(OnAny, end) != Run {
			t.Errorf("any skips after %s", end)
		}
		succeeded, failed, done := Decide(OnSucceeded, end), Decide(OnFailed, end), Decide(OnDone, end)
		if succeeded == Run && failed == Run {
			t.Errorf("%s is both a success and a failure", end)
		}
		if (done == Run) != (succeeded == Run || failed == Run) {
			t.Errorf("after %s done says %s, succeeded %s, failed %s", end, done, succeeded, failed)
		}
	}
	for _, c := range Conditions() {
		if back, err := ParseCondition(c.String()); err != nil || back != c {
			t.Errorf("%s is read as %v, %v", c, back, err)
		}
		if Handles(c) != (c == OnFailed) {
			t.Errorf("%s handles failures: %v", c, Handles(c))
		}
		if c != OnAny && Decide(c, Skipped) == Run {
			t.Errorf("%s runs after a skip, so that skips would not spread", c)
		}
	}
	for _, s := range States() {
		if s.Terminal() != AfterJob(s).Terminal() {
			t.Errorf("job state %s becomes %s for a dependency", s, AfterJob(s))
		}
	}
}

// TestOutcome: the order of the tasks does not matter, succeeded and skipped ones
// change nothing, and only handled failures are forgiven.
func TestOutcome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		end := rapid.Custom(func(t *rapid.T) End {
			return End{State: rapid.SampledFrom([]ElementState{Succeeded, Failed, TimedOut, Cancelled, Skipped}).Draw(t, "state"), Handled: rapid.Bool().Draw(t, "handled")}
		})
		ends := rapid.SliceOfN(end, 0, 5).Draw(t, "ends")
		stop := rapid.SampledFrom([]CauseKind{CauseNone, CauseCancelled, CauseKilled, CauseDeadline, CauseWindow, CauseDependency, CauseQuarantined}).Draw(t, "stop")
		got := Outcome(ends, stop)
		if !got.Terminal() {
			t.Fatalf("the outcome is %s", got)
		}
		if stop == CauseQuarantined && got != JobFailed {
			t.Fatalf("what was given up is %s", got)
		}
		shuffled := rapid.Permutation(ends).Draw(t, "shuffled")
		if again := Outcome(shuffled, stop); again != got {
			t.Fatalf("%v ends %s, %v ends %s", ends, got, shuffled, again)
		}
		if again := Outcome(append(slices.Clone(ends), End{State: Succeeded}, End{State: Skipped}), stop); again != got {
			t.Fatalf("one more success turns %s into %s", got, again)
		}
		bad := slices.ContainsFunc(ends, func(e End) bool { return (e.State == Failed || e.State == TimedOut) && !e.Handled })
		if stop == CauseNone && bad != (got == JobFailed) {
			t.Fatalf("unhandled failure %v, but the outcome is %s", bad, got)
		}
	})
}

func TestTaskState(t *testing.T) {
	for _, c := range []struct {
		name   string
		counts Counts
		want   ElementState
	}{
		{"no elements", Counts{}, Succeeded},
		{"untouched", Counts{Pending: 5}, Pending},
		{"one given out", Counts{Pending: 5, Assigned: 1}, Running},
		{"one ended", Counts{Pending: 5, Succeeded: 1}, Running},
		{"all succeeded", Counts{Succeeded: 5}, Succeeded},
		{"some skipped", Counts{Succeeded: 5, Skipped: 1}, Succeeded},
		{"all skipped", Counts{Skipped: 5}, Skipped},
		{"one failed", Counts{Succeeded: 5, Failed: 1, TimedOut: 1, Cancelled: 1}, Failed},
		{"one timed out", Counts{Succeeded: 5, TimedOut: 1, Cancelled: 1}, TimedOut},
		{"one cancelled", Counts{Succeeded: 5, Cancelled: 1, Skipped: 1}, Cancelled},
	} {
		if got := c.counts.TaskState(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
