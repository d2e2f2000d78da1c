package reeve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/internal/app"
)

type order struct {
	Name  string
	Count int
}

func TestTypedHandler(t *testing.T) {
	client := connect(t, addr)
	work(t, client, reeve.WorkerConfig{Name: "typed"}, func(w *reeve.Worker) {
		reeve.Handle(w, "typed", func(_ context.Context, a *reeve.Attempt, in order) ([]order, error) {
			return []order{in, {Name: a.Task, Count: a.Number}}, nil
		})
		reeve.Handle(w, "typed-quiet", func(_ context.Context, _ *reeve.Attempt, in *order) (struct{}, error) {
			if in != nil {
				return struct{}{}, errors.New("there is a payload")
			}
			return struct{}{}, nil
		})
		reeve.Handle(w, "typed-bad", func(context.Context, *reeve.Attempt, struct{}) (chan int, error) { return nil, nil })
	})
	ctx := withPatience(t)
	j := must[*reeve.JobInfo](t)(client.Wait(ctx, must[string](t)(client.Enqueue(ctx, "typed", order{"a", 2}))))
	var got []order
	if err := j.Result(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]order{{"a", 2}, {"main", 1}}, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if err := j.Result(new(string)); !errors.Is(err, reeve.ErrInvalid) {
		t.Errorf("a result of another type: %v", err)
	}
	quiet := must[*reeve.JobInfo](t)(client.Wait(ctx, must[string](t)(client.Enqueue(ctx, "typed-quiet", nil))))
	if err := quiet.Result(&got); !errors.Is(err, reeve.ErrNotFound) {
		t.Errorf("the result of a handler without one: %v", err)
	}
	retries := reeve.WithRetry(reeve.Retry{MaxAttempts: 5})
	for name, want := range map[string]string{"typed": "payload of function task", "typed-bad": "result: json: unsupported type"} {
		id := must[string](t)(client.Enqueue(ctx, name, "text", retries))
		if name == "typed-bad" {
			id = must[string](t)(client.Enqueue(ctx, name, nil, retries))
		}
		j, err := client.Wait(ctx, id)
		if err == nil || !strings.Contains(err.Error(), want) || j.Tasks[0].Element.Attempts != 1 {
			t.Errorf("%s: %v, want a permanent error with %q", name, err, want)
		}
	}
}

func TestAttempt(t *testing.T) {
	client := connect(t, addr)
	attempts := make(chan *reeve.Attempt, 10)
	work(t, client, reeve.WorkerConfig{Name: "attempt"}, pick("attempt", func(_ context.Context, a *reeve.Attempt) error {
		attempts <- a
		if a.Number == 1 {
			return errors.New("once more")
		}
		return nil
	}))
	ctx := withPatience(t)
	j := reeve.Job{Env: map[string]string{"COLOR": "red", "A": "job"}, Tasks: []reeve.Task{{
		Name: "t", Function: "attempt", Env: map[string]string{"A": "task"}, Array: &reeve.Array{Indexes: "7"},
		Retry: reeve.Retry{MaxAttempts: 2, Delay: time.Millisecond}, Input: []int{1, 2},
	}}}
	id := must[string](t)(client.Submit(ctx, j))
	first, second := get(t, attempts), get(t, attempts)
	want := []string{id + ".t.7@1", id + ".t.7", id, "t", "[1,2]", "red", "task", "7", ""}
	a := first
	got := []string{a.ID, a.Element, a.Job, a.Task, string(a.Payload), a.Env("COLOR"), a.Env("A"), a.Env("REEVE_ARRAY_INDEX"), a.Env("COL")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attempt (-want +got):\n%s", diff)
	}
	if first.Index != 7 || first.Number != 1 || second.Number != 2 || second.Element != first.Element || second.Fence <= first.Fence || first.Fence == 0 {
		t.Errorf("attempts %+v and %+v: want numbers 1 and 2, and a fence that rises", first, second)
	}
	if _, err := client.Wait(ctx, id); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(first.Log, "late"); err == nil {
		t.Error("a log takes text after the attempt")
	}
	list := must[[]reeve.AttemptInfo](t)(client.Attempts(ctx, id+".t.7"))
	if len(list) != 2 || list[0].State != reeve.Failed || list[0].Cause != "error: once more" || list[0].Number != 1 ||
		list[1].State != reeve.Succeeded || list[1].ID != id+".t.7@2" || list[1].Worker == "" || list[1].Ended.Before(list[1].Started) {
		t.Errorf("attempts: %+v", list)
	}
}

// TestHandlerAlone: a handler can be tested without a server.
func TestHandlerAlone(t *testing.T) {
	a := &reeve.Attempt{Payload: []byte(`{"Name":"a"}`)}
	var in order
	if err := a.Decode(&in); err != nil || in.Name != "a" {
		t.Errorf("Decode: %+v, %v", in, err)
	}
	a.Logger().Info("nothing")
	a.SetOutput("k", "v")
	if diff := cmp.Diff(map[string]string{"k": "v"}, a.Outputs()); diff != "" || a.Env("K") != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	if err := a.SaveArtifact(t.Context(), "x", strings.NewReader("x")); !errors.Is(err, reeve.ErrInvalid) {
		t.Errorf("SaveArtifact: %v", err)
	}
}

func TestItemsArePayloads(t *testing.T) {
	client := connect(t, addr)
	work(t, client, reeve.WorkerConfig{Name: "items"}, func(w *reeve.Worker) {
		reeve.Handle(w, "items", func(_ context.Context, _ *reeve.Attempt, in string) (string, error) { return strings.ToUpper(in), nil })
	})
	ctx := withPatience(t)
	stored := must[*reeve.Array](t)(client.StoreItems(ctx, slices.Values([]string{"ä", "b\n"})))
	for name, array := range map[string]*reeve.Array{"in the job": {Items: []string{"ä", "b\n"}}, "stored": stored} {
		id := must[string](t)(client.Submit(ctx, reeve.Job{Tasks: []reeve.Task{{Name: "t", Function: "items", Array: array}}}))
		if _, err := client.Wait(ctx, id); err != nil {
			t.Fatal(err)
		}
		var got []string
		for o, err := range client.Outputs(ctx, id, "t") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(o.Index, o.Values["result"]))
		}
		if diff := cmp.Diff([]string{`0"Ä"`, `1"B\n"`}, got); diff != "" {
			t.Errorf("outputs of items %s (-want +got):\n%s", name, diff)
		}
	}
}

// TestEnds: how a handler's end, or what happens to it, becomes the job's.
func TestEnds(t *testing.T) {
	client := connect(t, addr)
	began := make(chan *reeve.Attempt, 100)
	causes := make(chan error, 100)
	wait := func(ctx context.Context, a *reeve.Attempt) error {
		began <- a
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return ctx.Err()
	}
	work(t, client, reeve.WorkerConfig{Name: "ends", Concurrency: 2}, func(w *reeve.Worker) {
		w.Handle("ends-wait", wait)
		w.Handle("ends-error", func(context.Context, *reeve.Attempt) error { return errors.New("no luck") })
		w.Handle("ends-permanent", func(context.Context, *reeve.Attempt) error {
			return fmt.Errorf("wrapped: %w", reeve.Permanent(errors.New("never")))
		})
		w.Handle("ends-panic", func(_ context.Context, a *reeve.Attempt) error { panic(a.Task) })
		w.Handle("ends-bytes", func(_ context.Context, a *reeve.Attempt) error { a.SetOutput("text", "\xff"); return nil })
		w.Handle("ends-key", func(_ context.Context, a *reeve.Attempt) error { a.SetOutput("Key", "x"); return nil })
		w.Handle("ends-large", func(_ context.Context, a *reeve.Attempt) error {
			a.SetOutput("x", strings.Repeat("x", 64<<10))
			return nil
		})
	})
	cancel := func(ctx context.Context, id string) {
		if got, err := client.Cancel(ctx, id, "enough"); err != nil || got != (reeve.Stopped{Stopping: 1}) {
			t.Errorf("Cancel: %+v, %v", got, err)
		}
	}
	kill := func(ctx context.Context, id string) {
		if got, err := client.Kill(ctx, id, ""); err != nil || got != (reeve.Stopped{Stopping: 1}) {
			t.Errorf("Kill: %+v, %v", got, err)
		}
	}
	again := reeve.WithRetry(reeve.Retry{MaxAttempts: 3, Delay: time.Millisecond})
	for _, c := range []struct {
		function string
		opts     []reeve.Option
		do       func(context.Context, string)
		state    reeve.State
		cause    string
		attempts int
		why      error
	}{
		{"ends-error", []reeve.Option{again}, nil, reeve.Failed, "error: no luck", 3, nil},
		{"ends-permanent", []reeve.Option{again}, nil, reeve.Failed, "never", 1, nil},
		{"ends-panic", nil, nil, reeve.Failed, "worker_test.go:", 1, nil},
		{"ends-bytes", []reeve.Option{again}, nil, reeve.Failed, "not UTF-8", 1, nil},
		{"ends-key", []reeve.Option{again}, nil, reeve.Failed, `output "Key"`, 1, nil},
		{"ends-large", []reeve.Option{again}, nil, reeve.Failed, "at most 65536", 1, nil},
		{"ends-wait", []reeve.Option{reeve.WithTimeout(20 * time.Millisecond)}, nil, reeve.TimedOut, "timeout", 1, reeve.ErrTimeout},
		{"ends-wait", []reeve.Option{again}, cancel, reeve.Cancelled, "cancelled", 1, reeve.ErrCancelled},
		{"ends-wait", []reeve.Option{again}, kill, reeve.Cancelled, "killed", 1, reeve.ErrCancelled},
	} {
		ctx := withPatience(t)
		id := must[string](t)(client.Enqueue(ctx, c.function, nil, c.opts...))
		if c.function == "ends-wait" {
			get(t, began)
		}
		if c.do != nil {
			c.do(ctx, id)
		}
		j, err := client.Wait(ctx, id)
		e, ok := errors.AsType[*reeve.JobError](err)
		if !ok || e.Job != j {
			t.Errorf("%s: Wait: %v, want a *JobError of the job", c.function, err)
			continue
		}
		el := j.Tasks[0].Element
		text := strings.ReplaceAll(el.Cause, "\n", " ")
		if el.State != c.state || !strings.Contains(text, c.cause) || el.Attempts != c.attempts {
			t.Errorf("%s ended as %s (%s) after %d attempts, want %s (%s) after %d", c.function, el.State, el.Cause, el.Attempts, c.state, c.cause, c.attempts)
		}
		if c.why != nil {
			if why := get(t, causes); !errors.Is(why, c.why) {
				t.Errorf("%s: context.Cause = %v, want %v", c.function, why, c.why)
			}
		}
	}
}

// TestLeaseLost: a worker that is cut off is told so, and its work is done elsewhere.
func TestLeaseLost(t *testing.T) {
	s := newServer(t, app.ServerConfig{Lease: time.Second})
	w := newWire(t, s.addr)
	client := connect(t, s.addr)
	began, causes := make(chan string, 10), make(chan error, 10)
	handler := func(name string) reeve.Handler {
		return func(ctx context.Context, _ *reeve.Attempt) error {
			began <- name
			if name == "second" {
				return nil
			}
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return ctx.Err()
		}
	}
	work(t, connect(t, w.addr), reeve.WorkerConfig{Name: "first"}, pick("f", handler("first")))
	ctx := withPatience(t)
	id := must[string](t)(client.Enqueue(ctx, "f", nil))
	get(t, began)
	w.cut(true)
	if err := get(t, causes); !errors.Is(err, reeve.ErrLeaseLost) {
		t.Errorf("context.Cause = %v, want ErrLeaseLost", err)
	}
	work(t, client, reeve.WorkerConfig{Name: "second"}, pick("f", handler("second")))
	j := must[*reeve.JobInfo](t)(client.Wait(ctx, id))
	if e := j.Tasks[0].Element; e.Attempts != 2 || e.Worker != "second" {
		t.Errorf("element %+v, want a second attempt on the second worker", e)
	}
	w.cut(false)
}

// TestResultIsKept: what ends while the server is away is reported once it is back.
func TestResultIsKept(t *testing.T) {
	s := newServer(t, app.ServerConfig{})
	g := newGate()
	ended := make(chan struct{})
	client := connect(t, s.addr)
	work(t, client, reeve.WorkerConfig{}, pick("f", func(ctx context.Context, a *reeve.Attempt) error {
		defer close(ended) // a second attempt would panic
		a.SetOutput("n", "1")
		fmt.Fprintln(a.Log, "before")
		if err := g.handle(ctx, a); err != nil {
			return err
		}
		fmt.Fprintln(a.Log, "while it was away")
		return nil
	}))
	ctx := withPatience(t)
	id := must[string](t)(client.Enqueue(ctx, "f", nil))
	get(t, g.began)
	s.stop()
	close(g.leave)
	get(t, ended)
	s.start()
	j := must[*reeve.JobInfo](t)(client.Wait(ctx, id))
	if e := j.Tasks[0]; e.Element.Attempts != 1 || e.Outputs["n"] != "1" {
		t.Errorf("task %+v, want one attempt with its output", e)
	}
	var log strings.Builder
	for p, err := range client.Logs(ctx, id, reeve.LogOptions{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		log.Write(p.Data)
	}
	if log.String() != "before\nwhile it was away\n" {
		t.Errorf("log = %q", log.String())
	}
}

// TestCallsOutliveInterruptions: with the default patience no call fails because a server
// is being restarted or a connection is cut, and none takes effect twice.
func TestCallsOutliveInterruptions(t *testing.T) {
	for _, c := range interruptions {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, app.ServerConfig{})
			w := newWire(t, s.addr)
			client := connect(t, w.addr)
			ctx := withPatience(t)
			type answer struct {
				id  string
				err error
			}
			answers, over := make(chan answer), make(chan struct{})
			go func() {
				defer close(answers)
				for {
					id, err := client.Enqueue(ctx, "nothing", nil)
					select {
					case answers <- answer{id, err}:
					case <-over:
						return
					}
				}
			}()
			n := 0
			for range 4 {
				for range 50 {
					if a := get(t, answers); a.err != nil {
						t.Fatal("Enqueue:", a.err)
					}
					n++
				}
				c.do(s, w)
			}
			close(over)
			for range answers {
				n++
			}
			n++ // the last one was not handed over
			for _, err := range client.List(ctx, reeve.Filter{}) {
				if err != nil {
					t.Fatal(err)
				}
				n--
			}
			if n != 0 && n != 1 {
				t.Errorf("%d more jobs were acknowledged than there are", n)
			}
		})
	}
}

// TestWorkersShare: two workers without names, as two programs on one host are.
func TestWorkersShare(t *testing.T) {
	s := newServer(t, app.ServerConfig{})
	client := connect(t, s.addr)
	var both atomic.Int32
	meet := make(chan struct{})
	for range 2 {
		work(t, connect(t, s.addr), reeve.WorkerConfig{Concurrency: 1, Prefetch: -1}, pick("f", func(ctx context.Context, _ *reeve.Attempt) error {
			if both.Add(1) == 2 {
				close(meet)
			}
			select {
			case <-meet:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}))
	}
	ctx := withPatience(t)
	made := must[[]reeve.Submitted](t)(client.SubmitMany(ctx, reeve.Function("f", nil), reeve.Items([]any{nil, nil})))
	for _, m := range made {
		if _, err := client.Wait(ctx, m.ID); err != nil {
			t.Error(err)
		}
	}
}

// TestStop: a worker that stops finishes what runs, and gives back the rest.
func TestStop(t *testing.T) {
	s := newServer(t, app.ServerConfig{})
	client, g := connect(t, s.addr), newGate()
	w := reeve.NewWorker(client, reeve.WorkerConfig{Concurrency: 1, Prefetch: 5, Log: slog.New(slog.DiscardHandler)})
	w.Handle("f", g.handle)
	ctx := withPatience(t)
	running, stop := context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() { over <- w.Run(running) }()
	made := must[[]reeve.Submitted](t)(client.SubmitMany(ctx, reeve.Function("f", nil), reeve.Items([]int{1, 2, 3})))
	get(t, g.began)
	stop()
	select {
	case err := <-over:
		t.Fatal("Run ended while a handler ran:", err)
	default:
	}
	close(g.leave)
	if err := get(t, over); err != nil {
		t.Error("Run:", err)
	}
	if e := must[*reeve.JobInfo](t)(client.Wait(ctx, made[0].ID)).Tasks[0].Element; e.Attempts != 1 {
		t.Errorf("the attempt that ran: %+v", e)
	}
	for _, m := range made[1:] {
		if e := must[*reeve.JobInfo](t)(client.Get(ctx, m.ID)).Tasks[0].Element; e.State != reeve.Pending && e.State != reeve.Succeeded {
			t.Errorf("an attempt that was held ready: %+v, want it pending, or done", e)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("Handle after Run does not panic")
		}
	}()
	w.Handle("late", g.handle)
}

// TestStopDoesNotWaitForEver: handlers that don't end in time are asked to, and what they
// did is done again elsewhere without a budget.
func TestStopDoesNotWaitForEver(t *testing.T) {
	s := newServer(t, app.ServerConfig{})
	client := connect(t, s.addr)
	began, causes := make(chan struct{}, 1), make(chan error, 1)
	stop := work(t, connect(t, s.addr), reeve.WorkerConfig{StopWait: time.Millisecond}, pick("f", func(ctx context.Context, _ *reeve.Attempt) error {
		began <- struct{}{}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return ctx.Err()
	}))
	ctx := withPatience(t)
	id := must[string](t)(client.Enqueue(ctx, "f", nil))
	get(t, began)
	stop()
	if err := get(t, causes); !errors.Is(err, reeve.ErrStopping) {
		t.Errorf("context.Cause = %v, want ErrStopping", err)
	}
	work(t, client, reeve.WorkerConfig{}, pick("f", func(context.Context, *reeve.Attempt) error { return nil }))
	if _, err := client.Wait(ctx, id); err != nil {
		t.Error(err)
	}
}

func TestConcurrency(t *testing.T) {
	s := newServer(t, app.ServerConfig{})
	client := connect(t, s.addr)
	var now, most atomic.Int32
	full := make(chan struct{})
	work(t, client, reeve.WorkerConfig{Concurrency: 3, Prefetch: 10}, pick("f", func(context.Context, *reeve.Attempt) error {
		defer now.Add(-1)
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			continue
		}
		if n == 3 {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		<-full
		return nil
	}))
	ctx := withPatience(t)
	for _, m := range must[[]reeve.Submitted](t)(client.SubmitMany(ctx, reeve.Function("f", nil), reeve.Items(make([]any, 30)))) {
		if _, err := client.Wait(ctx, m.ID); err != nil {
			t.Fatal(err)
		}
	}
	if most.Load() != 3 {
		t.Errorf("%d attempts ran at the same time, want 3", most.Load())
	}
}

func TestWrongWorkers(t *testing.T) {
	client := connect(t, addr)
	ok := func(context.Context, *reeve.Attempt) error { return nil }
	for _, c := range []struct {
		cfg      reeve.WorkerConfig
		register func(*reeve.Worker)
		want     string
	}{
		{reeve.WorkerConfig{}, func(*reeve.Worker) {}, "no handlers"},
		{reeve.WorkerConfig{}, func(w *reeve.Worker) { w.Handle("f", ok); w.Handle("f", ok) }, `"f" was registered twice`},
		{reeve.WorkerConfig{}, func(w *reeve.Worker) { w.Handle("", ok) }, "want a name"},
		{reeve.WorkerConfig{}, func(w *reeve.Worker) { w.Handle("f", nil) }, "and a handler"},
		{reeve.WorkerConfig{Name: "No Name"}, pick("f", ok), `"No Name"`},
		{reeve.WorkerConfig{Pool: "No Pool"}, pick("f", ok), `pool: name "No Pool"`},
		{reeve.WorkerConfig{Other: map[string]int64{"cpu": 1}}, pick("f", ok), `resource "cpu" has a place of its own`},
		{reeve.WorkerConfig{Other: map[string]int64{"seat": -1}}, pick("f", ok), "seat: -1; want 0 to"},
		{reeve.WorkerConfig{Devices: map[string][]string{"gpu": {"a", "a"}}}, pick("f", ok), `gpu "a" is named twice`},
	} {
		w := reeve.NewWorker(client, c.cfg)
		c.register(w)
		if err := w.Run(withPatience(t)); !errors.Is(err, reeve.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Run: %v, want %q", err, c.want)
		}
	}
	w := reeve.NewWorker(client, reeve.WorkerConfig{Log: slog.New(slog.DiscardHandler)})
	w.Handle("f", ok)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Run(ctx); err != nil {
		t.Error("Run with an ended context:", err)
	}
	if err := w.Run(ctx); !errors.Is(err, reeve.ErrInvalid) {
		t.Error("Run called twice:", err)
	}
}

// TestNobodyHandlesIt: why a function waits that no worker has.
func TestNobodyHandlesIt(t *testing.T) {
	s := newServer(t, app.ServerConfig{})
	client := connect(t, s.addr)
	work(t, client, reeve.WorkerConfig{}, pick("f", func(context.Context, *reeve.Attempt) error { return nil }))
	ctx := withPatience(t)
	if _, err := client.Wait(ctx, must[string](t)(client.Enqueue(ctx, "f", nil))); err != nil {
		t.Fatal(err)
	}
	id := must[string](t)(client.Enqueue(ctx, "nobody", nil))
	got := must[*reeve.Explanation](t)(client.Explain(ctx, id))
	want := &reeve.Explanation{Summary: "job " + id + " is pending", Tasks: []reeve.TaskReasons{{Task: "main", State: reeve.Pending, Reasons: []reeve.Reason{
		{Kind: "no_worker", Text: "no worker can run it now"},
		{Kind: "no_worker", Text: "the only worker does not serve function nobody"},
	}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("explanation (-want +got):\n%s", diff)
	}
}

// TestNothingIsLeft: no goroutine of a client or a worker outlives it.
func TestNothingIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	func() {
		client, err := reeve.New(reeve.Config{Addr: addr})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		stop := work(t, client, reeve.WorkerConfig{Name: "leaves"}, pick("leaves", func(_ context.Context, a *reeve.Attempt) error {
			_, err := io.WriteString(a.Log, "text\n")
			return err
		}))
		defer stop()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		id := must[string](t)(client.Enqueue(ctx, "leaves", nil))
		if _, err := client.Wait(ctx, id); err != nil {
			t.Fatal(err)
		}
		for _, err := range client.Logs(ctx, id, reeve.LogOptions{Follow: true}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		for range client.Watch(ctx, reeve.WatchOptions{}) {
			break
		}
	}()
	// The server's ends of the connections take a moment.
	for range 10 {
		if goleak.Find(before) == nil {
			return
		}
	}
	goleak.VerifyNone(t, before)
}

// TestStopWithoutServer: a worker stops although nobody takes its result, and although a
// handler is deaf.
func TestStopWithoutServer(t *testing.T) {
	s := newServer(t, app.ServerConfig{})
	client := connect(t, s.addr)
	began, leave := make(chan struct{}), make(chan struct{})
	stop := work(t, connect(t, s.addr), reeve.WorkerConfig{StopWait: time.Millisecond, StopGrace: time.Millisecond}, pick("f", func(context.Context, *reeve.Attempt) error {
		close(began)
		<-leave
		return nil
	}))
	must[string](t)(client.Enqueue(withPatience(t), "f", nil))
	get(t, began)
	s.stop()
	stop()
	close(leave)
}
