package blackbox

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve"
)

var (
	chaosFor     = flag.Duration("chaos", 0, "how long the mixed-fault run makes faults; without it each fault is made once")
	chaosSeed    = flag.Uint64("chaos-seed", 0, "repeat the choices of an earlier mixed-fault run")
	chaosHistory = flag.String("chaos-history", "", "audit the history that an earlier mixed-fault run has kept in this directory")
)

const (
	chaosLease = 2 * time.Second
	chaosSlots = 16
	// chaosAhead bounds how many jobs have not ended.
	chaosAhead = 300
	// chaosPace is how long each of sixteen submitters waits between two jobs, at least.
	chaosPace = 150 * time.Millisecond
	// chaosPatience is how long a client tries one call again.
	chaosPatience = 20 * time.Second
	// chaosDrain is how long the rest may take once the faults are over.
	chaosDrain = 3 * time.Minute
)

// TestChaos lets two clients submit jobs of every kind while servers, agents,
// keepers, connections and disks fail. Then what clients were told, what Reeve says and
// what the jobs wrote must fit together, and nothing may be left.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: make chaos CHAOS=%s SEED=%d", seed, *chaosFor, seed)
	z := newZoo(t, seed)
	z.live(func() {
		if *chaosFor == 0 {
			z.faultsOnce()
		} else {
			z.faultsFor(*chaosFor)
		}
	})
}

// live has clients submit while harm is done, and judges what came of it.
func (z *zoo) live(harm func()) {
	z.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer stop()
	opened := make(chan struct{})
	watchers.Go(func() { z.load.watch(ctx, z.clients[0], opened) })
	watchers.Go(func() { z.load.readEnds(ctx, z.clients[1]) })
	watchers.Go(func() { z.count(ctx) })
	select {
	case <-opened:
	case <-within(z.t).Done():
		z.t.Fatal("the watch does not open")
	}
	before := z.sizes()
	clients := z.submit(ctx)
	harm()
	z.heal()
	z.over.Store(true)
	select {
	case <-clients:
	case <-time.After(chaosDrain):
		z.t.Fatalf("the clients are not done %s after the last fault", chaosDrain)
	}
	z.t.Logf("%s the faults are over, and the clients done", time.Now().Format("15:04:05.000"))
	z.drain(ctx)
	z.t.Logf("%s every job has ended", time.Now().Format("15:04:05.000"))
	h := z.history(ctx)
	z.t.Logf("%s the history is read", time.Now().Format("15:04:05.000"))
	h.Left = z.left(before)
	stop()
	watchers.Wait()
	h.Left = append(h.Left, z.leave()...)
	z.judge(h)
}

// TestChaosHistory audits what an earlier run has kept.
func TestChaosHistory(t *testing.T) {
	t.Parallel()
	if *chaosHistory == "" {
		t.Skip("-chaos-history names no directory")
	}
	h, err := loadHistory(*chaosHistory)
	if err != nil {
		t.Fatal(err)
	}
	verdict(t, h)
}

// zoo is a cluster in which everything is reached over a proxy that can be broken.
type zoo struct {
	t       *testing.T
	c       *cluster
	load    *workload
	seed    uint64
	rnd     *rand.Rand
	front   *proxy // the clients'
	clients []*reeve.Client
	workers []*victim
	// servers are the processes of the servers, before all that there were so far, and admins
	// where they tell their numbers.
	servers, before func() []*proc
	admins          []string
	// faults are what can happen, by name.
	faults func() map[string]fault
	// connect makes a client whose way to the servers is not broken on purpose.
	connect func(patience time.Duration) *reeve.Client
	// lease is that of what runs; past is how long a fault lasts that is to last longer.
	lease, past time.Duration
	least       least
	// server, store and clientele are held by who breaks servers, their database, or the
	// clients' way to them.
	server, store, clientele sync.Mutex
	// disk is the server's; nil where it can't be broken.
	disk disk
	// crowd is the file in which processes beside the jobs are written down; "" where there
	// are none.
	crowd string
	// extra counts orders beside the clients'.
	extra atomic.Int64
	taken atomic.Int64
	// ahead is how many jobs have not ended, as the server said last.
	ahead atomic.Int64
	over  atomic.Bool

	mu      sync.Mutex
	strikes []strike
	// begun is every process of a worker so far.
	begun []*proc
}

// disk is a file system that can be filled, and lose its power.
type disk interface {
	// cut returns what shows that it takes nothing any more.
	cut() string
	restore()
	// fill leaves no room until empty is called; more takes what has become free since.
	fill() (more, empty func())
}

// victim is a worker with its own way to the server. Who breaks it holds mu.
type victim struct {
	name string
	// link is the way to the server where it can be broken, and reach where servers are.
	link  *proxy
	reach string
	admin string
	// disk is of its state directory; nil where it can't be broken.
	disk disk
	// inside is the start of a command line that runs the rest where this worker lives, and
	// env what it has beside the cluster's environment.
	inside, env []string

	mu sync.Mutex
	p  *proc
}

func newZoo(t *testing.T, seed uint64) *zoo {
	t.Helper()
	z := &zoo{
		t: t, c: plainCluster(t), load: newWorkload(t, seed), seed: seed, rnd: rand.New(rand.NewPCG(seed, 1)), admins: []string{steadyAddress(t)},
		lease: chaosLease, past: chaosLease + chaosLease/2, least: least{Jobs: 500, Attempts: 500, Strikes: 10, Lost: 1, Late: 1},
	}
	z.faults = z.everyFault
	z.c.args = []string{"--dev", "--lease", z.lease.String(), "--admin", z.admins[0]}
	for i := range 3 {
		z.workers = append(z.workers, &victim{name: fmt.Sprint("w", i+1), admin: steadyAddress(t)})
	}
	z.furnish()
	z.c.serve()
	z.servers = func() []*proc { return []*proc{z.c.server} }
	z.before = z.servers // the others have left what they had to say in the test's own log
	z.front = newProxy(t, z.c.listen)
	z.connect = func(patience time.Duration) *reeve.Client {
		return newClient(t, reeve.Config{Addr: "http://" + z.c.listen, Patience: patience})
	}
	for range 2 {
		z.clients = append(z.clients, newClient(t, reeve.Config{Addr: z.front.url(), Patience: chaosPatience}))
	}
	for _, v := range z.workers {
		v.link = newProxy(t, z.c.listen)
		v.reach = v.link.url()
		z.start(v)
		v.p.says(t, "connected as worker")
	}
	return z
}

// newClient makes a client that closes with the test, if not before.
func newClient(t *testing.T, c reeve.Config) *reeve.Client {
	t.Helper()
	client, err := reeve.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// start starts a worker, again if it ran before.
func (z *zoo) start(v *victim) {
	here := *z.c
	here.inside, here.env = v.inside, append(slices.Clone(here.env), v.env...)
	v.p = here.idleWorker(v.name, "--addr", v.reach, "--admin", v.admin[strings.Index(v.admin, "@")+1:], "--cpu", "16", "--slots", fmt.Sprint(chaosSlots), "--prefetch", "32",
		"--keeper-idle", "300ms")
	z.mu.Lock()
	z.begun = append(z.begun, v.p)
	z.mu.Unlock()
	z.t.Cleanup(func() { z.signal(v, syscall.SIGKILL) })
}

// agent is the worker's process, which may have others before it on its command line.
func (z *zoo) agent(v *victim) (pids []int) {
	state := z.c.state(v.name)
	return processes(z.t, func(args string) bool { return isAgent(args, state) })
}

// signal sends a signal to a worker's process and to what runs it.
func (z *zoo) signal(v *victim, s syscall.Signal) {
	for _, pid := range z.agent(v) {
		_ = syscall.Kill(pid, s)
	}
	if s == syscall.SIGCONT {
		v.p.signal(s) // it stops with what it runs
	}
}

// kill ends a worker as a crash would.
func (z *zoo) kill(v *victim) {
	z.t.Helper()
	pids := z.agent(v)
	z.signal(v, syscall.SIGKILL)
	v.p.exit(z.t) // of what runs it, perhaps; its addresses are free once it has gone itself
	await(z.t, "the agent is gone", func() bool { return !slices.ContainsFunc(pids, alive) })
}

// submit has both clients submit, several jobs at a time. The channel is closed when
// they have no more.
func (z *zoo) submit(ctx context.Context) <-chan struct{} {
	take := func() (int, bool) {
		return int(z.taken.Add(1)), !z.over.Load() && z.roomForMore(ctx)
	}
	var submits, cancels sync.WaitGroup
	for _, c := range z.clients {
		for range 8 {
			submits.Go(func() { z.load.submit(ctx, c, take) })
		}
		for range 4 {
			cancels.Go(func() { z.load.cancelLate(ctx, c) })
		}
	}
	done := make(chan struct{})
	go func() {
		submits.Wait()
		close(z.load.cancels)
		cancels.Wait()
		close(done)
	}()
	return done
}

// roomForMore waits for a moment, so that there are jobs for as long as there are faults,
// and then until not too many are ahead of the workers.
func (z *zoo) roomForMore(ctx context.Context) bool {
	tick := time.NewTicker(chaosPace)
	defer tick.Stop()
	for first := true; first || z.ahead.Load() >= chaosAhead; first = false {
		select {
		case <-tick.C:
			if z.over.Load() {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// count keeps an eye on how many jobs have not ended, until ctx does. What a watch has
// heard does not tell: it misses ends while the server is away.
func (z *zoo) count(ctx context.Context) {
	tick := time.NewTicker(4 * chaosPace)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if n, err := z.number("reeve_jobs_unfinished"); err == nil {
				z.ahead.Store(int64(n))
			}
		case <-ctx.Done():
			return
		}
	}
}

// drain waits until every job has ended.
func (z *zoo) drain(ctx context.Context) {
	z.t.Helper()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	left, err := -1, error(nil)
	for end := time.Now().Add(chaosDrain); time.Now().Before(end); <-tick.C {
		if left, err = unfinished(ctx, z.clients[0]); left == 0 && err == nil {
			return
		}
	}
	stuck := z.c.ok("ls", "--state", "pending,running", "--limit", "5")
	z.keep(z.history(ctx))
	z.t.Fatalf("%s after the last fault %d jobs have not ended: %v\n%s", chaosDrain, left, err, stuck)
}

// history collects what is known of the run.
func (z *zoo) history(ctx context.Context) *history {
	z.t.Helper()
	records, err := z.load.records(ctx, z.clients[1])
	if err != nil {
		z.t.Error(err)
	}
	h := &history{
		About: about{
			Seed: z.seed, Among: z.workers[2].name, Lease: z.lease.Seconds(), Slots: chaosSlots, Pause: z.past.Seconds(), Least: z.least,
		},
		Records: records, Marks: z.load.book.read(z.t), Strangers: strangersIn(z.t, z.crowd),
	}
	z.mu.Lock()
	h.Strikes = append(h.Strikes, z.strikes...)
	z.mu.Unlock()
	z.load.mu.Lock()
	defer z.load.mu.Unlock()
	h.About.Resync = z.load.resync
	h.Heard, h.Reads, h.Told = z.load.heard, z.load.reads, z.load.told
	for _, o := range z.load.orders {
		h.Orders = append(h.Orders, *o)
	}
	return h
}

func (z *zoo) judge(h *history) {
	z.t.Helper()
	states := map[reeve.State]int{}
	for i := range h.Records {
		if info := h.Records[i].Info; info != nil {
			states[info.State]++
		}
	}
	z.t.Logf("%d orders, %d jobs in the history: %v; %d lines in the book, %d events heard, resync %v; %v; %+v; %d numbers of processes came again",
		len(h.Orders), len(h.Records), states, len(h.Marks), len(h.Heard), h.About.Resync, kindsSeen(h.Orders), count(h), comeAgain(h))
	verdict(z.t, h)
	if z.t.Failed() {
		z.keep(h)
	}
}

// verdict fails a test with what is wrong with a history.
func verdict(t *testing.T, h *history) {
	t.Helper()
	wrong := append(append(audit(h), h.Told...), h.Left...)
	for i, f := range append(wrong, void(h)...) {
		if i == 30 {
			t.Errorf("… and more")
			break
		}
		t.Error(f)
	}
}

// keep writes the history to where it outlives the test.
func (z *zoo) keep(h *history) {
	dir, err := os.MkdirTemp("", "reeve-chaos-")
	if err == nil {
		err = h.save(dir)
	}
	z.t.Logf("the history is kept (%v): go test ./test/blackbox -run TestChaosHistory -chaos-history %s", err, dir)
	for i, p := range append(z.before(), z.begun...) {
		_ = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.log", p.name, i)), []byte(p.err.String()), 0o600)
	}
}
