package function_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/executortest"
	"github.com/reeve-scheduler/reeve/internal/executor/function"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// longError is more than a cause has room for.
var longError = strings.Repeat("bad luck ", job.MaxDetail)

var handlers = map[string]function.Handler{
	"succeed": func(context.Context, function.Invocation) ([]byte, error) { return []byte("done"), nil },
	"fail":    func(context.Context, function.Invocation) ([]byte, error) { return nil, errors.New("no luck") },
	"wait": func(ctx context.Context, _ function.Invocation) ([]byte, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	},
	"write": func(_ context.Context, in function.Invocation) ([]byte, error) {
		_, err := io.WriteString(in.Log, executortest.Output)
		return nil, err
	},
	"late": func(ctx context.Context, _ function.Invocation) ([]byte, error) {
		<-ctx.Done()
		return []byte("all the same"), nil
	},
	"long":  func(context.Context, function.Invocation) ([]byte, error) { return nil, errors.New(longError) },
	"panic": func(context.Context, function.Invocation) ([]byte, error) { panic("oh \xff no") },
	"exit": func(context.Context, function.Invocation) ([]byte, error) {
		runtime.Goexit()
		return nil, nil
	},
	"echo": func(_ context.Context, in function.Invocation) ([]byte, error) {
		return fmt.Appendf(nil, "%s %s %s %d %s", in.Key, in.Ref, in.Payload, in.Fence, in.Environ()), nil
	},
}

func TestContract(t *testing.T) {
	names := map[executortest.Behaviour]string{
		executortest.Succeed: "succeed", executortest.Fail: "fail", executortest.Wait: "wait",
		executortest.Write: "write", executortest.Missing: "missing",
	}
	executortest.Run(t, executortest.Subject{
		New: func(t *testing.T, ev executor.Events) executor.Executor { return function.New(handlers, ev) },
		Set: func(task *executor.Task, b executortest.Behaviour) {
			task.Function = names[b]
		},
		FailCause: job.Cause{Kind: job.CauseError, Detail: "no luck"},
	})
}

// start runs one function in a directory that does not exist.
func start(t *testing.T, name string, change func(*executor.Task)) (*function.Executor, *executortest.Recorder, executor.Task) {
	t.Helper()
	ev := executortest.NewRecorder(t)
	e := function.New(handlers, ev)
	t.Cleanup(func() { _ = e.Close() })
	task := executor.Task{Key: "k", Ref: job.Ref{Job: 1, Task: "t", Index: 2, Attempt: 3}, Dir: filepath.Join(t.TempDir(), "none"), Function: name}
	if change != nil {
		change(&task)
	}
	if err := e.Start(ctx, task); err != nil {
		t.Fatal(err)
	}
	return e, ev, task
}

func TestHandlerGetsTheTask(t *testing.T) {
	_, ev, _ := start(t, "echo", func(task *executor.Task) {
		task.Payload, task.Fence = []byte("\xff\n"), 9
		task.Environ = func() []string { return []string{"A=1"} }
	})
	x := ev.WaitEnded("k")
	if diff := cmp.Diff("k 1.t.2@3 \xff\n 9 [A=1]", string(x.Output)); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestPanics(t *testing.T) {
	for name, want := range map[string]string{"panic": "panic: oh \uFFFD no\nat function/function_test.go:", "exit": "the handler ended its goroutine"} {
		t.Run(name, func(t *testing.T) {
			_, ev, _ := start(t, name, nil)
			x := ev.WaitEnded("k")
			if x.Cause.Kind != job.CauseError || !strings.HasPrefix(x.Cause.Detail, want) || len(x.Cause.Detail) > job.MaxDetail {
				t.Errorf("cause = %+v, want an error beginning with %q", x.Cause, want)
			}
		})
	}
}

// logOf returns what an ended attempt wrote to one stream.
func logOf(t *testing.T, task executor.Task, kind logline.Kind) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(task.Dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return executortest.Text(t, b, kind)
}

func TestPanicLeavesItsStack(t *testing.T) {
	_, ev, task := start(t, "panic", nil)
	ev.WaitEnded("k")
	text := logOf(t, task, logline.Stderr)
	first, rest, _ := strings.Cut(text, "\n")
	if first != "panic: oh \xff no" || !strings.Contains(rest, "function_test.go:") || strings.Contains(rest, "debug.Stack") {
		t.Errorf("the log of a panic: %q", text)
	}
}

func TestLongErrorIsWholeInTheLog(t *testing.T) {
	_, ev, task := start(t, "long", nil)
	x := ev.WaitEnded("k")
	if text := logOf(t, task, logline.Stderr); text != longError+"\n" || !strings.HasPrefix(longError, strings.TrimSuffix(x.Cause.Detail, "…")) {
		t.Errorf("the log has %d bytes and the cause is %q, want all %d bytes and their beginning", len(text), x.Cause.Detail, len(longError))
	}
}

func TestContextTellsTheTimeout(t *testing.T) {
	seen := make(chan time.Time, 2)
	e := function.New(map[string]function.Handler{"f": func(ctx context.Context, _ function.Invocation) ([]byte, error) {
		at, _ := ctx.Deadline()
		seen <- at
		child, cancel := context.WithTimeout(ctx, 48*time.Hour)
		defer cancel()
		at, _ = child.Deadline()
		seen <- at
		return nil, nil
	}}, executortest.NewRecorder(t))
	defer e.Close()
	before := time.Now()
	if err := e.Start(ctx, executor.Task{Key: "k", Function: "f", Timeout: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if at := <-seen; at.Before(before.Add(time.Hour)) || at.After(time.Now().Add(time.Hour)) {
			t.Errorf("the context ends at %v, want an hour after %v", at, before)
		}
	}
}

func TestReleaseRemovesWhatTheCallerMade(t *testing.T) {
	e, ev, task := start(t, "succeed", func(task *executor.Task) {
		task.Work = filepath.Join(task.Dir, "work")
		if err := os.MkdirAll(task.Work, 0o700); err != nil {
			t.Fatal(err)
		}
	})
	ev.WaitEnded("k")
	if err := e.Release(ctx, "k"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(task.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestNothingIsMadeForAQuietFunction(t *testing.T) {
	e, ev, task := start(t, "succeed", nil)
	ev.WaitEnded("k")
	if _, err := os.Stat(task.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory exists: %v", err)
	}
	if err := e.Release(ctx, "k"); err != nil {
		t.Error(err)
	}
}

func TestDirectoryIsMadeForALog(t *testing.T) {
	e, ev, task := start(t, "write", nil)
	x := ev.WaitEnded("k")
	b, err := os.ReadFile(filepath.Join(task.Dir, "log"))
	if err != nil || int64(len(b)) != x.LogSize {
		t.Fatalf("log: %d bytes, %v; LogSize %d", len(b), err, x.LogSize)
	}
	if got := executortest.Text(t, b, logline.Stdout); got != executortest.Output {
		t.Errorf("stdout = %q", got)
	}
	if !ev.HasWritten("k") {
		t.Error("Wrote was not called")
	}
	if err := e.Release(ctx, "k"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(task.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestSuccessInSpiteOfStop(t *testing.T) {
	e, ev, _ := start(t, "late", nil)
	if err := e.Stop(ctx, "k", 0, job.Cause{Kind: job.CauseCancelled}); err != nil {
		t.Fatal(err)
	}
	if x := ev.WaitEnded("k"); x.Cause != (job.Cause{}) || string(x.Output) != "all the same" {
		t.Errorf("exit = %+v, want success with output", x)
	}
}

func TestNoSuccessPastTheTimeout(t *testing.T) {
	_, ev, _ := start(t, "late", func(task *executor.Task) { task.Timeout = time.Millisecond })
	if x := ev.WaitEnded("k"); x.Cause != job.TimeoutAfter(time.Millisecond) || x.Output != nil {
		t.Errorf("exit = %+v, want a timeout", x)
	}
}

func TestReasonsInTheContext(t *testing.T) {
	reasons := make(chan error, 1)
	hs := map[string]function.Handler{"f": func(ctx context.Context, _ function.Invocation) ([]byte, error) {
		<-ctx.Done()
		reasons <- context.Cause(ctx)
		return nil, ctx.Err()
	}}
	tests := []struct {
		name string
		task executor.Task
		do   func(*function.Executor)
		want error
	}{
		{"timeout", executor.Task{Timeout: time.Millisecond}, nil, function.ErrTimeout},
		{"lease", executor.Task{Deadline: executor.Now().Add(100 * time.Millisecond)}, nil, function.ErrLeaseLost},
		{"stop", executor.Task{}, func(e *function.Executor) { _ = e.Stop(ctx, "k", 0, job.Cause{Kind: job.CauseCancelled}) }, function.ErrCancelled},
		{"leave", executor.Task{}, func(e *function.Executor) { _ = e.Stop(ctx, "k", 0, job.Cause{Kind: job.CausePreempted}) }, function.ErrStopping},
		{"close", executor.Task{}, func(e *function.Executor) { _ = e.Close() }, function.ErrStopping},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ev := executortest.NewRecorder(t)
			e := function.New(hs, ev)
			defer e.Close()
			test.task.Key, test.task.Function = "k", "f"
			if err := e.Start(ctx, test.task); err != nil {
				t.Fatal(err)
			}
			ev.WaitStarted("k")
			if test.do != nil {
				test.do(e)
			}
			if got := <-reasons; !errors.Is(got, test.want) {
				t.Errorf("context.Cause = %v, want %v", got, test.want)
			}
		})
	}
}

// TestNotEndedWhileItRuns: a handler that ignores its context is not reported as
// ended, neither by a stop nor by its deadline. In the bubble "for ever" is exact.
func TestNotEndedWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		ev := executortest.NewRecorder(t)
		e := function.New(map[string]function.Handler{"deaf": func(context.Context, function.Invocation) ([]byte, error) {
			<-release
			return nil, errors.New("at last")
		}}, ev)
		defer e.Close()
		if err := e.Start(ctx, executor.Task{Key: "k", Function: "deaf"}); err != nil {
			t.Fatal(err)
		}
		cause := job.Cause{Kind: job.CauseCancelled, Detail: "anna"}
		if err := e.Stop(ctx, "k", 0, cause); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if ev.HasEnded("k") {
			t.Error("it is reported as ended while it runs")
		}
		if err := e.Release(ctx, "k"); err == nil {
			t.Error("it was released while it runs")
		}
		close(release)
		synctest.Wait()
		if x := ev.WaitEnded("k"); x.Cause != cause {
			t.Errorf("cause = %+v, want %+v", x.Cause, cause)
		}
	})
}

func TestWriteAfterTheEnd(t *testing.T) {
	logs := make(chan io.Writer, 1)
	ev := executortest.NewRecorder(t)
	e := function.New(map[string]function.Handler{"f": func(_ context.Context, in function.Invocation) ([]byte, error) {
		logs <- in.Log
		return nil, nil
	}}, ev)
	defer e.Close()
	dir := filepath.Join(t.TempDir(), "none")
	if err := e.Start(ctx, executor.Task{Key: "k", Function: "f", Dir: dir}); err != nil {
		t.Fatal(err)
	}
	ev.WaitEnded("k")
	if _, err := io.WriteString(<-logs, "too late"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write after the end: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the late write made a file: %v", err)
	}
}

func TestNames(t *testing.T) {
	e := function.New(handlers, executortest.NewRecorder(t))
	defer e.Close()
	want := []string{"echo", "exit", "fail", "late", "long", "panic", "succeed", "wait", "write"}
	if diff := cmp.Diff(want, e.Names()); diff != "" {
		t.Errorf("Names (-want +got):\n%s", diff)
	}
}

// counter is an executor.Events that releases and counts.
type counter struct {
	e     *function.Executor
	slots chan struct{}
	done  sync.WaitGroup
}

func (c *counter) Started(string, time.Time) {}
func (c *counter) Wrote(string)              {}
func (c *counter) Ended(key string, _ executor.Exit) {
	_ = c.e.Release(ctx, key)
	<-c.slots
	c.done.Done()
}

func BenchmarkNoOp(b *testing.B) {
	c := &counter{slots: make(chan struct{}, 64)}
	c.e = function.New(handlers, c)
	defer c.e.Close()
	dir := b.TempDir()
	deadline := executor.Now().Add(time.Hour)
	keys := make([]string, b.N)
	for i := range keys {
		keys[i] = fmt.Sprintf("k%d", i)
	}
	c.done.Add(b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for _, key := range keys {
		c.slots <- struct{}{}
		if err := c.e.Start(ctx, executor.Task{Key: key, Function: "succeed", Dir: dir + "/none", Deadline: deadline, Timeout: time.Hour}); err != nil {
			b.Fatal(err)
		}
	}
	c.done.Wait()
}
