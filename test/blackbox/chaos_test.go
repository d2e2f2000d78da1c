package blackbox

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve"
)

var (
	chaosFor  = flag.Duration("chaos", 0, "how long the mixed-fault run makes faults; without it 10,000 jobs meet each fault once")
	chaosSeed = flag.Uint64("chaos-seed", 0, "repeat the choices of an earlier mixed-fault run")
)

const (
	chaosLease = 2 * time.Second
	chaosJobs  = 10_000
	// chaosAhead bounds how many jobs of a long run have not ended.
	chaosAhead = 2000
	// chaosDrain is how long the rest may take once the faults are over.
	chaosDrain = 3 * time.Minute
)

// TestChaos lets two clients submit jobs of every kind while servers, agents,
// keepers and connections fail. Then what clients were told, what Reeve says and
// what the jobs wrote must fit together.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: go test ./test/blackbox -run 'TestChaos$' -chaos %s -chaos-seed %d", seed, *chaosFor, seed)
	z := newZoo(t, seed)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer stop()
	opened := make(chan struct{})
	watcher.Go(func() { z.load.watch(ctx, z.clients[0], opened) })
	select {
	case <-opened:
	case <-within(t).Done():
		t.Fatal("the watch does not open")
	}
	clients := z.submit(ctx)
	if *chaosFor == 0 {
		z.faultsOnce()
	} else {
		z.faultsFor(*chaosFor)
	}
	z.heal()
	z.over.Store(true)
	select {
	case <-clients:
	case <-time.After(chaosDrain):
		t.Fatalf("the clients are not done %s after the last fault", chaosDrain)
	}
	z.drain(ctx)
	z.judge(ctx)
}

// zoo is a cluster in which everything is reached over a proxy that can be broken.
type zoo struct {
	t       *testing.T
	c       *cluster
	load    *workload
	rnd     *rand.Rand
	front   *proxy // the clients'
	clients []*reeve.Client
	workers []*victim
	taken   atomic.Int64
	over    atomic.Bool
}

// victim is a worker with its own way to the server.
type victim struct {
	name string
	p    *proc
	link *proxy
}

func newZoo(t *testing.T, seed uint64) *zoo {
	t.Helper()
	z := &zoo{t: t, c: newCluster(t, "--lease", chaosLease.String()), load: newWorkload(t, seed), rnd: rand.New(rand.NewPCG(seed, 1))}
	z.front = newProxy(t, z.c.listen)
	for range 2 {
		client, err := reeve.New(reeve.Config{Addr: z.front.url(), Patience: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		z.clients = append(z.clients, client)
	}
	for i := range 3 {
		v := &victim{name: fmt.Sprint("w", i+1), link: newProxy(t, z.c.listen)}
		v.p = z.startWorker(v)
		z.workers = append(z.workers, v)
	}
	return z
}

func (z *zoo) startWorker(v *victim) *proc {
	return z.c.idleWorker(v.name, "--addr", v.link.url(), "--cpu", "16", "--slots", "8", "--prefetch", "32")
}

// submit has both clients submit, several jobs at a time. The channel is closed when
// they have no more.
func (z *zoo) submit(ctx context.Context) <-chan struct{} {
	take := func() (int, bool) {
		if *chaosFor == 0 {
			n := int(z.taken.Add(1))
			return n, n <= chaosJobs
		}
		return int(z.taken.Add(1)), !z.over.Load() && z.roomForMore(ctx)
	}
	var wg sync.WaitGroup
	for _, c := range z.clients {
		for range 8 {
			wg.Go(func() { z.load.submit(ctx, c, take) })
		}
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	return done
}

// roomForMore waits until not too many jobs are ahead of the workers.
func (z *zoo) roomForMore(ctx context.Context) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		z.load.mu.Lock()
		ahead := len(z.load.orders) - len(z.load.ends)
		z.load.mu.Unlock()
		if ahead < chaosAhead {
			return true
		}
		select {
		case <-tick.C:
			if z.over.Load() {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
}

// pass lets time pass in which a fault lasts.
func (z *zoo) pass(d time.Duration) { <-time.After(d) }

// work waits until the jobs have written a little more, or for a moment: a fault is
// to hit work.
func (z *zoo) work() {
	from := z.load.book.size()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until) && z.load.book.size() < from+20_000; {
		<-tick.C
	}
}

// faults are what can happen, by name.
func (z *zoo) faults() map[string]func() {
	past := chaosLease + chaosLease/2
	return map[string]func(){
		"server killed":              func() { z.c.server.kill(z.t); z.c.serve() },
		"server killed twice":        func() { z.c.server.kill(z.t); z.c.serve(); z.c.server.kill(z.t); z.c.serve() },
		"server stopped":             func() { z.c.server.signal(syscall.SIGSTOP); z.pass(past); z.c.server.signal(syscall.SIGCONT) },
		"server asked to end":        func() { z.c.server.stop(z.t); z.c.serve() },
		"agent killed":               func() { v := z.someone(); v.p.kill(z.t); v.p = z.startWorker(v) },
		"agent killed for a while":   func() { v := z.someone(); v.p.kill(z.t); z.pass(past); v.p = z.startWorker(v) },
		"agent stopped":              func() { v := z.someone(); v.p.signal(syscall.SIGSTOP); z.pass(past); v.p.signal(syscall.SIGCONT) },
		"keeper killed":              func() { z.killKeeper(z.someone()) },
		"agent and keeper killed":    func() { v := z.someone(); z.killKeeper(v); v.p.kill(z.t); v.p = z.startWorker(v) },
		"agent asked to end":         func() { v := z.someone(); v.p.stop(z.t); v.p = z.startWorker(v) },
		"connections of one cut":     func() { z.someone().link.cut() },
		"connections of clients cut": func() { z.front.cut() },
		"one held past the lease":    func() { v := z.someone(); v.link.hold(); z.pass(past); v.link.release() },
		"one held for a moment":      func() { v := z.someone(); v.link.hold(); z.pass(chaosLease / 4); v.link.release() },
		"clients held":               func() { z.front.hold(); z.pass(chaosLease / 2); z.front.release() },
	}
}

func (z *zoo) someone() *victim { return z.workers[z.rnd.IntN(len(z.workers))] }

func (z *zoo) killKeeper(v *victim) {
	for _, pid := range keepers(z.t, z.c.state(v.name)) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// shuffled is the names of all faults in an order that the seed decides.
func (z *zoo) shuffled(faults map[string]func()) []string {
	names := slices.Sorted(maps.Keys(faults)) // the order of a map is not the seed's
	z.rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

func (z *zoo) inflict(name string, fault func()) {
	z.work()
	z.t.Logf("%s %s", time.Now().Format("15:04:05.000"), name)
	fault()
}

// faultsOnce makes every fault once.
func (z *zoo) faultsOnce() {
	faults := z.faults()
	for _, name := range z.shuffled(faults) {
		z.inflict(name, faults[name])
	}
}

// faultsFor makes faults for a time.
func (z *zoo) faultsFor(d time.Duration) {
	faults := z.faults()
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, name := range z.shuffled(faults) {
			if time.Now().Before(end) {
				z.inflict(name, faults[name])
			}
		}
	}
}

// heal ends what may still be broken.
func (z *zoo) heal() {
	z.front.release()
	for _, v := range z.workers {
		v.link.release()
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
	z.t.Fatalf("%s after the last fault %d jobs have not ended: %v\n%s", chaosDrain, left, err, z.c.ok("ls", "--state", "pending,running", "--limit", "5"))
}

func (z *zoo) judge(ctx context.Context) {
	z.t.Helper()
	records, err := z.load.history(ctx, z.clients[1])
	if err != nil {
		z.t.Fatal(err)
	}
	orders, faults := z.load.acknowledged()
	marks := z.load.book.read(z.t)
	states := map[reeve.State]int{}
	for _, r := range records {
		states[r.info.State]++
	}
	z.t.Logf("%d jobs acknowledged, %d in the history: %v; %d lines in the book; resync %v; %v",
		len(orders), len(records), states, len(marks), z.load.resync, kindsSeen(orders))
	faults = append(faults, audit(orders, records, marks)...)
	for i, f := range faults {
		if i == 20 {
			z.t.Errorf("… and %d more", len(faults)-i)
			break
		}
		z.t.Error(f)
	}
	if len(faults) > 0 {
		z.keepEvidence()
	}
	if *chaosFor == 0 && len(orders) != chaosJobs {
		z.t.Errorf("%d jobs were acknowledged, want %d", len(orders), chaosJobs)
	}
}

// keepEvidence copies the book to where it outlives the test.
func (z *zoo) keepEvidence() {
	dir, err := os.MkdirTemp("", "reeve-chaos-")
	if err != nil {
		return
	}
	text, err := os.ReadFile(z.load.book.path)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "book"), text, 0o600)
	}
	z.t.Logf("the book is kept in %s (%v)", dir, err)
}
