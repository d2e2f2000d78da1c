// Package app makes running servers, workers and demos of configurations: it picks
// the implementations, starts the goroutines and orders the shutdown.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"

	"github.com/reeve-scheduler/reeve/internal/api"
	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/blob"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/leader"
	"github.com/reeve-scheduler/reeve/internal/logstore"
	"github.com/reeve-scheduler/reeve/internal/member"
	"github.com/reeve-scheduler/reeve/internal/metrics"
	"github.com/reeve-scheduler/reeve/internal/outlook"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/session"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore"
	"github.com/reeve-scheduler/reeve/internal/trust"
)

// DefaultListen is where a server listens if nothing else is said.
const DefaultListen = "127.0.0.1:7420"

// StateDir is where servers and workers (kind) keep their state if nothing else is said.
func StateDir(kind string) string {
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "reeve", kind)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(".", "reeve-"+kind)
	}
	return filepath.Join(home, ".local", "state", "reeve", kind)
}

// Files in a server's data directory that people use.
const (
	// AdminTokenFile holds the first administrator's token.
	AdminTokenFile = "admin.token"
	// CAFile is the server's own certificate authority, for clients.
	CAFile = tlsDir + "/ca.crt"
)

// tlsDir is where a data directory has its certificates.
const tlsDir = "tls"

// logsDir is where a data directory has its logs.
const logsDir = "logs"

// ServerConfig says what server to run.
type ServerConfig struct {
	// Dir is the data directory.
	Dir string
	// Listen is host:port; port 0 takes a free one.
	Listen string
	// Store is the URL of a PostgreSQL database that several servers share; empty for the
	// data directory, which is one server's. PasswordFile holds its password.
	Store, PasswordFile string
	// Blobs is where servers that share a database keep logs and artifacts: a directory, or the
	// address of a bucket.
	Blobs string
	// Dev serves without TLS and authentication, on loopback only.
	Dev bool
	// CertFile and KeyFile are the user's own certificate; without them the server
	// makes its own. Names are extra names for that.
	CertFile, KeyFile string
	Names             []string
	// Advertise is what join tokens name instead of Listen's address. Where several servers
	// share a store others reach this one at the first.
	Advertise []string
	// Lease and Retention are the defaults of jobs that say nothing; 0 keeps
	// leader's.
	Lease, Retention time.Duration
	// Admin is where metrics and profiles of this process are answered, host:port on
	// loopback; empty for nowhere.
	Admin   string
	Version string
	Log     *slog.Logger
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
	tending, stop := context.WithCancel(ctx)
	defer stop()
	go tendHeap(tending)
	s := &server{config: c, started: time.Now()}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(ctx); err != nil {
		return err
	}
	return s.serve(ctx)
}

// check refuses to be open where others can reach it, and what can't work.
func (c *ServerConfig) check() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen address %q: want host:port such as %s", c.Listen, DefaultListen)
	}
	if c.Dev && !isLoopback(c.Listen) {
		return fmt.Errorf("listen address %s: a development server has neither TLS nor tokens and listens on loopback only; leave --dev out", c.Listen)
	}
	switch {
	case c.Dev && c.CertFile+c.KeyFile != "":
		return errors.New("a development server has no TLS: leave --dev out, or --tls-cert and --tls-key")
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("a certificate needs its key, and a key its certificate: give both --tls-cert and --tls-key, or neither")
	case c.Lease != 0 && c.Lease < minLease:
		return fmt.Errorf("lease %s: want at least %s, so that a worker can renew it in time", c.Lease, minLease)
	case c.Retention < 0:
		return fmt.Errorf("retention %s: want a positive duration, or none for the default", c.Retention)
	}
	if err := c.checkStore(); err != nil {
		return err
	}
	for _, address := range c.Advertise {
		host, port, err := net.SplitHostPort(address)
		if n, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || n == 0 || !isHost(host) {
			return fmt.Errorf("advertised address %.80q: want host:port, as workers can reach this server", address)
		}
	}
	for _, name := range c.Names {
		if !isHost(name) {
			return fmt.Errorf("name %.80q for the certificate: want a host's name or an IP address", name)
		}
	}
	return nil
}

// isHost reports whether text is an IP address, or could be the name of a host.
func isHost(text string) bool {
	if net.ParseIP(text) != nil {
		return true
	}
	stray := strings.IndexFunc(text, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.*", r)
	})
	return text != "" && len(text) <= 253 && stray < 0
}

// minLease is also the shortest lease that a job file may ask for.
const minLease = time.Second

// checkDir refuses a data directory in which everybody can put other files in the place
// of the server's own, and one that has lost its journal and tables: an empty server
// must not take the place of a full one. One that does not exist is made for its owner
// alone.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("data directory %s: everybody can write into it (mode %#o); chmod 700 it, or choose another", dir, info.Mode().Perm())
	}
	// Logs come after the store; what is missing of that the store says.
	_, logs := os.Stat(filepath.Join(dir, logsDir))
	if logs == nil && !sqlstore.Begun(dir) {
		return fmt.Errorf("data directory %s: it has logs of a server, but neither its journal nor its tables; restore them from a backup, or choose an empty directory", dir)
	}
	return nil // what else is wrong with it the store says
}

// blobStore is where the server has its blobs.
type blobStore interface {
	blob.Store
	io.Closer
}

// server is what a running server consists of, in the order in which it is opened.
type server struct {
	config   ServerConfig
	started  time.Time
	store    *sqlstore.Store
	blobs    blobStore
	logs     atomic.Pointer[logstore.Store] // that of a server which leads, else a closed one
	endLogs  func()                         // gives up what led has begun
	trust    *trust.Server
	peers    *tls.Config // for connections to other servers, nil without TLS
	sessions *session.Hub
	proofKey auth.ProofKey
	// engine and chief are a leader that is alone, or a member of several, as door and
	// sessions need it; run runs it, and full says whether it takes submits.
	engine   api.Engine
	chief    session.Leader
	run      func(context.Context) error
	full     func() error
	member   *member.Member // nil where the store is one server's
	listener net.Listener
	admin    *admin
	metrics  *metrics.Server
	settings leader.Settings
	// vital is the engine's vital signs, once there is one, and stands how it stands among
	// several.
	vital  atomic.Pointer[func() (leader.Vitals, bool)]
	stands atomic.Pointer[func() metrics.Standing]
}

func (s *server) open(ctx context.Context) (err error) {
	c := &s.config
	s.metrics = metrics.NewServer(c.Version)
	if c.Admin != "" {
		if s.admin, err = openAdmin(ctx, c.Admin, s.metrics.Handler(s.vitals, s.standing, c.Log), c.Log); err != nil {
			return err
		}
	}
	if err := s.openStore(ctx); err != nil {
		return err
	}
	// Before anything is decided: a server that nobody could reach must not begin to lead.
	var lc net.ListenConfig
	if s.listener, err = lc.Listen(ctx, "tcp", c.Listen); errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s: address already in use: stop the program that has it, or choose another with --listen", c.Listen)
	} else if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	if s.blobs, err = c.openBlobs(ctx); err != nil {
		return err
	}
	if err := s.openLogs(ctx); err != nil {
		return err
	}
	if !c.Dev {
		if s.trust, err = trust.OpenServer(trust.ServerOptions{
			Dir: filepath.Join(c.Dir, tlsDir), Names: trust.Names([]string{c.Listen}, append(c.Names, c.Advertise...)),
			CertFile: c.CertFile, KeyFile: c.KeyFile, Log: c.Log, Share: s.share(ctx, secretCA),
		}); err != nil {
			return err
		}
	}
	if s.trust != nil {
		if s.peers, err = s.trust.Peers(); err != nil {
			return err
		}
	}
	if err = s.openProofKey(ctx); err != nil {
		return err
	}
	s.sessions = session.NewHub(c.Log)
	s.settings = leader.Settings{
		Core: core.Config{Lease: c.Lease.Milliseconds(), Retention: c.Retention.Milliseconds(), Format: record.Newest},
		Gone: s.gone, Logged: func(ref job.Ref, size int64) { s.logs.Load().Expect(ref, size) }, Observer: s.metrics, RetainEvery: part(c.Retention, minRetainEvery, leader.DefaultRetainEvery), MemoryFull: memoryFull(),
	}
	if s.store.Cluster() != nil {
		return s.openMember()
	}
	l, err := leader.New(ctx, s.settings, s.store.Journal(), s.store.Tables(), s.sessions, c.Log)
	if err != nil {
		return err
	}
	s.engine, s.chief, s.run, s.full = l, l, l.Run, l.Full
	vitals := func() (leader.Vitals, bool) { return l.Vitals(), true }
	s.vital.Store(&vitals)
	return nil
}

// What is past its retention goes a span of submission at a time, and is looked for every
// so often.
const (
	minSpan, maxSpan = 10 * time.Second, 24 * time.Hour
	minRetainEvery   = time.Second
)

// part is the part of the default retention at which its end is looked for. Finished jobs
// that are kept for as long as that says stay up to about three parts longer: until all go
// that were submitted in the same part.
func part(retention, least, most time.Duration) time.Duration {
	if retention == 0 {
		retention = leader.DefaultRetention
	}
	return min(max(retention/8, least), most)
}

// vitals is the leader's, once it has recovered.
func (s *server) vitals() (leader.Vitals, bool) {
	if f := s.vital.Load(); f != nil {
		return (*f)()
	}
	return leader.Vitals{}, false
}

// standing is that of a server which is alone, or what a member says.
func (s *server) standing() metrics.Standing {
	if f := s.stands.Load(); f != nil {
		return (*f)()
	}
	_, leads := s.vitals()
	return metrics.Standing{Leads: leads, Able: leads, Servers: 1}
}

func (s *server) close() error {
	var errs []error
	if s.admin != nil {
		errs = append(errs, s.admin.close())
	}
	if s.listener != nil {
		if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if logs := s.logs.Load(); logs != nil {
		errs = append(errs, logs.Close())
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
	artifacts := make([]string, len(ids))
	for i, id := range ids {
		artifacts[i] = api.ArtifactPrefix(id)
	}
	if err := s.blobs.Delete(ctx, artifacts...); err != nil {
		return fmt.Errorf("drop the artifacts of jobs: %w", err)
	}
	return s.logs.Load().Drop(ctx, ids...)
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

const (
	// callTimeout is how long calls that are under way may take once the server stops.
	callTimeout = 500 * time.Millisecond
	// stopTimeout is how long the streams may take, which are ended then.
	stopTimeout = 5 * time.Second
)

// serve answers and leads until ctx ends or either can't go on.
func (s *server) serve(ctx context.Context) error {
	c := &s.config
	leads := func() bool { return s.standing().Leads }
	ahead := outlook.New(outlook.Options{Engine: s.engine, Log: c.Log, Leads: leads, Made: s.metrics.Foreseen})
	handler, err := api.New(api.Options{
		Engine: s.engine, Leader: s.chief, History: s.store.History(), Sessions: s.sessions, Logs: s.logs.Load, Blobs: s.blobs, Log: c.Log,
		ProofKey: s.proofKey, Open: c.Dev, Join: s.join, Version: c.Version, Started: s.started, Config: s.settings.Core, Calls: s.metrics, Full: s.full,
		Forward: s.forward(), Servers: s.servers, Leads: leads, Outlook: ahead,
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
	led, served := make(chan error, 1), make(chan error, 1)
	beginning, stopBeginning := context.WithCancel(ctx)
	defer stopBeginning()
	go func() {
		err := s.run(leading)
		stopBeginning()
		led <- err
	}()
	go func() { served <- hs.Serve(listener) }()
	stopLooking := lookAhead(leading, ahead)
	defer stopLooking()
	leadsAlready, err := s.begin(beginning)
	if err == nil && beginning.Err() == nil {
		var later sync.WaitGroup
		if !leadsAlready {
			later.Go(func() { s.beginLater(beginning) })
		}
		c.Log.Info("serving", "address", s.url(), "data", c.Dir, "version", c.Version)
		if c.Ready != nil {
			c.Ready(s.url())
		}
		select {
		case <-ctx.Done():
		case err = <-led:
			led <- nil
		case err = <-served:
			served <- http.ErrServerClosed
		}
		stopBeginning()
		later.Wait()
	}
	c.Log.Info("stopping")
	s.handOver(context.WithoutCancel(ctx))
	err = errors.Join(err, shutdown(context.WithoutCancel(ctx), hs, func() { stopCalls(guard.ErrStopping) }))
	stopLeading() // the last to go: what calls have decided becomes durable
	err = errors.Join(err, <-led)
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// lookAhead has forecasts made until stop is called, which waits for the end of that.
func lookAhead(ctx context.Context, o *outlook.Outlook) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() { o.Run(ctx); close(over) }()
	return func() {
		cancel()
		<-over
	}
}

// shutdown takes no more calls, lets those under way end, and then ends the streams:
// workers and watchers connect again when there is a server.
func shutdown(ctx context.Context, hs *http.Server, endStreams func()) error {
	soon, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if hs.Shutdown(soon) == nil {
		return nil
	}
	endStreams()
	quiet, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if hs.Shutdown(quiet) == nil {
		return nil
	}
	return hs.Close()
}

// firstToken makes the administrator's token when there is none yet, and writes it
// to a file that only the owner can read.
func (s *server) firstToken(ctx context.Context) error {
	if s.config.Dev {
		return nil
	}
	count := 0
	if err := s.engine.View(ctx, func(state *core.State) { count = len(state.Tokens()) }); err != nil {
		return err
	}
	if count > 0 {
		return nil
	}
	token, text, err := api.NewToken("admin", "admin", nil, s.engine.Now(), 0, "server")
	if err != nil {
		return err
	}
	file := filepath.Join(s.config.Dir, AdminTokenFile)
	if err := writeSecret(file, text+"\n"); err != nil {
		return fmt.Errorf("write the administrator's token: %w", err)
	}
	if _, err := s.engine.Do(ctx, core.PutToken{Token: token}); err != nil {
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
	addresses := s.advertised()
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
