package blackbox

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestReplyLost loses the answer to a submit that was carried out: the command line asks
// again over another connection, and gets the job that it has made already.
func TestReplyLost(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	p := newProxy(t, c.listen)
	env := cleanEnv("REEVE_ADDR="+p.url(), "HOME="+c.dir)
	for n := 1; n <= 3; n++ {
		file := mustWrite(t, c.dir+"/job.yaml", fmt.Sprintf("name: job%d\nrun: echo once", n))
		p.set(passes, held)
		submit := start(t, "submit", c.dir, env, "submit", "-q", file)
		await(t, "the server has the job", func() bool { return strings.Count(c.ok("ls", "-q"), "\n") == n })
		p.drop()
		if code := submit.exit(t); code != 0 {
			t.Fatalf("exit %d: %s", code, submit.err)
		}
		ids := strings.Fields(c.ok("ls", "-q"))
		if got := strings.TrimSpace(submit.out.String()); len(ids) != n || got != ids[0] {
			t.Fatalf("the command line says job %q; there are %v", got, ids)
		}
	}
}

// TestSameKeyAtOnce submits with one key from many places at the same moment, a third of them
// something else: one job is made, whoever meant it gets it, and who meant another is told.
func TestSameKeyAtOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	same := mustWrite(t, c.dir+"/same.yaml", "run: echo same")
	other := mustWrite(t, c.dir+"/other.yaml", "run: echo other")
	const n = 30
	results := make([]result, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			file := same
			if i%3 == 0 {
				file = other
			}
			results[i] = run(t, c.dir, c.env, "", "submit", "-q", "--key", "nightly", file)
		})
	}
	all.Wait()
	made, won := strings.TrimSpace(c.ok("ls", "-q")), map[bool]int{}
	for i, r := range results {
		switch {
		case r.code == 0 && strings.TrimSpace(r.out) == made:
			won[i%3 == 0]++
		case r.code != 125 || !strings.Contains(r.err, "belongs to job "+made):
			t.Errorf("submit %d: exit %d, %q, %q; the job is %q", i, r.code, r.out, r.err, made)
		}
	}
	if len(won) != 1 || !maps.Equal(won, map[bool]int{false: n - n/3}) && !maps.Equal(won, map[bool]int{true: n / 3}) {
		t.Errorf("%v were given the job; want all of one kind", won)
	}
}

// TestCancelRaces cancels jobs around the moment at which they end: each has one end, which
// everybody is told, also by the next server, and which is true.
func TestCancelRaces(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	const n = 60
	ids := make([]string, n)
	var all sync.WaitGroup
	for i := range n {
		ids[i] = c.submit(l.env() + fmt.Sprintf("\ntasks: {t%d: {run: '%s'}}", i, noted))
		wait := time.Duration(rand.IntN(40)) * time.Millisecond
		all.Go(func() {
			<-time.After(wait)
			if r := run(t, c.dir, c.env, "", "cancel", ids[i]); r.code != 0 && !strings.Contains(r.err, "ended") {
				t.Errorf("cancel %s: exit %d: %s", ids[i], r.code, r.err)
			}
		})
	}
	all.Wait()
	states, count := map[string]string{}, map[string]int{}
	for i, id := range ids {
		c.wait(id)
		state := c.show(id).State
		states[id], count[state] = state, count[state]+1
		switch ended := len(l.of("end", fmt.Sprint("t", i))); {
		case state != "succeeded" && state != "cancelled":
			t.Errorf("job %s is %s", id, state)
		case state == "succeeded" && ended != 1:
			t.Errorf("job %s has succeeded, and its task came to its end %d times", id, ended)
		}
	}
	t.Logf("%v", count)
	c.server.kill(t)
	c.serve()
	for _, id := range ids {
		if state := c.show(id).State; state != states[id] {
			t.Errorf("job %s was %s, and is %s", id, states[id], state)
		}
	}
}

// TestCancelWhileAway cancels what runs on a worker that can't hear of it: it is not tried
// elsewhere, and counts as ended only once it can't run any more.
func TestCancelWhileAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "3s")
	w1 := c.worker("w1", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	id := c.submit(l.env() + "\nretry: {max_attempts: 5, on_lost: 5, delay: 1ms}\nrun: |\n  trap '' TERM\n  " + gated + "\n")
	first := l.seen(1, "begin", "main")[0]
	w1.signal(syscall.SIGSTOP)
	c.worker("w2", "--cpu", "8", "--slots", "8")
	c.ok("cancel", id)
	if list := c.ok("ls"); !strings.Contains(list, "cancelling") && alive(first.pid) {
		t.Errorf("while it runs on, ls says:\n%s", list)
	}
	c.ends(id, "cancelled")
	if alive(first.pid) {
		t.Errorf("the job is cancelled, and process %d runs", first.pid)
	}
	w1.signal(syscall.SIGCONT)
	w1.saysAgain(t, 2, "connected as worker")
	if at := c.attempts(id + ".main"); len(at) != 1 {
		t.Errorf("attempts are %+v", at)
	}
	l.begins("main", 1, 0)
}

// TestStoppedReaders stops programs that follow a log while the task writes megabytes of it:
// neither task nor server wait for them, or keep for each what it has not read.
func TestStoppedReaders(t *testing.T) {
	t.Parallel()
	c := plainCluster(t)
	c.args = []string{"--dev"}
	c.env = append(c.env, "GOGC=100") // memory is what it keeps, not what it has not collected yet
	c.serve()
	c.worker("w1")
	l := newLedger(t)
	const lines = 60_000
	id := c.submit(l.env() + fmt.Sprintf(`
log_limit: 64Mi
run: |
  echo first
  %s
  seq -f "line %%.0f and some more words, so that there is something to keep for who does not read" %d
`, gated, lines))
	var stopped []*proc
	for range 20 {
		r := start(t, "logs", c.dir, c.env, "logs", "-f", id)
		r.says(t, "first")
		r.signal(syscall.SIGSTOP)
		stopped = append(stopped, r)
	}
	before := resident(t, c.server)
	l.open("gate")
	c.ends(id, "succeeded")
	if got := strings.Count(c.ok("logs", id), "\n"); got != lines+1 {
		t.Errorf("the log has %d lines, want %d", got, lines+1)
	}
	if after := resident(t, c.server); after > before+100<<20 {
		t.Errorf("the server's memory went from %d to %d MiB for %d stopped readers", before>>20, after>>20, len(stopped))
	}
	for _, r := range stopped[:3] { // who goes on reading misses nothing
		r.signal(syscall.SIGCONT)
		if code := r.exit(t); code != 0 || strings.Count(r.out.String(), "\n") != lines+1 {
			t.Errorf("a reader that went on: exit %d, %d lines", code, strings.Count(r.out.String(), "\n"))
		}
	}
}

// resident is the memory of a process in bytes.
func resident(t *testing.T, p *proc) int {
	t.Helper()
	out, err := exec.Command("ps", "-o", "rss=", "-p", fmt.Sprint(p.cmd.Process.Pid)).Output()
	if err != nil {
		t.Fatal(err)
	}
	return number(t, string(out)) << 10
}
