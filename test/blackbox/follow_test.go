package blackbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFollowIsComplete: whoever follows sees all there is, though results may
// overtake the output that they end.
func TestFollowIsComplete(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8")
	for range 5 {
		r := c.reeve("-q", "run", "--array", "0-39", "--", "sh", "-c", "echo element $REEVE_ARRAY_INDEX")
		if r.code != 0 {
			t.Fatalf("exit %d: %s", r.code, r.err)
		}
		for i := range 40 {
			if line := fmt.Sprintf("element %d\n", i); !strings.Contains(r.out, line) {
				t.Fatalf("%q is missing in\n%s", line, r.out)
			}
		}
	}
	for range 5 {
		id := c.submit("run: echo quick\n", "--wait")
		if log := c.ok("logs", id); log != "quick\n" {
			t.Errorf("the log right after the end is %q", log)
		}
	}
}

// TestFollowSideBySide: elements are shown as they write, not one after the other.
// The first one waits until the other one's output was seen.
func TestFollowSideBySide(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8")
	seen := filepath.Join(t.TempDir(), "seen")
	p := start(t, "run", c.dir, c.env, "run", "--env", "SEEN="+seen, "--array", "0-1", "--", "sh", "-c", `
		if [ $REEVE_ARRAY_INDEX = 0 ]; then
			until [ -e "$SEEN" ]; do sleep 0.05; done
			echo the first
		else
			echo the second
			until [ -e "$SEEN" ]; do sleep 0.05; done
		fi`)
	p.says(t, "the second\n")
	if err := os.WriteFile(seen, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(t); code != 0 {
		t.Fatalf("exit %d", code)
	}
	if out := p.out.String(); out != "the second\nthe first\n" {
		t.Errorf("it showed %q", out)
	}
}
