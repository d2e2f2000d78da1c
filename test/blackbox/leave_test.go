package blackbox

import (
	"strings"
	"testing"
)

// TestWorkerLeaves: a worker that is told to stop says goodbye, and is gone at once,
// not away until its lease is over.
func TestWorkerLeaves(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for i := range 5 {
		w := c.worker("w1")
		if code := w.stop(t); code != 0 {
			t.Fatalf("exit %d", code)
		}
		if list := c.ok("workers"); strings.Contains(list, "w1") {
			t.Fatalf("time %d: the worker that left is still listed:\n%s", i, list)
		}
	}
}
