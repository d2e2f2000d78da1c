package several

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// WorkersCommand makes a program the workers: bench workers FILE, with the servers in its
// environment.
const WorkersCommand = "workers"

// Programs are what a program that measures is when it starts itself as another, by its first
// argument.
func Programs() map[string]func(args []string) error {
	return map[string]func([]string) error{WorkersCommand: runWorkers}
}

// longestNap bounds how long a job of "nap" sleeps, half of it on average: slots come free all the
// time, and not all at once.
const longestNap = time.Second

// runWorkers runs Workers, each with connections of its own, until it is told to end. They hold
// nothing ready: what begins was given out a moment before.
func runWorkers(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want FILE, got %q", args)
	}
	to, err := os.OpenFile(args[0], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer to.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := proc.AwaitGo(os.Stdin); err != nil {
		return err
	}
	errs := make([]error, Workers)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = runWorker(ctx, fmt.Sprintf("bench-%d", i+1), to) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func runWorker(ctx context.Context, name string, to *os.File) error {
	c, err := reeve.New(reeve.FromEnv())
	if err != nil {
		return err
	}
	defer c.Close()
	w := reeve.NewWorker(c, reeve.WorkerConfig{Name: name, Concurrency: Slots, Prefetch: -1})
	w.Handle("noop", func(context.Context, *reeve.Attempt) error { return nil })
	w.Handle("nap", func(ctx context.Context, _ *reeve.Attempt) error {
		// One write of a line appends it whole, whoever else writes.
		if _, err := fmt.Fprintf(to, "%d\n", time.Now().UnixNano()); err != nil {
			return err
		}
		select {
		case <-time.After(rand.N(longestNap)): //nolint:gosec // any number will do
		case <-ctx.Done():
		}
		return nil
	})
	return w.Run(ctx)
}

// firstStart reads when the first attempt began after a moment, if one has.
func (c *Cluster) firstStart(after time.Time) (first time.Time, found bool, err error) {
	f, err := os.Open(c.started)
	if err != nil {
		return first, false, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); { // in about the order of time
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			return first, false, err
		}
		if at := time.Unix(0, n); at.After(after) && (!found || at.Before(first)) {
			first, found = at, true
		}
	}
	return first, found, nil
}
