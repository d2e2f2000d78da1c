package job

import "fmt"

// Condition is what a dependency waits for. The numbers are stored and sent.
type Condition uint8

// The conditions of needs and after.
const (
	// OnSucceeded: it succeeded. The default.
	OnSucceeded Condition = 0
	// OnFailed: it failed or timed out. Whoever runs on this handles the failure.
	OnFailed Condition = 1
	// OnDone: it ran to an end, well or badly.
	OnDone Condition = 2
	// OnAny: it ended in whatever way, even if it was cancelled or never ran. A
	// task all of whose needs say any is a clean-up task: it runs after a cancel
	// too, though not after a kill.
	OnAny Condition = 3
)

// Conditions lists every condition in order.
func Conditions() []Condition { return []Condition{OnSucceeded, OnFailed, OnDone, OnAny} }

// String returns the condition's word.
func (c Condition) String() string {
	words := [...]string{"succeeded", "failed", "done", "any"}
	if int(c) < len(words) {
		return words[c]
	}
	return fmt.Sprintf("condition %d", c)
}

// ParseCondition reads a condition's word.
func ParseCondition(word string) (Condition, error) {
	for _, c := range Conditions() {
		if c.String() == word {
			return c, nil
		}
	}
	return 0, fmt.Errorf("condition %q: want one of succeeded, failed, done, any", word)
}

// Verdict is what a dependency says once what it waits for has ended.
type Verdict uint8

// The verdicts.
const (
	// Run: as far as this dependency goes, the task may start.
	Run Verdict = iota
	// Skip: the task never starts, and is skipped.
	Skip
)

// String returns the verdict's word.
func (v Verdict) String() string {
	if v == Run {
		return "run"
	}
	return "skip"
}

// Decide is the truth table: what a dependency of condition c says when what it
// waits for has ended in state end, which must be terminal.
func Decide(c Condition, end ElementState) Verdict {
	ok := false
	switch c {
	case OnSucceeded:
		ok = end == Succeeded
	case OnFailed:
		ok = end == Failed || end == TimedOut
	case OnDone:
		ok = end == Succeeded || end == Failed || end == TimedOut
	case OnAny:
		ok = end.Terminal()
	}
	if ok {
		return Run
	}
	return Skip
}

// Handles reports whether a task that ran on condition c and succeeded makes up
// for the failure it waited for, so that the job does not fail by it.
func Handles(c Condition) bool { return c == OnFailed }

// End is how a task ended, as Outcome needs to know it.
type End struct {
	State ElementState
	// Handled: a task that needed its failure has succeeded.
	Handled bool
}

// Outcome is the job's state once every task has ended. A job that was asked to
// stop is cancelled unless everything had succeeded by then; one that may not start
// is cancelled, so that what comes after it does not take it for done; a deadline, and
// being given up, make it fail.
func Outcome(ends []End, stop CauseKind) State {
	failed, cancelled := false, false
	for _, e := range ends {
		switch e.State {
		case Failed, TimedOut:
			failed = failed || !e.Handled
		case Cancelled:
			cancelled = true
		}
	}
	switch {
	case stop == CauseDeadline, stop == CauseQuarantined:
		return JobFailed
	case stop == CauseWindow, stop == CauseDependency:
		return JobCancelled
	case stop != CauseNone && (failed || cancelled):
		return JobCancelled
	case failed:
		return JobFailed
	case cancelled:
		return JobCancelled
	}
	return JobSucceeded
}

// AfterJob is the end state that a dependency between jobs sees: a job's state in
// the words of elements, so that one truth table serves both.
func AfterJob(s State) ElementState {
	switch s {
	case JobSucceeded:
		return Succeeded
	case JobFailed:
		return Failed
	case JobCancelled:
		return Cancelled
	case JobRunning:
		return Running
	}
	return Pending
}
