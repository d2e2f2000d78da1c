// Package blackbox tests the built binary the way a user meets it: real servers,
// workers and keepers as processes, real files, real signals. It knows nothing of
// what is inside; what it believes it has seen in output, in exit codes, or in a
// ledger that the jobs themselves write.
package blackbox

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

// patience is how long anything that should happen may take on a busy machine. It
// is a bound for failures; nothing waits for it to pass.
const patience = 60 * time.Second

// binary is the reeve under test: the one that REEVE_TEST_BINARY names, such as one
// that is about to be released, or one built by TestMain.
var binary = os.Getenv("REEVE_TEST_BINARY")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(build(m))
}

func build(m *testing.M) int {
	if binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "reeve-blackbox-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "reeve")
	c := exec.Command("go", "build", "-o", binary, "github.com/reeve-scheduler/reeve/cmd/reeve")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build reeve: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// within is a context that ends when the test's patience does. The test's own would
// be over while it cleans up.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// await polls until ok holds: for what has no event to wait for.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := within(t)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("in %s it did not happen: %s", patience, what)
		}
	}
}

// tape is what a process has written so far; readers can wait for a text.
type tape struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{} // closed and replaced with each write
}

func newTape() *tape { return &tape{more: make(chan struct{})} }

func (p *tape) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.more)
	p.more = make(chan struct{})
	return p.buf.Write(b)
}

func (p *tape) String() string {
	text, _ := p.read()
	return text
}

func (p *tape) read() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.String(), p.more
}

// proc is a process that a test started.
type proc struct {
	name     string
	cmd      *exec.Cmd
	out, err *tape
	ended    chan struct{} // closed when it has ended
	code     int
}

// start runs the binary in the background and ends it with the test.
func start(t *testing.T, name, dir string, env []string, args ...string) *proc {
	t.Helper()
	return startProgram(t, name, dir, env, append([]string{binary}, args...)...)
}

func startProgram(t *testing.T, name, dir string, env []string, argv ...string) *proc {
	t.Helper()
	p := &proc{name: name, cmd: exec.Command(argv[0], argv[1:]...), out: newTape(), err: newTape(), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = dir, env, p.out, p.err
	p.cmd.WaitDelay = 5 * time.Second // a grandchild may hold the pipes
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		err := p.cmd.Wait()
		p.code = exitCode(p.cmd, err)
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGCONT)
		p.signal(syscall.SIGKILL)
		<-p.ended
		if t.Failed() {
			t.Logf("--- %s: exit %d, standard error:\n%s", name, p.code, last(p.err.String(), 40))
		}
	})
	return p
}

// exitCode is the shell's: 128+n for signal n.
func exitCode(c *exec.Cmd, err error) int {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && c.ProcessState == nil {
		return -1
	}
	if ws, ok := c.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return c.ProcessState.ExitCode()
}

// last returns the last n lines of a text.
func last(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > n {
		lines = append([]string{"…"}, lines[len(lines)-n:]...)
	}
	return strings.Join(lines, "\n")
}

func (p *proc) signal(s syscall.Signal) {
	select {
	case <-p.ended:
	default:
		_ = p.cmd.Process.Signal(s)
	}
}

// kill ends the process as a crash would, and waits until it is gone.
func (p *proc) kill(t *testing.T) {
	t.Helper()
	p.signal(syscall.SIGKILL)
	p.exit(t)
}

// stop asks the process to end and returns its exit code.
func (p *proc) stop(t *testing.T) int {
	t.Helper()
	p.signal(syscall.SIGTERM)
	return p.exit(t)
}

// exit waits for the end and returns the exit code.
func (p *proc) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.code
	case <-within(t).Done():
		t.Fatalf("%s has not ended after %s; it wrote\n%s%s", p.name, patience, last(p.out.String(), 20), last(p.err.String(), 20))
		return 0
	}
}

// says waits until the process has written a text to either stream.
func (p *proc) says(t *testing.T, text string) {
	t.Helper()
	p.saysAgain(t, 1, text)
}

// saysAgain waits until the process has written a text n times.
func (p *proc) saysAgain(t *testing.T, n int, text string) {
	t.Helper()
	ctx := within(t)
	for {
		out, moreOut := p.out.read()
		err, moreErr := p.err.read()
		if strings.Count(out+err, text) >= n {
			return
		}
		select {
		case <-moreOut:
		case <-moreErr:
		case <-p.ended:
			if strings.Count(p.out.String()+p.err.String(), text) >= n {
				return
			}
			t.Fatalf("%s ended with %d and never said %q:\n%s%s", p.name, p.code, text, p.out, p.err)
		case <-ctx.Done():
			t.Fatalf("%s has not said %q in %s:\n%s%s", p.name, text, patience, last(out, 20), last(err, 20))
		}
	}
}

// result is how a command ended.
type result struct {
	out, err string
	code     int
}

// run runs the binary to its end.
func run(t *testing.T, dir string, env []string, stdin string, args ...string) result {
	t.Helper()
	return runProgram(t, dir, env, stdin, append([]string{binary}, args...)...)
}

func runProgram(t *testing.T, dir string, env []string, stdin string, argv ...string) result {
	t.Helper()
	c := exec.CommandContext(within(t), argv[0], argv[1:]...)
	var out, errs bytes.Buffer
	c.Dir, c.Env, c.Stdout, c.Stderr, c.Stdin = dir, env, &out, &errs, strings.NewReader(stdin)
	err := c.Run()
	if c.ProcessState == nil {
		t.Fatal(err)
	}
	return result{out.String(), errs.String(), exitCode(c, err)}
}

// golden compares a text with a file of testdata, or rewrites that with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./test/... -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-file +now; -update rewrites it):\n%s", path, diff)
	}
}

func mustWrite(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
