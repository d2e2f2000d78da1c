package process_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/process"
)

// agentMain is an agent that obeys lines on its input and writes what happens. It
// is what the tests stop and kill.
func agentMain(args []string) int {
	dir, env := args[0], args[1:]
	ev := printer{}
	ex, err := process.New(ctx, config(dir, ev, env))
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("keeper", ex.KeeperPID())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "adopt":
			list, err := ex.Adopt(ctx)
			if err != nil {
				fmt.Println("error", err)
			}
			for _, a := range list {
				state := "live"
				if a.Exit != nil {
					state = a.Exit.Cause.String()
				}
				fmt.Println("adopted", a.Key, state)
			}
		case "start":
			// The key, the lease in milliseconds, the script.
			f := strings.SplitN(rest, " ", 3)
			ms, _ := strconv.Atoi(f[1])
			t := executor.Task{
				Key: f[0], Dir: filepath.Join(dir, "attempts", f[0]), Argv: []string{"/bin/sh", "-c", f[2]},
				Env: []string{"PATH=/usr/bin:/bin"}, LogLimit: 1 << 20, Grace: 30 * time.Second,
			}
			if ms > 0 {
				t.Deadline = executor.Now().Add(time.Duration(ms) * time.Millisecond)
			}
			_ = os.MkdirAll(t.Dir, 0o700)
			if err := ex.Start(ctx, t); err != nil {
				fmt.Println("error", err)
			}
		}
	}
	return 0
}

type printer struct{}

func (printer) Started(key string, _ time.Time)   { fmt.Println("started", key) }
func (printer) Ended(key string, x executor.Exit) { fmt.Println("ended", key, x.Cause) }
func (printer) Wrote(string)                      {}

// agentProcess is agentMain in a process.
type agentProcess struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	keeper int
}

func startAgent(t *testing.T, dir string, env []string) *agentProcess {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a := &agentProcess{cmd: exec.Command(exe, append([]string{"agent", dir}, env...)...)}
	a.cmd.Stderr = os.Stderr
	if a.in, err = a.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	a.out = bufio.NewScanner(out)
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	if _, err := fmt.Sscanf(a.hear(t), "keeper %d", &a.keeper); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *agentProcess) say(t *testing.T, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(a.in, line); err != nil {
		t.Fatal(err)
	}
}

func (a *agentProcess) hear(t *testing.T) string {
	t.Helper()
	if !a.out.Scan() {
		t.Fatalf("the agent is gone: %v", a.out.Err())
	}
	return a.out.Text()
}

func (a *agentProcess) kill() {
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait()
}
