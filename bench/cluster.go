package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/internal/client"
)

// patience bounds what should happen soon.
const patience = time.Minute

// process is one of ours: a server or a worker.
type process struct {
	cmd *exec.Cmd
	// lines is what it says, line by line, until it is no longer listened to.
	lines chan string
	// ended is closed when it has; err then says how.
	ended chan struct{}
	err   error
	log   string
}

// start runs a program; what it says is kept in a file of its name.
func (b *bench) start(log string, name string, args ...string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(name, args...), lines: make(chan string, 64), ended: make(chan struct{}), log: log} //nolint:noctx // it outlives calls, and stop ends it
	// A program that is killed takes nothing with it otherwise.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	says, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	go func() {
		for s := bufio.NewScanner(says); s.Scan(); {
			fmt.Fprintln(f, s.Text())
			select {
			case p.lines <- s.Text():
			default: // nobody waits for it any more
			}
		}
		p.err = errors.Join(p.cmd.Wait(), f.Close())
		close(p.ended)
	}()
	return p, nil
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
				return m[1], nil
			}
		case <-p.ended:
			return "", fmt.Errorf("%s ended early (%w); it said:\n%s", filepath.Base(p.cmd.Path), p.err, tail(p.log))
		case <-ctx.Done():
			return "", fmt.Errorf("%s did not say %q; it said:\n%s", filepath.Base(p.cmd.Path), pattern, tail(p.log))
		}
	}
}

func tail(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4096):])
}

// stop ends it in good order.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
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

// cluster is a server with what works for it.
type cluster struct {
	b      *bench
	dir    string
	server *process
	worker *process
	keeper int
	// profiles is where the profiles of the server are, and of a worker of processes.
	profiles, workerProfiles string
	// client is as users have it; inside answers what only tools ask.
	client *reeve.Client
	inside *client.Client
}

const profilesAt = `profiles=(http://\S+/debug/pprof/)`

// newCluster starts a server on a fresh directory.
func (b *bench) newCluster() (*cluster, error) {
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return nil, err
	}
	c := &cluster{b: b, dir: dir}
	return c, c.startServer()
}

// startServer returns when it answers.
func (c *cluster) startServer() (err error) {
	if c.server, err = c.b.start(c.dir+"/server.log", c.b.binary, "server", "--dev", "--data", c.dir+"/server",
		"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"); err != nil {
		return err
	}
	if c.profiles, err = c.server.says(c.b.ctx, profilesAt); err != nil {
		return err
	}
	address, err := c.server.says(c.b.ctx, `REEVE_ADDR=(\S+)`)
	if err != nil {
		return err
	}
	if c.client, err = reeve.New(reeve.Config{Addr: address}); err != nil {
		return err
	}
	if c.inside, err = client.New(client.Options{Address: address, UserAgent: "reeve-bench"}); err != nil {
		return err
	}
	_, err = c.client.Ping(c.b.ctx)
	return err
}

// work starts a worker of functions, and returns when it has joined.
func (c *cluster) work(slots, prefetch int) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.worker, err = c.b.start(c.dir+"/worker.log", self, workerCommand, c.client.Addr(), strconv.Itoa(slots), strconv.Itoa(prefetch))
	if err != nil {
		return err
	}
	return c.joined()
}

// workProcesses starts a worker of processes, and returns when it has joined.
func (c *cluster) workProcesses(slots int) (err error) {
	c.worker, err = c.b.start(c.dir+"/worker.log", c.b.binary, "worker", "--addr", c.client.Addr(), "--state", c.dir+"/worker",
		"--slots", strconv.Itoa(slots), "--cpu", strconv.Itoa(slots), "--keeper-idle", "1s", "--admin", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if c.workerProfiles, err = c.worker.says(c.b.ctx, profilesAt); err != nil {
		return err
	}
	if err := c.joined(); err != nil {
		return err
	}
	c.keeper, err = childOf(c.worker.cmd.Process.Pid)
	return err
}

func (c *cluster) joined() error {
	return await(c.b.ctx, func() (bool, error) {
		s, err := c.inside.Status(c.b.ctx)
		return s.GetWorkers() > 0, err
	})
}

// await asks until something holds.
func await(ctx context.Context, holds func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
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

// drained waits until no job is unfinished. The server's answer leaves it when all that
// it saw is on disk.
func (c *cluster) drained() error {
	return await(c.b.ctx, func() (bool, error) {
		s, err := c.inside.Status(c.b.ctx)
		return s.GetPending() == 0, err
	})
}

// settled waits until the tables have what the journal has.
func (c *cluster) settled() error {
	return await(c.b.ctx, func() (bool, error) {
		s, err := c.inside.Status(c.b.ctx)
		return s.GetSequence() == s.GetProjectedSequence(), err
	})
}

// close stops everything and removes its data.
func (c *cluster) close() error {
	err := errors.Join(c.worker.stop(), c.server.stop())
	if c.keeper != 0 {
		err = errors.Join(err, gone(c.b.ctx, c.keeper))
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

// gone waits until a process that is not our child has ended.
func gone(ctx context.Context, pid int) error {
	return await(ctx, func() (bool, error) {
		return syscall.Kill(pid, 0) != nil, nil
	})
}

// live is the bytes of the server's memory that are in use after a collection.
func (c *cluster) live() (int64, error) {
	ctx, cancel := context.WithTimeout(c.b.ctx, patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, c.profiles+"heap?gc=1&debug=1", http.NoBody)
	if err != nil {
		return 0, err
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`).FindStringSubmatch(string(text))
	if m == nil {
		return 0, fmt.Errorf("no HeapAlloc in the profile: %.100s", strings.TrimSpace(string(text)))
	}
	return strconv.ParseInt(m[1], 10, 64)
}

// profileSeconds is how much of a run its profile shows.
const profileSeconds = 4

// record keeps a profile of what the processors do for a run in its first seconds, if
// asked for.
func (c *cluster) record(name string) (wait func() error) {
	if c.b.profile == "" {
		return func() error { return nil }
	}
	done := make(chan error, 2)
	get := func(from, what string) {
		if from == "" {
			done <- nil
			return
		}
		done <- fetch(c.b.ctx, fmt.Sprintf("%sprofile?seconds=%d", from, profileSeconds), filepath.Join(c.b.profile, name+what))
	}
	go get(c.profiles, "-server.pprof")
	go get(c.workerProfiles, "-worker.pprof")
	return func() error { return errors.Join(<-done, <-done) }
}
