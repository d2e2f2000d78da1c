// Package function runs attempts as Go functions inside the agent's own process.
//
// A function can't be killed: it is asked to end through its context, and when it
// does not, the attempt goes on being reported as running, because it does run. Two
// attempts of one task can therefore overlap after a lease was lost; what protects
// against the older one is its fence.
package function

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/attemptlog"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// The reasons that context.Cause gives inside a handler.
var (
	// ErrCancelled: somebody asked for the attempt to end, or a rule of its job did.
	ErrCancelled = errors.New("function: cancelled")
	// ErrStopping: the worker makes room or is going away; another attempt follows.
	ErrStopping = errors.New("function: the worker is stopping")
	// ErrTimeout: the attempt's timeout has passed.
	ErrTimeout = errors.New("function: timeout")
	// ErrLeaseLost: the attempt may be running elsewhere by now.
	ErrLeaseLost = errors.New("function: lease lost")
	// ErrClosed: the executor was closed.
	ErrClosed = errors.New("function: the executor is closed")
)

// permanentError is an error that trying again can't help.
type permanentError struct{ error }

// Unwrap returns the handler's error.
func (p *permanentError) Unwrap() error { return p.error }

// Permanent marks a handler's error as one that trying again can't help: no retry
// follows. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// Invocation is what a handler gets.
type Invocation struct {
	Key     string
	Ref     job.Ref
	Payload []byte
	// Fence is the attempt's fencing token, Proof what shows that it is this worker's.
	Fence uint64
	Proof [16]byte
	// Environ returns what a process would find in its environment.
	Environ func() []string
	// Log takes what the attempt has to say, as its standard output; it never fails
	// before the handler has returned.
	Log io.Writer
}

// Handler does the work. The context ends when the attempt is to end, and
// context.Cause says why: a handler should return soon, with an error. One that
// returns nil all the same has succeeded, except past its timeout. The context's
// Deadline is the timeout. A panic is an error, with its stack in the log.
type Handler func(ctx context.Context, in Invocation) (output []byte, err error)

// Executor runs handlers. It implements executor.Executor; no call of Events may
// call Close.
type Executor struct {
	handlers map[string]Handler
	events   executor.Events
	pool     sync.Pool
	// wake has room for one: there is a moment earlier than the one waited for.
	wake chan struct{}
	over chan struct{}
	gone chan struct{}

	// work hands attempts to idle workers, who hold a place in idle.
	work chan *run
	idle chan struct{}

	// reporting is read-held around each call of events, so that Close can wait.
	reporting sync.RWMutex
	closed    bool

	mu   sync.Mutex
	runs map[string]*run
	// next is the earliest moment that the timers wait for, 0 for none.
	next executor.Deadline
	// clock is the boot clock as it was read at clockAt.
	clock   executor.Deadline
	clockAt time.Time
}

// maxIdle is how many goroutines wait for more work.
const maxIdle = 64

var _ executor.Executor = (*Executor)(nil)

// run is one attempt. Executor.mu guards it.
type run struct {
	task    executor.Task
	started time.Time
	ctx     context.Context
	cancel  context.CancelCauseFunc
	// timeout and deadline are 0 for none.
	timeout, deadline executor.Deadline
	// asked: it was asked to end, because of cause.
	asked bool
	cause job.Cause
	log   *attemptlog.File
	// returned: the handler is done, and its log closed; ended: its end is being
	// reported, or was.
	returned, ended bool
}

// New makes an executor of the handlers, by name; the map must not change after.
func New(handlers map[string]Handler, events executor.Events) *Executor {
	e := &Executor{
		handlers: handlers, events: events,
		pool: sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }},
		wake: make(chan struct{}, 1), over: make(chan struct{}), gone: make(chan struct{}),
		work: make(chan *run), idle: make(chan struct{}, maxIdle),
		runs: map[string]*run{},
	}
	go e.timers()
	return e
}

// Names lists the functions, sorted.
func (e *Executor) Names() []string {
	names := make([]string, 0, len(e.handlers))
	for name := range e.handlers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// About says that functions are not killed.
func (e *Executor) About() string {
	return "functions run in the agent's process: they are asked to end and fenced by their token, never killed; memory and processor limits are not enforced"
}

// Start runs the handler that t.Function names.
func (e *Executor) Start(ctx context.Context, t executor.Task) error {
	if t.Key == "" || strings.ContainsAny(t.Key, "/\x00") || t.Key[0] == '.' {
		return fmt.Errorf("function: key %q: want a file name", t.Key)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &run{task: t, deadline: t.Deadline}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	if t.Timeout > 0 {
		r.ctx = timed{r.ctx, time.Now().Add(t.Timeout)}
	}
	e.mu.Lock()
	if e.runs == nil {
		e.mu.Unlock()
		r.cancel(ErrClosed)
		return ErrClosed
	}
	if e.runs[t.Key] != nil {
		e.mu.Unlock()
		r.cancel(nil)
		return fmt.Errorf("function: attempt %s was started before", t.Key)
	}
	e.runs[t.Key] = r
	if t.Timeout > 0 {
		r.timeout = e.now().Add(t.Timeout)
	}
	e.arm(r)
	e.mu.Unlock()
	select {
	case e.work <- r:
	default:
		go e.worker(r)
	}
	return nil
}

// worker runs attempts, one after the other, until there are enough idle workers:
// a goroutine that has run has a stack of the right size.
func (e *Executor) worker(r *run) {
	for {
		e.run(r)
		select {
		case e.idle <- struct{}{}:
		default:
			return
		}
		select {
		case r = <-e.work:
			<-e.idle
		case <-e.over:
			return
		}
	}
}

// run runs one attempt.
func (e *Executor) run(r *run) {
	handler := e.handlers[r.task.Function]
	if handler == nil {
		detail := fmt.Sprintf("function %q is not handled here; handled are %s", r.task.Function, strings.Join(e.Names(), ", "))
		e.end(r, executor.Exit{Cause: job.Cause{Kind: job.CauseStart, Detail: detail}})
		return
	}
	started := time.Now()
	e.mu.Lock()
	expired := r.deadline != 0 && e.now() >= r.deadline
	if !expired {
		r.started = started
	}
	e.mu.Unlock()
	if expired {
		e.end(r, executor.Exit{Cause: leaseLost()})
		return
	}
	e.report(func() { e.events.Started(r.task.Key, started) })
	var output []byte
	// What is returned replaces this; a handler may also end its goroutine.
	var err error = &panicError{"the handler ended its goroutine"}
	defer func() {
		if p := recover(); p != nil {
			frames := stackBelowPanic(debug.Stack())
			_, _ = e.write(r, logline.Stderr, fmt.Appendf(nil, "panic: %v\n%s\n", p, strings.Join(frames, "\n"))) // it has not returned yet
			output, err = nil, &panicError{fmt.Sprintf("panic: %v\n%s", p, shortStack(frames))}
		}
		e.finish(r, output, err)
	}()
	output, err = handler(r.ctx, Invocation{
		Key: r.task.Key, Ref: r.task.Ref, Payload: r.task.Payload, Fence: r.task.Fence, Proof: r.task.Proof, Environ: r.task.Environ, Log: logWriter{e, r},
	})
	if err != nil && len(err.Error()) > job.MaxDetail {
		_, _ = e.write(r, logline.Stderr, []byte(err.Error()+"\n")) // the cause has room for its beginning only
	}
}

// finish decides how r ended, and reports it.
func (e *Executor) finish(r *run, output []byte, err error) {
	x := executor.Exit{Started: r.started}
	e.mu.Lock()
	log := r.log
	r.returned = true
	_, panicked := errors.AsType[*panicError](err)
	switch {
	case r.asked && !panicked && (err != nil || r.cause.Kind == job.CauseTimeout):
		x.Cause = r.cause
	case err != nil:
		x.Cause = job.Cause{Kind: job.CauseError, Detail: err.Error()}
		if _, permanent := errors.AsType[*permanentError](err); permanent {
			x.Cause.Code = job.PermanentError
		}
	default:
		x.Output = output
	}
	e.mu.Unlock()
	if log != nil {
		x.LogSize = log.Close(time.Now())
	}
	e.end(r, x)
}

// end reports the end of r.
func (e *Executor) end(r *run, x executor.Exit) {
	x.Ended = time.Now()
	x.Cause.Detail = strings.ToValidUTF8(x.Cause.Detail, "\uFFFD")
	x.Cause = x.Cause.Trim()
	r.cancel(nil)
	e.mu.Lock()
	r.ended = true
	r.task.Payload, r.task.Environ = nil, nil
	e.mu.Unlock()
	e.report(func() { e.events.Ended(r.task.Key, x) })
}

// report calls f unless the executor is closed.
func (e *Executor) report(f func()) {
	e.reporting.RLock()
	defer e.reporting.RUnlock()
	if !e.closed {
		f()
	}
}

// panicError is a panic as an error.
type panicError struct{ text string }

func (p *panicError) Error() string { return p.text }

// stackBelowPanic returns the lines of a stack from the function that panicked on: two
// for each frame.
func stackBelowPanic(stack []byte) []string {
	lines := strings.Split(strings.TrimSpace(string(stack)), "\n")
	if i := slices.IndexFunc(lines, func(s string) bool { return strings.HasPrefix(s, "panic(") }); i >= 0 && i+2 < len(lines) {
		return lines[i+2:]
	}
	return lines
}

// shortStack names the places of the first few frames on one line.
func shortStack(lines []string) string {
	var out []string
	for i := 1; i < len(lines) && len(out) < 4; i += 2 {
		if place, ok := strings.CutPrefix(lines[i], "\t"); ok {
			place, _, _ = strings.Cut(place, " +0x")
			out = append(out, filepath.Base(filepath.Dir(place))+"/"+filepath.Base(place))
		}
	}
	return "at " + strings.Join(out, " < ")
}

func leaseLost() job.Cause {
	return job.Cause{Kind: job.CauseWorkerLost, Detail: "its lease ran out"}
}

// Stop ends the attempt's context. Grace does not matter: nothing follows.
func (e *Executor) Stop(_ context.Context, key string, _ time.Duration, cause job.Cause) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[key]
	if r == nil {
		return executor.ErrUnknown
	}
	why := ErrCancelled
	if cause.Kind == job.CausePreempted {
		why = ErrStopping
	}
	r.ask(cause, why)
	return nil
}

// ask ends the context, once. The caller holds mu.
func (r *run) ask(cause job.Cause, why error) {
	if r.asked || r.ended {
		return
	}
	r.asked, r.cause = true, cause
	r.timeout, r.deadline = 0, 0
	r.cancel(why)
}

// SetDeadline moves the moment at which contexts end.
func (e *Executor) SetDeadline(_ context.Context, keys []string, d executor.Deadline) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, key := range keys {
		if r := e.runs[key]; r != nil && !r.asked && !r.ended {
			r.deadline = d
			e.arm(r)
		}
	}
	return nil
}

// Adopt finds nothing: functions don't outlive their process.
func (e *Executor) Adopt(context.Context) ([]executor.Running, error) { return nil, nil }

// Release forgets an ended attempt and removes its directory, if it has one.
func (e *Executor) Release(_ context.Context, key string) error {
	e.mu.Lock()
	r := e.runs[key]
	if r == nil || !r.ended {
		e.mu.Unlock()
		if r == nil {
			return executor.ErrUnknown
		}
		return fmt.Errorf("function: attempt %s still runs", key)
	}
	delete(e.runs, key)
	quiet := r.log == nil && r.task.Work == ""
	e.mu.Unlock()
	if quiet {
		return nil
	}
	return os.RemoveAll(r.task.Dir)
}

// Close stops reporting and ends all contexts. It does not wait for handlers: who
// wants to, stops the attempts first and waits for their ends.
func (e *Executor) Close() error {
	e.reporting.Lock()
	first := !e.closed
	e.closed = true
	e.reporting.Unlock()
	if !first {
		return nil
	}
	e.mu.Lock()
	for _, r := range e.runs {
		r.ask(leaseLost(), ErrStopping)
	}
	e.runs = nil
	e.mu.Unlock()
	close(e.over)
	<-e.gone
	return nil
}
