package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// patience bounds what should happen soon.
const patience = time.Minute

// process is one that we started: a server, a worker, a client of its own.
type process struct {
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

// start runs a program; what it says is kept in a file of its name.
func (b *bench) start(log string, name string, args ...string) (*process, error) {
	return startCommand(log, exec.Command(name, args...)) //nolint:noctx // it outlives calls, and stop ends it
}

// startCommand runs a command whose standard streams are not set.
func startCommand(log string, cmd *exec.Cmd) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, lines: make(chan string, 1024), ended: make(chan struct{}), log: log}
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

// pid is 0 of a process that there isn't.
func (p *process) pid() int {
	if p == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// says waits for a line that a pattern matches, and returns its first group.
func (p *process) says(ctx context.Context, pattern string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
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

// tell writes a line to its standard input.
func (p *process) tell(line string) error {
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

// stop ends it in good order.
func (p *process) stop() error { return p.stopBy(syscall.SIGTERM) }

// stopBy ends it by a signal that it takes for that.
func (p *process) stopBy(s os.Signal) error {
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(patience):
		return errors.Join(errors.New("it does not stop; it was killed"), p.kill())
	}
}

// kill ends it as a crash does.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	<-p.ended
	return err
}

// output runs a program and returns what it writes to its standard output.
func (b *bench) output(name string, args ...string) (string, error) {
	return outputOf(exec.CommandContext(b.ctx, name, args...))
}

func outputOf(c *exec.Cmd) (string, error) {
	text, err := c.Output()
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		err = fmt.Errorf("%s: %w: %.300s", filepath.Base(c.Path), err, e.Stderr)
	}
	return string(text), err
}

// await asks until something holds.
func await(ctx context.Context, holds func() (bool, error)) error {
	return awaitEvery(ctx, pollEvery, holds)
}

func awaitEvery(ctx context.Context, every time.Duration, holds func() (bool, error)) error {
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

// pollEvery is how often the end of a run is looked for, and so how inexact its time is.
const pollEvery = 5 * time.Millisecond
