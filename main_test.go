package reeve_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/internal/app"
)

// addr is the server that examples and most tests share: a real one, in this process.
var addr string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	for _, name := range []string{"REEVE_TOKEN", "REEVE_TOKEN_FILE", "REEVE_CA", "REEVE_NAMESPACE"} {
		os.Unsetenv(name)
	}
	dir, err := os.MkdirTemp("", "reeve-sdk-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	stop, err := serve(app.ServerConfig{Dir: dir}, &addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Setenv("REEVE_ADDR", addr)
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "the server:", err)
		return 1
	}
	return code
}

// serve starts a development server and returns the function that stops it.
func serve(c app.ServerConfig, at *string) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan string, 1)
	over := make(chan error, 1)
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	c.Dev, c.Version, c.Log = true, "test", slog.New(slog.DiscardHandler)
	c.Ready = func(url string) { ready <- url }
	go func() { over <- app.RunServer(ctx, c) }()
	select {
	case *at = <-ready:
		return func() error { cancel(); return <-over }, nil
	case err := <-over:
		cancel()
		return nil, err
	}
}

// ownServer starts a server for one test and returns its address.
func ownServer(t testing.TB, c app.ServerConfig) string {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	var at string
	stop, err := serve(c, &at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error("the server:", err)
		}
	})
	return at
}

// patience bounds every wait of a test.
const patience = time.Minute

func connect(t testing.TB, at string) *reeve.Client {
	t.Helper()
	c, err := reeve.New(reeve.Config{Addr: at})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// work runs a worker until the test ends, or until the function it returns is called.
func work(t testing.TB, c *reeve.Client, cfg reeve.WorkerConfig, register func(*reeve.Worker)) (stop func()) {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	w := reeve.NewWorker(c, cfg)
	register(w)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- w.Run(ctx) }()
	stopped := false
	stop = func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		select {
		case err := <-over:
			if err != nil {
				t.Error("Run:", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	}
	t.Cleanup(stop)
	return stop
}
