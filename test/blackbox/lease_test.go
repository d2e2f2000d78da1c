package blackbox

import "testing"

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
