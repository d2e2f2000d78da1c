package blackbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// rankNote is a rank's lines: its number stands for the index, and after them what it was told.
const rankNote = `note() { echo "$1 $REEVE_TASK $REEVE_RANK $REEVE_FENCE $$ $REEVE_ATTEMPT $REEVE_WORKER $REEVE_NODES $REEVE_HOSTS" > "$LEDGER"; }; note begin; `

// rank is a line of one.
type rank struct {
	entry
	attempt       int
	worker, nodes string
	hosts         []string
}

// ranks are the lines so far of a gang with a verb.
func (l *ledger) ranks(verb, task string) (out []rank) {
	l.t.Helper()
	for _, e := range l.of(verb, task) {
		if len(e.words) != 4 {
			l.t.Fatalf("%+v was told %q", e, e.words)
		}
		out = append(out, rank{e, number(l.t, e.words[0]), e.words[1], e.words[2], strings.Split(e.words[3], ",")})
	}
	return out
}

// gang checks that all ranks of the attempts of a gang began, each on a worker of its own and told
// where all of them are, and that none of an attempt went on once one of a later attempt had begun.
func (l *ledger) gang(task string, n, attempts int) {
	l.t.Helper()
	byAttempt := map[int][]rank{}
	for _, r := range l.ranks("begin", task) {
		byAttempt[r.attempt] = append(byAttempt[r.attempt], r)
	}
	if len(byAttempt) != attempts {
		l.t.Errorf("the gang %s began in %d attempts, want %d", task, len(byAttempt), attempts)
	}
	for attempt, all := range byAttempt {
		hosts := make([]string, n)
		var workers []string
		for _, r := range all {
			if r.index < 0 || r.index >= n || hosts[r.index] != "" || slices.Contains(workers, r.worker) {
				l.t.Fatalf("attempt %d of the gang %s began as %+v", attempt, task, all)
			}
			hosts[r.index] = "host-of-" + r.worker
			workers = append(workers, r.worker)
		}
		for _, r := range all {
			if len(all) != n || r.nodes != fmt.Sprint(n) || !slices.Equal(r.hosts, hosts) {
				l.t.Errorf("attempt %d of the gang %s: %d of %d ranks began, at %q; rank %d was told %s and %q", attempt, task, len(all), n, hosts, r.index, r.nodes, r.hosts)
			}
		}
	}
	newest := 0
	for _, r := range l.ranks("", task) {
		if newest = max(newest, r.attempt); r.attempt < newest {
			l.t.Errorf("rank %d of attempt %d was still there after attempt %d had begun", r.index, r.attempt, newest)
		}
	}
	l.noTwins()
}

// member starts a worker that says where it is.
func (c *cluster) member(name string) *proc {
	c.t.Helper()
	return c.worker(name, "--cpu", "2", "--slots", "2", "--label", "host=host-of-"+name)
}

// TestGangStartsTogether: a gang waits until all of its workers have a place, says so, starts
// on all of them, and knows where it is; the end of a server and of a rank in between changes nothing.
func TestGangStartsTogether(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "5s")
	for _, name := range []string{"w1", "w2", "w3"} {
		c.member(name)
	}
	l := newLedger(t)
	blocker := c.submit(l.env() + "\nresources: {cpu: 2}\nrun: '" + strings.ReplaceAll(gated, `"$GATE"`, `"$GATE-first"`) + "'\n")
	l.seen(1, "begin", "main")
	id := c.submit(l.env() + `
tasks:
  gang:
    nodes: 3
    run: '` + rankNote + `echo "from=$REEVE_RANK" > "$REEVE_OUTPUT"; test "$REEVE_RANK" = 0 || { ` + atGate + `}; ` + noteEnd + `'
  after:
    needs: gang
    env: {FROM: "${{ tasks.gang.outputs.from }}"}
    run: '` + noteBegin + `test "$FROM" = 0'
`)
	out := c.ok("explain", id)
	for _, want := range []string{"it needs 3 workers at once; 2 have a place for it now", "1 of 3 fitting workers is busy: 1 has too little cpu free"} {
		if !strings.Contains(out, want) {
			t.Errorf("explain says\n%s\nand not %q", out, want)
		}
	}
	if n := len(l.of("begin", "gang")); n > 0 {
		t.Errorf("%d ranks began while one had no place", n)
	}
	l.open("gate-first")
	c.ends(blocker, "succeeded")
	l.seen(1, "end", "gang") // of rank 0, whose place is free from here on
	l.seen(3, "begin", "gang")
	await(t, "rank 0 gives its place back", func() bool {
		return strings.Contains(c.ok("explain", id+".gang.0"), "has ended well, and awaits the others of its gang")
	})
	c.server.kill(t)
	c.serve()
	c.submit(l.env() + "\nresources: {cpu: 2}\nrun: '" + strings.ReplaceAll(noted, "$REEVE_TASK", "beside") + "'\n")
	l.seen(1, "end", "beside")
	if j := c.show(id); j.State != "running" || j.Tasks[0].Counts["running"] != float64(3) && j.Tasks[0].Counts["running"] != "3" {
		t.Errorf("with one rank of three ended the job shows %+v", j)
	}
	l.open("gate")
	c.ends(id, "succeeded")
	l.gang("gang", 3, 1)
	if got := decode[map[string]any](t, c.ok("show", id, "-o", "json")); !strings.Contains(fmt.Sprint(got), "outputs:map[from:0]") {
		t.Errorf("the gang's outputs are those of rank 0; the job shows %v", got)
	}
}

// TestGangEndsTogether: where one rank fails, or its worker dies, the others are stopped and all
// are tried again; a cancel of one is one of all.
func TestGangEndsTogether(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "3s")
	members := map[string]*proc{}
	for _, name := range []string{"w1", "w2", "w3"} {
		members[name] = c.member(name)
	}
	l := newLedger(t)
	file := func(task, more, work string) string {
		return l.env() + "\ntasks:\n  " + task + ": {nodes: 2, grace: 1s, " + more + ", run: '" + rankNote + work + "'}\n"
	}
	failing := c.submit(file("failing", "retry: {max_attempts: 2, delay: 1ms}", `if test "$REEVE_ATTEMPT.$REEVE_RANK" = 1.1; then `+strings.ReplaceAll(atGate, `"$GATE"`, `"$GATE-fails"`)+
		`exit 3; fi; test "$REEVE_ATTEMPT" = 2 || `+strings.TrimSuffix(atGate, "; ")))
	l.seen(2, "begin", "failing")
	l.open("gate-fails")
	c.ends(failing, "succeeded")
	l.gang("failing", 2, 2)
	if a := c.attempts(failing + ".failing.0"); len(a) != 2 || a[0].State != "failed" || a[0].Cause != "another of its gang ended: rank 1: exit 3" {
		t.Errorf("rank 0 shows %+v", a)
	}
	bad := c.submit(file("bad", "retry: 1", `test "$REEVE_RANK" = 1 && exit 7; `+atGate))
	c.ends(bad, "failed")
	if j := c.show(bad); j.Cause != "exit 7" || j.ExitCode != 7 {
		t.Errorf("with a rank that failed the job shows %+v", j)
	}

	lost := c.submit(file("lost", "retry: {on_lost: 1}", atGate))
	l.seen(2, "begin", "lost")
	dead := l.ranks("begin", "lost")[0]
	members[dead.worker].kill(t)
	c.killKeepers(dead.worker)
	l.seen(4, "begin", "lost")
	l.gang("lost", 2, 2)
	if e := c.elements(lost + ".lost"); len(e) != 2 || e[0].Attempts != 2 || e[1].Attempts != 2 {
		t.Errorf("after a worker was lost the ranks show %+v", e)
	}

	if out := c.ok("cancel", lost+".lost.1"); !strings.Contains(out, "2") {
		t.Errorf("a cancel of one rank says %q; two are stopped", out)
	}
	c.ends(lost, "cancelled")
	for _, e := range c.elements(lost + ".lost") {
		if e.State != "cancelled" {
			t.Errorf("after a cancel of one rank the ranks show %+v", e)
		}
	}

	r := runProgram(t, c.dir, c.env, "nodes: 3\nrun: 'true'\n", c.command("plan", "-")...)
	if r.code != 2 || !strings.Contains(r.out, "it needs 3 workers at once; 2 could run it now") {
		t.Errorf("plan says with exit %d\n%s%s", r.code, r.out, r.err)
	}
	for text, want := range map[string]string{
		"nodes: 0": "want a whole number from 1 to 1000", "nodes: -1": "want a whole number from 1 to 1000", "nodes: 5000": "want a whole number from 1 to 1000",
		"nodes: 2\narray: 0-3": "stands beside array",
	} {
		refused(t, runProgram(t, c.dir, c.env, "run: 'true'\n"+text+"\n", c.command("submit", "-")...), []string{"submit"}, want)
	}
}
