// Package pgtest starts real PostgreSQL servers for tests, and PgBouncer before them: each in a
// directory of its own, on a free port of the loopback interface, stopped by its process id. A
// server ends with the test process, however that ends.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Config is what one server differs in from another. The zero value is a server that may lose
// everything when its machine does.
type Config struct {
	// Durable servers sync their log.
	Durable bool
	// TLS servers take connections with and without it: see Server.Certificate.
	TLS bool
	// Settings are lines of postgresql.conf.
	Settings []string
	// In is the directory that the server's own is made in, which everybody may enter; a temporary
	// one if empty.
	In string
}

// Server is a PostgreSQL server. Its methods fail the test that calls them, and one goroutine
// calls them.
type Server struct {
	dir, bin string
	port     int
	config   Config
	running  *guarded
}

// password is that of the role Guarded, the only one that has to say it.
const password = "correct horse"

// Guarded is a role that may do what it likes and must say its password, which Password returns.
const Guarded = "guarded"

// Password returns the password of the role Guarded.
func Password() string { return password }

// Start starts a server that runs until the test ends; its subtests share it, each in a database
// of its own. Without PostgreSQL it skips the test, or fails it where CI=true.
func Start(tb testing.TB, c Config) *Server {
	tb.Helper()
	s, err := create(installed(tb), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.running.end() })
	return s
}

// installed returns the folder of PostgreSQL's programs.
func installed(tb testing.TB) string {
	tb.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is good
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	missing(tb, "PostgreSQL (Debian: apt-get install postgresql)")
	return ""
}

// missing skips a test for want of a program.
func missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("%s is not installed, and CI=true", what)
	}
	tb.Skipf("%s is not installed", what)
}

// create makes a cluster and starts it.
func create(bin string, c Config) (*Server, error) {
	dir, err := privateDir(c.In)
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin, config: c}
	out, err := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput()
	if err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	hba := "local all all trust\nhost all " + Guarded + " all scram-sha-256\nhost all all all trust\nhost replication all all trust\n"
	if err := os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte(hba), 0o644); err != nil {
		return nil, err
	}
	if c.TLS {
		if err := s.certify(); err != nil {
			return nil, err
		}
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	return s, s.exec("postgres", "CREATE ROLE "+Guarded+" SUPERUSER LOGIN PASSWORD '"+password+"'")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command is one of PostgreSQL's programs, as the server's user.
func (s *Server) command(program string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, program), args...) //nolint:noctx // short, or ended by its guard
	c.Dir = s.dir
	c.SysProcAttr = owner()
	return c
}

// start starts the server on its port, or the first time on a free one.
func (s *Server) start() error {
	fixed := s.port != 0
	var failed error
	for range 5 {
		if !fixed {
			port, err := freePort()
			if err != nil {
				return err
			}
			s.port = port
		}
		args := []string{"-D", s.data(), "-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(s.port),
			"-c", "unix_socket_directories=" + s.dir, "-c", "max_connections=300", "-c", "fsync=" + map[bool]string{true: "on", false: "off"}[s.config.Durable]}
		for _, set := range s.config.Settings {
			args = append(args, "-c", set)
		}
		s.running, failed = guard(s.command("postgres", args...), s.dir)
		if failed != nil {
			return failed
		}
		if failed = s.await(); failed == nil || fixed {
			return failed
		}
		<-s.running.ended // the port was taken meanwhile
	}
	return failed
}

// await waits until the server takes connections.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-retry.C:
		case <-s.running.ended:
			log, _ := os.ReadFile(filepath.Join(s.dir, "log")) // it is there, or says nothing
			return fmt.Errorf("PostgreSQL ended before it took connections: %s", log)
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL takes no connections: %w", err)
		}
	}
}

// Port returns the server's port on 127.0.0.1. It stays the same.
func (s *Server) Port() int { return s.port }

// URL returns where a database is reached by a role that needs no password.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User("postgres"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Database makes an empty database and returns its URL. It goes when the test ends.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if err := s.exec("postgres", "CREATE DATABASE "+name); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		// A server that the test has stopped takes its databases with it.
		_ = s.exec("postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	})
	return s.URL(name)
}

// Exec runs statements in the database at a URL.
func (s *Server) Exec(tb testing.TB, at, statements string) {
	tb.Helper()
	if err := execAt(at, statements); err != nil {
		tb.Fatal(err)
	}
}

func (s *Server) exec(database, statements string) error { return execAt(s.URL(database), statements) }

func execAt(at, statements string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		return err
	}
	_, err = conn.PgConn().Exec(ctx, statements).ReadAll()
	return errors.Join(err, conn.Close(ctx))
}

// Stop stops the server: fast, which ends sessions in order, or at once as a crash does, without
// a word to anybody.
func (s *Server) Stop(tb testing.TB, atOnce bool) {
	tb.Helper()
	sig := syscall.SIGINT
	if atOnce {
		sig = syscall.SIGQUIT
	}
	pid, err := s.PID()
	if err == nil {
		err = syscall.Kill(pid, sig)
	}
	if err != nil {
		tb.Fatal(err)
	}
	<-s.running.ended
}

// Start starts a stopped server again, on the same port.
func (s *Server) Start(tb testing.TB) {
	tb.Helper()
	if err := s.start(); err != nil {
		tb.Fatal(err)
	}
}

// Revive waits until the server takes connections again, and starts it if it has ended by itself.
func (s *Server) Revive(tb testing.TB) {
	tb.Helper()
	err := s.await()
	if err == nil {
		return
	}
	select {
	case <-s.running.ended:
		s.Start(tb)
	default:
		tb.Fatal(err)
	}
}

// Promote makes a standby the primary.
func (s *Server) Promote(tb testing.TB) {
	tb.Helper()
	if out, err := s.command("pg_ctl", "promote", "-w", "-D", s.data()).CombinedOutput(); err != nil {
		tb.Fatalf("promote: %v: %s", err, out)
	}
}

// Standby starts a copy that follows this server, under the name "standby" in
// synchronous_standby_names.
func (s *Server) Standby(tb testing.TB) *Server {
	tb.Helper()
	dir, err := privateDir("")
	if err != nil {
		tb.Fatal(err)
	}
	to := &Server{dir: dir, bin: s.bin, config: s.config}
	out, err := to.command("pg_basebackup", "-D", to.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync",
		"-d", fmt.Sprintf("host=127.0.0.1 port=%d user=postgres application_name=standby", s.port)).CombinedOutput()
	if err != nil {
		tb.Fatalf("pg_basebackup: %v: %s", err, out)
	}
	if err := to.start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { to.running.end() })
	return to
}

// PID returns the process id of the running server.
func (s *Server) PID() (int, error) {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(first)
}

// Log returns what the server has logged.
func (s *Server) Log(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// freePort returns a port that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it waits for nobody
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// guarded is a program that ends with this process: a shell beside it waits for the end of a pipe
// that this process holds, stops it, and removes its directory.
type guarded struct {
	dir   string
	hold  io.Closer
	ended chan struct{}
}

// guardScript starts the program, stops it at the end of its input, and ends with it.
const guardScript = `dir=$1; shift
exec 3<&0
"$@" >>"$dir/log" 2>&1 </dev/null 3<&- & program=$!
(read x <&3; : >"$dir/over"; kill -INT $program 2>/dev/null) & watch=$!
wait $program
if [ -e "$dir/over" ]; then rm -rf "$dir"; else kill $watch 2>/dev/null; fi
`

func guard(c *exec.Cmd, dir string) (*guarded, error) {
	args := append([]string{"-c", guardScript, "guard", dir, c.Path}, c.Args[1:]...)
	sh := exec.Command("/bin/sh", args...) //nolint:noctx // the pipe ends it
	sh.Dir, sh.SysProcAttr, sh.Env = c.Dir, c.SysProcAttr, c.Env
	hold, err := sh.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := sh.Start(); err != nil {
		return nil, err
	}
	g := &guarded{dir: dir, hold: hold, ended: make(chan struct{})}
	go func() {
		_ = sh.Wait() // how it ended is in the log
		close(g.ended)
	}()
	return g, nil
}

// end stops the program in order and waits for it.
func (g *guarded) end() {
	g.hold.Close()
	<-g.ended
	os.RemoveAll(g.dir)
}
