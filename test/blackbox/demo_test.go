package blackbox

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestDemo runs the demonstration as it is, and then its job on a server that is
// killed three times on the way: the result is the same, and exact.
func TestDemo(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "3", "--slots", "3")
	c.worker("w2", "--cpu", "3", "--slots", "3")
	source, err := filepath.Abs("../../internal/job")
	if err != nil {
		t.Fatal(err)
	}
	demo := filepath.Join(c.dir, "demo")
	r := run(t, c.dir, c.env, "", "demo", "--data", demo, source)
	if r.code != 0 || !strings.Contains(r.out, "Both counts agree exactly.") || !strings.Contains(r.out+r.err, "SIGKILL") {
		t.Fatalf("the demo ended with %d:\n%s%s", r.code, r.out, r.err)
	}
	for _, w := range []string{"w1", "w2", "w3"} {
		if left := keepers(t, filepath.Join(demo, w)); len(left) > 0 {
			t.Errorf("the demo left keepers of %s: %v", w, left)
		}
	}

	id := strings.TrimSpace(c.ok("submit", "-q", filepath.Join(demo, "job.yaml")))
	for _, done := range []int{8, 24, 40} {
		await(t, fmt.Sprintf("%d shards are counted", done), func() bool {
			out := c.ok("show", id+".count", "--state", "succeeded", "--limit", "1000", "-o", "json")
			return len(decode[[]elementView](t, out)) >= done
		})
		c.server.kill(t)
		c.serve()
	}
	c.ends(id, "succeeded")
	if got := c.ok("logs", id+".compare"); !strings.Contains(got, "exactly the same") {
		t.Errorf("the comparison says %q", got)
	}
	table := c.ok("logs", id+".report")
	if rows := strings.Count(table, "%"); rows != 20 || !strings.Contains(r.out, table) {
		t.Errorf("the table, of %d rows, is not the demo's:\n%s\n%s", rows, table, r.out)
	}
	for _, e := range c.elements(id + ".count") {
		if e.Attempts != 1 {
			t.Errorf("%s had %d attempts, though only servers died", e.ID, e.Attempts)
		}
	}
}
