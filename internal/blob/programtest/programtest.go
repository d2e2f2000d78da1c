// Package programtest runs real servers beside tests: programs that `make deps` installs, each on a
// free port of the loopback interface. They end with the test process, however that ends.
package programtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Program is a program that runs. One goroutine uses it.
type Program struct {
	hold  io.Closer
	ended chan struct{}
	log   bytes.Buffer
}

// Find returns where a program is, named from the top of the repository, by a look upwards from the
// test's directory. Without it the test is skipped, or fails where CI=true.
func Find(tb testing.TB, program string) string {
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

// Listen returns host:port that was free a moment ago.
func Listen(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only a port is wanted
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// guard runs a program until its own input ends, as it does with the test process.
const guard = `"$@" </dev/null & read -r _; kill -9 $!; wait $!`

// Start starts a program in a directory, with env beside what the test has, and returns once a
// server answers at url. The caller stops it.
func Start(tb testing.TB, url, dir string, env []string, argv ...string) *Program {
	tb.Helper()
	sh := exec.Command("sh", append([]string{"-c", guard, "sh"}, argv...)...) //nolint:noctx // its guard ends it
	sh.Dir, sh.Env = dir, append(os.Environ(), env...)
	p := &Program{ended: make(chan struct{})}
	sh.Stdout, sh.Stderr = &p.log, &p.log
	hold, err := sh.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := sh.Start(); err != nil {
		tb.Fatal(err)
	}
	p.hold = hold
	go func() {
		_ = sh.Wait() // how it ended is in the log
		close(p.ended)
	}()
	if err := p.await(tb.Context(), url); err != nil {
		p.Stop()
		tb.Fatalf("%s: %v\n%s", argv[0], err, p.log.String())
	}
	return p
}

// await waits until a server answers.
func (p *Program) await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-retry.C:
		case <-p.ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return err
		}
	}
}

// Stop kills the program.
func (p *Program) Stop() {
	p.hold.Close()
	<-p.ended
}
