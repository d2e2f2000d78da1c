package job

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCauseWords(t *testing.T) {
	for _, c := range []struct {
		cause Cause
		words string
		code  int
	}{
		{Cause{}, "", 0},
		{Cause{Kind: CauseExit, Code: 3}, "exit 3", 3},
		{Cause{Kind: CauseSignal, Code: 9}, "signal 9 (killed)", 137},
		{Cause{Kind: CauseSignal, Code: 64}, "signal 64", 192},
		{Cause{Kind: CauseMemory, Code: 512}, "out of memory (limit 512 MiB)", 137},
		{Cause{Kind: CauseMemory}, "out of memory", 137},
		{Cause{Kind: CauseTimeout, Code: 90}, "timeout after 1m30s", 124},
		{TimeoutAfter(90 * time.Second), "timeout after 1m30s", 124},
		{TimeoutAfter(1200 * time.Millisecond), "timeout after 1s200ms", 124},
		{Cause{Kind: CauseWorkerLost, Detail: "w2"}, "worker lost: w2", 1},
		{Cause{Kind: CauseCancelled, Detail: "anna"}, "cancelled by anna", 130},
		{Cause{Kind: CauseCancelled}, "cancelled", 130},
		{Cause{Kind: CauseKilled, Detail: "anna"}, "killed by anna", 130},
		{Cause{Kind: CauseDeadline}, "deadline passed", 124},
		{Cause{Kind: CauseMaxFails, Code: 4}, "max_fails: 4 elements failed", 1},
		{Cause{Kind: CauseStart, Detail: "no such file"}, "could not start: no such file", 127},
		{Cause{Kind: CauseStart, Code: CodeCantRun, Detail: "permission denied"}, "could not start: permission denied", 126},
		{Cause{Kind: CauseQuarantined, Code: 3}, "quarantined: 3 workers were lost while it ran", 1},
		{Cause{Kind: CauseQuarantined, Detail: "why"}, "quarantined: why", 1},
	} {
		if got := c.cause.String(); got != c.words {
			t.Errorf("%+v is called %q, want %q", c.cause, got, c.words)
		}
		if got := c.cause.ExitCode(); got != c.code {
			t.Errorf("%+v exits with %d, want %d", c.cause, got, c.code)
		}
	}
	for kind := CauseExit; kind <= CauseOutput; kind++ {
		words := Cause{Kind: kind, Code: 1, Detail: "d"}.String()
		if words == "" || strings.HasPrefix(words, "cause ") {
			t.Errorf("cause %d is called %q", kind, words)
		}
	}
}

func TestCauseTrim(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		detail := strings.Repeat(rapid.SampledFrom([]string{"x", "é", "😀", "a€"}).Draw(t, "piece"), rapid.IntRange(0, 600).Draw(t, "times"))
		got := Cause{Kind: CauseError, Detail: detail}.Trim().Detail
		switch {
		case len(got) > MaxDetail || !utf8.ValidString(got):
			t.Fatalf("%d bytes, valid %v", len(got), utf8.ValidString(got))
		case len(detail) <= MaxDetail && got != detail:
			t.Fatalf("%q became %q", detail, got)
		case len(detail) > MaxDetail && (!strings.HasSuffix(got, "…") || len(got) < MaxDetail-4):
			t.Fatalf("%d bytes became %q", len(detail), got)
		}
	})
}

func TestCodeOf(t *testing.T) {
	cause := errors.New("disk full")
	err := fmt.Errorf("submit: %w", &Error{Code: Busy, Message: "try again in 1s", Cause: cause})
	if CodeOf(err) != Busy || !errors.Is(err, cause) || !strings.Contains(err.Error(), "try again") || strings.Contains(err.Error(), "disk") {
		t.Errorf("%v has code %v", err, CodeOf(err))
	}
	if CodeOf(cause) != Internal || CodeOf(nil) != Internal {
		t.Error("an unknown error is not Internal")
	}
}

func TestResourcesArithmetic(t *testing.T) {
	a, b := Resources{CPU: 1500, Memory: 10}, Resources{CPU: 500, Memory: 3}
	if got := a.Minus(b).Plus(b); got != a {
		t.Errorf("minus and plus give %+v", got)
	}
	if !b.Fits(a) || a.Fits(b) || (Resources{CPU: 1, Memory: 11}).Fits(a) || (Resources{CPU: 1501}).Fits(a) || !a.Fits(a) {
		t.Error("fits is wrong")
	}
}

func TestBackoff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Retry{Delay: Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "delay")), Factor: rapid.Int64Range(0, 10_000).Draw(t, "factor"),
			MaxDelay: Duration(rapid.Int64Range(0, int64(3650*24*time.Hour)).Draw(t, "max"))}
		n := rapid.IntRange(1, 2000).Draw(t, "round")
		wait := r.Backoff(n, rapid.Uint64().Draw(t, "random"))
		if wait < 0 || wait > time.Duration(r.MaxDelay) {
			t.Fatalf("waits %v, at most %v", wait, time.Duration(r.MaxDelay))
		}
		if n == 1 && wait > time.Duration(r.Delay) {
			t.Fatalf("waits %v at first, at most %v", wait, time.Duration(r.Delay))
		}
	})
	r := Retry{Delay: Duration(time.Second), Factor: 200, MaxDelay: Duration(5 * time.Second)}
	for n, ceiling := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 5 * time.Second, 100: 5 * time.Second} {
		if got := r.Backoff(n, uint64(ceiling)); got != ceiling {
			t.Errorf("round %d waits at most %v, want %v", n, got, ceiling)
		}
		if got := r.Backoff(n, uint64(ceiling)+1); got != 0 {
			t.Errorf("round %d wraps to %v, want 0", n, got)
		}
	}
}

// TestRetryBudgets: each kind of end spends its own budget.
func TestRetryBudgets(t *testing.T) {
	one := 1
	exit := func(code int32) Cause { return Cause{Kind: CauseExit, Code: code} }
	for _, c := range []struct {
		name  string
		rule  Retry
		spent Spent
		cause Cause
		once  bool
		want  bool
	}{
		{"first of three", Retry{MaxAttempts: 3}, Spent{Failed: 1}, exit(1), false, true},
		{"last of three", Retry{MaxAttempts: 3}, Spent{Failed: 3}, exit(1), false, false},
		{"at most once", Retry{MaxAttempts: 3}, Spent{Failed: 1}, exit(1), true, false},
		{"a code that is retried", Retry{MaxAttempts: 3, ExitCodes: []int{75}}, Spent{Failed: 1}, exit(75), false, true},
		{"a code that is not", Retry{MaxAttempts: 3, ExitCodes: []int{75}}, Spent{Failed: 1}, exit(1), false, false},
		{"a code that never is", Retry{MaxAttempts: 3, NotExitCodes: []int{2}}, Spent{Failed: 1}, exit(2), false, false},
		{"timeouts count as failures", Retry{MaxAttempts: 2}, Spent{Failed: 1, TimedOut: 1}, Cause{Kind: CauseTimeout}, false, false},
		{"timeouts of their own", Retry{MaxAttempts: 1, OnTimeout: &one}, Spent{TimedOut: 1}, Cause{Kind: CauseTimeout}, false, true},
		{"too many timeouts", Retry{MaxAttempts: 9, OnTimeout: &one}, Spent{TimedOut: 2}, Cause{Kind: CauseTimeout}, false, false},
		{"a lost worker", Retry{MaxAttempts: 1, OnLost: 1}, Spent{Lost: 1, LostRunning: 1}, Cause{Kind: CauseWorkerLost}, false, true},
		{"too many lost workers", Retry{MaxAttempts: 9, OnLost: 1}, Spent{Lost: 2}, Cause{Kind: CauseWorkerLost}, false, false},
		{"a job that kills its workers", Retry{MaxAttempts: 9, OnLost: 9}, Spent{Lost: 3, LostRunning: QuarantineAfter}, Cause{Kind: CauseWorkerLost}, false, false},
		{"preempted", Retry{MaxAttempts: 1}, Spent{}, Cause{Kind: CausePreempted}, false, true},
		{"no value for an expression", Retry{MaxAttempts: 9}, Spent{Failed: 1}, Cause{Kind: CauseExpression}, false, false},
	} {
		if got := c.rule.Again(c.spent, c.cause, c.once); got != c.want {
			t.Errorf("%s: again %v, want %v", c.name, got, c.want)
		}
	}
}
