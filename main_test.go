package reeve_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
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
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what examples' workers say
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
	c.Dev = true
	return serveClosed(c, at)
}

// serveClosed starts a server as it is in earnest.
func serveClosed(c app.ServerConfig, at *string) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan string, 1)
	over := make(chan error, 1)
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	c.Version, c.Log = "test", slog.New(slog.DiscardHandler)
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

// server is a server of one test's own, which can go away and come back.
type server struct {
	t      testing.TB
	config app.ServerConfig
	addr   string
	end    func() error
}

// newServer starts a server for one test.
func newServer(t testing.TB, c app.ServerConfig) *server {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	s := &server{t: t, config: c}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// start starts it where it was before.
func (s *server) start() {
	s.t.Helper()
	if s.addr != "" {
		s.config.Listen = strings.TrimPrefix(s.addr, "http://")
	}
	var err error
	if s.end, err = serve(s.config, &s.addr); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) stop() {
	s.t.Helper()
	if s.end == nil {
		return
	}
	if err := s.end(); err != nil {
		s.t.Error("the server:", err)
	}
	s.end = nil
}

// patience bounds every wait of a test.
const patience = time.Minute

// withPatience is a context that ends when a test has waited for too long.
func withPatience(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// get takes what comes over a channel.
func get[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %T came", *new(T))
		panic("unreachable")
	}
}

// must returns v, or ends the test.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wire is a way to a server that can be cut.
type wire struct {
	// addr is where to connect to.
	addr string

	to    string
	mu    sync.Mutex
	conns map[net.Conn]bool
	down  bool
}

// newWire leads to the server at url.
func newWire(t testing.TB, url string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's own
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: "http://" + l.Addr().String(), to: strings.TrimPrefix(url, "http://"), conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.cut(true)
		wg.Wait()
	})
	return w
}

// carry joins a connection to one to the server until either ends.
func (w *wire) carry(c net.Conn) {
	far, err := net.Dial("tcp", w.to) //nolint:noctx // a test's own
	if err != nil {
		c.Close()
		return
	}
	w.mu.Lock()
	w.conns[c], w.conns[far] = true, true
	down := w.down
	w.mu.Unlock()
	if down {
		c.Close()
		far.Close()
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, far}, {far, c}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // it ends when either is closed
			way[0].Close()
			way[1].Close()
		})
	}
	both.Wait()
	w.mu.Lock()
	delete(w.conns, c)
	delete(w.conns, far)
	w.mu.Unlock()
}

// cut ends every connection, and new ones too for as long as it is down.
func (w *wire) cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	for c := range w.conns {
		c.Close()
	}
}

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
