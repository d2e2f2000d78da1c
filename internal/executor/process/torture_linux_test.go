package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/executortest"
	"github.com/reeve-scheduler/reeve/internal/executor/process"
	"github.com/reeve-scheduler/reeve/internal/executor/process/keeper"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// rig is one executor with its keeper.
type rig struct {
	*testing.T
	ev   *executortest.Recorder
	ex   *process.Executor
	root string
	env  []string
}

// inEachMode runs a test with each way of killing trees.
func inEachMode(t *testing.T, f func(t *testing.T, r *rig)) {
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			r := &rig{T: t, root: stateDir(t), env: mode.env}
			r.open()
			t.Cleanup(func() { _ = r.ex.Close() })
			if mode.env == nil && !strings.Contains(r.ex.About(), "cgroup") {
				t.Skip("no cgroup can be used here: " + r.ex.About())
			}
			f(t, r)
		})
	}
}

func (r *rig) open() {
	r.ev = executortest.NewRecorder(r.T)
	r.ex = open(r.T, r.root, r.ev, r.env)
}

// task is a shell script in a directory of its own.
func (r *rig) task(key, script string) executor.Task {
	dir := filepath.Join(r.root, "attempts", key)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		r.Fatal(err)
	}
	return executor.Task{
		Key: key, Ref: job.Ref{Job: 1, Task: "t", Index: job.NoIndex, Attempt: 1}, Dir: dir,
		Argv: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"},
		LogLimit: 1 << 20, Grace: 30 * time.Second,
	}
}

func (r *rig) start(t executor.Task) {
	r.Helper()
	if err := r.ex.Start(ctx, t); err != nil {
		r.Fatal(err)
	}
}

// say runs a task until it has written lines, which are returned.
func (r *rig) say(t executor.Task, lines int) []string {
	r.Helper()
	r.start(t)
	var got []string
	r.ev.Until(fmt.Sprintf("%d lines of %s", lines, t.Key), func() bool {
		got = strings.Fields(r.text(t, logline.Stdout))
		return len(got) >= lines
	})
	return got
}

// text is what the task wrote so far.
func (r *rig) text(t executor.Task, kind logline.Kind) string {
	b, _ := os.ReadFile(filepath.Join(t.Dir, "log"))
	n, err := logline.Whole(b)
	if err != nil {
		r.Fatalf("log of %s: %v", t.Key, err)
	}
	return executortest.Text(r.T, b[:n], kind)
}

// pids reads process numbers that a script wrote.
func (r *rig) pids(words []string) []int {
	var list []int
	for _, w := range words {
		n, err := strconv.Atoi(w)
		if err != nil {
			r.Fatalf("want process numbers, got %q", words)
		}
		list = append(list, n)
	}
	return list
}

// wantGone fails if any of the processes runs; zombies have run.
func (r *rig) wantGone(pids []int) {
	r.Helper()
	for _, pid := range pids {
		if alive(pid) {
			r.Errorf("process %d still runs after the end was reported", pid)
		}
	}
}

func TestWholeTreeIsKilled(t *testing.T) {
	// Each script writes the numbers of processes that must not be left.
	scripts := map[string]string{
		"daemon":     `setsid sleep 999 & echo $!; exit 0`,
		"group":      `sleep 999 & sleep 998 & echo $!; exit 4`,
		"grandchild": `setsid sh -c 'setsid sleep 999 & echo $! >&3; exec sleep 998' 3>&1 & echo $!; while [ ! -e go ]; do sleep 0.01; done; exit 0`,
		"bare":       `env -i setsid sleep 999 & echo $!; exit 0`,
		"deaf":       `setsid sh -c 'trap "" TERM HUP INT; while :; do sleep 1; done' & echo $!; exit 0`,
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, r *rig) {
				lines := 1
				if name == "grandchild" {
					lines = 2
				}
				task := r.task("a", script)
				said := r.say(task, lines)
				if lines == 2 {
					if err := os.WriteFile(filepath.Join(task.Dir, "go"), nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				x := r.ev.WaitEnded("a")
				r.wantGone(r.pids(said))
				if want := (job.Cause{}); name != "group" && x.Cause != want {
					t.Errorf("cause = %v, want success: the main process decides", x.Cause)
				}
				if err := r.ex.Release(ctx, "a"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestStopKillsTheWholeTree(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		task := r.task("a", `trap '' TERM; setsid sh -c 'trap "" TERM; echo $$; while :; do sleep 1; done' & echo $$; wait; wait`)
		said := r.say(task, 2)
		cause := job.Cause{Kind: job.CauseCancelled, Detail: "anna"}
		if err := r.ex.Stop(ctx, "a", 50*time.Millisecond, cause); err != nil {
			t.Fatal(err)
		}
		if x := r.ev.WaitEnded("a"); x.Cause != cause {
			t.Errorf("cause = %v", x.Cause)
		}
		r.wantGone(r.pids(said))
		if notes := r.text(task, logline.Note); !strings.Contains(notes, "cancelled by anna") || !strings.Contains(notes, "SIGKILL") {
			t.Errorf("notes in the log: %q", notes)
		}
	})
}

func TestNeighboursAreSpared(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		// What the neighbour leaves to itself is adopted by the keeper as well.
		neighbour := r.task("b", `(setsid sleep 999 & echo $!); exec sleep 1000`)
		spared := r.pids(r.say(neighbour, 1))
		gone := r.pids(r.say(r.task("a", `(setsid sleep 999 & echo $!); exit 0`), 1))
		r.ev.WaitEnded("a")
		r.wantGone(gone)
		if !alive(spared[0]) || r.ev.HasEnded("b") {
			t.Error("the neighbour was killed too")
		}
		if err := r.ex.Stop(ctx, "b", 0, job.Cause{Kind: job.CauseKilled}); err != nil {
			t.Fatal(err)
		}
		r.ev.WaitEnded("b")
		r.wantGone(spared)
	})
}

func TestStrayIsKilledWhenNobodyElseCanOwnIt(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		other := r.task("b", `exec sleep 1000`)
		r.start(other)
		r.ev.WaitStarted("b")
		stray := r.pids(r.say(r.task("a", `env -i setsid sleep 999 & echo $!; sleep 0.05; exit 0`), 1))
		r.ev.WaitEnded("a")
		if err := r.ex.Stop(ctx, "b", 0, job.Cause{Kind: job.CauseKilled}); err != nil {
			t.Fatal(err)
		}
		r.ev.WaitEnded("b")
		waitGone(t, stray[0])
	})
}

func TestStdoutKeptOpenByAForeigner(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		// The test itself opens the pipe and so outlives the tree with it.
		task := r.task("a", `echo $$; while [ ! -e go ]; do sleep 0.01; done`)
		pid := r.say(task, 1)[0]
		held, err := os.OpenFile("/proc/"+pid+"/fd/1", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		if err := os.WriteFile(filepath.Join(task.Dir, "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if x := r.ev.WaitEnded("a"); x.Cause != (job.Cause{}) {
			t.Errorf("cause = %v", x.Cause)
		}
	})
}

func TestArgumentsUnharmed(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		odd := []string{"", " ", "a b", "'\"$(id)`", "line\nbreak", "tab\t", "\xff\xfe\x80", "ü€", "-n", "*", "\\"}
		task := r.task("a", "")
		task.Argv = append([]string{"/usr/bin/printf", `%s\000`}, odd...)
		r.start(task)
		r.ev.WaitEnded("a")
		want := strings.Join(odd, "\x00") + "\x00"
		if diff := cmp.Diff(want, r.text(task, logline.Stdout)); diff != "" {
			t.Errorf("arguments (-want +got):\n%s", diff)
		}
		env := r.task("env", "")
		env.Argv = []string{"/usr/bin/env", "-0"}
		env.Env = []string{"A=line\nbreak \xff", "B="}
		r.start(env)
		r.ev.WaitEnded("env")
		if got := r.text(env, logline.Stdout); !strings.HasPrefix(got, "A=line\nbreak \xff\x00B=\x00"+keeper.MarkerEnv+"=") {
			t.Errorf("environment = %q", got)
		}
	})
}

func TestManyArguments(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		task := r.task("a", `echo $#`)
		task.Argv = append(task.Argv, "sh")
		for i := range 10_000 {
			task.Argv = append(task.Argv, fmt.Sprintf("argument-%d", i))
		}
		r.start(task)
		r.ev.WaitEnded("a")
		if got := r.text(task, logline.Stdout); got != "10000\n" {
			t.Errorf("the program got %q arguments", got)
		}
		huge := r.task("huge", "")
		huge.Argv = []string{"/bin/true", strings.Repeat("x", 4<<20)}
		r.start(huge)
		if x := r.ev.WaitEnded("huge"); x.Cause.Kind != job.CauseStart || !strings.Contains(x.Cause.Detail, "longer than this system allows") {
			t.Errorf("cause = %+v", x.Cause)
		}
	})
}

func TestWhyItCouldNotStart(t *testing.T) {
	r := &rig{T: t, root: stateDir(t)}
	r.open()
	defer r.ex.Close()
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name string
		set  func(*executor.Task)
		want string
	}{
		{"missing", func(t *executor.Task) { t.Argv = []string{"/no/such"} }, "/no/such: no such file"},
		{"not in PATH", func(t *executor.Task) { t.Argv = []string{"nosuch"} }, `"nosuch" is in no directory of PATH (/usr/bin:/bin)`},
		{"empty", func(t *executor.Task) { t.Argv = []string{""} }, "the command is empty"},
		{"not executable", func(t *executor.Task) { t.Argv = []string{file("plain", "x", 0o600)} }, "permission denied; is it an executable file?"},
		{"directory", func(t *executor.Task) { t.Argv = []string{dir} }, "permission denied"},
		{"no format", func(t *executor.Task) { t.Argv = []string{file("noformat", "x", 0o700)} }, "a script begins with a line such as #!/bin/sh"},
		{"no interpreter", func(t *executor.Task) { t.Argv = []string{file("nointerp", "#!/no/such\n", 0o700)} }, "its interpreter"},
		{"NUL", func(t *executor.Task) { t.Argv = []string{"/bin/true", "a\x00b"} }, "NUL byte"},
		{"no work directory", func(t *executor.Task) { t.Work = "/no/work" }, "work directory /no/work"},
		{"no input", func(t *executor.Task) { t.Stdin = "/no/input" }, "input /no/input: no such file"},
		{"input is a directory", func(t *executor.Task) { t.Stdin = dir }, "want a regular file"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			task := r.task(fmt.Sprintf("k%d", i), "true")
			test.set(&task)
			r.start(task)
			x := r.ev.WaitEnded(task.Key)
			if x.Cause.Kind != job.CauseStart || !strings.Contains(x.Cause.Detail, test.want) {
				t.Errorf("cause = %+v, want a start that failed with %q", x.Cause, test.want)
			}
			if r.ev.HasStarted(task.Key) {
				t.Error("it was reported as started")
			}
		})
	}
}

func TestStdinWorkDirectoryAndExit(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		task := r.task("a", `cat; pwd >&2; kill -SEGV $$`)
		task.Work = r.TempDir()
		task.Stdin = filepath.Join(task.Work, "in put")
		if err := os.WriteFile(task.Stdin, []byte("some input"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.start(task)
		x := r.ev.WaitEnded("a")
		if x.Cause != (job.Cause{Kind: job.CauseSignal, Code: 11}) {
			t.Errorf("cause = %v, want signal 11", x.Cause)
		}
		if got := r.text(task, logline.Stdout); got != "some input" {
			t.Errorf("stdout = %q", got)
		}
		if got := r.text(task, logline.Stderr); got != task.Work+"\n" {
			t.Errorf("stderr = %q, want the work directory %s", got, task.Work)
		}
	})
}

func TestUsage(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		// The busy part is a child that nobody waits for.
		task := r.task("a", `sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; exec sleep 999' & cat; wait`)
		said := r.say(task, 1)
		if said[0] != "done" {
			t.Fatalf("it said %q", said)
		}
		if err := r.ex.Stop(ctx, "a", 0, job.Cause{Kind: job.CauseKilled}); err != nil {
			t.Fatal(err)
		}
		x := r.ev.WaitEnded("a")
		if x.Usage.CPU < 20*time.Millisecond || x.Usage.CPU > executortest.Patience {
			t.Errorf("CPU = %v, want what the child used", x.Usage.CPU)
		}
		if x.Usage.Memory < 1<<20 || x.Usage.Memory > 1<<30 {
			t.Errorf("memory = %d bytes", x.Usage.Memory)
		}
	})
}

func TestDeadlineHoldsWithoutTheAgent(t *testing.T) {
	for _, how := range []struct {
		name string
		away func(*agentProcess)
	}{
		{"killed", (*agentProcess).kill},
		{"stopped", func(a *agentProcess) { _ = a.cmd.Process.Signal(syscall.SIGSTOP) }},
	} {
		t.Run(how.name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, r *rig) {
				_ = r.ex.Close()
				agent := startAgent(t, r.root, r.env)
				pidfile := filepath.Join(r.root, "pid")
				// It is deaf, floods its log, and so also fills what a stopped agent reads.
				agent.say(t, `start a 600 trap '' TERM; setsid sleep 999 & echo $! $$ > `+pidfile+`.new; mv `+pidfile+`.new `+pidfile+`; while :; do echo flood; done`)
				if got := agent.hear(t); got != "started a" {
					t.Fatalf("the agent says %q", got)
				}
				deadline := executor.Now().Add(600 * time.Millisecond)
				how.away(agent)
				pids := r.waitPids(pidfile)
				for _, pid := range pids {
					waitGone(t, pid)
				}
				if late := executor.Now().Sub(deadline); late > 5*time.Second {
					t.Errorf("the tree was gone %v after the deadline", late)
				}
				_ = agent.cmd.Process.Signal(syscall.SIGCONT)
				agent.kill()
				// The result is kept for the next agent.
				r.open()
				list, err := r.ex.Adopt(ctx)
				if err != nil || len(list) != 1 || list[0].Key != "a" {
					t.Fatalf("Adopt = %+v, %v", list, err)
				}
				if list[0].Exit == nil {
					r.ev.WaitEnded("a")
				} else if list[0].Exit.Cause.Kind != job.CauseWorkerLost {
					t.Errorf("cause = %v", list[0].Exit.Cause)
				}
			})
		})
	}
}

// waitPids waits for a file of process numbers.
func (r *rig) waitPids(path string) []int {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(executortest.Patience); time.Now().Before(end); <-tick.C {
		if b, err := os.ReadFile(path); err == nil {
			return r.pids(strings.Fields(string(b)))
		}
	}
	r.Fatalf("no file %s", path)
	return nil
}

func TestAgentKilledAndBack(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		_ = r.ex.Close()
		first := startAgent(t, r.root, r.env)
		first.say(t, "start live 0 exec sleep 1000")
		first.say(t, "start ends 0 while [ ! -e "+r.root+"/go ]; do sleep 0.01; done; exit 9")
		first.hear(t)
		first.hear(t)
		first.kill()
		if err := os.WriteFile(filepath.Join(r.root, "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r.open()
		if pid := r.ex.KeeperPID(); pid != first.keeper {
			t.Errorf("keeper %d, want the one before, %d", pid, first.keeper)
		}
		list, err := r.ex.Adopt(ctx)
		if err != nil || len(list) != 2 {
			t.Fatalf("Adopt = %+v, %v", list, err)
		}
		x := list[0].Exit
		if x == nil {
			ended := r.ev.WaitEnded("ends")
			x = &ended
		}
		if x.Cause != (job.Cause{Kind: job.CauseExit, Code: 9}) {
			t.Errorf("cause = %v, want exit 9", x.Cause)
		}
		if err := r.ex.Stop(ctx, "live", time.Second, job.Cause{Kind: job.CauseCancelled}); err != nil {
			t.Fatal(err)
		}
		r.ev.WaitEnded("live")
	})
}

// TestForeignProcessIsSpared: a process that has an ended attempt's number is not
// touched. It needs a process namespace of its own, where numbers can be chosen; the
// keeper there is this test's, started by hand.
func TestForeignProcessIsSpared(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		task := r.task("a", `echo $$; exit 0`)
		pid := r.pids(r.say(task, 1))[0]
		r.ev.WaitEnded("a")
		// Take the number again, if this machine lets us choose.
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Skip("numbers can't be chosen: ", err)
		}
		cmd := exec.Command("/bin/sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		if cmd.Process.Pid != pid {
			t.Skipf("got number %d, not %d: the machine is busy", cmd.Process.Pid, pid)
		}
		if err := r.ex.Stop(ctx, "a", 0, job.Cause{Kind: job.CauseKilled}); err != nil {
			t.Fatal(err)
		}
		// A second attempt's end makes the keeper look around.
		r.start(r.task("b", "exit 0"))
		r.ev.WaitEnded("b")
		if !alive(pid) {
			t.Error("a foreign process was killed")
		}
	})
}
