package blackbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOvercommit gives a real worker away three times over: as many attempts run on it at a time, each
// told of what it asked for, also after its server has died. After the reset no more run than it has.
func TestOvercommit(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--pool", "night", "--cpu", "1", "--memory", "1Gi", "--slots", "8", "--prefetch", "2")
	c.worker("w2", "--cpu", "4", "--slots", "4")
	gate, told := filepath.Join(c.dir, "gate"), filepath.Join(c.dir, "told")
	file := func(more string) string {
		return "pool: night\narray: 0-5\n" + more + "\nrun: echo $REEVE_WORKER $REEVE_CPUS $REEVE_MEMORY >> '" + told + "'; while ! test -e '" + gate + "'; do sleep 0.02; done"
	}
	began := func() []string {
		text, err := os.ReadFile(told)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
	id := c.submit(file("resources: {cpu: 1, memory: 256Mi}"))
	await(t, "one runs on the worker's one processor", func() bool { return c.show(id).State == "running" && began()[0] != "" })
	c.refused([]string{"pools", "set", "night", "--overcommit", "gpu=2"}, "gpu=2", "devices")
	c.refused([]string{"pools", "set", "night", "--overcommit", "cpu=0.01"}, "cpu=0.01", "0.1 to 100")
	if out := c.ok("pools", "set", "night", "--overcommit", "cpu=3"); out != "pool night is changed\n" {
		t.Errorf("pools set: %s", out)
	}
	await(t, "three run", func() bool { return len(began()) == 3 })
	for _, line := range began() {
		if line != "w1 1 268435456" {
			t.Errorf("an attempt was told %q", line)
		}
	}
	if out := c.ok("workers"); !strings.Contains(out, "3/3 (1 × 3)") || !strings.Contains(out, "768Mi/1024Mi") {
		t.Errorf("workers:\n%s", out)
	}
	if out := strings.Join(strings.Fields(c.ok("pools")), " "); !strings.Contains(out, "night 1/1 3/8 3/3 768Mi/1024Mi disk ") || !strings.HasSuffix(out, " cpu=3") || !strings.Contains(out, "default 1/1 0/4 0/4") {
		t.Errorf("pools: %s", out)
	}
	large := c.submit("pool: night\nresources: {cpu: 4}\nrun: echo")
	if out := c.ok("explain", large); !strings.Contains(out, "needs 4 cpu, the largest has 3 by an over-commit of 3") {
		t.Errorf("explain:\n%s", out)
	}
	if out := c.ok("explain", id); !strings.Contains(out, "too little cpu free (needs 1, the most free is 0") {
		t.Errorf("explain:\n%s", out)
	}
	c.server.kill(t)
	c.serve()
	if out := c.ok("pools", "show", "night"); !strings.Contains(out, "overcommit  cpu=3\n") {
		t.Errorf("after a restart the pool is\n%s", out)
	}
	c.ok("pools", "reset", "night")
	if got := c.show(id); got.State != "running" || len(began()) != 3 {
		t.Errorf("after the reset the job is %s, and %d have begun", got.State, len(began()))
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.ends(id, "succeeded")
	c.ok("cancel", large)
	if out := c.ok("pools"); strings.Contains(out, "cpu=3") {
		t.Errorf("pools after the reset:\n%s", out)
	}
}
