// Package s3test starts a real S3 server for tests, which checks signatures: Versity's gateway
// over a directory of its own, on a free port of the loopback interface. It ends with the test
// process, however that ends.
package s3test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const (
	// AccessKey is the only one that a server knows.
	AccessKey = "reevetest"
	// SecretKey is what goes with it.
	SecretKey = "correct-horse-battery"
)

// program is where `make deps` leaves the server, from the top of the repository.
const program = "tools/bin/versitygw"

// Server is an S3 server. Its methods fail the test that calls them, and one goroutine calls them.
type Server struct {
	program, dir, listen string
	hold                 io.Closer
	ended                chan struct{}
	log                  bytes.Buffer
}

// Start starts a server that runs until the test ends. Without its program it skips the test, or
// fails it where CI=true.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{program: find(tb), dir: tb.TempDir()}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only a port is wanted
	if err != nil {
		tb.Fatal(err)
	}
	s.listen = l.Addr().String()
	l.Close()
	s.Again(tb)
	tb.Cleanup(s.Stop)
	return s
}

// find looks for the program upwards from the test's directory.
func find(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		file := filepath.Join(dir, program)
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	if os.Getenv("CI") == "true" {
		tb.Fatalf("%s is not there, and CI=true: make deps", program)
	}
	tb.Skipf("%s is not there: make deps", program)
	return ""
}

// guard runs a program until its own input ends, as it does with the test process.
const guard = `"$@" </dev/null & read -r _; kill -9 $!; wait $!`

// Again starts a server that was stopped, at the same address, with the buckets it had.
func (s *Server) Again(tb testing.TB) {
	tb.Helper()
	sh := exec.Command("sh", "-c", guard, "sh", s.program, "--port", s.listen, "--quiet", "posix", s.dir) //nolint:noctx // its guard ends it
	sh.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	sh.Stdout, sh.Stderr = &s.log, &s.log
	hold, err := sh.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := sh.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	s.hold, s.ended = hold, ended
	go func() {
		_ = sh.Wait() // how it ended is in the log
		close(ended)
	}()
	s.await(tb)
}

// await waits until the server answers.
func (s *Server) await(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint(), nil)
		if err != nil {
			tb.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			return
		}
		select {
		case <-retry.C:
		case <-s.ended:
			tb.Fatalf("the S3 server has ended:\n%s", s.log.String())
		case <-ctx.Done():
			tb.Fatalf("the S3 server does not answer: %v", err)
		}
	}
}

// Stop kills the server.
func (s *Server) Stop() {
	s.hold.Close()
	<-s.ended
}

// Endpoint is the server's URL.
func (s *Server) Endpoint() string { return "http://" + s.listen }

// Bucket makes a bucket and returns its address.
func (s *Server) Bucket(tb testing.TB, name string) string {
	tb.Helper()
	if err := os.Mkdir(filepath.Join(s.dir, name), 0o700); err != nil {
		tb.Fatal(err)
	}
	return s.Address(name)
}

// Address is that of a bucket, which need not be there.
func (s *Server) Address(bucket string) string {
	return fmt.Sprintf("s3://%s/some/where?region=us-east-1&endpoint=%s", bucket, url.QueryEscape(s.Endpoint()))
}

// Write puts an object as somebody else might, path being bucket/name.
func (s *Server) Write(tb testing.TB, path string, content []byte) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, path), content, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// Read returns the content of the object bucket/name.
func (s *Server) Read(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, path))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// Env is the keys, as processes find them in their environment.
func Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + AccessKey, "AWS_SECRET_ACCESS_KEY=" + SecretKey}
}
