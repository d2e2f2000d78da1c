package reeve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/internal/app"
)

// gate is a function whose attempts say that they run and wait to be let go.
type gate struct {
	began chan *reeve.Attempt
	leave chan struct{}
}

func newGate() *gate {
	return &gate{began: make(chan *reeve.Attempt, 100), leave: make(chan struct{})}
}

func (g *gate) handle(ctx context.Context, a *reeve.Attempt) error {
	g.began <- a
	select {
	case <-g.leave:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pick registers one function.
func pick(name string, h reeve.Handler) func(*reeve.Worker) {
	return func(w *reeve.Worker) { w.Handle(name, h) }
}

// interruptions are what a connection has to survive.
var interruptions = []struct {
	name string
	do   func(*server, *wire)
}{
	{"restart", func(s *server, _ *wire) { s.stop(); s.start() }},
	{"cut", func(_ *server, w *wire) { w.cut(true); w.cut(false) }},
}

func TestWaitSurvives(t *testing.T) {
	for _, c := range interruptions {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, app.ServerConfig{})
			w := newWire(t, s.addr)
			client, g := connect(t, w.addr), newGate()
			work(t, connect(t, s.addr), reeve.WorkerConfig{}, pick("f", g.handle))
			ctx := withPatience(t)
			id := must[string](t)(client.Enqueue(ctx, "f", nil))
			get(t, g.began)
			looked := make(chan struct{}, 100)
			ended := make(chan error, 1)
			go func() {
				_, err := client.Follow(ctx, id, func(*reeve.JobInfo) { looked <- struct{}{} })
				ended <- err
			}()
			get(t, looked)
			c.do(s, w)
			close(g.leave)
			if err := get(t, ended); err != nil {
				t.Error("Follow:", err)
			}
		})
	}
}

// TestWatchSurvives: nothing comes twice, and what is missed is told and can be read.
func TestWatchSurvives(t *testing.T) {
	for _, c := range interruptions {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, app.ServerConfig{})
			w := newWire(t, s.addr)
			client, direct := connect(t, w.addr), connect(t, s.addr)
			ctx := withPatience(t)
			var want, got []string
			submit := func() {
				for range 3 {
					want = append(want, must[string](t)(direct.Enqueue(ctx, "nothing", nil)))
				}
			}
			for e, err := range client.Watch(ctx, reeve.WatchOptions{}) {
				if err != nil {
					t.Fatal("Watch:", err)
				}
				switch e.Kind {
				case reeve.EventOpened:
					submit()
				case reeve.EventJobSubmitted:
					if got = append(got, e.Ref); len(got) == 2 {
						c.do(s, w)
						submit()
					}
				case reeve.EventResync:
					if c.name == "cut" {
						t.Error("a cut connection missed something")
					}
					got = nil
					for j, err := range direct.List(ctx, reeve.Filter{}) {
						if err != nil {
							t.Fatal(err)
						}
						got = slices.Insert(got, 0, j.ID)
					}
				}
				if len(got) >= 6 {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("submitted jobs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWatchGoesOnFromACursor(t *testing.T) {
	client := connect(t, addr)
	ctx := withPatience(t)
	first := must[string](t)(client.Enqueue(ctx, "nothing", nil))
	cursor := ""
	for e, err := range client.Watch(ctx, reeve.WatchOptions{Jobs: []string{first}}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == reeve.EventOpened {
			cursor = e.Cursor
			break
		}
	}
	if err := client.Hold(ctx, first); err != nil {
		t.Fatal(err)
	}
	if err := client.Release(ctx, first); err != nil {
		t.Fatal(err)
	}
	var kinds []reeve.EventKind
	for e, err := range client.Watch(ctx, reeve.WatchOptions{Jobs: []string{first}, Cursor: cursor}) {
		if err != nil {
			t.Fatal(err)
		}
		if kinds = append(kinds, e.Kind); e.Kind == reeve.EventReleased {
			break
		}
	}
	want := []reeve.EventKind{reeve.EventOpened, reeve.EventHeld, reeve.EventReleased}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

// TestEventKinds: what a server tells of a job's and a worker's life is what the package
// has names for.
func TestEventKinds(t *testing.T) {
	s := newServer(t, app.ServerConfig{})
	client := connect(t, s.addr)
	ctx := withPatience(t)
	var kinds []reeve.EventKind
	id, stop := "", func() {}
	for e, err := range client.Watch(ctx, reeve.WatchOptions{Namespace: "*"}) {
		if err != nil {
			t.Fatal(err)
		}
		switch e.Kind {
		case reeve.EventOpened:
			id = must[string](t)(client.Submit(ctx, reeve.Job{Tasks: []reeve.Task{
				{Name: "a", Function: "f"}, {Name: "b", Function: "f", Needs: []reeve.Need{{Task: "a", On: reeve.OnFailed}}},
			}}, reeve.WithHold()))
			must[reeve.Stopped](t)(client.Cancel(ctx, id+".b", ""))
			if err := errors.Join(client.Release(ctx, id), client.Hold(ctx, id), client.Release(ctx, id)); err != nil {
				t.Fatal(err)
			}
			stop = work(t, connect(t, s.addr), reeve.WorkerConfig{Name: "w"}, pick("f", func(context.Context, *reeve.Attempt) error { return nil }))
		case reeve.EventJobEnded:
			if e.Ref != id || e.State != reeve.Cancelled && e.State != reeve.Succeeded {
				t.Errorf("the end: %+v", e)
			}
			stop()
		case reeve.EventWorkerJoined:
			if e.Worker != "w" {
				t.Errorf("a worker: %+v", e)
			}
		}
		if kinds = append(kinds, e.Kind); e.Kind == reeve.EventWorkerLeft {
			break
		}
	}
	slices.Sort(kinds)
	want := []reeve.EventKind{
		reeve.EventAttemptAssigned, reeve.EventAttemptEnded, reeve.EventCancelRequested, reeve.EventElementsEnded, reeve.EventHeld, reeve.EventJobEnded,
		reeve.EventJobSubmitted, reeve.EventOpened, reeve.EventReleased, reeve.EventTaskReady, reeve.EventWorkerJoined, reeve.EventWorkerLeft,
	}
	// Whether these come depends on who is faster.
	got := slices.DeleteFunc(slices.Compact(kinds), func(k reeve.EventKind) bool {
		return k == reeve.EventAttemptStarted || k == reeve.EventWorkerAway || k == reeve.EventWorkerChanged
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

// TestLogsSurvive: while a log is followed the connection breaks twice, and every line
// comes once.
func TestLogsSurvive(t *testing.T) {
	for _, c := range interruptions {
		for _, whole := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/whole=%t", c.name, whole), func(t *testing.T) {
				s := newServer(t, app.ServerConfig{})
				w := newWire(t, s.addr)
				client := connect(t, w.addr)
				line, began := make(chan string), make(chan string, 1)
				work(t, connect(t, s.addr), reeve.WorkerConfig{}, pick("f", func(_ context.Context, a *reeve.Attempt) error {
					began <- a.ID
					for text := range line {
						fmt.Fprintln(a.Log, text)
					}
					return nil
				}))
				ctx := withPatience(t)
				ref := must[string](t)(client.Enqueue(ctx, "f", nil))
				if attempt := get(t, began); !whole {
					ref = attempt
				}
				line <- "one"
				var got strings.Builder
				next := []string{"two", "three", "four"}
				for p, err := range client.Logs(ctx, ref, reeve.LogOptions{Follow: true}) {
					if err != nil {
						t.Fatal("Logs:", err)
					}
					got.Write(p.Data)
					if len(next) == 0 {
						continue
					}
					c.do(s, w)
					line <- next[0]
					if next = next[1:]; len(next) == 0 {
						close(line)
					}
				}
				if want := "one\ntwo\nthree\nfour\n"; got.String() != want {
					t.Errorf("log = %q, want %q", got.String(), want)
				}
			})
		}
	}
}

// TestReadersStop: breaking off the loop ends every iterator.
func TestReadersStop(t *testing.T) {
	client := connect(t, addr)
	work(t, client, reeve.WorkerConfig{Name: "stops"}, pick("stops", func(_ context.Context, a *reeve.Attempt) error {
		a.SetOutput("n", "1")
		_, err := io.WriteString(a.Log, "text\n")
		return err
	}))
	ctx := withPatience(t)
	j := reeve.Function("stops", nil)
	j.Tasks[0].Array = &reeve.Array{Indexes: "0-3"}
	id := must[string](t)(client.Submit(ctx, j))
	if _, err := client.Wait(ctx, id); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range client.List(ctx, reeve.Filter{Name: "none"}) {
		n++
	}
	for range client.Elements(ctx, id, "main") {
		n++
		break
	}
	for range client.Outputs(ctx, id, "main") {
		n++
		break
	}
	for range client.Logs(ctx, id, reeve.LogOptions{}) {
		n++
		break
	}
	for range client.Watch(ctx, reeve.WatchOptions{Jobs: []string{id}}) {
		n++
		break
	}
	if n != 4 {
		t.Errorf("%d values were read, want 4", n)
	}
}

func TestLogsChoose(t *testing.T) {
	client := connect(t, addr)
	work(t, client, reeve.WorkerConfig{Name: "lines"}, pick("lines", func(_ context.Context, a *reeve.Attempt) error {
		for i := range 5 {
			fmt.Fprintln(a.Log, a.Task, i)
		}
		a.Logger().Info("done", "rows", 3)
		if a.Task == "b" {
			panic("oh no")
		}
		return nil
	}))
	ctx := withPatience(t)
	id := must[string](t)(client.Submit(ctx, reeve.Job{Tasks: []reeve.Task{
		{Name: "a", Function: "lines"}, {Name: "b", Function: "lines", Needs: reeve.Needs("a")},
	}}))
	j, err := client.Wait(ctx, id)
	if _, ok := errors.AsType[*reeve.JobError](err); !ok || j.Task("b").State != reeve.Failed {
		t.Fatalf("job %+v, error %v, want a failure of b", j, err)
	}
	read := func(ref string, o reeve.LogOptions) (lines []string) {
		t.Helper()
		for p, err := range client.Logs(ctx, ref, o) {
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(p.Data)) {
				lines = append(lines, p.Stream+" "+strings.TrimSpace(line))
			}
		}
		return lines
	}
	read(id, reeve.LogOptions{Follow: true}) // until all of it has come
	tail := read(id+".a", reeve.LogOptions{Tail: 2})
	if len(tail) != 2 || tail[0] != "stdout a 4" || !strings.HasSuffix(tail[1], "level=INFO msg=done rows=3") {
		t.Errorf("the last two lines of a: %q", tail)
	}
	stderr := read(id, reeve.LogOptions{Streams: []string{"stderr"}})
	if len(stderr) < 3 || stderr[0] != "stderr panic: oh no" || !slices.ContainsFunc(stderr, func(s string) bool { return strings.Contains(s, "stream_test.go:") }) {
		t.Errorf("standard error: %q", stderr)
	}
	both := read(id, reeve.LogOptions{Tail: 1, Streams: []string{"stdout"}})
	if len(both) != 2 {
		t.Errorf("the last line of each task: %q, want 2", both)
	}
	if _, ok := errors.AsType[*reeve.Error](lastError(client.Logs(ctx, id+".c", reeve.LogOptions{}))); !ok {
		t.Error("the log of a task that is not there is no error")
	}
}

// lastError reads an iterator to its end.
func lastError[T any](seq func(func(T, error) bool)) (last error) {
	for _, err := range seq {
		last = err
	}
	return last
}
