package blackbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFairForgets: where users take turns, who has used much comes after who uses a little now, also
// when the server was killed meanwhile, and before them once what was used is forgotten. Ann has had
// nearly all processors for two seconds at least, a fiftieth of what there is at a half-life of a minute; Bob
// has one slot of a thousand. So it takes more than three half-lives to forget, which no pause of this
// machine comes to, and then, as the half-life is a second, a few seconds.
func TestFairForgets(t *testing.T) {
	t.Parallel()
	c := plainCluster(t)
	data := filepath.Join(c.dir, "data")
	c.env = cleanEnv("HOME="+c.dir, "REEVE_ADDR=https://"+c.listen,
		"REEVE_CA="+filepath.Join(data, "tls", "ca.crt"), "REEVE_TOKEN_FILE="+filepath.Join(data, "admin.token"))
	c.serve()
	ann, bob := c.user("ann"), c.user("bob")
	c.ok("queues", "set", "default", "--order", "fair", "--half-life", "1m")
	c.worker("w1", "--cpu", "8", "--slots", "1000", "--resource", "seat=1", "--prefetch", "-1")
	gate, order := filepath.Join(c.dir, "gate"), filepath.Join(c.dir, "order")
	waits := "run: while ! test -e '" + gate + "'; do sleep 0.02; done\n"

	c.ends(ann.submit("resources: {cpu: 7}\nrun: sleep 2"), "succeeded")
	c.server.kill(t)
	c.serve()
	for _, id := range []string{bob.submit("resources: {cpu: 0.001}\n" + waits), c.submit("resources: {cpu: 0.001, seat: 1}\n" + waits)} {
		await(t, "job "+id+" runs", func() bool { return c.show(id).State == "running" })
	}
	next := func(name string) string {
		return "resources: {cpu: 0.001, seat: 1}\nrun: echo " + name + " >> '" + order + "'"
	}
	hers, his := ann.submit(next("ann")), bob.submit(next("bob")) // hers is the older
	const turn = "comes first: it has less of its share"
	if out := c.ok("explain", hers); !strings.Contains(out, "user bob "+turn) {
		t.Errorf("ann has had more than bob, and goes first:\n%s", out)
	}
	if out := c.ok("explain", his); strings.Contains(out, turn) {
		t.Errorf("bob has had less than ann, and does not go first:\n%s", out)
	}
	c.ok("queues", "set", "default", "--half-life", "1s")
	await(t, "what ann has used is forgotten", func() bool {
		return strings.Contains(c.ok("explain", his), "user ann "+turn) && !strings.Contains(c.ok("explain", hers), turn)
	})
	mustWrite(t, gate, "")
	c.ends(his, "succeeded")
	c.ends(hers, "succeeded")
	if text, err := os.ReadFile(order); err != nil || string(text) != "ann\nbob\n" {
		t.Errorf("they ran in the order %q, %v", text, err)
	}
}

// user is a cluster as somebody else sees it, who may submit there.
func (c *cluster) user(name string) *cluster {
	c.t.Helper()
	u := *c
	token := strings.TrimSpace(c.ok("tokens", "create", name, "--scope", "submit,read", "-q"))
	u.env = append(slices.Clone(c.env), "REEVE_TOKEN="+token)
	return &u
}
