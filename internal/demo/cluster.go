package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve/internal/app"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// How long parts of the cluster may take.
const (
	// startWait is for the server to answer and for the workers to be known to it.
	startWait = 30 * time.Second
	// leaveWait is for a worker to leave in good order before it is killed.
	leaveWait = 8 * time.Second
	// keeperIdle is how long a keeper stays after its worker has gone.
	keeperIdle = 300 * time.Millisecond
	// keeperWait is for a keeper to end after that.
	keeperWait = 10 * time.Second
	lookEvery  = 20 * time.Millisecond
)

// cluster is a server in this process and workers in processes of their own.
type cluster struct {
	self, dir string
	url       string
	client    *client.Client
	workers   []*worker

	stopServer context.CancelFunc
	served     chan error
	log        *os.File
	// fail ends the demonstration when a part of the cluster ends unasked.
	fail func(error)
}

// worker is an agent's process. It ends by itself when alive is closed, which the
// kernel does when this process dies, however it dies.
type worker struct {
	name, dir string
	cmd       *exec.Cmd
	alive     io.Closer

	// ended is closed once the process has been waited for.
	ended chan struct{}
	mu    sync.Mutex
	// expected is set once the process may end.
	expected bool
}

// startCluster starts everything and waits until it is up. What has been started
// when it fails is stopped again.
func startCluster(ctx context.Context, o *Options, self, dir string, fail func(error)) (_ *cluster, err error) {
	c := &cluster{self: self, dir: dir, fail: fail}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	if err := c.serve(ctx, o); err != nil {
		return nil, err
	}
	if c.client, err = app.Dial(app.Connection{Address: c.url}, "reeve-demo/"+o.Version); err != nil {
		return nil, err
	}
	for _, name := range workerNames() {
		w, err := c.startWorker(name)
		if err != nil {
			return nil, err
		}
		c.workers = append(c.workers, w)
	}
	return c, c.await(ctx)
}

// serve starts the server.
func (c *cluster) serve(ctx context.Context, o *Options) (err error) {
	if c.log, err = os.OpenFile(filepath.Join(c.dir, "server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	// It outlives ctx: the workers take their leave of it.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stopServer, c.served = stop, make(chan error, 1)
	ready := make(chan string, 1)
	config := app.ServerConfig{
		Dir: filepath.Join(c.dir, "server"), Listen: "127.0.0.1:0", Dev: true, Lease: lease, Version: o.Version,
		Log: slog.New(slog.NewTextHandler(c.log, nil)), Ready: func(url string) { ready <- url },
	}
	go func() {
		err := app.RunServer(serving, config)
		if err == nil && serving.Err() == nil {
			err = errors.New("it stopped")
		}
		c.served <- err
		if serving.Err() == nil {
			c.fail(fmt.Errorf("the server ended: %w", err))
		}
	}()
	wait := time.NewTimer(startWait)
	defer wait.Stop()
	select {
	case c.url = <-ready:
		return nil
	case err := <-c.served:
		c.served <- nil // it has ended, as stop wants
		return err
	case <-wait.C:
		return fmt.Errorf("the server does not answer after %s", startWait)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *cluster) startWorker(name string) (*worker, error) {
	w := &worker{name: name, dir: filepath.Join(c.dir, name), ended: make(chan struct{})}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(w.dir+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	stdin, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	w.alive = alive
	// The words of a real worker; --until-eof and --keeper-idle see to it that
	// nothing stays behind.
	w.cmd = exec.Command( //nolint:noctx // stop ends it, by asking first
		c.self, "worker", "--addr", c.url, "--name", name, "--state", w.dir,
		"--slots", strconv.Itoa(slots), "--cpu", strconv.Itoa(slots), "--prefetch", strconv.Itoa(slots), "--leave-wait", "0",
		"--resource", job.GPU+"=0", // which the three would share
		"--until-eof", "--keeper-idle", keeperIdle.String())
	w.cmd.Env = withoutReeve(os.Environ())
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = stdin, log, log
	// In a group of its own a Ctrl-C on the terminal does not reach it: this process
	// decides what ends in which order.
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := w.cmd.Start(); err != nil {
		alive.Close()
		return nil, fmt.Errorf("start worker %s: %w", name, err)
	}
	go func() {
		err := w.cmd.Wait()
		close(w.ended)
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.expected {
			c.fail(fmt.Errorf("worker %s ended: %s", name, strings.TrimSpace(fmt.Sprintf("%v %s", err, lastLine(w.dir+".log")))))
		}
	}()
	return w, nil
}

// withoutReeve leaves out the variables that would send a worker elsewhere.
func withoutReeve(env []string) []string {
	return slices.DeleteFunc(env, func(s string) bool { return strings.HasPrefix(s, "REEVE_") })
}

// lastLine returns the last line of a log, "" if there is none.
func lastLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}

// await waits until the server knows the workers.
func (c *cluster) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startWait, fmt.Errorf("the workers have not come up after %s", startWait))
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		workers, err := c.client.Workers(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		up := 0
		for _, w := range workers {
			if w.GetState() == "ready" && slices.Contains(workerNames(), w.GetName()) {
				up++
			}
		}
		if up == len(workerNames()) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// worker returns the worker of a name, nil if there is none.
func (c *cluster) worker(name string) *worker {
	for _, w := range c.workers {
		if w.name == name {
			return w
		}
	}
	return nil
}

// kill kills the worker with its keeper and its attempts, as if its machine had
// died, and returns how many attempts died with it.
func (w *worker) kill() (attempts int, err error) {
	w.expect()
	levels, err := killTree(w.cmd.Process.Pid)
	if err != nil {
		return 0, fmt.Errorf("kill worker %s: %w", w.name, err)
	}
	<-w.ended
	w.alive.Close()
	for _, n := range levels[min(1, len(levels)):] {
		attempts += n
	}
	return attempts, nil
}

func (w *worker) expect() {
	w.mu.Lock()
	w.expected = true
	w.mu.Unlock()
}

// stop ends the workers, their keepers and the server, and waits for them.
func (c *cluster) stop() error {
	left := make([]error, len(c.workers))
	var wg sync.WaitGroup
	for i, w := range c.workers {
		wg.Go(func() { left[i] = errors.Join(w.stop(), c.sweep(w)) })
	}
	wg.Wait()
	if c.client != nil {
		c.client.Close()
	}
	err := errors.Join(left...)
	if c.stopServer != nil {
		c.stopServer()
		err = errors.Join(err, <-c.served, c.log.Close())
	}
	return err
}

// stop asks the worker to leave, and kills it if it does not.
func (w *worker) stop() error {
	w.expect()
	w.alive.Close()
	wait := time.NewTimer(leaveWait)
	defer wait.Stop()
	select {
	case <-w.ended:
		return nil
	case <-wait.C:
	}
	_, err := w.kill()
	return err
}

// exitLocked is the keeper's exit code when another one has its directory.
const exitLocked = 75

// sweep waits until the worker's keeper is gone: it starts one in its place, which
// only succeeds then, and which removes what a killed one has left.
func (c *cluster) sweep(w *worker) error {
	wait := time.NewTimer(keeperWait)
	defer wait.Stop()
	tick := time.NewTicker(5 * lookEvery)
	defer tick.Stop()
	for {
		cmd := exec.Command(c.self, "keeper", "--dir", w.dir, "--idle", "1ms") //nolint:noctx // it ends by itself
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}                  // a second Ctrl-C is not for it
		err := cmd.Run()
		if err == nil {
			return nil
		}
		// A Ctrl-C may have come before it had left the group: then it is none's exit.
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Exited() && exit.ExitCode() != exitLocked {
			return fmt.Errorf("sweep after worker %s: %w", w.name, err)
		}
		select {
		case <-tick.C:
		case <-wait.C:
			return fmt.Errorf("the keeper of worker %s has not ended after %s", w.name, keeperWait)
		}
	}
}
