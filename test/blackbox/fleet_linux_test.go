package blackbox

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/internal/store/pgtest"
)

const (
	fleetLease = 5 * time.Second
	// fleetOnce is how long faults are made when nobody says how long.
	fleetOnce = 40 * time.Second
	// alone is set in the environment of a test process that has a network of its own.
	alone = "REEVE_TEST_ALONE"
)

// TestChaosServers is TestChaos with three servers on one database, each part on a network of its
// own: servers, workers, the database and the ways between any two of them fail. The seed says
// what the database is: one behind PgBouncer, or one with a synchronous standby that takes over.
func TestChaosServers(t *testing.T) {
	t.Parallel()
	needsRoot(t, "ip", "nsenter")
	if os.Getenv(alone) == "" {
		onOwnNetwork(t)
		return
	}
	must(t, "ip", "link", "set", "lo", "up")
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: make chaos-servers CHAOS=%s SEED=%d", seed, *chaosFor, seed)
	f := newFleet(t, seed)
	f.live(func() {
		if *chaosFor == 0 {
			f.faultsFor(fleetOnce)
			return
		}
		f.faultsFor(*chaosFor)
	})
}

// onOwnNetwork runs the calling test in another process, which can make any network it likes.
func onOwnNetwork(t *testing.T) {
	t.Helper()
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=0", "-chaos=" + chaosFor.String(), fmt.Sprint("-chaos-seed=", *chaosSeed)}
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), alone+"=1", "REEVE_TEST_BINARY="+binary)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, in := io.Pipe()
	c.Stdout, c.Stderr = in, in
	runtime.LockOSThread() // the death of the thread that started it would end it, too
	defer runtime.UnlockOSThread()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { in.CloseWithError(c.Wait()) }()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		t.Log(strings.TrimSpace(lines.Text()))
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("the test in a network of its own: %v", err)
	}
}

// fleet is a zoo of several servers.
type fleet struct {
	*zoo
	*several

	net *star
	// clients and database are addresses of this process: of what asks the servers, and of the
	// proxies before the database.
	clients, database string
	// ways are the servers' to the database.
	ways map[*member]*proxy
	// standby follows db; nil where nothing does.
	standby *pgtest.Server
}

func newFleet(t *testing.T, seed uint64) *fleet {
	t.Helper()
	f := &fleet{
		several: &several{cluster: &cluster{t: t, dir: t.TempDir()}, db: pgtest.Start(t, pgtest.Config{Durable: true})},
		ways:    map[*member]*proxy{},
	}
	f.zoo = &zoo{
		t: t, c: f.cluster, load: newWorkload(t, seed), seed: seed, rnd: rand.New(rand.NewPCG(seed, 1)),
		lease: fleetLease, past: fleetLease + fleetLease/2, least: least{Jobs: 200, Attempts: 200, Strikes: 4},
	}
	if *chaosFor >= 5*time.Minute {
		f.least = least{Jobs: 2000, Attempts: 2000, Strikes: 40, Lost: 10, Late: 1}
	}
	f.zoo.faults = f.everyFault
	f.lay()
	f.open(f.furnishStore())
	token := mustWrite(t, filepath.Join(f.dir, "worker.token"), f.ok("tokens", "create", "workers", "--scope", "worker", "-q"))
	for i, v := range f.workers {
		v.inside, v.admin = inside(f.net.space(v.name)), fmt.Sprintf("%s@127.0.0.1:%d", f.net.space(v.name), 7421)
		v.env, v.reach = []string{"REEVE_TOKEN_FILE=" + token}, f.addresses()
		if i == 0 {
			v.reach = "https://" + f.members[2].listen // it learns of the others
		}
		f.start(v)
		v.p.says(t, "connected as worker")
	}
	f.connect = func(patience time.Duration) *reeve.Client {
		return newClient(t, reeve.Config{Addr: f.addresses(), Patience: patience, CAFile: f.ca(), TokenFile: f.token()})
	}
	for range 2 {
		f.zoo.clients = append(f.zoo.clients, f.connect(chaosPatience))
	}
	return f
}

// lay makes the network: a router, and this process, servers and workers around it.
func (f *fleet) lay() {
	t := f.zoo.t
	var parts []string
	for i := range 3 {
		m := &member{name: fmt.Sprint("s", i+1)}
		v := &victim{name: fmt.Sprint("w", i+1)}
		f.members, f.workers, parts = append(f.members, m), append(f.workers, v), append(parts, m.name, v.name)
	}
	f.net = newStar(t, parts...)
	f.net.join("tests", []string{"env"})
	f.clients = f.net.addresses["tests"]
	f.database = strings.TrimSuffix(f.clients, "2") + "3"
	must(t, "ip", "addr", "add", f.database+"/24", "dev", "eth0")
	for _, m := range f.members {
		m.listen, m.inside = f.net.addresses[m.name]+":7420", inside(f.net.space(m.name))
		m.args = []string{"--admin", "127.0.0.1:7421"}
		f.admins = append(f.admins, f.net.space(m.name)+"@127.0.0.1:7421")
	}
}

// furnishStore makes what the seed says of the database, and returns a database's URL.
func (f *fleet) furnishStore() string {
	t := f.zoo.t
	at := f.db.Database(t)
	if f.seed%2 == 1 {
		t.Log("the database is behind PgBouncer")
		return f.db.PgBouncer(t)(at)
	}
	t.Log("the database has a synchronous standby")
	// A standby that is to lead waits for its own: it has to have the setting from the beginning.
	f.db.Exec(t, at, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
	f.standby = f.db.Standby(t)
	f.db.Exec(t, at, "SELECT pg_reload_conf()")
	return at
}

// open starts the servers on the database at a URL, each with a way of its own to it.
func (f *fleet) open(at string) {
	t := f.zoo.t
	_, rest, _ := strings.Cut(at, "127.0.0.1:")
	port, path, _ := strings.Cut(rest, "/")
	f.args = []string{"--lease", f.lease.String()}
	f.servers = func() (all []*proc) {
		for _, m := range f.members {
			all = append(all, m.proc)
		}
		return all
	}
	f.before = func() []*proc { return f.several.begun }
	f.env = cleanEnv("HOME="+f.dir, "REEVE_ADDR="+f.addresses(), "REEVE_CA="+f.ca(), "REEVE_TOKEN_FILE="+f.token())
	for _, m := range f.members {
		way := newProxyAt(t, f.database, "127.0.0.1:"+port)
		f.ways[m] = way
		m.store = fmt.Sprintf("postgres://postgres@%s/%s", way.listener.Addr(), path)
		f.begin(m)
	}
}

func (f *fleet) addresses() string {
	var all []string
	for _, m := range f.members {
		all = append(all, "https://"+m.listen)
	}
	return strings.Join(all, ",")
}

// ca and token are files that the first server has written.
func (f *fleet) ca() string    { return filepath.Join(f.dir, f.members[0].name, "tls", "ca.crt") }
func (f *fleet) token() string { return filepath.Join(f.dir, f.members[0].name, "admin.token") }

// resent is how many segments of TCP the parts have sent again, since nobody took them.
func (f *fleet) resent(parts ...string) (n int) {
	count := func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		n += retransmitted(string(text))
		return err
	}
	for _, part := range parts {
		var err error
		if part == "tests" { // which have no other name
			err = count()
		} else {
			err = inSpace(f.net.space(part), count)
		}
		if err != nil {
			f.zoo.t.Error(err)
		}
	}
	return n
}

// retransmitted reads the count of segments sent again in /proc/net/snmp: a line of names, and a
// line of numbers.
func retransmitted(snmp string) int {
	var names []string
	for line := range strings.Lines(snmp) {
		words := strings.Fields(line)
		if words[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		for i, name := range names {
			if name == "RetransSegs" {
				n, _ := strconv.Atoi(words[i])
				return n
			}
		}
	}
	return 0
}
