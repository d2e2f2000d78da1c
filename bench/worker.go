package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve"
)

const (
	// workerCommand makes this program a worker: bench worker SLOTS PREFETCH, with the
	// server in its environment.
	workerCommand = "worker"
	// ready is what a worker says when it could begin, goOn the answer that lets it: how
	// long a program takes to start is not what is measured.
	ready, goOn = "ready", "go"
)

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
	if _, err := c.Ping(ctx); err != nil {
		return err
	}
	if err := awaitGo(os.Stdin); err != nil {
		return err
	}
	return w.Run(ctx)
}

// awaitGo says that this program is ready, and waits for the word.
func awaitGo(from io.Reader) error {
	fmt.Println(ready)
	if !bufio.NewScanner(from).Scan() {
		return io.ErrUnexpectedEOF
	}
	return nil
}
