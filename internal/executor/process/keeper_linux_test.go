package process_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/executortest"
	"github.com/reeve-scheduler/reeve/internal/executor/process"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

func TestLogFlood(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		task := r.task("a", `echo begin; head -c 20000000 /dev/zero; echo; echo the-end`)
		task.LogLimit = 256 << 10
		r.start(task)
		x := r.ev.WaitEnded("a")
		if x.Cause != (job.Cause{}) {
			t.Fatalf("cause = %v", x.Cause)
		}
		if x.LogSize > task.LogLimit || x.LogSize < task.LogLimit/2 {
			t.Errorf("the log has %d bytes, limit %d", x.LogSize, task.LogLimit)
		}
		out := r.text(task, logline.Stdout)
		if !strings.HasPrefix(out, "begin\n") || !strings.HasSuffix(out, "\nthe-end\n") {
			t.Errorf("head %q and tail %q do not survive", out[:10], out[len(out)-10:])
		}
		lost, err := strconv.Atoi(r.text(task, logline.Gap))
		if total := len("begin\n") + 20000000 + len("\nthe-end\n"); err != nil || lost+len(out) != total {
			t.Errorf("%d bytes kept, %d lost (%v), %d written", len(out), lost, err, total)
		}
	})
}

func TestDiskFull(t *testing.T) {
	r := &rig{T: t, root: stateDir(t)}
	r.open()
	defer r.ex.Close()
	small := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("no small file system: ", err)
	}
	defer func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) }()
	task := r.task("a", `echo begin; head -c 1000000 /dev/zero; rm -f `+filepath.Join(small, "ballast")+`; echo; echo the-end`)
	task.Dir = small
	if err := os.WriteFile(filepath.Join(small, "ballast"), make([]byte, 30<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start(task)
	x := r.ev.WaitEnded("a")
	if x.Cause != (job.Cause{}) {
		t.Errorf("cause = %v: a full disk must not reach the job", x.Cause)
	}
	out := r.text(task, logline.Stdout)
	lost := 0
	for _, word := range strings.FieldsFunc(gaps(r, task), func(c rune) bool { return c == ' ' }) {
		n, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		lost += n
	}
	if total := len("begin\n") + 1000000 + len("\nthe-end\n"); lost == 0 || lost+len(out) != total {
		t.Errorf("%d bytes kept and %d marked as lost of %d", len(out), lost, total)
	}
}

// gaps lists the counts of lost bytes.
func gaps(r *rig, task executor.Task) string {
	b, _ := os.ReadFile(filepath.Join(task.Dir, "log"))
	var text strings.Builder
	for at := 0; at < len(b); {
		frame, n, err := logline.Next(b[at:])
		if n == 0 || err != nil {
			r.Fatalf("log: %v", err)
		}
		if frame.Kind == logline.Gap {
			text.Write(frame.Data)
			text.WriteByte(' ')
		}
		at += n
	}
	return text.String()
}

func TestKeeperKilled(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		task := r.task("a", `setsid sh -c 'echo $$; exec sleep 998' & sleep 997 & echo $!; echo $$; exec sleep 996`)
		pids := r.pids(r.say(task, 3))
		old := r.ex.KeeperPID()
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		x := r.ev.WaitEnded("a")
		if x.Cause.Kind != job.CauseWorkerLost {
			t.Errorf("cause = %v, want worker lost", x.Cause)
		}
		r.wantGone(pids)
		if r.ex.KeeperPID() == old {
			t.Error("there is no new keeper")
		}
		if err := r.ex.Release(ctx, "a"); err != nil {
			t.Error(err)
		}
		r.start(r.task("b", "exit 0"))
		r.ev.WaitEnded("b")
	})
}

// TestInheritedFilesAreClosed: what the agent's starter left open in it is held open
// neither by the keeper nor by attempts.
func TestInheritedFilesAreClosed(t *testing.T) {
	var leak [2]int
	if err := syscall.Pipe(leak[:]); err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(leak[0])
	if err := syscall.SetNonblock(leak[0], true); err != nil { // for the deadline
		t.Fatal(err)
	}
	read := os.NewFile(uintptr(leak[0]), "pipe")
	defer read.Close()
	r := &rig{T: t, root: stateDir(t)}
	r.open()
	defer r.ex.Close()
	open := r.say(r.task("a", `ls -l /proc/self/fd | sed -n 's/.*-> //p' | grep -c pipe; exec sleep 1000`), 1)
	if open[0] != "2" {
		t.Errorf("an attempt has %s pipes open, want its own 2", open[0])
	}
	if err := syscall.Close(leak[1]); err != nil {
		t.Fatal(err)
	}
	if err := read.SetReadDeadline(time.Now().Add(executortest.Patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := read.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("reading the pipe: %d bytes, %v; want its end, since nobody is to hold it", n, err)
	}
	if err := r.ex.Stop(ctx, "a", 0, job.Cause{Kind: job.CauseKilled}); err != nil {
		t.Fatal(err)
	}
	r.ev.WaitEnded("a")
}

func TestKeeperLeavesWhenThereIsNothingToKeep(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		r.start(r.task("a", "exit 0"))
		r.ev.WaitEnded("a")
		if err := r.ex.Release(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		pid := r.ex.KeeperPID()
		about := r.ex.About()
		_ = r.ex.Close()
		waitGone(t, pid)
		if _, err := os.Stat(filepath.Join(r.root, "keeper.sock")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
		if _, after, ok := strings.Cut(about, "cgroup ("); ok {
			base, _, _ := strings.Cut(after, ")")
			if _, err := os.Stat(base); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the cgroup %s is left: %v", base, err)
			}
		}
	})
}

func TestKeeperToldToEnd(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		r.start(r.task("a", "exec sleep 1000"))
		r.ev.WaitStarted("a")
		pid := r.ex.KeeperPID()
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if x := r.ev.WaitEnded("a"); x.Cause.Kind != job.CauseWorkerLost {
			t.Errorf("cause = %v", x.Cause)
		}
		if err := r.ex.Release(ctx, "a"); err != nil {
			t.Error(err)
		}
		waitGone(t, pid)
		r.start(r.task("b", "exit 0"))
		r.ev.WaitEnded("b")
	})
}

func TestCgroupsRemovedByOthers(t *testing.T) {
	r := &rig{T: t, root: stateDir(t)}
	r.open()
	_, after, ok := strings.Cut(r.ex.About(), "cgroup (")
	if !ok {
		t.Skip("no cgroup can be used here: " + r.ex.About())
	}
	base, _, _ := strings.Cut(after, ")")
	for _, key := range []string{"a", "b"} {
		r.start(r.task(key, "exit 0"))
		if x := r.ev.WaitEnded(key); x.Cause != (job.Cause{}) {
			t.Errorf("cause = %v", x.Cause)
		}
		idle, err := filepath.Glob(base + "/[0-9]*")
		if err != nil || len(idle) != 1 {
			t.Errorf("idle cgroups: %v, %v; want one", idle, err)
		}
		for _, dir := range append(idle, base) {
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestLongStateDirectory(t *testing.T) {
	r := &rig{T: t, root: filepath.Join(stateDir(t), strings.Repeat("long/", 40))}
	r.open()
	defer r.ex.Close()
	r.start(r.task("a", "exit 5"))
	if x := r.ev.WaitEnded("a"); x.Cause != (job.Cause{Kind: job.CauseExit, Code: 5}) {
		t.Errorf("cause = %v", x.Cause)
	}
}

func TestOpenDirectoryIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := process.New(ctx, config(dir, executortest.NewRecorder(t), nil)); err == nil || !strings.Contains(err.Error(), "want mode 0700") {
		t.Errorf("New: %v", err)
	}
}

func TestNewerAgentTakesOver(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		r.start(r.task("a", "exec sleep 1000"))
		r.ev.WaitStarted("a")
		// A process of its own, so that the older one does not take it back at once.
		agent := startAgent(t, r.root, r.env)
		agent.say(t, "adopt")
		if got := agent.hear(t); got != "adopted a live" {
			t.Errorf("the newer agent says %q", got)
		}
		agent.kill()
	})
}

// TestKeeperWithoutADirectory: a keeper whose directory was replaced has nobody to keep
// a result for. It leaves, and takes nothing of its successor with it.
func TestKeeperWithoutADirectory(t *testing.T) {
	inEachMode(t, func(t *testing.T, r *rig) {
		r.start(r.task("a", "exit 0"))
		r.ev.WaitEnded("a")
		first := r.ex.KeeperPID()
		_ = r.ex.Close()
		if err := os.Rename(r.root, r.root+"-moved"); err != nil {
			t.Fatal(err)
		}
		r.open()
		defer r.ex.Close()
		waitGone(t, first)
		if r.ex.KeeperPID() == first {
			t.Error("the directory that replaced it has the same keeper")
		}
		if _, err := os.Stat(filepath.Join(r.root, "keeper.sock")); err != nil {
			t.Errorf("the successor's socket is gone: %v", err)
		}
	})
}

// TestCopiedDirectory: the keeper of a copy of a directory that is in use has a word of its
// own, so that it leaves alone what bears the original's. Where the word does not say whose it
// is, as one of an earlier version, and is in use, it does not start.
func TestCopiedDirectory(t *testing.T) {
	r := &rig{T: t, root: stateDir(t)}
	r.open()
	defer r.ex.Close()
	if !strings.Contains(r.ex.About(), "cgroup (") {
		t.Skip("no cgroup can be used here: " + r.ex.About())
	}
	pids := r.pids(r.say(r.task("a", `echo $$; exec sleep 1000`), 1))
	word, err := os.ReadFile(filepath.Join(r.root, "keeper.id"))
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	keeperOf := func(word string) (string, error) {
		copied := stateDir(t)
		if err := errors.Join(os.MkdirAll(copied, 0o700), os.WriteFile(filepath.Join(copied, "keeper.id"), []byte(word), 0o600)); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(exe, "keeper", "--dir", copied, "--idle", "1ms").CombinedOutput()
		return string(out), err
	}
	if out, err := keeperOf(string(word)); err != nil || !strings.Contains(out, "ready") {
		t.Errorf("the keeper of the copy: %v\n%s", err, out)
	}
	if out, err := keeperOf(strings.Fields(string(word))[0]); err == nil || !strings.Contains(out, "is a copy of that one") {
		t.Errorf("the keeper of the copy whose word is not its own: %v\n%s", err, out)
	}
	for _, pid := range pids {
		if !alive(pid) {
			t.Errorf("process %d of the original's attempt is dead", pid)
		}
	}
}
