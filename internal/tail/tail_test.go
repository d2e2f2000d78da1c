package tail_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/blob/dirblob"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/leader"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/logline"
	"github.com/reeve-scheduler/reeve/internal/logstore"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"
	"github.com/reeve-scheduler/reeve/internal/tail"
)

// world is a real leader over a store in memory, one worker that the test plays,
// and a real log store.
type world struct {
	t      *testing.T
	ctx    context.Context
	leader *leader.Leader
	logs   *logstore.Store
	worker uint64
	spec   *job.Spec

	mu       sync.Mutex
	assigned map[string]link.Assignment // by attempt
}

// in runs a test in a bubble, with a world for a job file.
func in(t *testing.T, text string, test func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		w := &world{t: t, ctx: ctx, assigned: map[string]link.Assignment{}}
		dir := t.TempDir()
		blobs, err := dirblob.Open(dir + "/blobs")
		w.must(err)
		defer blobs.Close()
		w.logs, err = logstore.Open(w.ctx, dir+"/logs", blobs, logstore.Options{})
		w.must(err)
		defer w.logs.Close()
		db := memstore.New()
		w.leader, err = leader.New(w.ctx, leader.Settings{Logged: w.logs.Expect}, db.Journal(), db.Tables(), w, slog.New(slog.DiscardHandler))
		w.must(err)
		over := make(chan error, 1)
		go func() { over <- w.leader.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-over; err != nil {
				t.Error(err)
			}
		}()
		w.join()
		w.submit(text)
		test(w)
	})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) do(c core.Command) any {
	w.t.Helper()
	reply, err := w.leader.Do(w.ctx, c)
	w.must(err)
	return reply
}

// Deliver is where the leader's messages for the worker go.
func (*world) Opened(uint64, uint64) {}

func (w *world) Deliver(_ uint64, msgs []link.ToWorker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range msgs {
		if m.Assign == nil {
			continue
		}
		for _, a := range m.Assign.Attempts {
			ref := job.Ref{Job: a.Job, Task: w.spec.Tasks[a.Task].Name, Index: a.Index, Attempt: a.Attempt}
			w.assigned[ref.String()] = a
		}
	}
}

func (w *world) join() {
	w.t.Helper()
	w.do(core.WorkerHello{Hello: link.Hello{
		Protocol: link.Protocol, Name: "w", Instance: "i", Incarnation: 1, Slots: 8, Executors: []string{"process"},
		Capacity: job.Resources{CPU: 8000, Memory: 1 << 30},
	}})
	w.must(w.leader.View(w.ctx, func(s *core.State) { w.worker = s.Workers()[0].ID }))
}

func (w *world) submit(text string) {
	w.t.Helper()
	file, err := jobfile.Parse("job.yaml", []byte(text))
	w.must(err)
	w.spec = file.Spec
	w.do(core.Submit{
		Namespace: core.DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, By: "anna",
		Items: []core.Item{{UID: core.UID{1}, Params: []byte("{}")}},
	})
}

// start begins an attempt that has been given to the worker, such as 1.main.0@1.
func (w *world) start(attempt string) {
	w.t.Helper()
	w.do(core.WorkerReport{Worker: w.worker, Report: link.Report{Started: []link.Started{{Fence: w.fence(attempt)}}}})
}

// end ends an attempt, well or badly, with a log of size bytes.
func (w *world) end(attempt string, size int64, cause job.Cause) {
	w.t.Helper()
	w.do(core.WorkerReport{Worker: w.worker, Report: link.Report{Ended: []link.Result{{Fence: w.fence(attempt), LogSize: size, Cause: cause}}}})
}

func (w *world) fence(attempt string) link.Fence {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	a, ok := w.assigned[attempt]
	if !ok {
		w.t.Fatalf("%s was not assigned; %d others were", attempt, len(w.assigned))
	}
	return a.Fence
}

// write appends a line to an attempt's log and returns its size then.
func (w *world) write(attempt, text string) int64 {
	w.t.Helper()
	ref, err := job.ParseRef(attempt)
	w.must(err)
	info, err := w.logs.Stat(w.ctx, ref)
	w.must(err)
	next, err := w.logs.Append(w.ctx, ref, info.Size, logline.Append(nil, logline.Stdout, 1, []byte(text)))
	w.must(err)
	return next
}

// follower is a Follow that runs.
type follower struct {
	w    *world
	mu   sync.Mutex
	got  []string
	done chan error
}

func (w *world) follow(ctx context.Context, under string) *follower {
	w.t.Helper()
	return w.followWith(ctx, w.leader, under)
}

func (w *world) followWith(ctx context.Context, engine tail.Engine, under string) *follower {
	w.t.Helper()
	ref, err := job.ParseRef(under)
	w.must(err)
	f := &follower{w: w, done: make(chan error, 1)}
	go func() {
		f.done <- tail.Source{Engine: engine, Logs: w.logs}.Follow(ctx, w.spec, ref, logstore.ReadOptions{}, func(r job.Ref, e logstore.Entry) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.got = append(f.got, fmt.Sprintf("%s %s", r, e.Data))
			return nil
		})
	}()
	return f
}

// sees checks what has come so far, in any order.
func (f *follower) sees(want ...string) {
	f.w.t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	got := slices.Sorted(slices.Values(f.got))
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
		f.w.t.Errorf("(-want +got)\n%s", diff)
	}
}

// ends checks that all has come and the call has returned.
func (f *follower) ends(want ...string) {
	f.w.t.Helper()
	synctest.Wait()
	select {
	case err := <-f.done:
		f.w.must(err)
	default:
		f.w.t.Error("it goes on")
	}
	f.sees(want...)
}

func (f *follower) goesOn() {
	f.w.t.Helper()
	synctest.Wait()
	select {
	case err := <-f.done:
		f.w.t.Fatalf("it has ended: %v", err)
	default:
	}
}

var exit1 = job.Cause{Kind: job.CauseExit, Code: 1}

func TestSideBySide(t *testing.T) {
	in(t, "array: 0-1\nrun: x\n", func(w *world) {
		f := w.follow(w.ctx, "1")
		w.start("1.main.0@1")
		w.start("1.main.1@1")
		one := w.write("1.main.1@1", "second")
		f.sees("1.main.1@1 second")
		zero := w.write("1.main.0@1", "first")
		f.sees("1.main.0@1 first", "1.main.1@1 second")
		w.end("1.main.1@1", one, job.Cause{})
		f.goesOn()
		w.end("1.main.0@1", zero, job.Cause{})
		f.ends("1.main.0@1 first", "1.main.1@1 second")
	})
}

// TestResultOvertakesLog: the end of the log comes after the end of the job.
func TestResultOvertakesLog(t *testing.T) {
	in(t, "run: x\n", func(w *world) {
		f := w.follow(w.ctx, "1")
		w.start("1.main@1")
		size := int64(len(logline.Append(nil, logline.Stdout, 1, []byte("late"))))
		w.end("1.main@1", size, job.Cause{})
		f.goesOn()
		w.write("1.main@1", "late")
		f.ends("1.main@1 late")
	})
}

// TestNothingIsWritten: a job that is silent ends its followers too.
func TestNothingIsWritten(t *testing.T) {
	in(t, "run: x\n", func(w *world) {
		f := w.follow(w.ctx, "1")
		w.start("1.main@1")
		f.goesOn()
		w.end("1.main@1", 0, job.Cause{})
		f.ends()
	})
}

// TestBeginsInTheMiddle: what has been written before is read, and what runs in
// silence is followed.
func TestBeginsInTheMiddle(t *testing.T) {
	in(t, "array: 0-2\nrun: x\n", func(w *world) {
		w.start("1.main.0@1")
		w.end("1.main.0@1", w.write("1.main.0@1", "over"), job.Cause{})
		w.start("1.main.1@1")
		w.start("1.main.2@1")
		one := w.write("1.main.1@1", "begun")
		f := w.follow(w.ctx, "1")
		f.sees("1.main.0@1 over", "1.main.1@1 begun")
		two := w.write("1.main.2@1", "silent so far")
		f.sees("1.main.0@1 over", "1.main.1@1 begun", "1.main.2@1 silent so far")
		w.end("1.main.1@1", one, job.Cause{})
		w.end("1.main.2@1", two, job.Cause{})
		f.ends("1.main.0@1 over", "1.main.1@1 begun", "1.main.2@1 silent so far")
	})
}

// TestRetries: attempts that come while somebody follows are all shown; of those
// before, the newest.
func TestRetries(t *testing.T) {
	in(t, "run: x\nretry: {max_attempts: 3, delay: 1ms}\n", func(w *world) {
		w.start("1.main@1")
		w.end("1.main@1", w.write("1.main@1", "one"), exit1)
		w.again("1.main@2")
		w.start("1.main@2")
		size := w.write("1.main@2", "two")
		f := w.follow(w.ctx, "1")
		f.sees("1.main@2 two")
		w.end("1.main@2", size, exit1)
		w.again("1.main@3")
		w.start("1.main@3")
		w.end("1.main@3", w.write("1.main@3", "three"), job.Cause{})
		f.ends("1.main@2 two", "1.main@3 three")
	})
}

// again waits until an attempt is assigned after a backoff.
func (w *world) again(attempt string) {
	w.t.Helper()
	reader := w.leader.Hub().Read(w.leader.Hub().End())
	defer reader.Close()
	for {
		w.mu.Lock()
		_, ok := w.assigned[attempt]
		w.mu.Unlock()
		if ok {
			return
		}
		if _, _, err := reader.Next(w.ctx, 1); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
	}
}

// TestPartOfAJob: a task, an element or an attempt ends its followers, whatever the
// rest of the job does.
func TestPartOfAJob(t *testing.T) {
	const text = "tasks:\n  a: {array: 0-1, run: x}\n  b: {run: x}\n"
	for under, want := range map[string][]string{
		"1.a": {"1.a.0@1 zero", "1.a.1@1 one"}, "1.a.1": {"1.a.1@1 one"}, "1.a.0@1": {"1.a.0@1 zero"},
	} {
		t.Run(under, func(t *testing.T) {
			in(t, text, func(w *world) {
				f := w.follow(w.ctx, under)
				for _, a := range []string{"1.a.0@1", "1.a.1@1", "1.b@1"} {
					w.start(a)
				}
				w.write("1.b@1", "other")
				f.goesOn()
				w.end("1.a.0@1", w.write("1.a.0@1", "zero"), job.Cause{})
				w.end("1.a.1@1", w.write("1.a.1@1", "one"), job.Cause{})
				f.ends(want...)
			})
		})
	}
}

// TestCancelled: elements that never run end the following as well.
func TestCancelled(t *testing.T) {
	in(t, "array: 0-99\nrun: x\nresources: {cpu: 8}\n", func(w *world) {
		f := w.follow(w.ctx, "1")
		w.start("1.main.0@1")
		size := w.write("1.main.0@1", "begun")
		w.do(core.Cancel{Job: 1, Task: core.NoTask, By: "anna"})
		f.goesOn()
		w.end("1.main.0@1", size, job.Cause{Kind: job.CauseCancelled, Detail: "anna"})
		f.ends("1.main.0@1 begun")
	})
}

// gappy is an engine whose notices the test makes, or does not.
type gappy struct {
	*leader.Leader
	hub *replica.Hub
}

func (g gappy) Hub() *replica.Hub { return g.hub }

// TestGap: a follower that has missed notices looks at everything anew.
func TestGap(t *testing.T) {
	in(t, "array: 0-1\nrun: x\nretry: {max_attempts: 2, delay: 0s}\n", func(w *world) {
		engine := gappy{w.leader, replica.NewHub(1, replica.Cursor{Generation: 1})}
		f := w.followWith(w.ctx, engine, "1")
		f.goesOn()
		w.start("1.main.0@1")
		w.end("1.main.0@1", w.write("1.main.0@1", "first try"), exit1)
		w.again("1.main.0@2")
		w.start("1.main.0@2")
		w.write("1.main.0@2", "second try")
		w.start("1.main.1@1")
		f.sees("1.main.0@1 first try") // it was assigned before the following began
		engine.hub.Publish(replica.Cursor{Generation: 1, Seq: 1}, nil, false)
		f.sees("1.main.0@1 first try", "1.main.0@2 second try")
		w.end("1.main.0@2", w.write("1.main.0@2", "more"), job.Cause{})
		w.end("1.main.1@1", w.write("1.main.1@1", "silent so far"), job.Cause{})
		engine.hub.Publish(replica.Cursor{Generation: 1, Seq: 2}, nil, false)
		f.ends("1.main.0@1 first try", "1.main.0@2 second try", "1.main.0@2 more", "1.main.1@1 silent so far")
	})
}

func TestStops(t *testing.T) {
	in(t, "run: x\n", func(w *world) {
		ctx, cancel := context.WithCancel(w.ctx)
		f := w.follow(ctx, "1")
		w.start("1.main@1")
		f.goesOn()
		cancel()
		if err := <-f.done; !errors.Is(err, context.Canceled) {
			t.Errorf("after the end of its context: %v", err)
		}
		w.write("1.main@1", "x")
		err := tail.Source{Engine: w.leader, Logs: w.logs}.Follow(w.ctx, w.spec, job.Ref{Job: 1, Index: job.NoIndex}, logstore.ReadOptions{},
			func(job.Ref, logstore.Entry) error { return io.ErrClosedPipe })
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("after an error of send: %v", err)
		}
		if err := w.logs.Drop(w.ctx, 1); err != nil {
			t.Fatal(err)
		}
	})
}

// TestOver: what is not in memory has ended.
func TestOver(t *testing.T) {
	in(t, "array: 0-1\nrun: x\n", func(w *world) {
		source := tail.Source{Engine: w.leader, Logs: w.logs}
		over := func(ref string) bool {
			r, err := job.ParseRef(ref)
			w.must(err)
			over, err := source.Over(w.ctx, w.spec, r)
			w.must(err)
			return over
		}
		w.start("1.main.0@1")
		w.end("1.main.0@1", 0, job.Cause{})
		got := map[string]bool{}
		for _, ref := range []string{"1", "1.main", "1.main.0", "1.main.0@1", "1.main.1", "2"} {
			got[ref] = over(ref)
		}
		want := map[string]bool{"1": false, "1.main": false, "1.main.0": true, "1.main.0@1": true, "1.main.1": false, "2": true}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
