package blackbox

import (
	"strings"
	"testing"
)

// TestWhere: a job runs on a worker of which all that it asks for is true, waits where there is
// none, and says of how many workers what is not.
func TestWhere(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--label", "zone=eu-1", "--label", "generation=2")
	c.worker("w2", "--label", "zone=eu-2", "--label", "generation=10", "--pool", "owned")
	c.worker("w3", "--label", "zone=us", "--label", "generation=new")
	for _, test := range []struct{ where, want string }{
		{`'labels.zone in ["eu-1", "eu-2"] && int(labels.generation) >= 3'`, "w2"},
		{`[zone, 'labels.zone.startsWith("eu-")', 'pool != "owned"']`, "w1"},
		{`'!labels.zone.startsWith("eu-")'`, "w3"},
		{`'name == "w2" && has(labels.os) && labels.pool == pool'`, "w2"},
	} {
		id := c.submit("where: " + test.where + "\nrun: echo\n")
		c.ends(id, "succeeded")
		if got := c.attempts(id + ".main"); len(got) != 1 || got[0].Worker != test.want {
			t.Errorf("where: %s: ran as %+v, want on %s", test.where, got, test.want)
		}
	}
	text := "where: [zone, 'int(labels.generation) >= 11']\nrun: echo\n"
	c.refused([]string{"run", "--where", "zone == 'eu'", "--", "true"}, `"zone == 'eu'": is no expression: undeclared reference to 'zone'`, "want labels.zone for a label")
	id := c.submit(text)
	like(t, "explain", c.ok("explain", id), `job `+id+` is pending

main: pending
  - no worker can run it now
  - all 3 workers do not meet int\(labels.generation\) >= 11 \(1 of them: type conversion error from 'string' to 'int'\)
.*`)
	c.worker("w4", "--label", "zone=us", "--label", "generation=11")
	c.ends(id, "succeeded")
	if out := c.ok("run", "--where", `labels.zone == "us"`, "--where", "generation=new", "--", "sh", "-c", "echo $REEVE_WORKER"); strings.TrimSpace(out) != "w3" {
		t.Errorf("run --where ran on %s, want w3", out)
	}
}
