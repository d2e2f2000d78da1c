package reeve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/internal/app"
)

func TestConfig(t *testing.T) {
	for want, c := range map[string]reeve.Config{
		`address "ftp://x"`: {Addr: "ftp://x"},
		"read the token":    {TokenFile: filepath.Join(t.TempDir(), "none")},
		"none.pem":          {Addr: "https://localhost:1", CAFile: "none.pem"},
	} {
		if _, err := reeve.New(c); !errors.Is(err, reeve.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v): %v, want %q", c, err, want)
		}
	}
	t.Setenv("REEVE_NAMESPACE", "team")
	if c := reeve.FromEnv(); c.Addr != addr || c.Namespace != "team" {
		t.Errorf("FromEnv: %+v", c)
	}
	client := must[*reeve.Client](t)(reeve.New(reeve.Config{}))
	if client.Addr() != reeve.DefaultAddr {
		t.Errorf("Addr = %s", client.Addr())
	}
	if v := must[string](t)(connect(t, addr).Ping(withPatience(t))); v != "test" {
		t.Errorf("Ping = %s", v)
	}
}

// TestTLSAndTokens: a server as it is in earnest, with its own certificate and tokens.
func TestTLSAndTokens(t *testing.T) {
	dir := t.TempDir()
	s := &server{t: t, config: app.ServerConfig{Dir: dir}}
	var err error
	if s.end, err = serveClosed(s.config, &s.addr); err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	ctx := withPatience(t)
	config := reeve.Config{Addr: s.addr, CAFile: filepath.Join(dir, app.CAFile), TokenFile: filepath.Join(dir, app.AdminTokenFile)}
	client := must[*reeve.Client](t)(reeve.New(config))
	defer client.Close()
	work(t, client, reeve.WorkerConfig{}, pick("f", func(context.Context, *reeve.Attempt) error { return nil }))
	if _, err := client.Wait(ctx, must[string](t)(client.Enqueue(ctx, "f", nil))); err != nil {
		t.Error(err)
	}
	config.Token, config.TokenFile = "rv1_wrong", ""
	stranger := must[*reeve.Client](t)(reeve.New(config))
	defer stranger.Close()
	if _, err := stranger.Enqueue(ctx, "f", nil); !errors.Is(err, reeve.ErrUnauthenticated) {
		t.Errorf("a wrong token: %v", err)
	}
	w := reeve.NewWorker(stranger, reeve.WorkerConfig{})
	w.Handle("f", func(context.Context, *reeve.Attempt) error { return nil })
	if err := w.Run(ctx); !errors.Is(err, reeve.ErrUnauthenticated) {
		t.Errorf("a worker with a wrong token: %v", err)
	}
	if err := lastError(stranger.Watch(ctx, reeve.WatchOptions{})); !errors.Is(err, reeve.ErrUnauthenticated) {
		t.Errorf("a watch with a wrong token: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, app.AdminTokenFile)); err != nil || strings.Contains(fmt.Sprint(err), string(b)) {
		t.Errorf("the token: %v", err)
	}
	config.CAFile = ""
	unknown := must[*reeve.Client](t)(reeve.New(config))
	defer unknown.Close()
	hurried, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := unknown.Ping(hurried); err == nil {
		t.Error("a server with an unknown certificate was trusted")
	}
}

func TestNoServer(t *testing.T) {
	s := newServer(t, app.ServerConfig{})
	at := s.addr
	s.stop()
	client := must[*reeve.Client](t)(reeve.New(reeve.Config{Addr: at, Patience: -1}))
	ctx := withPatience(t)
	if _, err := client.Get(ctx, "1"); !errors.Is(err, reeve.ErrUnavailable) || !strings.Contains(err.Error(), at) {
		t.Errorf("Get: %v, want ErrUnavailable and where", err)
	}
	if err := lastError(client.Logs(ctx, "1", reeve.LogOptions{})); !errors.Is(err, reeve.ErrUnavailable) {
		t.Errorf("Logs: %v, want ErrUnavailable", err)
	}
}

// calls is every call of a client, on a job that exists.
func calls(c *reeve.Client, id string) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Ping":       func(ctx context.Context) error { _, err := c.Ping(ctx); return err },
		"Submit":     func(ctx context.Context) error { _, err := c.Submit(ctx, reeve.Function("f", nil)); return err },
		"SubmitFile": func(ctx context.Context) error { _, err := c.SubmitFile(ctx, []byte("function: f")); return err },
		"Enqueue":    func(ctx context.Context) error { _, err := c.Enqueue(ctx, "f", nil); return err },
		"SubmitMany": func(ctx context.Context) error {
			_, err := c.SubmitMany(ctx, reeve.Function("f", nil), reeve.Items([]int{1}))
			return err
		},
		"StoreItems":   func(ctx context.Context) error { _, err := c.StoreItems(ctx, slices.Values([]string{"a"})); return err },
		"Get":          func(ctx context.Context) error { _, err := c.Get(ctx, id); return err },
		"List":         func(ctx context.Context) error { return lastError(c.List(ctx, reeve.Filter{})) },
		"Elements":     func(ctx context.Context) error { return lastError(c.Elements(ctx, id, "main")) },
		"Attempts":     func(ctx context.Context) error { _, err := c.Attempts(ctx, id+".main"); return err },
		"Outputs":      func(ctx context.Context) error { return lastError(c.Outputs(ctx, id, "main")) },
		"Artifacts":    func(ctx context.Context) error { _, err := c.Artifacts(ctx, id); return err },
		"ReadArtifact": func(ctx context.Context) error { return c.ReadArtifact(ctx, id, "a", io.Discard) },
		"Wait":         func(ctx context.Context) error { _, err := c.Wait(ctx, id); return err },
		"Watch": func(ctx context.Context) error {
			return lastError(c.Watch(ctx, reeve.WatchOptions{Jobs: []string{id}}))
		},
		"Logs":    func(ctx context.Context) error { return lastError(c.Logs(ctx, id, reeve.LogOptions{Follow: true})) },
		"Cancel":  func(ctx context.Context) error { _, err := c.Cancel(ctx, id, ""); return err },
		"Kill":    func(ctx context.Context) error { _, err := c.Kill(ctx, id, ""); return err },
		"Hold":    func(ctx context.Context) error { return c.Hold(ctx, id) },
		"Release": func(ctx context.Context) error { return c.Release(ctx, id) },
		"Update":  func(ctx context.Context) error { return c.Update(ctx, id, reeve.Change{Queue: "default"}) },
		"Retry":   func(ctx context.Context) error { _, err := c.Retry(ctx, id); return err },
		"Rerun":   func(ctx context.Context) error { _, err := c.Rerun(ctx, id); return err },
		"Explain": func(ctx context.Context) error { _, err := c.Explain(ctx, id); return err },
	}
}

// TestContexts: a call whose context ends returns the context's error, whether the server
// is there, away, or silent.
func TestContexts(t *testing.T) {
	s := newServer(t, app.ServerConfig{})
	client := connect(t, s.addr)
	id := must[string](t)(client.Enqueue(withPatience(t), "nothing", nil))
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for name, call := range calls(client, id) {
		if err := call(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v", name, err)
		}
	}
	for _, name := range []string{"Wait", "Watch", "Logs"} {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		if err := calls(client, id)[name](ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s past its deadline: %v", name, err)
		}
		cancel()
	}
	s.stop()
	for name, call := range calls(client, id) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) && (name != "StoreItems" || !errors.Is(err, reeve.ErrUnavailable)) {
			t.Errorf("%s without a server: %v", name, err)
		}
		cancel()
	}
}

// TestNotFound: each call about a job says that there is none, and each about a wrong
// reference that it is wrong.
func TestNotFound(t *testing.T) {
	client := connect(t, addr)
	about := func(m map[string]func(context.Context) error) map[string]func(context.Context) error {
		for _, name := range []string{"Ping", "Submit", "SubmitFile", "Enqueue", "SubmitMany", "StoreItems", "List"} {
			delete(m, name)
		}
		return m
	}
	for name, call := range about(calls(client, "999999999")) {
		if err := call(withPatience(t)); !errors.Is(err, reeve.ErrNotFound) {
			t.Errorf("%s of no job: %v", name, err)
		}
	}
	for name, call := range about(calls(client, "No-id")) {
		if err := call(withPatience(t)); !errors.Is(err, reeve.ErrInvalid) {
			t.Errorf("%s of a wrong reference: %v", name, err)
		}
	}
	for name, call := range about(calls(client, "\xff")) {
		if err := call(withPatience(t)); !errors.Is(err, reeve.ErrInvalid) {
			t.Errorf("%s of a reference that is not text: %v", name, err)
		}
	}
}

func TestHoldCancelRetry(t *testing.T) {
	client := connect(t, addr)
	failing := make(chan struct{})
	work(t, client, reeve.WorkerConfig{Name: "course"}, pick("course", func(_ context.Context, a *reeve.Attempt) error {
		select {
		case <-failing:
			return nil
		default:
		}
		if a.Index%2 == 1 {
			return errors.New("odd")
		}
		return nil
	}))
	ctx := withPatience(t)
	j := reeve.Function("course", nil)
	j.Tasks[0].Array = &reeve.Array{Indexes: "0-9"}
	id := must[string](t)(client.Submit(ctx, j, reeve.WithHold()))
	if _, err := client.Retry(ctx, id); !errors.Is(err, reeve.ErrRefused) {
		t.Errorf("Retry of a job that waits: %v", err)
	}
	for _, ref := range []string{id + ".main.3", id + ".main[1-2]"} {
		if err := client.Hold(ctx, ref); !errors.Is(err, reeve.ErrInvalid) {
			t.Errorf("Hold of %s: %v", ref, err)
		}
	}
	if err := client.Hold(ctx, id+".main"); err != nil {
		t.Error(err)
	}
	if err := client.Update(ctx, id, reeve.Change{Priority: new(700), Front: new(true)}); err != nil {
		t.Error(err)
	}
	if info := must[*reeve.JobInfo](t)(client.Get(ctx, id)); info.Priority != 700 || info.FrontAt.IsZero() || info.Queue != "default" {
		t.Errorf("an updated job: %+v", info)
	}
	if err := client.Update(ctx, id+".main", reeve.Change{Queue: "default"}); !errors.Is(err, reeve.ErrInvalid) {
		t.Errorf("Update of a task: %v", err)
	}
	for want, change := range map[error]reeve.Change{reeve.ErrInvalid: {Priority: new(1001)}, reeve.ErrNotFound: {Queue: "nowhere"}} {
		if err := client.Update(ctx, id, change); !errors.Is(err, want) {
			t.Errorf("Update to %+v: %v", change, err)
		}
	}
	if got := must[reeve.Stopped](t)(client.Cancel(ctx, id+".main[6-9]", "half is enough")); got != (reeve.Stopped{Cancelled: 4}) {
		t.Errorf("Cancel of a range: %+v", got)
	}
	if got := must[reeve.Stopped](t)(client.Cancel(ctx, id+".main.5", "")); got != (reeve.Stopped{Cancelled: 1}) {
		t.Errorf("Cancel of an element: %+v", got)
	}
	for _, ref := range []string{id + "[1]", id + ".main.1[2]"} {
		if _, err := client.Cancel(ctx, ref, ""); !errors.Is(err, reeve.ErrInvalid) {
			t.Errorf("Cancel of %s: %v", ref, err)
		}
	}
	if e := must[*reeve.Explanation](t)(client.Explain(ctx, id)); len(e.Tasks[0].Reasons) != 2 || e.Tasks[0].Reasons[1].Kind != "hold" {
		t.Errorf("explanation: %+v", e)
	}
	for _, ref := range []string{id, id + ".main"} {
		if err := client.Release(ctx, ref); err != nil {
			t.Error(err)
		}
	}
	info, err := client.Wait(ctx, id)
	want := reeve.Counts{Total: 10, Succeeded: 3, Failed: 2, Cancelled: 5}
	if err == nil || info == nil || info.Tasks[0].Counts != want {
		t.Fatalf("job %+v, %v, want counts %+v", info, err, want)
	}
	var failed []string
	for e, err := range client.Elements(ctx, id, "main", reeve.Failed) {
		if err != nil {
			t.Fatal(err)
		}
		failed = append(failed, fmt.Sprintf("%s: %d, %d attempt, %s", e.ID, e.Index, e.Attempts, e.Cause))
	}
	if diff := cmp.Diff([]string{id + ".main.1: 1, 1 attempt, error: odd", id + ".main.3: 3, 1 attempt, error: odd"}, failed); diff != "" {
		t.Errorf("failed elements (-want +got):\n%s", diff)
	}
	if err := client.Hold(ctx, id); !errors.Is(err, reeve.ErrRefused) {
		t.Errorf("Hold of what has ended: %v", err)
	}
	if err := client.Update(ctx, id, reeve.Change{Front: new(true)}); !errors.Is(err, reeve.ErrRefused) {
		t.Errorf("Update of what has ended: %v", err)
	}
	if got := must[reeve.Stopped](t)(client.Kill(ctx, id, "")); !got.AlreadyEnded {
		t.Errorf("Kill of what has ended: %+v", got)
	}
	close(failing)
	for name, again := range map[string]func(context.Context, string) (string, error){"Retry": client.Retry, "Rerun": client.Rerun} {
		next := must[*reeve.JobInfo](t)(client.Wait(ctx, must[string](t)(again(ctx, id))))
		carried := 0
		for e, err := range client.Elements(ctx, next.ID, "main") {
			if err != nil {
				t.Fatal(err)
			}
			if e.CarriedFrom != "" {
				carried++
			}
		}
		if next.RetryOf != id || carried != map[string]int{"Retry": 3, "Rerun": 0}[name] {
			t.Errorf("%s made %+v with %d elements carried over", name, next, carried)
		}
	}
}

func TestList(t *testing.T) {
	client := connect(t, newServer(t, app.ServerConfig{}).addr)
	ctx := withPatience(t)
	j := reeve.Function("nothing", nil)
	before := time.Now().Add(-time.Minute)
	var ids []string
	for i, color := range []string{"red", "blue", "red"} {
		j.Name, j.Labels = "list-"+[]string{"a", "b", "a"}[i], map[string]string{"list-color": color}
		ids = append(ids, must[string](t)(client.Submit(ctx, j, reeve.WithHold())))
	}
	must[reeve.Stopped](t)(client.Cancel(ctx, ids[0], ""))
	color := map[string]string{"list-color": ""}
	for name, c := range map[string]struct {
		f    reeve.Filter
		want []string
	}{
		"label":  {reeve.Filter{Labels: color}, []string{ids[2], ids[1], ids[0]}},
		"value":  {reeve.Filter{Labels: map[string]string{"list-color": "blue"}}, []string{ids[1]}},
		"name":   {reeve.Filter{Name: "list-a"}, []string{ids[2], ids[0]}},
		"state":  {reeve.Filter{Labels: color, States: []reeve.State{reeve.Cancelled}}, []string{ids[0]}},
		"after":  {reeve.Filter{Labels: color, SubmittedAfter: before, SubmittedBefore: before.Add(time.Hour)}, []string{ids[2], ids[1], ids[0]}},
		"before": {reeve.Filter{Labels: color, SubmittedBefore: before}, nil},
		"all":    {reeve.Filter{Labels: color, Namespace: "*", Queue: "default"}, []string{ids[2], ids[1], ids[0]}},
	} {
		var got []string
		for j, err := range client.List(ctx, c.f) {
			if err != nil {
				t.Fatal(name, err)
			}
			got = append(got, j.ID)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if err := lastError(client.List(ctx, reeve.Filter{States: []reeve.State{"no-state"}})); !errors.Is(err, reeve.ErrInvalid) {
		t.Errorf("a state that is none: %v", err)
	}
	if err := lastError(client.List(ctx, reeve.Filter{Queue: "other"})); !errors.Is(err, reeve.ErrNotFound) || !strings.Contains(err.Error(), "known: default") {
		t.Errorf("a queue that is not there: %v", err)
	}
}

func TestErrors(t *testing.T) {
	e := &reeve.Error{Code: reeve.CodeBusy}
	if e.Error() != "busy" || !errors.Is(e, reeve.ErrBusy) || errors.Is(e, reeve.ErrDenied) {
		t.Errorf("error %v", e)
	}
	if reeve.Permanent(nil) != nil {
		t.Error("Permanent(nil) is not nil")
	}
	base := errors.New("base")
	if err := reeve.Permanent(base); !errors.Is(err, base) || err.Error() != "base" {
		t.Errorf("Permanent: %v", err)
	}
	for _, s := range []reeve.State{reeve.Pending, reeve.Assigned, reeve.Running} {
		if s.Ended() || (&reeve.JobInfo{ID: "1", State: s}).Err() == nil {
			t.Errorf("%s is an end", s)
		}
	}
	for s, want := range map[reeve.State]string{reeve.Failed: "job 1 failed: why", reeve.Cancelled: "job 1 was cancelled: why"} {
		if err := (&reeve.JobInfo{ID: "1", State: s, Cause: "why"}).Err(); err == nil || err.Error() != want || !s.Ended() {
			t.Errorf("Err = %v, want %q", err, want)
		}
	}
}
