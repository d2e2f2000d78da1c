package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/agent/inventory"
	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/function"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// functions is an executor of handlers.
func functions(handlers map[string]function.Handler) []Kind {
	return []Kind{{Name: "function", Open: func(_ context.Context, ev executor.Events) (executor.Executor, error) {
		return function.New(handlers, ev), nil
	}}}
}

const funcJob = `
name: demo
env: {COLOR: "${{ params.color }}"}
params: {color: {type: string, default: red}}
tasks:
  f: {function: f}
  big: {function: f, needs: [f], fetch: [f]}
`

func TestFunctionsEndToEnd(t *testing.T) {
	srv := newMemServer(t)
	seen := make(chan function.Invocation, 10)
	runAgent(t, Config{Server: srv, Slots: 4, Executors: functions(map[string]function.Handler{
		"f": func(_ context.Context, in function.Invocation) ([]byte, error) {
			seen <- in
			_, err := in.Log.Write([]byte("working\n"))
			return []byte(`{"rows":"3"}`), err
		},
	})})
	h := get(t, srv.hellos)
	if h.Slots != 4 || h.Protocol != link.Protocol || h.Instance == "" || h.Incarnation == 0 || !slices.Equal(h.Executors, []string{"function"}) {
		t.Errorf("hello: %+v", h)
	}
	spec := parse(t, funcJob)
	f := srv.assign(spec, 0, 1, func(a *link.Assignment) {
		a.Payload, a.Params = []byte(`{"n":1}`), []byte(`{"color":"blue"}`)
	})
	in := get(t, seen)
	if string(in.Payload) != `{"n":1}` || in.Ref != (job.Ref{Job: 7, Task: "f", Index: job.NoIndex, Attempt: 1}) {
		t.Errorf("invocation: %+v", in)
	}
	for _, want := range []string{"COLOR=blue", "REEVE_FENCE=1", "REEVE_NAMESPACE=default", "REEVE_JOB_NAME=demo", "REEVE_WORKER=w1"} {
		if !slices.Contains(in.Environ(), want) {
			t.Errorf("environment lacks %s: %q", want, in.Environ())
		}
	}
	r := get(t, srv.results)
	if r.Fence != f || r.Cause != (job.Cause{}) || string(r.Outputs) != `{"rows":"3"}` {
		t.Errorf("result: %+v", r)
	}
	get(t, srv.log(f).sealed)
	frame, _, err := logline.Next(srv.log(f).text)
	if err != nil || string(frame.Data) != "working\n" {
		t.Errorf("log: %q, %v", srv.log(f).text, err)
	}
	// The second needs a directory.
	srv.assign(spec, 1, 1, func(a *link.Assignment) { a.Params = []byte(`{"color":"blue"}`) })
	in = get(t, seen)
	if i := slices.IndexFunc(in.Environ(), func(s string) bool { return strings.HasPrefix(s, "REEVE_WORK_DIR=") }); i < 0 {
		t.Errorf("environment lacks the work directory: %q", in.Environ())
	}
	get(t, srv.results)
}

func TestFunctionFailures(t *testing.T) {
	srv := newMemServer(t)
	runAgent(t, Config{Server: srv, Executors: functions(map[string]function.Handler{
		"f": func(context.Context, function.Invocation) ([]byte, error) { return nil, errors.New("no luck") },
		"o": func(context.Context, function.Invocation) ([]byte, error) { return []byte(`[1]`), nil },
	})})
	get(t, srv.hellos)
	spec := parse(t, `
name: demo
params: {color: {type: string, default: red}}
tasks:
  f: {function: f}
  o: {function: o}
  none: {function: none}
  proc: {command: ["true"]}
  expr: {function: f, env: {A: "${{ params.color }}"}}
`)
	for _, c := range []struct {
		task int
		want job.Cause
		part string
	}{
		{0, job.Cause{Kind: job.CauseError}, "no luck"},
		{1, job.Cause{Kind: job.CauseOutput}, "not a JSON object"},
		{2, job.Cause{Kind: job.CauseStart}, `function "none"`},
		{3, job.Cause{Kind: job.CauseRejected}, "no executor process"},
		{4, job.Cause{Kind: job.CauseExpression}, "env.A"},
	} {
		srv.assign(spec, c.task, 1, nil)
		r := get(t, srv.results)
		if r.Cause.Kind != c.want.Kind || !strings.Contains(r.Cause.Detail, c.part) {
			t.Errorf("task %d: %+v, want %+v with %q", c.task, r.Cause, c.want, c.part)
		}
	}
}

// TestReconnect: results survive a session, refused connections and an unwilling
// server.
func TestReconnect(t *testing.T) {
	srv := newMemServer(t)
	srv.mute = true
	release := make(chan struct{})
	runAgent(t, Config{Server: srv, Slots: 2, Reconnect: 20 * time.Millisecond, Executors: functions(map[string]function.Handler{
		"f": func(ctx context.Context, _ function.Invocation) ([]byte, error) {
			select {
			case <-release:
				return nil, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		},
	})})
	get(t, srv.hellos)
	first := srv.assign(parse(t, funcJob), 0, 2, func(a *link.Assignment) { a.Params = []byte(`{"color":"x"}`) })
	get(t, srv.started)
	get(t, srv.started)
	srv.mu.Lock()
	srv.refuse = 3
	srv.mu.Unlock()
	srv.cut()
	h := get(t, srv.hellos)
	want := []link.Held{{Fence: first, Phase: link.Running}, {Fence: first + 1, Phase: link.Running}}
	if diff := cmp.Diff(want, h.Held); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	close(release)
	get(t, srv.results)
	get(t, srv.results)
	srv.cut()
	h = get(t, srv.hellos)
	if len(h.Held) != 2 || h.Held[0].Phase != link.Ended {
		t.Errorf("held: %+v", h.Held)
	}
	// Not acknowledged: both come again, now to stay.
	srv.mu.Lock()
	srv.mute = false
	srv.mu.Unlock()
	again := map[link.Fence]bool{get(t, srv.results).Fence: true}
	again[get(t, srv.results).Fence] = true
	if len(again) != 2 {
		t.Errorf("repeated: %v", again)
	}
	srv.cut()
	if h = get(t, srv.hellos); len(h.Held) > 0 {
		// The acknowledgement may have been lost with the session.
		get(t, srv.results)
	}
}

// TestStopAndLeave: a stop ends a function's context; leaving waits, then asks.
func TestStopAndLeave(t *testing.T) {
	srv := newMemServer(t)
	stop := runAgent(t, Config{Server: srv, Slots: 1, Prefetch: 3, LeaveWait: time.Millisecond, Executors: functions(map[string]function.Handler{
		"f": func(ctx context.Context, _ function.Invocation) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})})
	get(t, srv.hellos)
	spec := parse(t, funcJob)
	params := func(a *link.Assignment) { a.Params = []byte(`{"color":"x"}`) }
	one := srv.assign(spec, 0, 1, params)
	get(t, srv.started)
	cause := job.Cause{Kind: job.CauseCancelled, Detail: "anna"}
	srv.send(link.ToWorker{Stop: &link.Stop{Fence: one, Grace: time.Second, Cause: cause}})
	if r := get(t, srv.results); r.Fence != one || r.Cause != cause {
		t.Errorf("result: %+v", r)
	}
	two := srv.assign(spec, 0, 1, params)
	get(t, srv.started)
	three := srv.assign(spec, 0, 1, func(a *link.Assignment) { params(a); a.Prefetched = true })
	srv.send(link.ToWorker{Recall: []link.Fence{three}})
	if f := get(t, srv.gone); f != three {
		t.Errorf("returned %d, want %d", f, three)
	}
	stop()
	get(t, srv.leaving)
	if r := get(t, srv.results); r.Fence != two || r.Cause.Kind != job.CausePreempted {
		t.Errorf("result: %+v", r)
	}
}

// TestLeaseLost: without answered beats a function's context ends.
func TestLeaseLost(t *testing.T) {
	srv := newMemServer(t)
	srv.deaf = true
	lost := make(chan error, 1)
	runAgent(t, Config{Server: srv, Executors: functions(map[string]function.Handler{
		"f": func(ctx context.Context, _ function.Invocation) ([]byte, error) {
			<-ctx.Done()
			lost <- context.Cause(ctx)
			return nil, ctx.Err()
		},
	})})
	get(t, srv.hellos)
	srv.assign(parse(t, funcJob), 0, 1, func(a *link.Assignment) {
		a.Params, a.Lease = []byte(`{"color":"x"}`), 300*time.Millisecond
	})
	if err := get(t, lost); !errors.Is(err, function.ErrLeaseLost) {
		t.Errorf("the context ended with %v", err)
	}
	if r := get(t, srv.results); r.Cause.Kind != job.CauseWorkerLost {
		t.Errorf("result: %+v", r)
	}
}

// TestRunTwice and wrong configurations.
func TestConfigErrors(t *testing.T) {
	srv := newMemServer(t)
	for name, cfg := range map[string]Config{
		"no server":    {Log: quietLog()},
		"no log":       {Server: srv},
		"relative dir": {Server: srv, Log: quietLog(), Dir: "x"},
		"bad name":     {Server: srv, Log: quietLog(), Name: "No Name"},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	a, err := New(Config{Server: srv, Log: quietLog(), Executors: []Kind{{Name: "x", Open: func(context.Context, executor.Events) (executor.Executor, error) {
		return nil, errors.New("no such thing")
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "executor x: no such thing") {
		t.Errorf("Run: %v", err)
	}
	if err := a.Run(context.Background()); err == nil {
		t.Error("a second Run: no error")
	}
	c := a.Config()
	if c.Capacity.CPU != max(inventory.Processors(), 1000) || c.Capacity.Memory < 64<<20 || c.Labels["os"] != runtime.GOOS || c.Labels["host"] == "" {
		t.Errorf("detected: %+v %v", c.Capacity, c.Labels)
	}
}

// TestWorkerPool: a worker is in one pool, which its label says, too.
func TestWorkerPool(t *testing.T) {
	for _, c := range []struct {
		pool, label, want, says string
	}{
		{"", "", "default", ""}, {"night", "", "night", ""}, {"", "night", "night", ""}, {"night", "night", "night", ""},
		{"night", "day", "", "the worker's pool is night, and its label says pool=day"},
		{"Night", "", "", `pool: name "Night"`}, {"", "a b", "", `pool: name "a b"`},
	} {
		cfg := Config{Server: &memServer{}, Log: slog.New(slog.DiscardHandler), Pool: c.pool}
		if c.label != "" {
			cfg.Labels = map[string]string{link.PoolLabel: c.label}
		}
		a, err := New(cfg)
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		if err != nil || a.Config().Pool != c.want || a.Config().Labels[link.PoolLabel] != c.want {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if h := a.cfg.settings("i", nil).Hello; h.Pool != c.want {
			t.Errorf("%+v: it greets as one of %s", c, h.Pool)
		}
	}
}

func TestNameFrom(t *testing.T) {
	for host, want := range map[string]string{
		"node1": "node1", "Node-1.example.org": "node-1", "10_0_0_1": "worker", "my host!": "my-host", "": "worker",
		"last": "worker", strings.Repeat("x", 80): strings.Repeat("x", 63),
	} {
		if got := nameFrom(host); got != want {
			t.Errorf("nameFrom(%q) = %q, want %q", host, got, want)
		}
	}
}

// TestNamesOfManyOnAHost: agents that keep nothing don't get into each other's way.
func TestNamesOfManyOnAHost(t *testing.T) {
	names := map[string]bool{}
	for _, dir := range []string{"", "", t.TempDir(), t.TempDir()} {
		a, err := New(Config{Server: newMemServer(t), Log: quietLog(), Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		names[a.Config().Name] = true
	}
	if len(names) != 3 {
		t.Errorf("names %v, want one for each without a directory, and one for the host", slices.Sorted(maps.Keys(names)))
	}
}

// TestNoFilesForFunctions: a worker of plain functions leaves nothing on disk.
func TestNoFilesForFunctions(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	srv := newMemServer(t)
	stop := runAgent(t, Config{Server: srv, Executors: functions(map[string]function.Handler{
		"f": func(context.Context, function.Invocation) ([]byte, error) { return nil, nil },
	})})
	get(t, srv.hellos)
	srv.assign(parse(t, funcJob), 0, 3, func(a *link.Assignment) { a.Params = []byte(`{"color":"x"}`) })
	for range 3 {
		get(t, srv.results)
	}
	stop()
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// BenchmarkFunction is the agent's cost of a function that does nothing, the
// executor's and the memory server's included.
func BenchmarkFunction(b *testing.B) {
	srv := newMemServer(b)
	srv.beat = time.Second
	srv.results = make(chan link.Result, 10_000)
	runAgent(b, Config{Server: srv, Slots: 1024, Prefetch: 1, Capacity: job.Resources{CPU: 1 << 30}, Executors: functions(map[string]function.Handler{
		"f": func(context.Context, function.Invocation) ([]byte, error) { return nil, nil },
	})})
	get(b, srv.hellos)
	spec := parse(b, "name: demo\ntasks:\n  f: {function: f}\n")
	srv.assign(spec, 0, 1, nil)
	get(b, srv.results)
	b.ReportAllocs()
	for done := 0; done < b.N; {
		n := min(512, b.N-done)
		srv.assign(spec, 0, n, nil)
		for range n {
			<-srv.results
			for len(srv.started) > 0 {
				<-srv.started
			}
		}
		done += n
	}
	_ = bytes.MinRead
}
