package process_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/executortest"
	"github.com/reeve-scheduler/reeve/internal/executor/process"
	"github.com/reeve-scheduler/reeve/internal/executor/process/keeper"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// TestMain makes the test binary a keeper, or an agent that is to be killed, when
// it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "keeper":
			os.Exit(process.KeeperMain(os.Args[2:]))
		case "agent":
			os.Exit(agentMain(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

var ctx = context.Background()

// modes are the ways to kill a tree that this machine offers.
var modes = []struct {
	name string
	env  []string
}{
	{"cgroup", nil},
	{"descent", []string{keeper.ForceDescentEnv + "=1"}},
}

// open makes an executor on a keeper of dir.
func open(t testing.TB, dir string, ev executor.Events, env []string) *process.Executor {
	t.Helper()
	e, err := process.New(ctx, config(dir, ev, env))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = e.Close()
		endKeeper(t, e.KeeperPID(), dir)
	})
	return e
}

// endKeeper tells the keeper of dir to end, and waits until it has.
func endKeeper(t testing.TB, pid int, dir string) {
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(cmdline), dir) {
		return
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	waitGone(t, pid)
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := stat[bytes.LastIndexByte(stat, ')')+1:]
	return len(rest) > 1 && rest[1] != 'Z' && rest[1] != 'X'
}

// waitGone waits until a process that is watched by no executor is gone.
func waitGone(t testing.TB, pid int) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(executortest.Patience); alive(pid); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("process %d does not end", pid)
		}
	}
}

func config(dir string, ev executor.Events, env []string) process.Config {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return process.Config{
		Dir: dir, Keeper: []string{exe, "keeper"}, Env: append([]string{"GORACE=halt_on_error=1 atexit_sleep_ms=0"}, env...), Idle: 200 * time.Millisecond,
		Events: ev, Log: slog.New(slog.DiscardHandler),
	}
}

// stateDir is a directory whose keeper is killed after the test, if it is still there.
func stateDir(t testing.TB) string {
	dir := filepath.Join(t.TempDir(), "state")
	t.Cleanup(func() {
		if t.Failed() {
			if b, err := os.ReadFile(filepath.Join(dir, "keeper.log")); err == nil {
				t.Logf("keeper.log:\n%s", b)
			}
		}
	})
	return dir
}

func set(task *executor.Task, b executortest.Behaviour) {
	task.Env = []string{"PATH=/usr/bin:/bin"}
	switch b {
	case executortest.Succeed:
		task.Argv = []string{"true"}
	case executortest.Fail:
		task.Argv = []string{"sh", "-c", "exit 3"}
	case executortest.Wait:
		task.Argv = []string{"sleep", "1000"}
	case executortest.Ignore:
		task.Argv = []string{"sh", "-c", "trap '' TERM; while :; do sleep 1; done"}
	case executortest.Write:
		task.Argv = []string{"printf", `first line\nsecond \000\377 line without end`}
	case executortest.Missing:
		task.Argv = []string{"/no/such/program"}
	}
}

func TestContract(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			var dir string
			executortest.Run(t, executortest.Subject{
				New: func(t *testing.T, ev executor.Events) executor.Executor {
					dir = stateDir(t)
					return open(t, dir, ev, mode.env)
				},
				Reopen: func(t *testing.T, ev executor.Events) executor.Executor {
					return open(t, dir, ev, mode.env)
				},
				Set: set, Kills: true,
				FailCause: job.Cause{Kind: job.CauseExit, Code: 3},
			})
		})
	}
}
