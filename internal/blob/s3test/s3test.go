// Package s3test starts a real S3 server for tests, which checks signatures: Versity's gateway
// over a directory of its own, on a free port of the loopback interface. It ends with the test
// process, however that ends.
package s3test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/blob/programtest"
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
	file, dir, listen string
	running           *programtest.Program
}

// Start starts a server that runs until the test ends. Without its program it skips the test, or
// fails it where CI=true.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{file: programtest.Find(tb, program), dir: tb.TempDir(), listen: programtest.Listen(tb)}
	s.Again(tb)
	tb.Cleanup(s.Stop)
	return s
}

// Again starts a server that was stopped, at the same address, with the buckets it had.
func (s *Server) Again(tb testing.TB) {
	tb.Helper()
	s.running = programtest.Start(tb, s.Endpoint(), "", []string{"ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey},
		s.file, "--port", s.listen, "--quiet", "posix", s.dir)
}

// Stop kills the server.
func (s *Server) Stop() { s.running.Stop() }

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
