package blackbox

import (
	"strings"
	"testing"
)

// TestShortLease runs a task whose own lease is much shorter than the cluster's: the
// worker beats often enough for it.
func TestShortLease(t *testing.T) {
	t.Parallel()
	c := newCluster(t) // its lease is the default, a minute
	c.worker("w1")
	id := c.submit("lost_after: 1s\nrun: sleep 2.5")
	c.ends(id, "succeeded")
	if n := len(c.attempts(id + ".main")); n != 1 {
		t.Errorf("it took %d attempts", n)
	}
}

// TestAgentKilledForGood kills an agent that never comes back: its keeper ends what it
// holds when the lease is over, and nobody else has to.
func TestAgentKilledForGood(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "2s")
	w := c.worker("w1")
	l := newLedger(t)
	id := c.submit(l.env() + "\nrun: |\n  trap '' TERM\n  " + gated + "\n")
	first := l.seen(1, "begin", "main")[0]
	w.kill(t)
	await(t, "the keeper kills the attempt", func() bool { return !alive(first.pid) })
	c.worker("w2")
	l.seen(2, "begin", "main")
	l.open("gate")
	c.ends(id, "succeeded")
	l.noTwins()
}

// TestLostBudget loses workers under a task that may lose one: the second loss fails
// it, and neither costs one of its own attempts.
func TestLostBudget(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "1s")
	l := newLedger(t)
	id := c.submit(l.env() + "\nretry: {on_lost: 1, max_attempts: 1, delay: 1ms}\nrun: '" + gated + "'")
	for i, name := range []string{"w1", "w2"} {
		w := c.worker(name)
		l.seen(i+1, "begin", "main")
		c.killKeepers(name)
		w.kill(t)
	}
	c.worker("w3")
	if j := c.ends(id, "failed"); !strings.Contains(j.Tasks[0].Cause, "worker lost") {
		t.Errorf("the cause is %q", j.Tasks[0].Cause)
	}
	l.begins("main", 2, 0)
}
