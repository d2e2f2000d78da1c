package job

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// CauseKind is why an attempt, an element, a task or a job ended as it did, kept
// apart from its state. The numbers are stored and sent.
type CauseKind uint8

// The causes. Each comment says what Code and Detail hold, where they do.
const (
	// CauseNone: nothing to explain; it succeeded.
	CauseNone CauseKind = 0
	// CauseExit: the process ended by itself with a code other than 0 (Code).
	CauseExit CauseKind = 1
	// CauseSignal: a signal that Reeve did not send ended it (Code).
	CauseSignal CauseKind = 2
	// CauseMemory: the kernel killed it for want of memory (Code: bytes' limit in MiB, or 0).
	CauseMemory CauseKind = 3
	// CauseTimeout: it ran longer than its timeout (Code: seconds, rounded up; Detail:
	// the timeout where that is not whole seconds). TimeoutAfter makes one.
	CauseTimeout CauseKind = 4
	// CauseWorkerLost: its worker's lease ran out (Detail: the worker's name).
	CauseWorkerLost CauseKind = 5
	// CausePreempted: it made room for something else.
	CausePreempted CauseKind = 6
	// CauseRejected: the worker could not take it (Detail: why; Code: Lacking, or 0).
	CauseRejected CauseKind = 7
	// CauseDependency: what it needs ended so that it can't run (Detail: "task load failed").
	CauseDependency CauseKind = 8
	// CauseCancelled: somebody asked for it (Detail: who).
	CauseCancelled CauseKind = 9
	// CauseKilled: somebody asked for it to end at once (Detail: who).
	CauseKilled CauseKind = 10
	// CauseDeadline: the job's deadline passed.
	CauseDeadline CauseKind = 11
	// CauseWindow: it had not started by start_before.
	CauseWindow CauseKind = 12
	// CauseMaxFails: more elements failed than max_fails allows (Code: how many).
	CauseMaxFails CauseKind = 13
	// CauseStart: the program could not be started (Detail: why; Code: CodeNotFound or
	// CodeCantRun, 0 if that is not known).
	CauseStart CauseKind = 14
	// CauseError: a function returned an error or panicked (Detail: its text; Code:
	// PermanentError, or 0).
	CauseError CauseKind = 15
	// CauseQuarantined: it was running on too many workers that were lost (Code: how many),
	// or Reeve itself fails at it (Detail).
	CauseQuarantined CauseKind = 16
	// CauseExpression: an expression of the task had no value (Detail: which).
	CauseExpression CauseKind = 17
	// CauseOutput: the outputs or artifacts it left can't be kept (Detail: why).
	CauseOutput CauseKind = 18
	// CauseGang: another that ran together with it ended, so that it had to (Detail: which, and how).
	CauseGang CauseKind = 19
	// LastCause is the greatest: what is beyond it comes from another version.
	LastCause = CauseGang
)

// String is the kind in one word, such as metrics are labelled with: "none" for
// CauseNone.
func (k CauseKind) String() string {
	words := [...]string{
		"none", "exit", "signal", "memory", "timeout", "worker_lost", "preempted", "rejected", "dependency", "cancelled", "killed", "deadline",
		"window", "max_fails", "start", "error", "quarantined", "expression", "output", "gang",
	}
	if int(k) < len(words) {
		return words[k]
	}
	return "cause_" + strconv.Itoa(int(k))
}

// Cause is why something ended as it did. It is a value and compares with ==.
type Cause struct {
	Kind CauseKind
	// Code is the exit code, signal or count that Kind's comment names.
	Code int32
	// Detail is a short text, at most MaxDetail bytes.
	Detail string
}

// PermanentError is the Code of a CauseError that trying again can't help, by the
// function's own word.
const PermanentError = 1

// Lacking is the Code of a CauseRejected for what the worker lacks, such as room on its
// disk: any other attempt would fare the same there.
const Lacking = 1

// MaxDetail bounds Cause.Detail in bytes.
const MaxDetail = 512

// TimeoutAfter is the cause of an attempt that ran longer than its limit.
func TimeoutAfter(limit time.Duration) Cause {
	seconds := (limit + time.Second - 1) / time.Second
	c := Cause{Kind: CauseTimeout, Code: int32(min(seconds, math.MaxInt32))}
	if limit%time.Second != 0 {
		c.Detail = FormatDuration(limit)
	}
	return c
}

// Trim returns c with its detail cut to MaxDetail on a character's edge.
func (c Cause) Trim() Cause {
	if len(c.Detail) > MaxDetail {
		cut := MaxDetail - len("…")
		for cut > 0 && c.Detail[cut]&0xC0 == 0x80 {
			cut--
		}
		c.Detail = c.Detail[:cut] + "…"
	}
	return c
}

// String says the cause in words: "exit 3", "signal 9 (killed)", "timeout after
// 10s", "worker lost: w2", "cancelled by anna". It is empty for CauseNone.
func (c Cause) String() string {
	detail := func(text string) string {
		if c.Detail == "" {
			return text
		}
		return text + ": " + c.Detail
	}
	switch c.Kind {
	case CauseNone:
		return ""
	case CauseExit:
		return detail("exit " + strconv.Itoa(int(c.Code)))
	case CauseSignal:
		return "signal " + strconv.Itoa(int(c.Code)) + signalName(c.Code)
	case CauseMemory:
		if c.Code > 0 {
			return fmt.Sprintf("out of memory (limit %d MiB)", c.Code)
		}
		return "out of memory"
	case CauseTimeout:
		limit := c.Detail
		if limit == "" {
			limit = FormatDuration(time.Duration(c.Code) * time.Second)
		}
		return "timeout after " + limit
	case CauseWorkerLost:
		return detail("worker lost")
	case CauseGang:
		return detail("another of its gang ended")
	case CausePreempted:
		return detail("preempted")
	case CauseRejected:
		return detail("rejected by the worker")
	case CauseDependency:
		return detail("dependency")
	case CauseCancelled, CauseKilled:
		verb := "cancelled"
		if c.Kind == CauseKilled {
			verb = "killed"
		}
		if c.Detail == "" {
			return verb
		}
		return verb + " by " + c.Detail
	case CauseDeadline:
		return "deadline passed"
	case CauseWindow:
		return "not started by start_before"
	case CauseMaxFails:
		return fmt.Sprintf("max_fails: %d elements failed", c.Code)
	case CauseStart:
		return detail("could not start")
	case CauseError:
		return detail("error")
	case CauseQuarantined:
		if c.Detail != "" {
			return detail("quarantined")
		}
		return fmt.Sprintf("quarantined: %d workers were lost while it ran", c.Code)
	case CauseExpression:
		return detail("expression")
	case CauseOutput:
		return detail("output")
	}
	return "cause " + strconv.Itoa(int(c.Kind))
}

// signalName names the signals that users meet. Numbers are Linux's; the agent
// translates on other systems.
func signalName(n int32) string {
	names := [...]string{1: "hangup", 2: "interrupt", 3: "quit", 4: "illegal instruction", 6: "aborted",
		7: "bus error", 8: "arithmetic error", 9: "killed", 11: "segmentation fault", 13: "broken pipe", 15: "terminated"}
	if n > 0 && int(n) < len(names) && names[n] != "" {
		return " (" + names[n] + ")"
	}
	return ""
}

// What a shell answers for a program that does not exist, and for one that exists but
// can't be run.
const (
	CodeNotFound = 127
	CodeCantRun  = 126
)

// ExitCode is the code that a command line answers for this cause: the process's
// own, 128+n for a signal, 124 for a timeout, 130 cancelled, 127 or 126 for what could
// not be started, 1 otherwise.
func (c Cause) ExitCode() int {
	switch c.Kind {
	case CauseNone:
		return 0
	case CauseExit:
		return int(c.Code) & 0xff
	case CauseSignal:
		return 128 + int(c.Code)
	case CauseMemory:
		return 137
	case CauseTimeout, CauseDeadline:
		return 124
	case CauseCancelled, CauseKilled:
		return 130
	case CauseStart:
		if c.Code == CodeCantRun {
			return CodeCantRun
		}
		return CodeNotFound
	}
	return 1
}

// Usage is what an attempt used.
type Usage struct {
	// CPU is user plus system time of the whole tree, as far as it was seen.
	CPU time.Duration
	// Memory is the peak resident memory in bytes of the largest process (on Linux not
	// less than its keeper's own, from which it was forked), or of
	// the whole tree where a cgroup counts it.
	Memory int64
}
