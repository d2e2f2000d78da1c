// Package executortest holds an executor to the contract of package executor: one
// suite for every technology, told by a Subject what that technology can do.
package executortest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// Behaviour is what a task of the suite does.
type Behaviour int

// The behaviours that a Subject provides.
const (
	// Succeed ends well, at once.
	Succeed Behaviour = iota
	// Fail ends by itself, badly.
	Fail
	// Wait runs until it is asked to end, and then does.
	Wait
	// Ignore runs on when it is asked to end. It is used where Kills is set.
	Ignore
	// Write writes Output, ends well.
	Write
	// Missing names a program or function that does not exist.
	Missing
)

// Output is what a task that behaves as Write writes to standard output.
const Output = "first line\nsecond \x00\xff line without end"

// Subject is the executor under test.
type Subject struct {
	// New makes an executor that reports to ev; the suite closes it.
	New func(t *testing.T, ev executor.Events) executor.Executor
	// Set fills in what makes t behave as b.
	Set func(t *executor.Task, b Behaviour)
	// FailCause is the cause that Fail ends with.
	FailCause job.Cause
	// Kills: what ignores being asked is killed.
	Kills bool
	// Reopen makes another executor on what ex, which is closed, has left. It is nil
	// where nothing survives.
	Reopen func(t *testing.T, ev executor.Events) executor.Executor
}

// Run holds s to the contract.
func Run(t *testing.T, s Subject) {
	tests := []struct {
		name string
		run  func(*fixture)
	}{
		{"it runs and ends once", (*fixture).success},
		{"it fails by itself", (*fixture).failure},
		{"what does not exist is an end", (*fixture).missing},
		{"stop reports its cause", (*fixture).stop},
		{"stop without grace", (*fixture).kill},
		{"the second stop is faster", (*fixture).stopTwice},
		{"a timeout ends it", (*fixture).timeout},
		{"a deadline ends it, a renewal does not", (*fixture).deadline},
		{"a deadline in the past", (*fixture).expired},
		{"the log is framed", (*fixture).log},
		{"unknown keys", (*fixture).unknown},
		{"one key, one start", (*fixture).twice},
		{"many at once", (*fixture).many},
		{"stop races the end", (*fixture).race},
		{"close is silent", (*fixture).silent},
		{"it survives", (*fixture).survive},
		{"about", (*fixture).about},
	}
	for _, test := range tests {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			f := &fixture{T: t, Subject: s, ev: NewRecorder(t), dir: t.TempDir()}
			f.ex = s.New(t, f.ev)
			t.Cleanup(func() {
				if err := f.ex.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			test.run(f)
		})
	}
}

// fixture is one test's executor.
type fixture struct {
	*testing.T
	Subject
	ev  *Recorder
	ex  executor.Executor
	dir string
}

var ctx = context.Background()

// task makes a task of its own directory.
func (f *fixture) task(key string, b Behaviour) executor.Task {
	t := executor.Task{
		Key: key, Ref: job.Ref{Job: 7, Task: "suite", Index: job.NoIndex, Attempt: 1},
		Dir: filepath.Join(f.dir, key), LogLimit: 1 << 20, Grace: 5 * time.Second,
	}
	t.Work = t.Dir
	if err := os.MkdirAll(t.Work, 0o700); err != nil {
		f.Fatal(err)
	}
	f.Set(&t, b)
	return t
}

func (f *fixture) start(t executor.Task) {
	f.Helper()
	if err := f.ex.Start(ctx, t); err != nil {
		f.Fatalf("Start(%s): %v", t.Key, err)
	}
}

func (f *fixture) release(key string) {
	f.Helper()
	if err := f.ex.Release(ctx, key); err != nil {
		f.Errorf("Release(%s): %v", key, err)
	}
	if _, err := os.Stat(filepath.Join(f.dir, key)); !errors.Is(err, os.ErrNotExist) {
		f.Errorf("Release(%s) left its directory: %v", key, err)
	}
}

// wantEnd waits for an end with cause and releases.
func (f *fixture) wantEnd(key string, cause job.Cause) executor.Exit {
	f.Helper()
	x := f.ev.WaitEnded(key)
	if diff := cmp.Diff(cause, x.Cause); diff != "" {
		f.Errorf("%s ended with another cause (-want +got):\n%s", key, diff)
	}
	f.release(key)
	return x
}

func (f *fixture) success() {
	before := time.Now()
	f.start(f.task("a", Succeed))
	x := f.ev.WaitEnded("a")
	if x.Cause != (job.Cause{}) {
		f.Errorf("cause = %v", x.Cause)
	}
	at := f.ev.WaitStarted("a")
	if at.Before(before.Add(-time.Second)) || x.Ended.Before(x.Started) || x.Ended.After(time.Now().Add(time.Second)) {
		f.Errorf("begun %v, started %v (%v), ended %v", before, at, x.Started, x.Ended)
	}
	f.release("a")
	if err := f.ex.Release(ctx, "a"); !errors.Is(err, executor.ErrUnknown) {
		f.Errorf("Release twice: %v", err)
	}
}

func (f *fixture) failure() {
	f.start(f.task("a", Fail))
	f.wantEnd("a", f.FailCause)
	if !f.ev.HasStarted("a") {
		f.Error("it was not reported as started")
	}
}

func (f *fixture) missing() {
	f.start(f.task("a", Missing))
	x := f.ev.WaitEnded("a")
	if x.Cause.Kind != job.CauseStart || x.Cause.Detail == "" {
		f.Errorf("cause = %+v, want CauseStart and a detail", x.Cause)
	}
	if f.ev.HasStarted("a") {
		f.Error("it was reported as started")
	}
	f.release("a")
}

func (f *fixture) stop() {
	f.start(f.task("a", Wait))
	f.ev.WaitStarted("a")
	cause := job.Cause{Kind: job.CauseCancelled, Detail: "anna"}
	if err := f.ex.Stop(ctx, "a", 20*time.Second, cause); err != nil {
		f.Fatal(err)
	}
	f.wantEnd("a", cause)
}

func (f *fixture) kill() {
	if !f.Kills {
		f.Skip("it can't kill")
	}
	f.start(f.task("a", Ignore))
	f.ev.WaitStarted("a")
	cause := job.Cause{Kind: job.CauseKilled, Detail: "anna"}
	if err := f.ex.Stop(ctx, "a", 0, cause); err != nil {
		f.Fatal(err)
	}
	f.wantEnd("a", cause)
}

func (f *fixture) stopTwice() {
	if !f.Kills {
		f.Skip("it can't kill")
	}
	f.start(f.task("a", Ignore))
	f.ev.WaitStarted("a")
	cause := job.Cause{Kind: job.CauseCancelled, Detail: "anna"}
	if err := f.ex.Stop(ctx, "a", time.Hour, cause); err != nil {
		f.Fatal(err)
	}
	if err := f.ex.Stop(ctx, "a", 10*time.Millisecond, job.Cause{Kind: job.CauseKilled}); err != nil {
		f.Fatal(err)
	}
	f.wantEnd("a", cause)
}

func (f *fixture) timeout() {
	t := f.task("a", Wait)
	t.Timeout = 200 * time.Millisecond
	f.start(t)
	x := f.wantEnd("a", job.TimeoutAfter(t.Timeout))
	if ran := x.Ended.Sub(x.Started); ran < t.Timeout {
		f.Errorf("it ran %v, less than its timeout", ran)
	}
}

func (f *fixture) deadline() {
	soon := executor.Now().Add(400 * time.Millisecond)
	for _, key := range []string{"renewed", "dying"} {
		t := f.task(key, Wait)
		t.Deadline = soon
		f.start(t)
	}
	if err := f.ex.SetDeadline(ctx, []string{"renewed", "unknown"}, executor.Now().Add(time.Hour)); err != nil {
		f.Fatal(err)
	}
	x := f.ev.WaitEnded("dying")
	if x.Cause.Kind != job.CauseWorkerLost {
		f.Errorf("cause = %+v, want CauseWorkerLost", x.Cause)
	}
	if now := executor.Now(); now > soon.Add(5*time.Second) {
		f.Errorf("it ended %v after its deadline", now.Sub(soon))
	}
	if f.ev.HasEnded("renewed") {
		f.Error("the renewed one ended too")
	}
	if err := f.ex.SetDeadline(ctx, []string{"renewed"}, 0); err != nil {
		f.Fatal(err)
	}
	if err := f.ex.Stop(ctx, "renewed", time.Second, job.Cause{Kind: job.CauseCancelled}); err != nil {
		f.Fatal(err)
	}
	f.wantEnd("renewed", job.Cause{Kind: job.CauseCancelled})
	f.release("dying")
}

func (f *fixture) expired() {
	t := f.task("a", Wait)
	t.Deadline = executor.Now().Add(-time.Second)
	f.start(t)
	if x := f.ev.WaitEnded("a"); x.Cause.Kind != job.CauseWorkerLost {
		f.Errorf("cause = %+v, want CauseWorkerLost", x.Cause)
	}
}

func (f *fixture) log() {
	t := f.task("a", Write)
	f.start(t)
	x := f.ev.WaitEnded("a")
	b, err := os.ReadFile(filepath.Join(t.Dir, "log"))
	if err != nil {
		f.Fatal(err)
	}
	if int64(len(b)) != x.LogSize {
		f.Errorf("LogSize = %d, the file has %d bytes", x.LogSize, len(b))
	}
	if got := Text(f.T, b, logline.Stdout); got != Output {
		f.Errorf("stdout = %q, want %q", got, Output)
	}
	if f.release("a"); f.Failed() {
		return
	}
	quiet := f.task("quiet", Succeed)
	f.start(quiet)
	if x := f.ev.WaitEnded("quiet"); x.LogSize != 0 {
		f.Errorf("LogSize = %d for no output", x.LogSize)
	}
}

// Text joins the data of one kind of frames in a log.
func Text(t *testing.T, log []byte, kind logline.Kind) string {
	t.Helper()
	var text strings.Builder
	for at := 0; at < len(log); {
		frame, n, err := logline.Next(log[at:])
		if n == 0 || err != nil {
			t.Fatalf("log is damaged at byte %d of %d: %v", at, len(log), err)
		}
		if frame.Kind == kind {
			text.Write(frame.Data)
		}
		at += n
	}
	return text.String()
}

func (f *fixture) unknown() {
	if err := f.ex.Stop(ctx, "nobody", 0, job.Cause{}); !errors.Is(err, executor.ErrUnknown) {
		f.Errorf("Stop: %v", err)
	}
	if err := f.ex.Release(ctx, "nobody"); !errors.Is(err, executor.ErrUnknown) {
		f.Errorf("Release: %v", err)
	}
	if err := f.ex.SetDeadline(ctx, []string{"nobody"}, 5); err != nil {
		f.Errorf("SetDeadline: %v", err)
	}
	if err := f.ex.Start(ctx, executor.Task{Key: "../evil", Dir: f.dir}); err == nil {
		f.Error("Start took a key that is no file name")
	}
	if list, err := f.ex.Adopt(ctx); err != nil || len(list) > 0 {
		f.Errorf("Adopt = %v, %v", list, err)
	}
}

func (f *fixture) twice() {
	t := f.task("a", Wait)
	f.start(t)
	if err := f.ex.Start(ctx, t); err == nil {
		f.Error("a second Start of one key was accepted")
	}
	f.ev.WaitStarted("a")
	if err := f.ex.Release(ctx, "a"); err == nil || errors.Is(err, executor.ErrUnknown) {
		f.Errorf("Release of a live attempt: %v", err)
	}
	if err := f.ex.Stop(ctx, "a", time.Second, job.Cause{Kind: job.CauseCancelled}); err != nil {
		f.Error(err)
	}
	f.wantEnd("a", job.Cause{Kind: job.CauseCancelled})
}

func (f *fixture) many() {
	const n = 60
	var wg sync.WaitGroup
	for i := range n {
		t := f.task(fmt.Sprintf("m%d", i), Behaviour(i%2))
		wg.Go(func() {
			if err := f.ex.Start(ctx, t); err != nil {
				f.Errorf("Start(%s): %v", t.Key, err)
			}
		})
	}
	wg.Wait()
	for i := range n {
		want := job.Cause{}
		if i%2 == 1 {
			want = f.FailCause
		}
		f.wantEnd(fmt.Sprintf("m%d", i), want)
	}
}

func (f *fixture) race() {
	cause := job.Cause{Kind: job.CauseCancelled, Detail: "anna"}
	var wg sync.WaitGroup
	for i := range 40 {
		t := f.task(fmt.Sprintf("r%d", i), Succeed)
		wg.Go(func() {
			if err := f.ex.Start(ctx, t); err != nil {
				f.Errorf("Start: %v", err)
				return
			}
			if err := f.ex.Stop(ctx, t.Key, time.Second, cause); err != nil {
				f.Errorf("Stop: %v", err)
			}
		})
	}
	wg.Wait()
	for i := range 40 {
		x := f.ev.WaitEnded(fmt.Sprintf("r%d", i))
		if x.Cause != cause && x.Cause != (job.Cause{}) {
			f.Errorf("cause = %+v, want success or the cause of the stop", x.Cause)
		}
	}
}

func (f *fixture) silent() {
	f.start(f.task("a", Wait))
	f.ev.WaitStarted("a")
	if err := f.ex.Close(); err != nil {
		f.Fatal(err)
	}
	f.ev.Close()
	if err := f.ex.Start(ctx, f.task("b", Succeed)); err == nil {
		f.Error("Start after Close was accepted")
	}
	if f.Reopen != nil {
		f.ev = NewRecorder(f.T)
		f.ex = f.Reopen(f.T, f.ev)
		f.stopAdopted("a")
	}
}

// stopAdopted adopts one live attempt and stops it.
func (f *fixture) stopAdopted(key string) {
	f.Helper()
	list, err := f.ex.Adopt(ctx)
	if err != nil || len(list) != 1 || list[0].Key != key || list[0].Exit != nil {
		f.Fatalf("Adopt = %+v, %v; want %s alive", list, err, key)
	}
	if err := f.ex.Stop(ctx, key, time.Second, job.Cause{Kind: job.CauseCancelled}); err != nil {
		f.Fatal(err)
	}
	f.wantEnd(key, job.Cause{Kind: job.CauseCancelled})
}

func (f *fixture) survive() {
	if f.Reopen == nil {
		f.Skip("nothing survives")
	}
	t := f.task("live", Wait)
	f.start(t)
	f.start(f.task("done", Fail))
	f.ev.WaitStarted("live")
	f.ev.WaitEnded("done")
	_ = f.ex.Close()

	f.ev = NewRecorder(f.T)
	f.ex = f.Reopen(f.T, f.ev)
	list, err := f.ex.Adopt(ctx)
	if err != nil || len(list) != 2 {
		f.Fatalf("Adopt = %+v, %v; want two", list, err)
	}
	if done := list[0]; done.Key != "done" || done.Exit == nil || done.Exit.Cause != f.FailCause || done.Ref != t.Ref {
		f.Errorf("ended while away: %+v", done)
	}
	if live := list[1]; live.Key != "live" || live.Exit != nil || live.Started.IsZero() {
		f.Errorf("still running: %+v", live)
	}
	if err := f.ex.Start(ctx, t); err == nil {
		f.Error("an adopted key was started again")
	}
	if err := f.ex.Stop(ctx, "live", time.Second, job.Cause{Kind: job.CauseCancelled}); err != nil {
		f.Fatal(err)
	}
	f.wantEnd("live", job.Cause{Kind: job.CauseCancelled})
	f.release("done")
	if f.ev.HasEnded("done") {
		f.Error("what Adopt returned as ended was reported again")
	}
}

func (f *fixture) about() {
	if f.ex.About() == "" {
		f.Error("About says nothing")
	}
}
