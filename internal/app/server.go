// Package app makes running servers, workers and demos of configurations: it picks
// the implementations, starts the goroutines and orders the shutdown.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/api"
	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/blob/dirblob"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/leader"
	"github.com/reeve-scheduler/reeve/internal/logstore"
	"github.com/reeve-scheduler/reeve/internal/session"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore"
	"github.com/reeve-scheduler/reeve/internal/trust"
)

// DefaultListen is where a server listens if nothing else is said.
const DefaultListen = "127.0.0.1:7420"

// Files in a server's data directory that people use.
const (
	// AdminTokenFile holds the first administrator's token.
	AdminTokenFile = "admin.token"
	// CAFile is the server's own certificate authority, for clients.
	CAFile = "tls/ca.crt"
)

// ServerConfig says what server to run.
type ServerConfig struct {
	// Dir is the data directory.
	Dir string
	// Listen is host:port; port 0 takes a free one.
	Listen string
	// Dev serves without TLS and authentication, on loopback only.
	Dev bool
	// CertFile and KeyFile are the user's own certificate; without them the server
	// makes its own. Names are extra names for that.
	CertFile, KeyFile string
	Names             []string
	// Advertise is what join tokens name instead of Listen's address.
	Advertise []string
	// Lease and Retention are the defaults of jobs that say nothing; 0 keeps
	// leader's.
	Lease, Retention time.Duration
	// Profiles is where go tool pprof finds this process, host:port on loopback; empty
	// for nowhere.
	Profiles string
	Version  string
	Log      *slog.Logger
	// Ready is called with the server's address, as a URL, once it answers.
	Ready func(url string)
}

// RunServer serves until ctx ends, and then stops in good order.
func RunServer(ctx context.Context, c ServerConfig) (err error) {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if err := c.check(); err != nil {
		return err
	}
	s := &server{config: c, started: time.Now()}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(ctx); err != nil {
		return err
	}
	return s.serve(ctx)
}

// check refuses to be open where others can reach it.
func (c *ServerConfig) check() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen address %q: want host:port such as %s", c.Listen, DefaultListen)
	}
	if c.Dev && !isLoopback(c.Listen) {
		return fmt.Errorf("listen address %s: a development server has neither TLS nor tokens and listens on loopback only; leave --dev out", c.Listen)
	}
	return nil
}

// server is what a running server consists of, in the order in which it is opened.
type server struct {
	config   ServerConfig
	started  time.Time
	store    *sqlstore.Store
	blobs    *dirblob.Store
	logs     *logstore.Store
	trust    *trust.Server
	sessions *session.Hub
	leader   *leader.Leader
	listener net.Listener
	profiles *profiler
	settings leader.Settings
}

func (s *server) open(ctx context.Context) (err error) {
	c := &s.config
	// First of all: a server that nobody could reach must not begin to lead.
	var lc net.ListenConfig
	if s.listener, err = lc.Listen(ctx, "tcp", c.Listen); err != nil {
		return fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	if c.Profiles != "" {
		if s.profiles, err = openProfiler(ctx, c.Profiles, c.Log); err != nil {
			return err
		}
	}
	if s.store, err = sqlstore.OpenSQLite(ctx, c.Dir, sqlstore.Options{}); err != nil {
		return err
	}
	if s.blobs, err = dirblob.Open(filepath.Join(c.Dir, "blobs")); err != nil {
		return err
	}
	if s.logs, err = logstore.Open(ctx, filepath.Join(c.Dir, "logs"), s.blobs, logstore.Options{Log: c.Log}); err != nil {
		return err
	}
	if !c.Dev {
		if s.trust, err = trust.OpenServer(trust.ServerOptions{
			Dir: filepath.Join(c.Dir, "tls"), Names: trust.Names([]string{c.Listen}, append(c.Names, c.Advertise...)),
			CertFile: c.CertFile, KeyFile: c.KeyFile, Log: c.Log,
		}); err != nil {
			return err
		}
	}
	s.sessions = session.NewHub(c.Log)
	s.settings = leader.Settings{
		Core: core.Config{Lease: c.Lease.Milliseconds(), Retention: c.Retention.Milliseconds()}, Gone: s.gone, Logged: s.logs.Expect,
	}
	if s.leader, err = leader.New(ctx, s.settings, s.store.Journal(), s.store.Tables(), s.sessions, c.Log); err != nil {
		return err
	}
	return nil
}

func (s *server) close() error {
	var errs []error
	if s.profiles != nil {
		errs = append(errs, s.profiles.close())
	}
	if s.listener != nil {
		if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.logs != nil {
		errs = append(errs, s.logs.Close())
	}
	if s.blobs != nil {
		errs = append(errs, s.blobs.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// gone drops the logs and artifacts of jobs whose retention is over.
func (s *server) gone(ctx context.Context, ids []job.ID) error {
	for _, id := range ids {
		if err := s.blobs.Delete(ctx, api.ArtifactPrefix(id)); err != nil {
			return fmt.Errorf("drop the artifacts of job %d: %w", id, err)
		}
	}
	return s.logs.Drop(ctx, ids...)
}

// url is the server's address for clients on this machine.
func (s *server) url() string {
	scheme := "https"
	if s.config.Dev {
		scheme = "http"
	}
	address := s.listener.Addr().String()
	if host, port, err := net.SplitHostPort(address); err == nil {
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			address = net.JoinHostPort("127.0.0.1", port)
		}
	}
	return scheme + "://" + address
}

// stopTimeout is how long calls that are under way may take once the server stops.
const stopTimeout = 5 * time.Second

func (s *server) serve(ctx context.Context) error {
	c := &s.config
	handler, err := api.New(api.Options{
		Engine: s.leader, History: s.store.History(), Sessions: s.sessions, Logs: s.logs, Blobs: s.blobs, Log: c.Log,
		Open: c.Dev, Join: s.join, Version: c.Version, Started: s.started, Config: s.settings.Core,
	})
	if err != nil {
		return err
	}
	calls, stopCalls := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopCalls(nil)
	hs := guard.NewHTTPServer(calls, handler, c.Dev, c.Log)
	listener := s.listener
	if s.trust != nil {
		config := s.trust.Config()
		config.NextProtos = []string{"h2", "http/1.1"}
		listener = tls.NewListener(listener, config)
	}
	leading, stopLeading := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLeading()
	over := make(chan error, 2)
	go func() { over <- s.leader.Run(leading) }()
	served := make(chan error, 1)
	go func() { served <- hs.Serve(listener) }()
	if err := s.firstToken(ctx); err != nil {
		return errors.Join(err, hs.Close())
	}
	c.Log.Info("serving", "address", s.url(), "data", c.Dir, "version", c.Version)
	if c.Ready != nil {
		c.Ready(s.url())
	}
	select {
	case <-ctx.Done():
	case err = <-over:
		over <- nil
	case err = <-served:
		served <- nil
	}
	c.Log.Info("stopping")
	stopCalls(guard.ErrStopping) // ends the streams; workers connect again when there is a server
	quiet, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if stopErr := hs.Shutdown(quiet); stopErr != nil {
		err = errors.Join(err, hs.Close())
	}
	stopLeading()
	if leadErr := <-over; leadErr != nil {
		err = errors.Join(err, leadErr)
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// firstToken makes the administrator's token when there is none yet, and writes it
// to a file that only the owner can read.
func (s *server) firstToken(ctx context.Context) error {
	if s.config.Dev {
		return nil
	}
	count := 0
	if err := s.leader.View(ctx, func(state *core.State) { count = len(state.Tokens()) }); err != nil {
		return err
	}
	if count > 0 {
		return nil
	}
	token, text, err := api.NewToken("admin", "admin", nil, s.leader.Now(), 0, "server")
	if err != nil {
		return err
	}
	file := filepath.Join(s.config.Dir, AdminTokenFile)
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the administrator's token: %w", err)
	}
	if _, err := s.leader.Do(ctx, core.PutToken{Token: token}); err != nil {
		return err
	}
	s.config.Log.Info("made the administrator's token", "file", file)
	return nil
}

// join makes a join token around a credential.
func (s *server) join(credential string) (string, error) {
	if s.trust == nil {
		return "", errors.New("a development server has no certificate to join by; start reeve server without --dev")
	}
	c, err := auth.ParseCredential(credential)
	if err != nil {
		return "", err
	}
	addresses := s.config.Advertise
	if len(addresses) == 0 {
		addresses = s.addresses()
	}
	join := auth.Join{Addresses: addresses, CA: s.trust.Fingerprint(), Credential: c}
	return join.Text()
}

// addresses is where other machines can reach this server.
func (s *server) addresses() []string {
	const most = 8
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return []string{s.listener.Addr().String()}
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
		return []string{net.JoinHostPort(host, port)}
	}
	var out []string
	for _, name := range trust.Names([]string{s.config.Listen}, s.config.Names) {
		ip := net.ParseIP(name)
		if name == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsLinkLocalUnicast()) || strings.HasPrefix(name, "127.") || len(out) == most {
			continue
		}
		out = append(out, net.JoinHostPort(name, port))
	}
	return append(out, net.JoinHostPort("127.0.0.1", port))[:min(len(out)+1, most)]
}
