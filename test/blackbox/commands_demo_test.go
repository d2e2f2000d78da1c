package blackbox

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demoPlace is a directory for a demonstration's temporary files, its environment, and
// a small tree to count.
func demoPlace(t *testing.T) (tmp, source string, env []string) {
	t.Helper()
	tmp = t.TempDir()
	source, err := filepath.Abs("../../internal/job")
	if err != nil {
		t.Fatal(err)
	}
	return tmp, source, cleanEnv("TMPDIR="+tmp, "HOME="+tmp, "TERM=xterm")
}

// nothingLeft sees that of a demonstration neither processes nor files are left.
func nothingLeft(t *testing.T, tmp string) {
	t.Helper()
	var left []string
	processes(t, func(args string) bool {
		if strings.Contains(args, tmp) {
			left = append(left, args)
		}
		return false
	})
	if len(left) > 0 {
		t.Errorf("processes are left:\n%s", strings.Join(left, "\n"))
	}
	entries, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s is left", e.Name())
	}
}

// TestDemoInterrupted: whenever and however often Ctrl-C comes, nothing stays behind.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, after string
		args        []string
		signals     []syscall.Signal
		code        int
	}{
		{"at the start", "Reeve demo: ", nil, []syscall.Signal{syscall.SIGINT}, 130},
		{"while it counts", " Go files, ", nil, []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, 130},
		{"after a worker was killed", "(SIGKILL)", nil, []syscall.Signal{syscall.SIGTERM}, 130},
		{"the terminal is closed", " Go files, ", nil, []syscall.Signal{syscall.SIGHUP}, 129},
		{"kept up", "Try in another terminal", []string{"--keep"}, []syscall.Signal{syscall.SIGINT}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			tmp, source, env := demoPlace(t)
			p := start(t, "demo", tmp, env, append(append([]string{"demo"}, test.args...), source)...)
			p.says(t, test.after)
			for _, s := range test.signals {
				p.signal(s)
			}
			if code := p.exit(t); code != test.code {
				t.Errorf("exit %d, want %d: %s", code, test.code, last(p.err.String(), 5))
			}
			if test.code == 130 && !strings.HasSuffix(p.err.String(), "reeve: interrupted; nothing of the demo is left running\n") {
				t.Errorf("it says\n%s", last(p.err.String(), 5))
			}
			nothingLeft(t, tmp)
		})
	}
}

// TestDemoTerminal: on a terminal there is a bar per task, no line is wider than the
// terminal, and the key Ctrl-C ends it, however often it is pressed.
func TestDemoTerminal(t *testing.T) {
	t.Parallel()
	script, err := exec.LookPath("script")
	if err != nil || runtime.GOOS != "linux" {
		t.Skip("the program script of util-linux is not here, which makes a terminal")
	}
	for _, columns := range []string{"80", "60"} {
		t.Run(columns, func(t *testing.T) {
			tmp, source, env := demoPlace(t)
			// noflsh: a terminal throws away what it has not shown yet when Ctrl-C comes.
			quoted := "stty cols " + columns + " rows 30 noflsh; exec '" + binary + "' demo '" + source + "'"
			cmd := exec.CommandContext(within(t), script, "-qefc", quoted, "/dev/null")
			keys, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			screen := newTape()
			cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = env, tmp, screen, screen
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			await(t, "a worker is killed", func() bool { return strings.Contains(screen.String(), "(SIGKILL)") })
			await(t, "the bars are drawn after that", func() bool {
				_, after, _ := strings.Cut(screen.String(), "(SIGKILL)")
				return strings.Contains(after, "compare")
			})
			if _, err := io.WriteString(keys, "\x03"); err != nil {
				t.Fatal(err)
			}
			impatient := time.NewTicker(10 * time.Millisecond) // what the demo starts to clean up must not hear of it
			ended := make(chan struct{})
			go func() {
				defer impatient.Stop()
				for {
					select {
					case <-impatient.C:
						_, _ = io.WriteString(keys, "\x03")
					case <-ended:
						return
					}
				}
			}()
			err = cmd.Wait()
			close(ended)
			text := screen.String()
			if code := exitCode(cmd, err); code != 130 || !strings.Contains(text, "nothing of the demo is left running") {
				t.Errorf("exit %d:\n%s", code, last(text, 10))
			}
			_, frame, _ := strings.Cut(text, "(SIGKILL)")
			for _, task := range []string{"list", "count", "single", "merge", "report", "compare"} {
				row := rowOf(frame, task)
				if !strings.Contains(row, "━") && !strings.Contains(row, "─") {
					t.Errorf("there is no bar for %s: %q", task, row)
				}
				if wide := len([]rune(strings.TrimRight(row, "\r"))); wide > len("  ")+58 && columns == "60" {
					t.Errorf("the row of %s has %d columns: %q", task, wide, row)
				}
			}
			nothingLeft(t, tmp)
		})
	}
}

// rowOf finds the first whole row that begins with a task's name.
func rowOf(screen, task string) string {
	for line := range strings.SplitSeq(screen, "\n") {
		line = line[strings.LastIndex(line, "\x1b[J")+1:]
		line = strings.TrimPrefix(line, "[J")
		if strings.HasPrefix(line, "  "+task+" ") {
			return line
		}
	}
	return ""
}
