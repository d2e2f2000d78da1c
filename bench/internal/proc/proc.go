// Package proc starts programs, waits for what they say, ends them, and reads what they
// have used from /proc.
package proc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Patience bounds what should happen soon.
const Patience = time.Minute

// Process is one that we started: a server, a worker, a client of its own. The methods
// that wait for it are for one goroutine at a time.
type Process struct {
	cmd *exec.Cmd
	// to is its standard input.
	to io.WriteCloser
	// lines is what it says, line by line, until it is no longer listened to.
	lines chan string
	// ended is closed when it has; err then says how.
	ended chan struct{}
	err   error
	log   string
}

// Start runs a command whose standard streams are not set; what it says is kept in a file
// of that name. It ends with the program that started it.
func Start(log string, cmd *exec.Cmd) (*Process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, lines: make(chan string, 1024), ended: make(chan struct{}), log: log}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// A program that is killed takes nothing with it otherwise.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	says, its, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	cmd.Stdout, cmd.Stderr = its, its
	if p.to, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	if err := errors.Join(err, its.Close()); err != nil {
		return nil, errors.Join(err, says.Close(), f.Close())
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		defer says.Close()
		for s := bufio.NewScanner(says); s.Scan(); {
			fmt.Fprintln(f, s.Text())
			select {
			case p.lines <- s.Text():
			default: // nobody waits for it any more
			}
		}
	}()
	go func() {
		p.err = cmd.Wait()
		select { // what it started may hold its output open
		case <-heard:
		case <-time.After(time.Second):
		}
		p.err = errors.Join(p.err, f.Close())
		close(p.ended)
	}()
	return p, nil
}

// PID is 0 of a process that there isn't.
func (p *Process) PID() int {
	if p == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Says waits for a line that a pattern matches, and returns its first group.
func (p *Process) Says(ctx context.Context, pattern string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	re := regexp.MustCompile(pattern)
	for {
		select {
		case line := <-p.lines:
			if m := re.FindStringSubmatch(line); m != nil {
				return m[len(m)-1], nil
			}
		case <-p.ended:
			return "", fmt.Errorf("%s ended early (%w); it said:\n%s", filepath.Base(p.cmd.Path), p.err, tail(p.log))
		case <-ctx.Done():
			return "", fmt.Errorf("%s did not say %q; it said:\n%s", filepath.Base(p.cmd.Path), pattern, tail(p.log))
		}
	}
}

// Tell writes a line to its standard input.
func (p *Process) Tell(line string) error {
	_, err := fmt.Fprintln(p.to, line)
	return err
}

func tail(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4096):])
}

// Stop ends it in good order.
func (p *Process) Stop() error { return p.StopBy(syscall.SIGTERM) }

// StopBy ends it by a signal that it takes for that.
func (p *Process) StopBy(s os.Signal) error {
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(Patience):
		return errors.Join(errors.New("it does not stop; it was killed"), p.Kill())
	}
}

// Kill ends it as a crash does.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	<-p.ended
	return err
}

// KillMarked kills the processes that have a variable in their environment: those that left
// their parent and outlived it.
func KillMarked(variable string) error {
	children, err := processTree()
	if err != nil {
		return err
	}
	var errs []error
	for _, pid := range slices.Concat(slices.Collect(maps.Values(children))...) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || !slices.Contains(strings.Split(string(text), "\x00"), variable) {
			continue // it has ended, or is another user's
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !gone(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Output runs a command and returns what it writes to its standard output; what it
// writes to the other is in the error.
func Output(c *exec.Cmd) (string, error) {
	text, err := c.Output()
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		err = fmt.Errorf("%s: %w: %.300s", filepath.Base(c.Path), err, e.Stderr)
	}
	return string(text), err
}

// Await asks until something holds, again after every pause.
func Await(ctx context.Context, every time.Duration, holds func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const (
	// Ready is what a worker says when it could begin: how long a program takes to start is
	// not what is measured.
	Ready = "ready"
	// GoOn is the answer that lets it.
	GoOn = "go"
)

// StartSelf starts this program with other arguments and environment, and returns when it
// is ready.
func StartSelf(ctx context.Context, log string, environment []string, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...) //nolint:noctx // it outlives calls, and Stop ends it
	cmd.Env = environment
	p, err := Start(log, cmd)
	if err != nil {
		return nil, err
	}
	_, err = p.Says(ctx, "^("+Ready+")$")
	return p, err
}

// AwaitGo says that this program is ready, and waits for the word.
func AwaitGo(from io.Reader) error {
	fmt.Println(Ready)
	if !bufio.NewScanner(from).Scan() {
		return io.ErrUnexpectedEOF
	}
	return nil
}
