// Package aztest starts a real server of Azure Blob Storage for tests, which checks signatures:
// Azurite, in memory, on a free port of the loopback interface. It ends with the test process,
// however that ends.
package aztest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

const (
	// Account is the only one that a server knows.
	Account = "reevetest"
	// Key is what goes with it.
	Key = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"
)

// program is where `make deps` leaves the server, from the top of the repository.
const program = "tools/azurite/node_modules/.bin/azurite-blob"

// Server is a server of Azure Blob Storage. Its methods fail the test that calls them, and one
// goroutine calls them.
type Server struct{ listen string }

// Start starts a server that runs until the test ends. Without its program it skips the test, or
// fails it where CI=true.
func Start(tb testing.TB) *Server {
	tb.Helper()
	file := find(tb)
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only a port is wanted
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{listen: l.Addr().String()}
	_, port, _ := net.SplitHostPort(s.listen) // it has one
	l.Close()
	// The guard runs the program until its own input ends, as it does with the test process.
	const guard = `"$@" </dev/null & read -r _; kill -9 $!; wait $!`
	sh := exec.Command("sh", "-c", guard, "sh", "node", file, "--inMemoryPersistence", "--skipApiVersionCheck", //nolint:noctx // its guard ends it
		"--disableTelemetry", "--silent", "--blobHost", "127.0.0.1", "--blobPort", port)
	sh.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+Account+":"+Key)
	sh.Dir = tb.TempDir()
	var log bytes.Buffer
	sh.Stdout, sh.Stderr = &log, &log
	hold, err := sh.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := sh.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = sh.Wait() // how it ended is in the log
		close(ended)
	}()
	tb.Cleanup(func() {
		hold.Close()
		<-ended
	})
	if err := s.await(tb.Context(), ended); err != nil {
		hold.Close()
		<-ended
		tb.Fatalf("the server of Azure Blob Storage: %v\n%s", err, log.String())
	}
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

// await waits until the server answers.
func (s *Server) await(ctx context.Context, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint(), nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-retry.C:
		case <-ended:
			return fmt.Errorf("it has ended")
		case <-ctx.Done():
			return err
		}
	}
}

// Endpoint is the account's URL.
func (s *Server) Endpoint() string { return "http://" + s.listen + "/" + Account }

// Container makes a container and returns its address.
func (s *Server) Container(tb testing.TB, name string) string {
	tb.Helper()
	key, err := container.NewSharedKeyCredential(Account, Key)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := container.NewClientWithSharedKeyCredential(s.Endpoint()+"/"+name, key, nil)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := c.Create(tb.Context(), nil); err != nil {
		tb.Fatal(err)
	}
	return s.Address(name)
}

// Address is that of a container, which need not be there.
func (s *Server) Address(container string) string {
	return fmt.Sprintf("azblob://%s/some/where?account=%s&endpoint=%s", container, Account, url.QueryEscape(s.Endpoint()))
}

// Env is the key, as processes find it in their environment.
func Env() []string { return []string{"AZURE_STORAGE_KEY=" + Key} }
