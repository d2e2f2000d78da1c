package blackbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// cluster is a server and its workers in one directory of their own.
type cluster struct {
	t      *testing.T
	dir    string
	listen string
	args   []string // of the server
	env    []string
	// inside is the start of a command line that runs the rest in another place.
	inside []string
	// program is the reeve that its commands are, binary if empty.
	program string
	server  *proc
}

// newCluster starts a development server; args are further ones of reeve server.
func newCluster(t *testing.T, args ...string) *cluster {
	t.Helper()
	c := plainCluster(t)
	c.args = append([]string{"--dev"}, args...)
	c.serve()
	return c
}

// plainCluster is a directory and an address, without a server yet.
func plainCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), listen: steadyAddress(t)}
	c.env = cleanEnv("REEVE_ADDR=http://"+c.listen, "HOME="+c.dir)
	return c
}

// cleanEnv is this environment without what would steer reeve.
func cleanEnv(more ...string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "REEVE_") && !strings.HasPrefix(kv, "XDG_") {
			env = append(env, kv)
		}
	}
	return append(env, more...)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// steadyAddress is one that nobody is given by chance while it is not in use: what is
// started again finds it free.
func steadyAddress(t *testing.T) string {
	t.Helper()
	const from, to = 10_000, 32_000 // below what systems give out
	host := "127.0.0.1"
	if pid := os.Getpid(); runtime.GOOS == "linux" { // which answers at all of 127.0.0.0/8: other runs of these tests are elsewhere
		host = fmt.Sprintf("127.%d.%d.%d", 1+pid>>16&0x3f, pid>>8&0xff, pid&0xff)
	}
	for {
		address := fmt.Sprintf("%s:%d", host, from+rand.IntN(to-from))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
}

// serve starts the server, again if it ran before, and waits until it answers.
func (c *cluster) serve() {
	c.t.Helper()
	args := append([]string{"server", "--data", filepath.Join(c.dir, "data"), "--listen", c.listen}, c.args...)
	c.server = startProgram(c.t, "server", c.dir, c.env, c.command(args...)...)
	c.server.says(c.t, "export REEVE_ADDR=")
}

// worker starts a worker and waits until it is connected. Its keeper is told to end
// with the test, which kills what still runs.
func (c *cluster) worker(name string, args ...string) *proc {
	c.t.Helper()
	w := c.idleWorker(name, args...)
	w.says(c.t, "connected as worker")
	return w
}

// idleWorker starts a worker without waiting.
func (c *cluster) idleWorker(name string, args ...string) *proc {
	c.t.Helper()
	state := c.state(name)
	c.t.Cleanup(func() { endKeepers(c.t, state) })
	return startProgram(c.t, "worker "+name, c.dir, c.env, c.command(append([]string{"worker", "--state", state, "--name", name}, args...)...)...)
}

// state is a worker's state directory.
func (c *cluster) state(name string) string { return filepath.Join(c.dir, "worker-"+name) }

// endKeepers ends the keepers of a state directory and waits for them. What a killed one
// has left is removed by the next one, and that is here at the latest.
func endKeepers(t *testing.T, state string) {
	for _, pid := range keepers(t, state) {
		_ = syscall.Kill(pid, syscall.SIGTERM)

		await(t, fmt.Sprintf("keeper %d ends", pid), func() bool { return !alive(pid) })
	}
	if len(cgroupsOf(state)) > 0 {
		if r := run(t, "", os.Environ(), "", "keeper", "--dir", state, "--idle", "1ms"); r.code != 0 {
			t.Errorf("the last keeper of %s exits with %d: %s", state, r.code, r.err)
		}
	}
}

// cgroupsOf lists the cgroups that keepers of a state directory have or have left.
func cgroupsOf(state string) (dirs []string) {
	word, err := os.ReadFile(filepath.Join(state, "keeper.id"))
	if err != nil {
		return nil
	}
	for _, depth := range []string{"", "*/", "*/*/"} {
		found, _ := filepath.Glob("/sys/fs/cgroup/" + depth + "reeve-" + strings.TrimSpace(string(word)))
		dirs = append(dirs, found...)
	}
	return dirs
}

// killKeepers kills the keepers of a worker, and says who they were.
func (c *cluster) killKeepers(name string) []int {
	c.t.Helper()
	pids := keepers(c.t, c.state(name))
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return pids
}

// keepers finds the keeper processes of a state directory.
func keepers(t *testing.T, state string) []int {
	t.Helper()
	return processes(t, func(args string) bool {
		return strings.Contains(args, " keeper ") && strings.Contains(args, "--dir "+state+" ")
	})
}

// isAgent says whether a command line is that of the agent of a state directory, and not
// of what has started it.
func isAgent(args, state string) bool {
	return strings.HasPrefix(args, binary+" worker ") && strings.Contains(args, "--state "+state+" ")
}

// processes finds processes by their command line.
func processes(t *testing.T, match func(args string) bool) []int {
	t.Helper()
	var pids []int
	entries, err := os.ReadDir("/proc")
	if err != nil {
		out, err := exec.Command("ps", "-axww", "-o", "pid=,command=").Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			pid, args, _ := strings.Cut(strings.TrimSpace(line), " ")
			if n, err := strconv.Atoi(pid); err == nil && match(args) {
				pids = append(pids, n)
			}
		}
		return pids
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && match(string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// alive reports whether a process exists and is more than a zombie.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		_, noProc := os.Stat("/proc/self")
		return noProc != nil
	}
	_, rest, _ := strings.Cut(string(status), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// reeve runs a command against the server.
func (c *cluster) reeve(args ...string) result {
	c.t.Helper()
	return runProgram(c.t, c.dir, c.env, "", c.command(args...)...)
}

// command is the command line of reeve with arguments.
func (c *cluster) command(args ...string) []string {
	return append(append(slices.Clone(c.inside), cmp.Or(c.program, binary)), args...)
}

// ok runs a command that must succeed and returns its standard output.
func (c *cluster) ok(args ...string) string {
	c.t.Helper()
	r := c.reeve(args...)
	if r.code != 0 {
		c.t.Fatalf("reeve %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r.out
}

// refused runs a command that must fail with Reeve's own exit code, on one line that
// holds all the words; it returns that line.
func (c *cluster) refused(args []string, words ...string) string {
	c.t.Helper()
	return refused(c.t, c.reeve(args...), args, words...)
}

func refused(t *testing.T, r result, args []string, words ...string) string {
	t.Helper()
	line := strings.TrimSuffix(r.err, "\n")
	if r.code != 125 || !strings.HasPrefix(line, "reeve: ") || strings.Contains(line, "\n") {
		t.Errorf("reeve %s: exit %d, want 125 and one line:\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	for _, w := range words {
		if !strings.Contains(line, w) {
			t.Errorf("reeve %s: the error does not say %q: %s", strings.Join(args, " "), w, line)
		}
	}
	return line
}

// submit submits a job file and returns the id; args are further ones of submit.
func (c *cluster) submit(text string, args ...string) string {
	c.t.Helper()
	r := runProgram(c.t, c.dir, c.env, text, c.command(append([]string{"submit", "-q", "-"}, args...)...)...)
	if r.code != 0 {
		c.t.Fatalf("submit: exit %d: %s\n%s", r.code, r.err, text)
	}
	return strings.TrimSpace(r.out)
}

// job is what -o json shows of a job.
type jobView struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	State    string     `json:"state"`
	Cause    string     `json:"cause"`
	ExitCode int        `json:"exit_code"`
	RetryOf  string     `json:"retry_of"`
	Tasks    []taskView `json:"tasks"`
}

type taskView struct {
	Name   string         `json:"name"`
	State  string         `json:"state"`
	Cause  string         `json:"cause"`
	Counts map[string]any `json:"counts"`
}

type elementView struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Attempts int    `json:"attempts"`
	Worker   string `json:"worker"`
	Cause    string `json:"cause"`
	Carried  string `json:"carried_from"`
}

type attemptView struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Worker string `json:"worker"`
	Cause  string `json:"cause"`
	// Resources is what it was given.
	Resources map[string]string `json:"resources"`
}

func (c *cluster) show(id string) jobView {
	c.t.Helper()
	return decode[jobView](c.t, c.ok("show", id, "-o", "json"))
}

func (c *cluster) elements(ref string) []elementView {
	c.t.Helper()
	return decode[[]elementView](c.t, c.ok("show", ref, "--limit", "100000", "-o", "json"))
}

func (c *cluster) attempts(ref string) []attemptView {
	c.t.Helper()
	return decode[[]attemptView](c.t, c.ok("show", ref, "-o", "json"))
}

// states lists the tasks of a job with their states, as "a=succeeded b=skipped".
func (j jobView) states() string {
	var parts []string
	for _, t := range j.Tasks {
		parts = append(parts, t.Name+"="+t.State)
	}
	return strings.Join(parts, " ")
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("not the JSON that was expected: %v\n%s", err, text)
	}
	return v
}

// wait waits for jobs to end and returns the exit code of reeve wait.
func (c *cluster) wait(ids ...string) int {
	c.t.Helper()
	return c.reeve(append([]string{"wait", "-q"}, ids...)...).code
}

// ends waits for a job and checks its state.
func (c *cluster) ends(id, state string) jobView {
	c.t.Helper()
	c.wait(id)
	j := c.show(id)
	if j.State != state {
		c.t.Errorf("job %s is %s (%s), want %s: %s\n%s", id, j.State, j.Cause, state, j.states(), c.ok("show", id))
	}
	return j
}

var digits = regexp.MustCompile(`\d+`)

// number returns the first number in a text.
func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(digits.FindString(text))
	if err != nil {
		t.Fatalf("no number in %q", text)
	}
	return n
}
