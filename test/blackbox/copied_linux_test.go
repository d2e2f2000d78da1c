package blackbox

import (
	"os/exec"
	"testing"
)

// TestStateCopied starts a worker with a copy of another one's state directory. While the
// first is there the copy is kept out, and harms nothing. Once the first one's agent is dead
// the copy is let in; what that one's keeper still holds runs again only after its lease.
func TestStateCopied(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "--lease", "10s")
	w1 := c.worker("w1", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	id := c.submit(l.env() + "\nrun: |\n  trap '' TERM\n  " + gated + "\n")
	first := l.seen(1, "begin", "main")[0]
	if out, err := exec.Command("cp", "-a", c.state("w1"), c.state("copy")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	twin := c.idleWorker("copy", "--name", "w1", "--cpu", "8", "--slots", "8")
	twin.saysAgain(t, 2, "from another place with the same state directory")
	l.seen(len(l.of("tick", "main"))+5, "tick", "main")
	w1.kill(t)
	twin.says(t, "connected as worker")
	if !alive(first.pid) {
		t.Log("the lease was over before the copy was let in: this run shows only that it was kept out")
	}
	l.seen(2, "begin", "main")
	if alive(first.pid) {
		t.Errorf("the first attempt, process %d, is alive beside the second", first.pid)
	}
	l.open("gate")
	c.ends(id, "succeeded")
	l.noTwins()
	l.begins("main", 2, 0)
}
