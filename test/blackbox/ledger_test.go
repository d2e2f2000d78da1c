package blackbox

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// ledger is the truth about what ran when, written by the jobs themselves and read
// over a named pipe in the order in which it happened. A line is
// "VERB TASK INDEX FENCE PID", and whatever words a job has beside.
type ledger struct {
	t    *testing.T
	path string
	mu   sync.Mutex
	all  []entry
	more chan struct{} // closed and replaced with each line
}

type entry struct {
	verb, task string
	index, pid int
	fence      uint64
	words      []string
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{t: t, path: filepath.Join(t.TempDir(), "ledger"), more: make(chan struct{})}
	if err := syscall.Mkfifo(l.path, 0o600); err != nil {
		t.Fatal(err)
	}
	// Both ways open, so that it never ends between two writers and none waits.
	pipe, err := os.OpenFile(l.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pipe.Close() })
	go func() {
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			l.add(lines.Text())
		}
	}()
	return l
}

func (l *ledger) add(line string) {
	f := strings.Fields(line)
	if len(f) < 5 {
		f = append(f, make([]string, 5-len(f))...)
	}
	e := entry{verb: f[0], task: f[1], words: f[5:]}
	e.index, _ = strconv.Atoi(f[2])
	e.fence, _ = strconv.ParseUint(f[3], 10, 64)
	e.pid, _ = strconv.Atoi(f[4])
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, e)
	close(l.more)
	l.more = make(chan struct{})
}

func (l *ledger) entries() []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]entry(nil), l.all...)
}

// env are lines of a job file's env that jobs need to write here, indented by
// nothing, as one flow mapping.
func (l *ledger) env() string {
	return fmt.Sprintf("env: {LEDGER: %q, GATE: %q}", l.path, l.gate("gate"))
}

// gate is the path of a file that jobs wait for.
func (l *ledger) gate(name string) string { return filepath.Join(filepath.Dir(l.path), name) }

// open lets what waits at a gate go on.
func (l *ledger) open(name string) { mustWrite(l.t, l.gate(name), "") }

// The shell lines with which jobs write here. Appending a line to a pipe is atomic.
const (
	noteBegin = `note() { echo "$1 $REEVE_TASK ${REEVE_ARRAY_INDEX:-0} $REEVE_FENCE $$" > "$LEDGER"; }; note begin; `
	noteEnd   = `note end; `
	// atGate waits for the gate and writes while it does, so that what still runs is
	// seen to run.
	atGate = `while [ ! -e "$GATE" ]; do note tick; sleep 0.05; done; `
	// A whole job that waits at the gate.
	gated = noteBegin + atGate + noteEnd
	// A whole job that only notes itself.
	noted = noteBegin + noteEnd
)

// seen waits until a line with the verb and task has come n times.
func (l *ledger) seen(n int, verb, task string) []entry {
	l.t.Helper()
	ctx := within(l.t)
	for {
		l.mu.Lock()
		more := l.more
		l.mu.Unlock()
		got := l.of(verb, task)
		if len(got) >= n {
			return got
		}
		select {
		case <-more:
		case <-ctx.Done():
			l.t.Fatalf("the ledger has %d lines %q of task %q, want %d", len(got), verb, task, n)
		}
	}
}

// of returns the lines so far with a verb and task; "" is any.
func (l *ledger) of(verb, task string) []entry {
	var out []entry
	for _, e := range l.entries() {
		if (verb == "" || e.verb == verb) && (task == "" || e.task == task) {
			out = append(out, e)
		}
	}
	return out
}

// begins checks how often each element of a task has begun.
func (l *ledger) begins(task string, each int, elements ...int) {
	l.t.Helper()
	count := map[int]int{}
	for _, e := range l.of("begin", task) {
		count[e.index]++
	}
	for _, i := range elements {
		if count[i] != each {
			l.t.Errorf("task %s, element %d began %d times, want %d", task, i, count[i], each)
		}
	}
}

// noTwins checks that no attempt wrote a line after a later attempt of the same
// element had begun.
func (l *ledger) noTwins() {
	l.t.Helper()
	newest := map[string]entry{}
	for _, e := range l.entries() {
		key := fmt.Sprint(e.task, e.index)
		if e.verb == "begin" && e.fence > newest[key].fence {
			newest[key] = e
		}
		if n := newest[key]; e.fence < n.fence {
			l.t.Errorf("twins: %+v was still there after %+v", e, n)
		}
	}
}
