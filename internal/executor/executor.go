// Package executor says what running an attempt must promise, whatever the
// technology: a process, a function of the user's program, later a container or
// a call. The suite in executortest holds each implementation to it.
package executor

import (
	"context"
	"errors"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// ErrUnknown: the executor has no attempt of that key.
var ErrUnknown = errors.New("executor: no such attempt")

// Task is one attempt to run, with every expression already evaluated.
type Task struct {
	// Key is unique per attempt on this worker and safe as a file name: the
	// reference and the fence, such as 4217.transform.3@2-9f.
	Key string
	Ref job.Ref
	// Dir is the attempt's directory. The executor keeps its log in it (framed by
	// logline) and makes it when that has something to hold, so that a quiet attempt
	// costs no directory; a caller that puts something there makes it before. Release
	// removes it. Work is where the attempt runs, made by the caller; empty means Dir,
	// and for a function that there is nothing but what the executor puts there.
	Dir  string
	Work string
	// Argv and Env are for processes; Env is the whole environment.
	Argv []string
	Env  []string
	// Environ is what a process would find in its environment, for functions, few of which
	// look. It may be called more than once, also after the end.
	Environ func() []string
	// Fence is the attempt's fencing token, Proof what shows that it is this worker's.
	Fence uint64
	Proof [16]byte
	// Stdin is a file to read from; empty means no input.
	Stdin string
	// Function and Payload are for functions.
	Function string
	Payload  []byte
	// LogLimit is the most bytes of output kept: past it the head and the last
	// LogTail bytes survive, with a gap marked between. At least 64 KiB.
	LogLimit int64
	// Grace is how long after SIGTERM the rest of the tree is killed.
	Grace time.Duration
	// Timeout is the longest run, 0 for none. It is enforced beside the process,
	// so that it holds while the agent is away.
	Timeout time.Duration
	// Deadline is when the attempt must be dead unless SetDeadline moves it.
	Deadline Deadline
}

// LogTail is how many of the last bytes of an over-long log are kept.
const LogTail = 64 << 10

// Deadline is a moment on the machine's boot clock, which counts suspend
// (CLOCK_BOOTTIME), in nanoseconds. Zero means none.
type Deadline int64

// Exit is how an attempt ended.
type Exit struct {
	// Cause is what ended it: job.CauseNone for exit 0.
	Cause job.Cause
	Usage job.Usage
	// Started and Ended are wall times.
	Started, Ended time.Time
	// LogSize is the final size of the framed log, in bytes.
	LogSize int64
	// Output is what a function returned; processes write REEVE_OUTPUT instead.
	Output []byte
}

// Running is an attempt that an executor holds: live, or ended and not released.
type Running struct {
	Key     string
	Ref     job.Ref
	Started time.Time
	// Exit is nil while it runs.
	Exit *Exit
}

// Events receives what happens, from any goroutine; it must not block long, and must
// not call Close. It may call the other methods only from another goroutine, since
// an executor may deliver events from the one that it reads answers with.
type Events interface {
	// Started is called once the attempt really runs, at most once per key. It, and
	// even Ended, may come before Start has returned.
	Started(key string, at time.Time)
	// Ended is called exactly once for each attempt that Start accepted or Adopt
	// returned as live, after the whole tree is gone.
	Ended(key string, exit Exit)
	// Wrote hints that the attempt's log has grown.
	Wrote(key string)
}

// Executor runs attempts. All methods may be called concurrently.
type Executor interface {
	// Start begins t and returns quickly. An error means that nothing runs and
	// Ended will not be called; a program that can't be executed is not an error
	// but an end with job.CauseStart.
	Start(ctx context.Context, t Task) error
	// SetDeadline moves the kill deadline of every attempt named.
	SetDeadline(ctx context.Context, keys []string, d Deadline) error
	// Stop asks an attempt to end (SIGTERM, then after grace the whole tree is
	// killed); grace 0 kills at once. The cause given is reported by Ended in
	// place of the signal. Stopping twice may only shorten the grace.
	Stop(ctx context.Context, key string, grace time.Duration, cause job.Cause) error
	// Adopt returns what is held from before this process started, and from then
	// on reports their ends.
	Adopt(ctx context.Context) ([]Running, error)
	// Release forgets an ended attempt and removes its directory.
	Release(ctx context.Context, key string) error
	// About says in words what this executor enforces here, such as "whole tree
	// killed by cgroup" or "process group and descendants".
	About() string
	// Close stops reporting. What runs goes on where the executor can keep it,
	// and is stopped where it can't.
	Close() error
}
