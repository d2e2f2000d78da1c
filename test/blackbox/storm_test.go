package blackbox

import (
	"strings"
	"testing"
)

// TestDelaySurvives kills the server under jobs that are to start later: each starts once,
// and not before its time, by what is on disk.
func TestDelaySurvives(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1")
	l := newLedger(t)
	soon := c.submit("start_after: 3s\n" + l.env() + "\nrun: '" + noted + "'")
	later := c.submit("start_after: 30d\n" + l.env() + "\ntasks: {later: {run: '" + noted + "'}}")
	c.server.kill(t)
	c.serve()
	c.ends(soon, "succeeded")
	l.begins("main", 1, 0)
	for range 2 {
		if why := c.ok("explain", later); !strings.Contains(why, "start_after") {
			t.Errorf("explain says of a job for next month:\n%s", why)
		}
		if j := c.show(later); j.State != "pending" || len(l.of("begin", "later")) > 0 {
			t.Errorf("the job for next month is %s", j.State)
		}
		c.server.kill(t)
		c.serve()
	}
}

// TestBlockedDelayNobody puts much in front of the queue that can't start anywhere: what can
// start does.
func TestBlockedDelayNobody(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "2", "--slots", "2")
	for range 5 {
		c.submit("priority: critical\narray: 0-9999\nwhere: [nowhere]\nrun: echo never")
	}
	c.submit("priority: critical\nresources: {cpu: 1000}\nrun: echo never")
	c.ends(c.submit("priority: background\narray: 0-9\nrun: echo now"), "succeeded")
}

// TestRetryStorm has everything fail for a while, as when what all of it needs is down: what
// is beside it goes on, and once that is up again all of it ends well, by itself.
func TestRetryStorm(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "4", "--slots", "4")
	l := newLedger(t)
	storm := c.submit(l.env() + `
array: 0-49
resources: {cpu: 0.5}
retry: {max_attempts: 1000, delay: 5s, max_delay: 5s}
run: 'echo "try main $REEVE_ARRAY_INDEX $REEVE_FENCE $$" > "$LEDGER"; [ -e "$GATE" ]'
`)
	l.seen(150, "try", "main") // about twenty a second, which the slowest machine can do with room to spare
	c.ends(c.submit("run: echo beside"), "succeeded")
	l.open("gate")
	c.ends(storm, "succeeded")
}
