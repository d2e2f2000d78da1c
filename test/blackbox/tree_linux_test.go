package blackbox

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// trees are tasks that leave, or try to leave, something behind. Each says when it
// has made its tree; what ends it is its own end, or a cancel.
var trees = []struct {
	name, script string
	cancel       bool
}{
	{"ignores SIGTERM", `trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & note made; while :; do sleep 0.1; done`, true},
	{"a child of a session of its own", `setsid sleep 1000 & note made; exit 0`, false},
	{"a cancelled one too", `setsid sleep 1000 & note made; sleep 1000`, true},
	{"forks twice", `sh -c 'setsid sh -c "sleep 1000 & sleep 1000 &" &'; note made; exit 0`, false},
	{"forks a lot", `i=0; while [ $i -lt 150 ]; do sleep 1000 & setsid sleep 1000 & i=$((i+1)); done; note made; exit 0`, false},
	{"stopped ones", `sleep 1000 & kill -STOP $!; setsid sleep 1000 & kill -STOP $!; note made; sleep 1000`, true},
	{"a daemon with its streams closed", `setsid sh -c 'sleep 1000' </dev/null >/dev/null 2>&1 & note made; exit 3`, false},
}

// TestTrees ends tasks with all that they started, by cgroups and without them; the
// worker says which way it has.
func TestTrees(t *testing.T) {
	t.Parallel()
	for way, inside := range map[string][]string{
		"cgroup": nil,
		// Where the hierarchy can't be seen, the keeper goes by descent.
		"descent": {"unshare", "--mount", "sh", "-c", `mount -t tmpfs none /sys/fs/cgroup && exec "$@"`, "sh"},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			needsRoot(t, "unshare", "mount", "setsid")
			c := newCluster(t)
			c.inside = inside
			c.worker("w1", "--cpu", "8", "--slots", "8")
			if about := c.ok("workers", "-o", "json"); !strings.Contains(about, way) {
				t.Errorf("the worker does not say that it kills by %s: %s", way, about)
			}
			for i, tree := range trees {
				t.Run(tree.name, func(t *testing.T) { c.tree(t, fmt.Sprintf("tree-%d", i), tree.script, tree.cancel) })
			}
		})
	}
}

// tree runs one of the trees and looks for what is left of it.
func (c *cluster) tree(t *testing.T, task, script string, cancel bool) {
	c2 := *c
	c2.t = t
	l := newLedger(t)
	mark := filepath.Join(t.TempDir(), "mark") // nobody else's
	job := map[string]any{
		"env":   map[string]string{"LEDGER": l.path, "TREE": mark},
		"tasks": map[string]any{task: map[string]any{"run": noteBegin + script, "grace": "200ms", "shell": "sh"}},
	}
	id := c2.submit(quoted(t, job))
	l.seen(1, "made", task)
	if cancel {
		if n := len(marked("TREE=" + mark)); n < 2 {
			t.Errorf("%d processes bear the mark while it runs", n)
		}
		c2.ok("cancel", id)
	}
	c2.wait(id)
	if state := c2.show(id).State; cancel != (state == "cancelled") {
		t.Errorf("it is %s", state)
	}
	if left := marked("TREE=" + mark); len(left) > 0 {
		t.Errorf("processes are left after its end: %v", left)
	}
}

// marked finds the processes with a variable, zombies left out.
func marked(variable string) []int {
	var pids []int
	entries, err := os.ReadDir("/proc")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00"+variable+"\x00")) && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestClosedStreams has a task close its output and go on: it runs until it ends.
func TestClosedStreams(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1")
	l := newLedger(t)
	id := c.submit(l.env() + "\nrun: |\n  echo before\n  exec >&- 2>&- <&-\n  " + gated + "\n  exit 4\n")
	l.seen(5, "tick", "main")
	if s := c.show(id).State; s != "running" {
		t.Errorf("it is %s after it closed its streams", s)
	}
	l.open("gate")
	if j := c.ends(id, "failed"); j.ExitCode != 4 {
		t.Errorf("exit code %d: %s", j.ExitCode, j.Cause)
	}
	if got := c.ok("logs", id); got != "before\n" {
		t.Errorf("the log is %q", got)
	}
}

// reuse is a whole cluster in a pid namespace of its own, where process numbers can be
// given out again at will. An attempt's processes die with its agent and keeper, others
// get their numbers, and the next agent and keeper must leave those alone.
const reuse = `
cd "$DIR"
"$REEVE" server --dev --data data --listen "$LISTEN" --lease 2s 2>server.log &
worker() { "$REEVE" worker --state state --name w1 --slots 4 --cpu 4 2>>worker.log & W=$!; }
until_() { n=0; until eval "$1"; do n=$((n+1)); [ $n -lt 600 ] || { echo "it did not happen: $1"; cat worker.log; exit 1; }; sleep 0.1; done; }
until_ '"$REEVE" ls >/dev/null 2>&1'
worker
printf 'env: {DIR: "%s"}\nretry: {on_lost: 0}\nrun: |\n  setsid sleep 1000 &\n  echo $! > $DIR/child\n  echo $$ > $DIR/main\n  wait\n' "$DIR" | "$REEVE" submit -q - >id
until_ '[ -s main ]'
MAIN=$(cat main) CHILD=$(cat child) KEEPER=$(pgrep -f 'keeper --dir')
kill -9 $W $KEEPER
until_ '! kill -0 $MAIN 2>/dev/null'
kill -9 $CHILD
until_ '! kill -0 $CHILD 2>/dev/null'
again() {
  n=0
  while [ $n -lt 300 ]; do
    echo $(($1 - 1)) > /proc/sys/kernel/ns_last_pid
    sleep 1000 &
    [ $! = $1 ] && return
    kill $!; n=$((n+1))
  done
  echo "number $1 was not given again"; exit 1
}
again $MAIN; again $CHILD
worker
until_ '[ "$(grep -c "connected as worker" worker.log)" = 2 ]'
"$REEVE" run -q -- echo after it all
"$REEVE" kill $(cat id) >/dev/null 2>&1 || true
"$REEVE" wait -q $(cat id) || echo "the job failed"
"$REEVE" run -q -- true
kill -0 $MAIN && kill -0 $CHILD && echo "the strangers live"
`

// TestNumbersGivenAgain never kills a stranger that has the number of an attempt's
// process.
func TestNumbersGivenAgain(t *testing.T) {
	t.Parallel()
	needsRoot(t, "unshare", "pgrep")
	c := plainCluster(t)
	script := mustWrite(t, filepath.Join(c.dir, "script"), reuse)
	env := append(slices.Clone(c.env), "DIR="+c.dir, "REEVE="+binary, "LISTEN="+c.listen)
	r := runProgram(t, c.dir, env, "", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", script)
	if r.code != 0 || r.out != "after it all\nthe job failed\nthe strangers live\n" {
		t.Errorf("exit %d:\n%s%s", r.code, r.out, r.err)
	}
}
