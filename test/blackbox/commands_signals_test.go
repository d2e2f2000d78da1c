package blackbox

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestInterruptRun: Ctrl-C goes to the job, and says so; the second kills, the third
// leaves it.
func TestInterruptRun(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8")
	const (
		obedient = `trap 'echo cleaning up; exit 7' TERM; echo ready; while :; do sleep 0.05; done`
		stubborn = `trap '' TERM; echo ready; while :; do sleep 0.05; done`
	)
	for _, test := range []struct {
		name, script string
		signals      []syscall.Signal
		// says is what is said before each further signal.
		says  []string
		code  int
		out   string
		err   string
		state string
	}{
		{"Ctrl-C", obedient, []syscall.Signal{syscall.SIGINT}, []string{"ready"}, 130, "cleaning up",
			"cancelled by local (interrupted)", "cancelled"},
		{"SIGTERM", obedient, []syscall.Signal{syscall.SIGTERM}, []string{"ready"}, 130, "cleaning up",
			"cancelled by local (interrupted)", "cancelled"},
		{"twice", stubborn, []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, []string{"ready", "Ctrl-C again kills it"}, 130, "",
			"killed by local (interrupted)", "cancelled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, "run", c.dir, c.env, "run", "--", "sh", "-c", test.script)
			for i, s := range test.signals {
				p.says(t, test.says[i])
				p.signal(s)
			}
			code := p.exit(t)
			if code != test.code || !strings.Contains(p.out.String(), test.out) || !strings.Contains(p.err.String(), test.err) {
				t.Errorf("exit %d, out %q, err %q; want %d, %q, %q", code, p.out, p.err, test.code, test.out, test.err)
			}
			if state := strings.TrimSpace(c.ok("show", "-q", submittedID(t, p.err.String()))); state != test.state {
				t.Errorf("the job is %s, want %s", state, test.state)
			}
		})
	}
}

// TestTermTwice: programs that send SIGTERM twice, as timeout does, say it once: the job
// has its grace. One that waits in vain says why.
func TestTermTwice(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	p := start(t, "run", c.dir, c.env, "run", "--", "sh", "-c", `trap 'sleep 0.5; echo clean; exit 7' TERM; echo ready; while :; do sleep 0.05; done`)
	p.says(t, "job 1 waits: there is no worker")
	w := start(t, "wait", c.dir, c.env, "wait", "1")
	w.says(t, "job 1 waits: there is no worker")
	c.worker("w1")
	p.says(t, "ready")
	p.signal(syscall.SIGTERM)
	p.says(t, "Ctrl-C again kills it")
	p.signal(syscall.SIGTERM)
	if code := p.exit(t); code != 130 || !strings.Contains(p.out.String(), "clean") || strings.Contains(p.err.String(), "killing") {
		t.Errorf("exit %d, out %q, err %q", code, p.out, p.err)
	}
	if code := w.exit(t); code != 130 {
		t.Errorf("wait: exit %d", code)
	}
}

// submittedID finds the id in what run or submit say.
func submittedID(t *testing.T, text string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "submitted job ")
	if !ok {
		t.Fatalf("no job is submitted in %q", text)
	}
	id, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(id)
}

// TestInterruptWait: commands that only look leave the jobs alone, and say so.
func TestInterruptWait(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8")
	mustWrite(t, filepath.Join(c.dir, "long.yaml"), "run: |\n  echo begun\n  sleep 1000\n")
	id := c.submit("run: |\n  echo begun\n  sleep 1000\n")
	for _, test := range []struct {
		args []string
		says string // before the signal
		err  string
	}{
		{[]string{"wait", id}, "main: running", "reeve: interrupted; job " + id + " goes on (reeve wait " + id + " waits again, reeve cancel " + id + " ends it)\n"},
		{[]string{"wait", id, id}, id + ".main: running", "reeve: interrupted; the jobs go on (reeve wait " + id + " " + id},
		{[]string{"submit", "--wait", "long.yaml"}, "main: running", " goes on (reeve wait "},
		{[]string{"logs", "-f", id}, "begun", "reeve: interrupted; what runs goes on (reeve logs -f " + id + " follows again)\n"},
	} {
		p := start(t, test.args[0], c.dir, c.env, test.args...)
		p.says(t, test.says)
		p.signal(syscall.SIGINT)
		if code := p.exit(t); code != 130 || !strings.Contains(p.err.String(), test.err) {
			t.Errorf("reeve %s: exit %d, err %q; want 130 and %q", strings.Join(test.args, " "), code, p.err, test.err)
		}
	}
	for id := range strings.FieldsSeq(c.ok("ls", "-q")) {
		if state := c.ok("show", "-q", id); state != "running\n" {
			t.Errorf("job %s is %s, want running", id, state)
		}
	}
	c.ok("kill", "-q", "1", "2")
}

// TestInterruptRead: a command that reads from a terminal where nobody types ends too.
func TestInterruptRead(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for _, args := range [][]string{{"submit", "-"}, {"run", "--each-line", "-", "--", "true"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(within(t), binary, args...)
		errs := newTape()
		cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stderr = c.dir, c.env, r, errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		// What is written is only gone once it has been read: then it waits for more.
		if _, err := io.WriteString(w, strings.Repeat("# nothing yet\n", 20000)); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Process.Signal(syscall.SIGINT)
		err = cmd.Wait()
		_ = w.Close()
		if code := exitCode(cmd, err); code != 130 || !strings.Contains(errs.String(), "reeve: interrupted") {
			t.Errorf("reeve %s: exit %d, %q", strings.Join(args, " "), code, errs)
		}
	}
	if jobs := c.ok("ls", "-q"); jobs != "" {
		t.Errorf("there are jobs: %s", jobs)
	}
}

// TestBrokenPipe: what is read by head alone ends quietly, and takes its job along.
func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1")
	for range 3 {
		c.submit("run: echo\n")
	}
	for _, args := range [][]string{{"ls", "-o", "json"}, {"run", "--", "yes"}, {"run", "-q", "--", "yes"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(within(t), binary, args...)
		errs := newTape()
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, c.env, w, errs
		if args[0] == "ls" {
			_ = r.Close() // before anything is written
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		if args[0] != "ls" {
			if _, err := io.ReadFull(r, make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			_ = r.Close()
		}
		if code := exitCode(cmd, cmd.Wait()); code != 141 || strings.Contains(errs.String(), "pipe") {
			t.Errorf("reeve %s: exit %d, want 141 and no word of a pipe: %q", strings.Join(args, " "), code, errs)
		}
	}
	for _, id := range []string{"4", "5"} {
		if r := c.reeve("wait", "-q", id); r.code != 130 {
			t.Errorf("job %s of a broken pipe: exit %d, want 130: %s", id, r.code, r.err)
		}
	}
}

// TestSubmitWaitCodes: submit --wait, wait and retry --wait exit with the job's code.
func TestSubmitWaitCodes(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8")
	mustWrite(t, filepath.Join(c.dir, "five.yaml"), "run: exit 5\n")
	mustWrite(t, filepath.Join(c.dir, "good.yaml"), "run: exit 0\n")
	for _, test := range []struct {
		name, file string
		args       []string
		code       int
	}{
		{"success", "run: exit 0\n", nil, 0},
		{"code", "run: exit 42\n", nil, 42},
		{"signal", "run: kill -TERM $$\n", nil, 143},
		{"timeout", "run: sleep 60\ntimeout: 1s\n", nil, 124},
		{"deadline", "run: sleep 60\ndeadline: 1s\n", nil, 124},
		{"highest of tasks", "tasks:\n  a: {run: exit 3}\n  b: {run: exit 9}\n  c: {run: exit 5}\n", nil, 9},
		{"handled", "tasks:\n  a: {run: exit 3}\n  b: {needs: {a: failed}, run: exit 0}\n", nil, 0},
		{"error before a job", "run: [\n", nil, 125},
		{"the same, other code", "run: [\n", []string{"--failure-code", "99"}, 99},
		{"the job's own, other code", "run: exit 125\n", []string{"--failure-code", "99"}, 125},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, c.dir, c.env, test.file, append([]string{"submit", "--wait", "-"}, test.args...)...)
			if r.code != test.code {
				t.Errorf("submit --wait: exit %d, want %d: %s", r.code, test.code, r.err)
			}
			if id, ok := strings.CutPrefix(r.out, "submitted job "); ok {
				if r := c.reeve("wait", "-q", strings.TrimSpace(id)); r.code != test.code {
					t.Errorf("wait: exit %d, want %d: %s", r.code, test.code, r.err)
				}
			}
		})
	}
	if r := c.reeve("submit", "--wait", "good.yaml", "five.yaml", "good.yaml"); r.code != 5 {
		t.Errorf("the highest of several: exit %d, want 5: %s", r.code, r.err)
	}
	id := c.submit("run: sleep 60\n")
	c.ok("cancel", id, "--reason", "too slow")
	if r := c.reeve("wait", id); r.code != 130 || !strings.Contains(r.err, "cancelled by local (too slow)") {
		t.Errorf("cancelled: exit %d: %s", r.code, r.err)
	}
	after := c.submit("after: {" + id + ": succeeded}\nrun: echo\n")
	if r := c.reeve("wait", after); r.code != 1 || !strings.Contains(r.err, "dependency: job "+id+" cancelled") {
		t.Errorf("ruled out: exit %d: %s", r.code, r.err)
	}
	held := c.submit("run: echo\n", "--hold")
	c.refused([]string{"wait", held, "--timeout", "50ms"}, "not ended after 50ms: job "+held+"; it goes on")
	c.refused([]string{"wait", "-q", held, id, "--timeout", "2s"}, "not ended after 2s: job "+held+"; it goes on")
	c.refused([]string{"wait", held, "--timeout", "0s"}, "--timeout 0s: want more than nothing; leave it out to wait without end")
}
