package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/lateness"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// workerCommand makes this program a worker: bench worker SLOTS PREFETCH, with the server
// in its environment.
const workerCommand = "worker"

// functionWorker runs the functions that are measured until it is told to end.
func functionWorker(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want SLOTS PREFETCH, got %q", args)
	}
	slots, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	prefetch, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	c, err := reeve.New(reeve.FromEnv())
	if err != nil {
		return err
	}
	defer c.Close()
	w := reeve.NewWorker(c, reeve.WorkerConfig{Name: "bench", Concurrency: slots, Prefetch: prefetch})
	w.Handle("noop", func(context.Context, *reeve.Attempt) error { return nil })
	// The clock of one machine serves both processes.
	w.Handle("stamp", func(_ context.Context, a *reeve.Attempt) error {
		a.SetOutput("started", strconv.FormatInt(time.Now().UnixNano(), 10))
		return nil
	})
	lateness.New().Handle(w)
	if _, err := c.Ping(ctx); err != nil {
		return err
	}
	if err := proc.AwaitGo(os.Stdin); err != nil {
		return err
	}
	return w.Run(ctx)
}
