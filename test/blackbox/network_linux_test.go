package blackbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
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

// star is network namespaces around one more, a router that can drop what passes from one to
// another, without a word to either.
type star struct {
	t      *testing.T
	id     string
	router string
	// addresses are the parts', by name: nothing leaves the namespaces.
	addresses map[string]string
}

var networks atomic.Int64

// newStar makes a router and the named parts around it.
func newStar(t *testing.T, parts ...string) *star {
	t.Helper()
	needsRoot(t, "ip", "nsenter")
	n := &star{t: t, id: fmt.Sprintf("%d-%d", os.Getpid(), networks.Add(1)), addresses: map[string]string{}}
	n.router = n.space("router")
	for _, ns := range append(parts, "router") {
		must(t, "ip", "netns", "add", n.space(ns))
		t.Cleanup(func() { must(t, "ip", "netns", "del", n.space(ns)) })
		n.ip(n.space(ns), "link", "set", "lo", "up")
	}
	for _, part := range parts {
		n.join(part, inside(n.space(part)))
	}
	must(t, append(inside(n.router), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")...)
	return n
}

// space is the namespace of a part.
func (n *star) space(part string) string { return "reeve-" + part + "-" + n.id }

// inside is the start of a command line that runs the rest in a network namespace.
func inside(ns string) []string { return []string{"nsenter", "--net=/run/netns/" + ns, "--"} }

func (n *star) ip(ns string, args ...string) {
	n.t.Helper()
	must(n.t, append(append(inside(ns), "ip"), args...)...)
}

// join lays a cable from a part, in which what within begins runs, to the router.
func (n *star) join(part string, within []string) {
	n.t.Helper()
	ip := func(args ...string) { must(n.t, append(append(slices.Clone(within), "ip"), args...)...) }
	net := fmt.Sprintf("10.77.%d.", len(n.addresses)+1)
	n.addresses[part] = net + "2"
	ip("link", "add", "eth0", "type", "veth", "peer", "name", "to-"+part, "netns", n.router)
	ip("addr", "add", net+"2/24", "dev", "eth0")
	ip("link", "set", "eth0", "up")
	n.ip(n.router, "addr", "add", net+"1/24", "dev", "to-"+part)
	n.ip(n.router, "link", "set", "to-"+part, "up")
	ip("route", "add", "default", "via", net+"1")
}

// cut has the router drop everything between two addresses, silently.
func (n *star) cut(a, b string) {
	n.t.Helper()
	n.cutWay(a, b)
	n.cutWay(b, a)
}

// cutWay drops what goes from one address to the other alone.
func (n *star) cutWay(from, to string) {
	n.t.Helper()
	n.ip(n.router, "rule", "add", "from", from, "to", to, "blackhole")
}

func (n *star) heal(a, b string) {
	n.t.Helper()
	n.healWay(a, b)
	n.healWay(b, a)
}

func (n *star) healWay(from, to string) {
	n.t.Helper()
	n.ip(n.router, "rule", "del", "from", from, "to", to, "blackhole")
}

// inSpace runs a function whose sockets are those of a network namespace.
func inSpace(ns string, do func() error) error {
	there, err := os.Open("/run/netns/" + ns)
	if err != nil {
		return err
	}
	defer there.Close()
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer here.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = do()
	if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
		return err // and let nobody else have this thread
	}
	runtime.UnlockOSThread()
	return err
}

// TestWorkerOnAnotherNetwork joins a worker from another network by a token, over
// TLS. Then the link is cut without a word, past the lease: the work runs elsewhere,
// never beside what is cut off, and the worker is of use again once it is healed.
func TestWorkerOnAnotherNetwork(t *testing.T) {
	t.Parallel()
	n := newStar(t, "server", "worker")
	server, worker := n.addresses["server"], n.addresses["worker"]
	c := secureCluster(t, n)
	token := strings.TrimSpace(c.ok("tokens", "create", "--join", "-q"))
	far := c.joined("far", n.space("worker"), token)
	l := newLedger(t)
	id := c.submit(l.env() + "\nrun: |\n  trap '' TERM\n  " + gated + "\n")
	first := l.seen(1, "begin", "main")[0]
	c.joined("near", n.space("server"), token)
	waiting := startProgram(t, "wait", c.dir, c.env, append(inside(n.space("worker")), binary, "wait", id)...)
	waiting.says(t, "running")
	n.cut(server, worker)
	second := l.seen(2, "begin", "main")[1]
	if alive(first.pid) {
		t.Errorf("the attempt that was cut off, process %d, is alive beside the next", first.pid)
	}
	if second.fence <= first.fence {
		t.Errorf("the fence went from %d to %d", first.fence, second.fence)
	}
	n.heal(server, worker)
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
	argv := append(append(inside(n.space("worker")), binary), "ls")
	refused(t, runProgram(t, c.dir, stranger, "", argv...), []string{"ls"}, "token")
}

// secureCluster starts a server with TLS in the network's server namespace.
func secureCluster(t *testing.T, n *star) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), listen: n.addresses["server"] + ":7420", inside: inside(n.space("server"))}
	data := filepath.Join(c.dir, "data")
	c.env = cleanEnv("HOME="+c.dir, "REEVE_ADDR=https://"+c.listen,
		"REEVE_CA="+filepath.Join(data, "tls", "ca.crt"), "REEVE_TOKEN_FILE="+filepath.Join(data, "admin.token"))
	c.args = []string{"--lease", "2s"}
	c.serve()
	return c
}

// joined starts a worker in a network namespace, with nothing but a token.
func (c *cluster) joined(name, ns, token string, args ...string) *proc {
	c.t.Helper()
	state := c.state(name)
	c.t.Cleanup(func() { endKeepers(c.t, state) })
	argv := append(append(inside(ns), binary, "worker", "--join", token, "--state", state, "--name", name, "--label", "who="+name), args...)
	w := startProgram(c.t, "worker "+name, c.dir, cleanEnv("HOME="+c.dir), argv...)
	w.says(c.t, "connected as worker")
	return w
}
