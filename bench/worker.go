package main

import (
	"context"
	"fmt"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve"
)

// workerCommand makes this program a worker: bench worker ADDR SLOTS PREFETCH.
const workerCommand = "worker"

// functionWorker runs the functions that are measured until it is told to end.
func functionWorker(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want ADDR SLOTS PREFETCH, got %q", args)
	}
	slots, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	prefetch, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	c, err := reeve.New(reeve.Config{Addr: args[0]})
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
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return w.Run(ctx)
}
