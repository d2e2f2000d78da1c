package blackbox

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// crashGraph computes 0²+1²+…+15² in elements that note themselves; half of them
// wait at the gate.
func crashGraph(l *ledger) string {
	return l.env() + `
tasks:
  before: {run: '` + noted + `'}
  square:
    needs: before
    array: 0-15
    resources: {cpu: 0.5}
    run: |
      ` + noteBegin + `
      if [ $REEVE_ARRAY_INDEX -ge 4 ]; then ` + atGate + ` fi
      echo $((REEVE_ARRAY_INDEX * REEVE_ARRAY_INDEX)) > "$REEVE_ARTIFACTS/sq"
      ` + noteEnd + `
  sum:
    needs: square
    fetch: square
    run: cat "$REEVE_INPUTS"/square/*/sq | awk '{ n += $1 } END { print "sum " n }'
`
}

// TestServerKilled kills the server in the middle of a graph, three times, and
// starts it again: the result is exact, and nothing that still ran ran again.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "2", "--slots", "4")
	w2 := c.worker("w2", "--cpu", "2", "--slots", "4")
	l := newLedger(t)
	id := c.submit(crashGraph(l))
	done := c.submit("run: echo before the crash")
	c.wait(done)
	l.seen(10, "begin", "square")
	for round := range 3 {
		c.server.kill(t)
		if round == 1 {
			l.open("gate") // elements end while there is no server
			l.seen(4+6, "end", "square")
		}
		c.serve()
		if round == 0 {
			l.seen(len(l.of("tick", "square"))+4, "tick", "square")
		}
	}
	c.ends(id, "succeeded")
	if got := c.ok("logs", id+".sum"); got != "sum 1240\n" {
		t.Errorf("the sum is %q, want 1240", got)
	}
	for i := range 16 {
		l.begins("square", 1, i)
	}
	l.begins("before", 1, 0)
	l.noTwins()
	if got := c.ok("logs", done); got != "before the crash\n" {
		t.Errorf("a log from before the crashes is %q", got)
	}
	if code := w2.stop(t); code != 0 {
		t.Errorf("the worker ended with %d", code)
	}
}

// TestRunSurvivesTheServer kills the server under a reeve run that follows its job:
// the output comes whole, each line once, and so does the exit code.
func TestRunSurvivesTheServer(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1")
	l := newLedger(t)
	script := noteBegin + `i=0; while [ $i -lt 60 ]; do echo line $i; echo to stderr $i >&2; note tick; i=$((i+1)); sleep 0.05; done; exit 7`
	run := start(t, "run", c.dir, c.env, "run", "-e", "LEDGER="+l.path, "--", "sh", "-c", script)
	for _, ticks := range []int{10, 30} {
		l.seen(ticks, "tick", "main")
		c.server.kill(t)
		l.seen(ticks+5, "tick", "main")
		c.serve()
	}
	if code := run.exit(t); code != 7 {
		t.Errorf("run ended with %d, want 7", code)
	}
	want := ""
	for i := range 60 {
		want += fmt.Sprintf("line %d\n", i)
		if n := strings.Count(run.err.String(), fmt.Sprintf("to stderr %d\n", i)); n != 1 {
			t.Errorf("line %d of standard error came %d times", i, n)
		}
	}
	if got := run.out.String(); got != want {
		t.Errorf("the output is %q", got)
	}
	l.begins("main", 1, 0)
}

// TestAcknowledgedSubmitsSurvive kills the server while clients submit: every
// submit that was acknowledged is there afterwards, and runs once.
func TestAcknowledgedSubmitsSurvive(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	l := newLedger(t)
	file := mustWrite(t, c.dir+"/job.yaml", l.env()+"\nrun: '"+noted+"'\n")
	acknowledged := make(chan string, 1000)
	ended := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { ended <- struct{}{} }()
			for {
				r := run(t, c.dir, c.env, "", "submit", "-q", file)
				if r.code != 0 {
					return
				}
				acknowledged <- strings.TrimSpace(r.out)
			}
		}()
	}
	await(t, "20 submits", func() bool { return len(acknowledged) >= 20 })
	c.server.kill(t)
	for range 4 {
		<-ended
	}
	close(acknowledged)
	c.serve()
	c.worker("w1", "--cpu", "16", "--slots", "8")
	var ids []string
	for id := range acknowledged {
		ids = append(ids, id)
	}
	if code := c.wait(ids...); code != 0 {
		t.Errorf("waiting for %d acknowledged jobs gave %d", len(ids), code)
	}
	if n := len(l.of("begin", "main")); n < len(ids) || n > len(ids)+4 {
		t.Errorf("%d jobs began, %d were acknowledged, and at most 4 more were under way", n, len(ids))
	}
}

// TestAgentKilled kills the agent alone: its keeper holds on to what runs, a new
// agent adopts it, and nothing runs again.
func TestAgentKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	w := c.worker("w1", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	id := c.submit(l.env() + "\narray: 0-3\nrun: '" + gated + "'")
	l.seen(4, "begin", "main")
	w.kill(t)
	l.seen(len(l.of("tick", "main"))+8, "tick", "main") // they run without an agent
	w = c.worker("w1", "--cpu", "8", "--slots", "8")
	w.says(t, "holding 4 attempts")
	l.open("gate")
	c.ends(id, "succeeded")
	l.begins("main", 1, 0, 1, 2, 3)
	for _, e := range c.elements(id + ".main") {
		if e.Attempts != 1 {
			t.Errorf("%s had %d attempts", e.ID, e.Attempts)
		}
	}
}

// TestAgentKilledWhileJobEnds lets what runs end while there is neither agent nor
// server: the keeper remembers the results.
func TestAgentKilledWhileJobEnds(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	w := c.worker("w1", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	id := c.submit(l.env() + "\nrun: |\n  " + gated + "\n  echo said while nobody listened\n  exit 5\n")
	l.seen(1, "begin", "main")
	w.kill(t)
	c.server.kill(t)
	l.open("gate")
	l.seen(1, "end", "main")
	c.serve()
	c.worker("w1", "--cpu", "8", "--slots", "8")
	if j := c.ends(id, "failed"); j.ExitCode != 5 {
		t.Errorf("exit code %d, want 5: %s", j.ExitCode, j.Cause)
	}
	l.begins("main", 1, 0)
	if got := c.ok("logs", id); got != "said while nobody listened\n" {
		t.Errorf("the log is %q", got)
	}
}

// TestWorkerLost kills agent and keeper: the attempt counts as lost after its lease
// and runs again elsewhere, with a higher fence; an at-most-once task does not.
func TestWorkerLost(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "2s")
	w1 := c.worker("w1", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	id := c.submit(l.env() + "\nrun: '" + gated + "'")
	once := c.submit(l.env() + "\ntasks: {once: {at_most_once: true, run: '" + gated + "'}}\n")
	l.seen(1, "begin", "main")
	l.seen(1, "begin", "once")
	c.killKeepers("w1")
	w1.kill(t)
	killed := time.Now()
	c.worker("w2", "--cpu", "8", "--slots", "8")
	begun := l.seen(2, "begin", "main")
	if d := time.Since(killed); d < time.Second {
		t.Errorf("the second attempt began %s after the loss, before the lease of 2s could have run out", d)
	}
	if begun[1].fence <= begun[0].fence {
		t.Errorf("the fence went from %d to %d", begun[0].fence, begun[1].fence)
	}
	l.open("gate")
	c.ends(id, "succeeded")
	j := c.ends(once, "failed")
	if !strings.Contains(j.Cause+j.Tasks[0].Cause, "worker lost") {
		t.Errorf("the cause of the at-most-once task is %q, %q", j.Cause, j.Tasks[0].Cause)
	}
	l.begins("once", 1, 0)
	l.noTwins()
	at := c.attempts(id + ".main")
	if len(at) != 2 || at[0].Cause != "worker lost: w1" || at[1].Worker != "w2" {
		t.Errorf("attempts are %+v", at)
	}
}

// TestAgentStopped stops an agent past its lease: the keeper kills the attempt on
// its own, before the server tries again, so that the two never overlap.
func TestAgentStopped(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "2s")
	w1 := c.worker("w1", "--cpu", "8", "--slots", "8", "--label", "who=first")
	l := newLedger(t)
	// It ignores SIGTERM: only the keeper's SIGKILL at the deadline ends it.
	id := c.submit(l.env() + "\nrun: |\n  trap '' TERM\n  " + gated + "\n")
	first := l.seen(1, "begin", "main")[0]
	w1.signal(syscall.SIGSTOP)
	c.worker("w2", "--cpu", "8", "--slots", "8")
	l.seen(2, "begin", "main")
	if alive(first.pid) {
		t.Errorf("the first attempt, process %d, is alive beside the second", first.pid)
	}
	w1.signal(syscall.SIGCONT) // it comes back with a result that nobody wants
	l.seen(len(l.of("tick", "main"))+10, "tick", "main")
	w1.saysAgain(t, 2, "connected as worker")
	l.open("gate")
	c.ends(id, "succeeded")
	l.noTwins()
	l.begins("main", 2, 0)
	if at := c.attempts(id + ".main"); len(at) != 2 || at[0].Cause != "worker lost: w1" {
		t.Errorf("attempts are %+v", at)
	}
	c.ends(c.submit("where: {who: first}\nrun: echo it works again"), "succeeded")
}

// TestServerAwayPastTheLease keeps the server down for longer than a lease: the
// keepers kill what they hold, and it runs again once there is a server, without
// twins.
func TestServerAwayPastTheLease(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "2s")
	c.worker("w1", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	id := c.submit(l.env() + "\nrun: '" + gated + "'")
	patient := c.submit(l.env() + "\ntasks: {patient: {lost_after: never, run: '" + gated + "'}}")
	first := l.seen(1, "begin", "main")[0]
	l.seen(1, "begin", "patient")
	c.server.kill(t)
	await(t, "the keeper kills the attempt", func() bool { return !alive(first.pid) })
	c.serve()
	l.seen(2, "begin", "main")
	l.open("gate")
	c.ends(id, "succeeded")
	c.ends(patient, "succeeded")
	l.begins("patient", 1, 0)
	l.noTwins()
}

// TestPoisonJob lets a job kill its workers: after three it is given up, with the
// reason.
func TestPoisonJob(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "1s")
	l := newLedger(t)
	id := c.submit(l.env() + "\nretry: {on_lost: 100, delay: 1ms}\nrun: '" + gated + "'")
	for round := 1; round <= 3; round++ {
		name := fmt.Sprint("w", round)
		w := c.worker(name)
		l.seen(round, "begin", "main")
		await(t, "the server knows that it runs", func() bool {
			attempts := c.attempts(id + ".main")
			return len(attempts) == round && attempts[round-1].State == "running"
		})
		if round == 3 {
			if why := c.ok("explain", id); !strings.Contains(why, "has worker w3 to itself, since 2 workers were lost while it ran") {
				t.Errorf("explain says:\n%s", why)
			}
			if cause := c.show(id).Tasks[0].Cause; cause != "runs alone: 2 workers were lost while it ran" {
				t.Errorf("show says %q", cause)
			}
		}
		c.killKeepers(name)
		w.kill(t)
	}
	c.worker("w4")
	j := c.ends(id, "failed")
	if cause := j.Tasks[0].Cause; !strings.Contains(cause, "3") || !strings.Contains(cause, "worker") {
		t.Errorf("the cause is %q", cause)
	}
	for _, words := range [][]string{{"ls"}, {"show", id}, {"explain", id}} {
		if out := c.ok(words...); !strings.Contains(out, "quarantined: 3 workers were lost while it ran") {
			t.Errorf("%s says:\n%s", words[0], out)
		}
	}
	if out := c.reeve("wait", id); out.code != 1 || !strings.Contains(out.err, "quarantined: 3 workers") {
		t.Errorf("wait ends with %d and says %q", out.code, out.err)
	}
	for i, a := range c.attempts(id + ".main") { // each keeps its own cause
		if want := fmt.Sprint("worker lost: w", i+1); a.Cause != want {
			t.Errorf("attempt %d says %q; want %q", i+1, a.Cause, want)
		}
	}
	l.begins("main", 3, 0)
}
