package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/process"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// TestMain makes the test binary a keeper when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "keeper" {
		os.Exit(process.KeeperMain(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// processes is an executor with a real keeper of dir, which ends with the test.
func processes(t testing.TB, dir string) []Kind {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// After the agent, which would start another one, and before the directory goes.
	var mu sync.Mutex
	var opened []*process.Executor
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range opened {
			endProcess(t, e.KeeperPID())
		}
	})
	return []Kind{{Name: "process", Open: func(ctx context.Context, ev executor.Events) (executor.Executor, error) {
		e, err := process.New(ctx, process.Config{
			Dir: dir, Keeper: []string{self, "keeper"}, Idle: 2 * time.Second, Events: ev, Log: quietLog(),
		})
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		opened = append(opened, e)
		return e, nil
	}}}
}

// patience bounds every wait for a process.
const patience = time.Minute

// endProcess asks a process to end and waits until it is gone.
func endProcess(t testing.TB, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(pid, syscall.SIGTERM) == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Errorf("process %d does not end", pid)
			return
		}
	}
}

func stateDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// texts is what a log says, by kind.
func texts(t testing.TB, frames []byte) map[logline.Kind]string {
	t.Helper()
	out := map[logline.Kind]string{}
	for len(frames) > 0 {
		f, n, err := logline.Next(frames)
		if err != nil || n == 0 {
			t.Fatalf("log: %q: %v", frames, err)
		}
		out[f.Kind] += string(f.Data)
		frames = frames[n:]
	}
	return out
}

func TestProcessEndToEnd(t *testing.T) {
	dir, srv := stateDir(t), newMemServer(t)
	runAgent(t, Config{Server: srv, Dir: dir, Slots: 2, Executors: processes(t, dir)})
	h := get(t, srv.hellos)
	if len(h.About) != 1 || !strings.HasPrefix(h.About[0], "process: ") {
		t.Errorf("about: %q", h.About)
	}
	spec := parse(t, `
name: demo
files: {data.txt: {content: "shared\n"}}
tasks:
  first: {command: ["true"]}
  main:
    needs: [first]
    stdin: "typed\n"
    env: {GREETING: "hello ${{ tasks.first.outputs.name }}"}
    files: {bin/tool: {content: "#!/bin/sh\necho tool\n", mode: "0755"}}
    run: |
      read line
      echo "$GREETING, $line, $(cat data.txt), $(bin/tool)"
      echo oops >&2
      echo "rows=17" >> "$REEVE_OUTPUT"
      mkdir "$REEVE_ARTIFACTS/sub"
      echo kept > "$REEVE_ARTIFACTS/sub/file.txt"
      test "$(pwd -P)" = "$(cd "$REEVE_WORK_DIR" && pwd -P)" || exit 9
      exit 3
`)
	f := srv.assign(spec, 1, 1, func(a *link.Assignment) {
		a.Outputs = []link.TaskOutputs{{Task: "first", Outputs: []byte(`{"name":"anna"}`)}}
	})
	r := get(t, srv.results)
	want := job.Cause{Kind: job.CauseExit, Code: 3}
	if r.Fence != f || r.Cause != want || string(r.Outputs) != `{"rows":"17"}` || r.LogSize == 0 {
		t.Errorf("result: %+v", r)
	}
	get(t, srv.log(f).sealed)
	got := texts(t, srv.log(f).text)
	wantLog := map[logline.Kind]string{logline.Stdout: "hello anna, typed, shared, tool\n", logline.Stderr: "oops\n"}
	if diff := cmp.Diff(wantLog, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if b := srv.artifacts["7.main sub/file.txt"]; string(b) != "kept\n" {
		t.Errorf("artifacts: %v", srv.artifacts)
	}
	waitEmpty(t, filepath.Join(dir, "attempts"))
}

// waitEmpty waits until a directory holds nothing.
func waitEmpty(t testing.TB, dir string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s still holds %v", dir, entries)
		}
	}
}

// TestFetch: artifacts and outputs of what is needed are there before the start.
func TestFetch(t *testing.T) {
	dir, srv := stateDir(t), newMemServer(t)
	srv.artifacts["7.map.0 part"] = []byte("zero ")
	srv.artifacts["7.map.1 part"] = []byte("one ")
	srv.artifacts["7.each.1 deep/part"] = []byte("each")
	srv.artifacts["7.each.0 deep/part"] = []byte("not wanted")
	srv.outputs["map"] = `{"index":0,"outputs":{"n":"1"}}` + "\n"
	runAgent(t, Config{Server: srv, Dir: dir, Executors: processes(t, dir)})
	get(t, srv.hellos)
	spec := parse(t, `
name: demo
tasks:
  map: {array: "0-1", command: ["true"]}
  each: {array: "0-1", command: ["true"]}
  reduce:
    array: "0-1"
    needs: {map: succeeded, each: {each: succeeded}}
    fetch: [map, each]
    run: |
      cat "$REEVE_INPUTS"/map/*/part "$REEVE_INPUTS"/each/*/deep/part
      cat "$REEVE_INPUTS"/map/outputs.jsonl
`)
	f := srv.assign(spec, 2, 1, func(a *link.Assignment) { a.Index, a.Position, a.Count, a.Last = 1, 1, 2, 1 })
	if r := get(t, srv.results); r.Cause != (job.Cause{}) {
		t.Errorf("result: %+v", r)
	}
	get(t, srv.log(f).sealed)
	want := "zero one each" + srv.outputs["map"]
	if got := texts(t, srv.log(f).text)[logline.Stdout]; got != want {
		t.Errorf("inputs: %q, want %q", got, want)
	}
}

// TestReadopt: an agent that goes away leaves its processes; the next one reports
// their ends as if nothing had happened, and results that nobody acknowledged.
func TestReadopt(t *testing.T) {
	dir, srv := stateDir(t), newMemServer(t)
	srv.mute = true
	cfg := Config{Server: srv, Dir: dir, Slots: 3, LeaveRunning: true, KeepAfter: time.Nanosecond, Executors: processes(t, dir)}
	stop := runAgent(t, cfg)
	first := get(t, srv.hellos)
	gate := filepath.Join(t.TempDir(), "gate")
	spec := parse(t, fmt.Sprintf(`
name: demo
tasks:
  slow: {run: "echo one; while ! test -e %s; do sleep 0.05; done; echo two; echo x=1 > $REEVE_OUTPUT"}
  quick: {run: "sleep 0.01"}
  once: {command: ["true"], at_most_once: true}
`, gate))
	slow := srv.assign(spec, 0, 1, nil)
	get(t, srv.started)
	quick := srv.assign(spec, 1, 1, nil)
	if r := get(t, srv.results); r.Fence != quick {
		t.Errorf("result: %+v", r)
	}
	once := srv.assign(spec, 2, 1, nil)
	if r := get(t, srv.results); r.Fence != once {
		t.Errorf("result: %+v", r)
	}
	stop()
	srv.mu.Lock()
	srv.mute = false
	srv.mu.Unlock()
	runAgent(t, cfg)
	h := get(t, srv.hellos)
	if h.Instance != first.Instance || h.Incarnation == first.Incarnation {
		t.Errorf("instance %s %d, was %s %d", h.Instance, h.Incarnation, first.Instance, first.Incarnation)
	}
	want := []link.Held{{Fence: slow, Phase: link.Running}, {Fence: quick, Phase: link.Ended}, {Fence: once, Phase: link.Ended}}
	if diff := cmp.Diff(want, h.Held); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	seen := map[link.Fence]link.Result{}
	for len(seen) < 3 {
		r := get(t, srv.results)
		seen[r.Fence] = r
	}
	if r := seen[slow]; r.Cause != (job.Cause{}) || string(r.Outputs) != `{"x":"1"}` {
		t.Errorf("result of what was adopted: %+v", r)
	}
	get(t, srv.log(slow).sealed)
	if got := texts(t, srv.log(slow).text)[logline.Stdout]; got != "one\ntwo\n" {
		t.Errorf("log: %q", got)
	}
	for _, d := range []string{"attempts", "results", "starts"} {
		waitEmpty(t, filepath.Join(dir, d))
	}
}

// TestStopProcess: grace, then cause.
func TestStopProcess(t *testing.T) {
	dir, srv := stateDir(t), newMemServer(t)
	runAgent(t, Config{Server: srv, Dir: dir, Executors: processes(t, dir)})
	get(t, srv.hellos)
	f := srv.assign(parse(t, "name: demo\ntasks:\n  a: {run: \"exec sleep 60\"}\n"), 0, 1, nil)
	get(t, srv.started)
	cause := job.Cause{Kind: job.CauseCancelled, Detail: "anna"}
	srv.send(link.ToWorker{Stop: &link.Stop{Fence: f, Grace: 5 * time.Second, Cause: cause}})
	if r := get(t, srv.results); r.Cause != cause {
		t.Errorf("result: %+v", r)
	}
	g := srv.assign(parse(t, "name: demo\ntasks:\n  b: {run: \"exec sleep 60\"}\n"), 0, 1, nil)
	get(t, srv.started)
	srv.send(link.ToWorker{Stop: &link.Stop{Fence: g, Forget: true}})
	waitEmpty(t, filepath.Join(dir, "attempts"))
	select {
	case r := <-srv.results:
		t.Errorf("a forgotten attempt is reported: %+v", r)
	default:
	}
}

// TestStateTakenAway: an agent whose directory was removed would reject all that it is
// given, and draw the more of it. It ends instead, and what it is given stays whole.
func TestStateTakenAway(t *testing.T) {
	dir, srv := stateDir(t), newMemServer(t)
	a, err := New(Config{Server: srv, Dir: dir, Name: "w1", Executors: processes(t, dir), Log: quietLog()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(t.Context()) }()
	get(t, srv.hellos)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	m, _ := srv.assignment(parse(t, "name: demo\ntasks:\n  a: {run: \"true\"}\n"), 0, 1, nil)
	_ = srv.trySend(m) // it may have noticed before
	if err := get(t, ended); err == nil || !strings.Contains(err.Error(), "was removed or replaced") {
		t.Errorf("the agent ended with %v; want that it says what is gone", err)
	}
	select {
	case r := <-srv.results:
		t.Errorf("it reports %+v; want nothing, since the attempt has not begun", r)
	default:
	}
}

// TestManyProcesses: more than there are slots, all in order and none left.
func TestManyProcesses(t *testing.T) {
	dir, srv := stateDir(t), newMemServer(t)
	runAgent(t, Config{Server: srv, Dir: dir, Slots: 8, Executors: processes(t, dir)})
	get(t, srv.hellos)
	spec := parse(t, "name: demo\ntasks:\n  a: {command: [\"echo\", \"${{ array.item }}\"], array: {each: [x, y z]}}\n")
	first := srv.assign(spec, 0, 40, func(a *link.Assignment) {
		a.Index, a.Position, a.Count = int64(a.Fence)%2, int64(a.Fence)%2, 2
	})
	for range 40 {
		if r := get(t, srv.results); r.Cause != (job.Cause{}) {
			t.Errorf("result: %+v", r)
		}
	}
	for i := range link.Fence(40) {
		get(t, srv.log(first+i).sealed)
		want := [...]string{"x\n", "y z\n"}[(first+i)%2]
		if got := texts(t, srv.log(first+i).text)[logline.Stdout]; got != want {
			t.Errorf("log of %d: %q, want %q", first+i, got, want)
		}
	}
	waitEmpty(t, filepath.Join(dir, "attempts"))
}
