package blackbox

import (
	"strings"
	"testing"
)

// TestThinPipe gives a worker a megabit per second for its way to the server, and tasks that write
// without end: what keeps leases and carries results is not starved by what carries logs.
func TestThinPipe(t *testing.T) {
	t.Parallel()
	needsRoot(t, "tc")
	n := newStar(t, "server", "worker")
	c := secureCluster(t, n)
	must(t, append(inside(n.space("worker")), "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "1mbit", "burst", "16kb", "latency", "400ms")...)
	w := c.joined("thin", n.space("worker"), strings.TrimSpace(c.ok("tokens", "create", "--join", "-q")), "--slots", "4", "--cpu", "4")
	var floods []string
	for range 2 {
		// A full queue may drop the same small packet twice, and TCP then waits for seconds: a lease has
		// to be longer than that on such a line, and a flood than several leases.
		floods = append(floods, c.submit("lost_after: 5s\nrun: timeout 30 yes 'a line of a log that never ends' || true"))
	}
	l := newLedger(t)
	for range 10 {
		id := c.submit(l.env() + "\nrun: echo between the floods\n")
		c.ends(id, "succeeded")
		if got := c.attempts(id + ".main"); len(got) != 1 {
			t.Errorf("job %s took %d attempts beside the floods: %v", id, len(got), got)
		}
	}
	for _, id := range floods {
		c.ends(id, "succeeded")
		if got := c.attempts(id + ".main"); len(got) != 1 {
			t.Errorf("a flood took %d attempts: %v", len(got), got)
		}
	}
	sent := must(t, append(inside(n.space("worker")), "tc", "-s", "qdisc", "show", "dev", "eth0")...)
	if strings.Contains(sent, "dropped 0, overlimits 0") {
		t.Errorf("the pipe was wide enough for all: %s", sent)
	}
	if lost := strings.Count(w.err.String(), "connecting again"); lost > 0 {
		t.Errorf("the worker took its server for silent %d times:\n%s", lost, last(w.err.String(), 20))
	}
}
