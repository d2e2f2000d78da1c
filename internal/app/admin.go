package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/pprof"
	"strconv"
	"time"
)

// maxProfile bounds how long one profile of the processors may take.
const maxProfile = 10 * time.Minute

// headerTimeout bounds how long the headers of a request for one may take.
const headerTimeout = 10 * time.Second

// admin answers those who look after a server or a worker while it runs: collectors
// of metrics, and go tool pprof. The standard library's own handlers for that are
// not used: they open on every server of the process.
type admin struct {
	server *http.Server
	over   chan error
}

// openAdmin listens on address, which must be of this machine alone: metrics and
// profiles tell nobody's secrets, but they name queues and cost time, and nothing
// here asks who wants them.
func openAdmin(ctx context.Context, address string, metrics http.Handler, log *slog.Logger) (*admin, error) {
	if !isLoopback(address) {
		return nil, fmt.Errorf("admin address %q: want host:port on loopback, such as 127.0.0.1:7421: it asks for no token", address)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics and profiles on %s: %w", address, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /debug/pprof/profile", profileCPU)
	mux.HandleFunc("GET /debug/pprof/{name}", profileNamed)
	a := &admin{
		server: &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)},
		over:   make(chan error, 1),
	}
	go func() { a.over <- a.server.Serve(l) }()
	at := "http://" + l.Addr().String()
	log.Info("metrics and profiles", "metrics", at+"/metrics", "profiles", at+"/debug/pprof/")
	return a, nil
}

func (a *admin) close() error {
	err := a.server.Close()
	if served := <-a.over; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// isLoopback reports whether host:port is of this machine alone.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// profileCPU records what the processors do for ?seconds, 30 by default.
func profileCPU(w http.ResponseWriter, r *http.Request) {
	wait := 30 * time.Second
	if s := r.FormValue("seconds"); s != "" {
		n, err := strconv.ParseFloat(s, 64)
		wait = time.Duration(n * float64(time.Second))
		if err != nil || wait <= 0 || wait > maxProfile {
			http.Error(w, fmt.Sprintf("seconds=%q: want a number up to %g", s, maxProfile.Seconds()), http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := pprof.StartCPUProfile(w); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	defer pprof.StopCPUProfile()
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
	}
}

// profileNamed writes one of the runtime's profiles: heap, allocs, goroutine,
// threadcreate. ?gc=1 collects garbage before; ?debug=1 writes text, with the
// counters of memory.
func profileNamed(w http.ResponseWriter, r *http.Request) {
	p := pprof.Lookup(r.PathValue("name"))
	if p == nil {
		http.Error(w, fmt.Sprintf("profile %q: want profile, heap, allocs, goroutine or threadcreate", r.PathValue("name")), http.StatusNotFound)
		return
	}
	if r.FormValue("gc") == "1" {
		runtime.GC()
	}
	debug := 0
	kind := "application/octet-stream"
	if r.FormValue("debug") == "1" {
		debug, kind = 1, "text/plain; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	_ = p.WriteTo(w, debug) // an error means that the reader has gone
}
