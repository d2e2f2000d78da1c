package keeper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// starter starts queued attempts one after the other; forks of one process don't
// overlap anyway. It stays on one thread for good, because the kernel kills a child
// whose parent's thread ends (see enter).
func (k *Keeper) starter(marker string) {
	runtime.LockOSThread()
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		k.log.Error("no /dev/null: attempts without input can't start", "error", err)
	}
	for {
		k.mu.Lock()
		queue := k.starts
		k.starts = nil
		k.mu.Unlock()
		for _, a := range queue {
			k.launch(a, null, marker)
		}
		if len(queue) == 0 {
			<-k.startable
		}
	}
}

// launch starts one attempt, or ends it with the cause that kept it from starting.
func (k *Keeper) launch(a *attempt, null int, marker string) {
	k.mu.Lock()
	k.step(executor.Now())
	if a.asked {
		k.conclude(a, executor.Exit{Cause: a.cause, Ended: time.Now()})
		k.mu.Unlock()
		return
	}
	attr, err := k.fence.enter(a)
	k.mu.Unlock()
	l := launch{task: &a.task, attr: attr, null: null, marker: marker + a.key}
	pid := 0
	k.forking.Lock()
	if err != nil {
		err = &rejected{err}
	} else if pid, err = l.fork(); err != nil && a.slot.removed() {
		// Somebody else has removed what the fence had made ready: once more, afresh.
		if l.attr, err = k.enterAgain(a); err == nil {
			pid, err = l.fork()
		}
	}
	k.mu.Lock()
	if err == nil {
		k.begun(a, pid, l.out, l.errs)
	} else {
		k.fence.leave(a)
		k.conclude(a, executor.Exit{Cause: startCause(err), Ended: time.Now()})
	}
	k.mu.Unlock()
	k.forking.Unlock()
	if err == nil {
		wake(k.forked)
		go k.pump(a, l.out, logline.Stdout)
		go k.pump(a, l.errs, logline.Stderr)
	}
}

// enterAgain gives back what the fence had ready for a, not to be used again, and
// takes another.
func (k *Keeper) enterAgain(a *attempt) (*syscall.SysProcAttr, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a.slot.used = true
	k.fence.leave(a)
	return k.fence.enter(a)
}

// begun records a start. The caller holds mu.
func (k *Keeper) begun(a *attempt, pid int, out, errs *os.File) {
	a.pid, a.phase, a.started = pid, running, time.Now()
	a.pipes, a.pumping = [2]*os.File{out, errs}, 2
	a.task.Argv, a.task.Env = nil, nil
	k.pids[pid] = a
	if a.task.Timeout > 0 {
		k.watch.Began(a.key, executor.Now(), a.task.Timeout)
		wake(k.poke)
	}
	switch {
	case a.killed:
		// It was told to end while it was being started.
		k.fence.kill(a)
	case a.asked:
		terminate(pid)
	}
	k.tell(a, newsStarted)
}

// launch is one fork: what goes in, and the reading ends that come out.
type launch struct {
	task      *executor.Task
	attr      *syscall.SysProcAttr
	null      int
	marker    string
	out, errs *os.File
}

// rejected marks what this machine lacks, in contrast to what the task asked for.
type rejected struct{ error }

// startError says what about the task kept it from starting, with the exit code that
// a shell has for it.
type startError struct {
	text string
	code int32
}

func (e *startError) Error() string { return e.text }

// startCause tells a task that can't start anywhere from a worker that can't start it.
func startCause(err error) job.Cause {
	if e, ok := errors.AsType[*startError](err); ok {
		return job.Cause{Kind: job.CauseStart, Code: e.code, Detail: err.Error()}
	}
	return job.Cause{Kind: job.CauseRejected, Detail: err.Error()}
}

func (l *launch) fork() (pid int, err error) {
	t := l.task
	work := t.Work
	if work == "" {
		work = t.Dir
		if err := os.MkdirAll(work, 0o700); err != nil {
			return 0, &rejected{fmt.Errorf("its directory: %w", err)}
		}
	}
	path, err := findProgram(t.Argv, t.Env, work)
	if err != nil {
		return 0, err
	}
	stdin := l.null
	if t.Stdin != "" {
		if stdin, err = openInput(t.Stdin); err != nil {
			return 0, err
		}
		defer unix.Close(stdin)
	}
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	var read [2]int
	for i := range read {
		var p [2]int
		if err := pipe(&p); err != nil {
			return 0, &rejected{fmt.Errorf("a pipe for its output: %w", err)}
		}
		read[i] = p[0]
		fds = append(fds, p[0], p[1])
	}
	env := make([]string, 0, len(t.Env)+1)
	env = append(append(env, t.Env...), MarkerEnv+"="+l.marker)
	pid, err = syscall.ForkExec(path, t.Argv, &syscall.ProcAttr{
		Dir: work, Env: env, Sys: l.attr,
		Files: []uintptr{uintptr(stdin), uintptr(fds[1]), uintptr(fds[3])},
	})
	if err != nil {
		return 0, explain(err, path, work)
	}
	unix.Close(fds[1])
	unix.Close(fds[3])
	fds = nil
	l.out, l.errs = os.NewFile(uintptr(read[0]), "stdout"), os.NewFile(uintptr(read[1]), "stderr")
	return pid, nil
}

// findProgram resolves argv[0] as a shell would, with the attempt's own PATH.
func findProgram(argv, env []string, work string) (string, error) {
	if len(argv) == 0 || argv[0] == "" {
		return "", &startError{"the command is empty", job.CodeNotFound}
	}
	name := argv[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := "/usr/local/bin:/usr/bin:/bin"
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if dir == "" {
			dir = "."
		}
		full := filepath.Join(dir, name)
		if !filepath.IsAbs(full) {
			full = filepath.Join(work, full)
		}
		if info, err := os.Stat(full); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	return "", &startError{fmt.Sprintf("%q is in no directory of PATH (%s)", name, path), job.CodeNotFound}
}

// openInput opens a file for stdin, without waiting for the other end of a fifo.
func openInput(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, &startError{fmt.Sprintf("input %s: %v", path, err), job.CodeCantRun}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return 0, &startError{fmt.Sprintf("input %s: want a regular file", path), job.CodeCantRun}
	}
	return fd, nil
}

// explain says in words why path could not be executed in work.
func explain(err error, path, work string) error {
	if info, e := os.Stat(work); e != nil || !info.IsDir() {
		return &startError{fmt.Sprintf("work directory %s: not a directory that can be entered", work), job.CodeCantRun}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(work, path)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		if _, e := os.Stat(path); e == nil {
			return &startError{fmt.Sprintf("%s: its interpreter (first line, or dynamic loader) does not exist", path), job.CodeCantRun}
		}
		return &startError{fmt.Sprintf("%s: no such file", path), job.CodeNotFound}
	case errors.Is(err, unix.ENOEXEC):
		return &startError{fmt.Sprintf("%s: not a program for this machine; a script begins with a line such as #!/bin/sh", path), job.CodeCantRun}
	case errors.Is(err, unix.EACCES):
		return &startError{fmt.Sprintf("%s: permission denied; is it an executable file?", path), job.CodeCantRun}
	case errors.Is(err, unix.E2BIG):
		return &startError{fmt.Sprintf("%s: arguments and environment are longer than this system allows", path), job.CodeCantRun}
	case errors.Is(err, unix.EINVAL):
		return &startError{fmt.Sprintf("%s: an argument or variable contains a NUL byte", path), job.CodeCantRun}
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENAMETOOLONG), errors.Is(err, unix.EPERM):
		return &startError{fmt.Sprintf("%s: %v", path, err), job.CodeCantRun}
	}
	// No processes, memory or descriptors left, a file being written: another
	// worker or a moment later may do.
	return &rejected{fmt.Errorf("starting %s: %w", path, err)}
}
