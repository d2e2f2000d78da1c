package blackbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// needsRoot skips tests that make namespaces or mounts where that is not allowed. In
// continuous integration it must be.
func needsRoot(t *testing.T, programs ...string) {
	t.Helper()
	missing := ""
	if os.Geteuid() != 0 {
		missing = "root"
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing = p
		}
	}
	if missing == "" {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("this test needs %s, which continuous integration must have", missing)
	}
	t.Skipf("this test needs %s", missing)
}

// must runs a program of the system.
func must(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// network is three network namespaces: a server's and a worker's, and between them a
// router that can drop what passes, without a word to either.
type network struct {
	t                      *testing.T
	server, router, worker string
}

// The addresses are from the ranges for documentation; nothing leaves the namespaces.
const (
	serverAddress, serverGate = "198.51.100.2", "198.51.100.1"
	workerAddress, workerGate = "203.0.113.2", "203.0.113.1"
)

var networks atomic.Int64

func newNetwork(t *testing.T) *network {
	t.Helper()
	needsRoot(t, "ip", "nsenter")
	id := fmt.Sprintf("%d-%d", os.Getpid(), networks.Add(1))
	n := &network{t, "reeve-s" + id, "reeve-r" + id, "reeve-w" + id}
	for _, ns := range []string{n.server, n.router, n.worker} {
		must(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { must(t, "ip", "netns", "del", ns) })
		n.ip(ns, "link", "set", "lo", "up")
	}
	n.join(n.server, serverAddress, serverGate)
	n.join(n.worker, workerAddress, workerGate)
	must(t, append(inside(n.router), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")...)
	return n
}

// inside is the start of a command line that runs the rest in a network namespace.
func inside(ns string) []string { return []string{"nsenter", "--net=/run/netns/" + ns, "--"} }

func (n *network) ip(ns string, args ...string) {
	n.t.Helper()
	must(n.t, append(append(inside(ns), "ip"), args...)...)
}

// join lays a cable from a namespace to the router.
func (n *network) join(ns, address, gate string) {
	n.t.Helper()
	n.ip(ns, "link", "add", "eth0", "type", "veth", "peer", "name", "to-"+ns[6:7], "netns", n.router)
	n.ip(ns, "addr", "add", address+"/24", "dev", "eth0")
	n.ip(ns, "link", "set", "eth0", "up")
	n.ip(n.router, "addr", "add", gate+"/24", "dev", "to-"+ns[6:7])
	n.ip(n.router, "link", "set", "to-"+ns[6:7], "up")
	n.ip(ns, "route", "add", "default", "via", gate)
}

// cut has the router drop everything between the two, silently.
func (n *network) cut() {
	n.ip(n.router, "rule", "add", "from", workerAddress, "blackhole")
	n.ip(n.router, "rule", "add", "from", serverAddress, "blackhole")
}

func (n *network) heal() {
	n.ip(n.router, "rule", "del", "from", workerAddress, "blackhole")
	n.ip(n.router, "rule", "del", "from", serverAddress, "blackhole")
}

// TestWorkerOnAnotherNetwork joins a worker from another network by a token, over
// TLS. Then the link is cut without a word, past the lease: the work runs elsewhere,
// never beside what is cut off, and the worker is of use again once it is healed.
func TestWorkerOnAnotherNetwork(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	c := secureCluster(t, n)
	token := strings.TrimSpace(c.ok("tokens", "create", "--join", "-q"))
	far := c.joined("far", n.worker, token)
	l := newLedger(t)
	id := c.submit(l.env() + "\nrun: |\n  trap '' TERM\n  " + gated + "\n")
	first := l.seen(1, "begin", "main")[0]
	c.joined("near", n.server, token)
	waiting := startProgram(t, "wait", c.dir, c.env, append(inside(n.worker), binary, "wait", id)...)
	waiting.says(t, "running")
	n.cut()
	second := l.seen(2, "begin", "main")[1]
	if alive(first.pid) {
		t.Errorf("the attempt that was cut off, process %d, is alive beside the next", first.pid)
	}
	if second.fence <= first.fence {
		t.Errorf("the fence went from %d to %d", first.fence, second.fence)
	}
	n.heal()
	far.saysAgain(t, 2, "connected as worker")
	l.open("gate")
	c.ends(id, "succeeded")
	if code := waiting.exit(t); code != 0 {
		t.Errorf("who waited on the other side of the cut ended with %d", code)
	}
	l.noTwins()
	l.begins("main", 2, 0)
	c.ends(c.submit("where: {who: far}\nrun: echo back"), "succeeded")

	// What the token does not allow stays closed.
	stranger := slices.DeleteFunc(slices.Clone(c.env), func(kv string) bool { return strings.HasPrefix(kv, "REEVE_TOKEN") })
	argv := append(append(inside(n.worker), binary), "ls")
	refused(t, runProgram(t, c.dir, stranger, "", argv...), []string{"ls"}, "token")
}

// secureCluster starts a server with TLS in the network's server namespace.
func secureCluster(t *testing.T, n *network) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), listen: serverAddress + ":7420", inside: inside(n.server)}
	data := filepath.Join(c.dir, "data")
	c.env = cleanEnv("HOME="+c.dir, "REEVE_ADDR=https://"+c.listen,
		"REEVE_CA="+filepath.Join(data, "tls", "ca.crt"), "REEVE_TOKEN_FILE="+filepath.Join(data, "admin.token"))
	c.args = []string{"--lease", "2s"}
	c.serve()
	return c
}

// joined starts a worker in a network namespace, with nothing but a token.
func (c *cluster) joined(name, ns, token string) *proc {
	c.t.Helper()
	state := c.state(name)
	c.t.Cleanup(func() { endKeepers(c.t, state) })
	argv := append(inside(ns), binary, "worker", "--join", token, "--state", state, "--name", name, "--label", "who="+name)
	w := startProgram(c.t, "worker "+name, c.dir, cleanEnv("HOME="+c.dir), argv...)
	w.says(c.t, "connected as worker")
	return w
}
