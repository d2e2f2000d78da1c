package blackbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve"
)

// fault is something that can happen to a server, to its database, to the clients' way to it,
// to a worker, or to all of them. It returns what shows that it has happened; "" says that
// nothing does.
type fault struct {
	server  func() string
	store   func() string
	clients func() string
	worker  func(v *victim) string
	all     func() string
}

// everyFault is what can happen around one server, by name.
func (z *zoo) everyFault() map[string]fault {
	all := map[string]fault{
		"server killed":       {server: func() string { return z.anotherTerm(z.killServer) }},
		"server killed twice": {server: func() string { return z.anotherTerm(z.killServer, z.killServer) }},
		"server stopped": {server: func() string {
			pid := z.c.server.cmd.Process.Pid
			z.c.server.signal(syscall.SIGSTOP)
			defer z.c.server.signal(syscall.SIGCONT)
			z.pass(z.past)
			return stopped(pid)
		}},
		"server asked to end": {server: func() string {
			code := -1
			again := z.anotherTerm(func() { code = z.c.server.stop(z.t); z.c.serve() })
			if code != 0 {
				z.t.Errorf("a server that was asked to end exits with %d", code)
			}
			return again
		}},
	}
	maps.Copy(all, z.workerFaults())
	maps.Copy(all, z.wideFaults())
	maps.Copy(all, z.networkFaults())
	maps.Copy(all, z.diskFaults())
	return all
}

// workerFaults are those of an agent and its keeper, however it reaches its server.
func (z *zoo) workerFaults() map[string]fault {
	return map[string]fault{
		"agent killed":             {worker: func(v *victim) string { z.kill(v); return z.again(v, 0) }},
		"agent killed for a while": {worker: func(v *victim) string { z.bait(v); z.kill(v); return z.again(v, z.past) }},
		"agent stopped": {worker: func(v *victim) string {
			z.bait(v)
			pids := z.agent(v)
			z.signal(v, syscall.SIGSTOP)
			defer z.signal(v, syscall.SIGCONT)
			z.pass(z.past)
			return stopped(pids...)
		}},
		"keeper killed": {worker: func(v *victim) string { return z.anotherKeeper(v) }},
		"keeper stopped": {worker: func(v *victim) string {
			pids := z.stopKeepers(v)
			defer z.signalAll(pids, syscall.SIGCONT)
			z.pass(z.past)
			return stopped(pids...)
		}},
		"agent and keeper killed": {worker: func(v *victim) string {
			was := z.c.killKeepers(v.name)
			z.kill(v)
			z.c.killKeepers(v.name) // it may have started one in between
			return join(z.again(v, 0), fmt.Sprintf("keepers %v killed", was))
		}},
		"agent asked to end": {worker: func(v *victim) string {
			z.signal(v, syscall.SIGTERM)
			if code := v.p.exit(z.t); code != 0 {
				z.t.Errorf("worker %s, asked to end, exits with %d", v.name, code)
			}
			return z.again(v, 0)
		}},
	}
}

// wideFaults are those of more than one.
func (z *zoo) wideFaults() map[string]fault {
	return map[string]fault{
		"server away past the lease": {server: func() string {
			return z.anotherTerm(func() { z.c.server.kill(z.t); z.pass(z.past); z.c.serve() })
		}},
		"everything killed": {all: func() string {
			return z.anotherTerm(func() {
				z.c.server.kill(z.t)
				for _, v := range z.workers {
					z.c.killKeepers(v.name)
					z.kill(v)
					z.c.killKeepers(v.name)
				}
				z.c.serve()
				for _, v := range z.workers {
					z.again(v, 0)
				}
			})
		}},
		"all cut off past the lease": {all: func() string {
			defer z.heal()
			for _, v := range z.workers {
				v.link.hold()
			}
			return z.while(z.workers[0].link, held, held, z.past)
		}},
		"agent killed, and back while it is cut off": {worker: func(v *victim) string {
			v.link.hold()
			defer v.link.release()
			z.kill(v)
			z.start(v)
			v.p.says(z.t, "working")
			z.pass(z.past)
			v.link.drop()
			v.p.says(z.t, "connected as worker")
			return "connected again"
		}},
	}
}

func (z *zoo) networkFaults() map[string]fault {
	return map[string]fault{
		"connections of one cut":     {worker: func(v *victim) string { return z.each("connections cut", v.link.cut) }},
		"connections of clients cut": {clients: func() string { return z.each("connections cut", z.front.cut) }},
		"one held past the lease":    {worker: func(v *victim) string { return z.while(v.link, held, held, z.past) }},
		"one held for a moment":      {worker: func(v *victim) string { return z.while(v.link, held, held, z.lease/4) }},
		"clients held":               {clients: func() string { return z.while(z.front, held, held, z.lease/2) }},
		"answers to clients lost":    {clients: func() string { return z.while(z.front, passes, lost, z.lease/2) }},
		"answers to one lost":        {worker: func(v *victim) string { return z.while(v.link, passes, lost, z.past) }},
		"answers to one late":        {worker: func(v *victim) string { return z.while(v.link, passes, held, z.past) }},
		"reports of one lost":        {worker: func(v *victim) string { return z.while(v.link, lost, passes, z.past) }},
		"half-open clients":          {clients: func() string { return z.each("connections forsaken", z.front.forsake) }},
		"half-open worker":           {worker: func(v *victim) string { return z.each("connections forsaken", v.link.forsake) }},
	}
}

func (z *zoo) diskFaults() map[string]fault {
	all := map[string]fault{}
	if z.disk != nil {
		all["power of the server cut"] = fault{server: z.powerCut}
		all["disk of the server full"] = fault{server: z.serverFull}
	}
	if z.workers[0].disk != nil {
		all["disk of one full"] = fault{worker: func(v *victim) string {
			// Short jobs write into room that they have already; what must be on disk before it
			// begins, or after it has ended, can't be.
			before := strings.Count(v.p.err.String(), noSpace)
			was, _ := z.number(rejected)
			more, empty := v.disk.fill()
			defer empty()
			return z.until(patience, func() string {
				more()
				now, _ := z.number(rejected)
				return some(max(int(now-was), 0)+strings.Count(v.p.err.String(), noSpace)-before, "starts and results turned away")
			})
		}}
	}
	return all
}

// noSpace is what the system and the server say of a full disk.
const noSpace = "no space left"

// rejected counts attempts that a worker could not take.
const rejected = `reeve_attempts_ended_total{cause="rejected"}`

// pass lets time pass in which a fault lasts.
func (z *zoo) pass(d time.Duration) { <-time.After(d) }

// until waits for evidence, for a while at most.
func (z *zoo) until(d time.Duration, look func() string) string {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); ; <-tick.C {
		if found := look(); found != "" || time.Now().After(end) {
			return found
		}
	}
}

// while breaks a proxy for a time, and until something has met with that; what it held
// or lost is the evidence.
func (z *zoo) while(p *proxy, requests, answers passage, d time.Duration) string {
	late, gone := p.traffic()
	p.set(requests, answers)
	defer p.release()
	z.pass(d)
	return z.until(patience, func() string {
		p.set(requests, answers) // a power cut meanwhile has let everything through
		lateNow, goneNow := p.traffic()
		if requests == lost || answers == lost {
			return some(int(goneNow-gone), "bytes lost")
		}
		return some(int(lateNow-late), "bytes late")
	})
}

// each waits until there are connections to do something to.
func (z *zoo) each(what string, do func() int) string {
	return z.until(patience, func() string { return some(do(), what) })
}

func some(n int, what string) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprint(n, " ", what)
}

// join is both, or nothing if one is missing.
func join(a, b string) string {
	if a == "" || b == "" {
		return ""
	}
	return a + "; " + b
}

// stopped says that the processes don't run; "" if one does, or there is none.
func stopped(pids ...int) string {
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil && !onLinux() {
			continue
		}
		if _, rest, _ := strings.Cut(string(status), ") "); !strings.HasPrefix(rest, "T") {
			return ""
		}
	}
	if len(pids) == 0 {
		return ""
	}
	return fmt.Sprintf("%v stopped", pids)
}

func onLinux() bool {
	_, err := os.Stat("/proc/self")
	return err == nil
}

// stopKeepers stops a worker's keepers. One that has nothing to do leaves soon, and may do so
// before it is stopped.
func (z *zoo) stopKeepers(v *victim) (pids []int) {
	const tries = 100
	for range tries {
		pids = keepers(z.t, z.c.state(v.name))
		z.signalAll(pids, syscall.SIGSTOP)
		if stopped(pids...) != "" {
			break
		}
		z.signalAll(pids, syscall.SIGCONT)
		z.pass(100 * time.Millisecond)
	}
	return pids
}

func (z *zoo) signalAll(pids []int, s syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, s)
	}
}

func (z *zoo) killServer() { z.c.server.kill(z.t); z.c.serve() }

// anotherTerm restarts the server, which begins another term of leadership.
func (z *zoo) anotherTerm(restarts ...func()) string {
	was, err := z.number("reeve_leader_epoch")
	if err != nil {
		z.t.Error(err)
	}
	for _, restart := range restarts {
		restart()
	}
	return z.until(patience, func() string {
		now, err := z.number("reeve_leader_epoch")
		if err != nil || now < was+float64(len(restarts)) {
			return ""
		}
		return fmt.Sprintf("term %v, then %v", was, now)
	})
}

// again starts a worker that has ended, after a while.
func (z *zoo) again(v *victim, after time.Duration) string {
	code := v.p.code
	z.pass(after)
	z.start(v)
	v.p.says(z.t, "connected as worker")
	return fmt.Sprintf("exit %d, connected again", code)
}

// anotherKeeper kills a worker's keeper and sees it replaced.
func (z *zoo) anotherKeeper(v *victim) string {
	was := z.c.killKeepers(v.name)
	return z.until(patience, func() string {
		now := keepers(z.t, z.c.state(v.name))
		if len(was) == 0 || len(now) == 0 || slices.Equal(was, now) {
			return ""
		}
		return fmt.Sprintf("keeper %v, then %v", was, now)
	})
}

// powerCut ends the server and what it has not on its disk. Nothing leaves the machine
// from the moment on at which its disk forgets.
func (z *zoo) powerCut() string {
	z.clientele.Lock()
	defer z.clientele.Unlock()
	ways := []*proxy{z.front}
	for _, v := range z.workers {
		ways = append(ways, v.link)
	}
	gone := ""
	return join(z.anotherTerm(func() {
		for _, p := range ways {
			p.hold()
		}
		gone = z.disk.cut()
		z.c.server.kill(z.t)
		for _, p := range ways {
			p.drop()
		}
		z.disk.restore()
		z.c.serve()
	}), gone)
}

// serverFull fills the server's disk until a client is refused for it.
func (z *zoo) serverFull() string {
	_, empty := z.disk.fill()
	defer empty()
	before := z.load.refused(noSpace)
	impatient := z.connect(-1)
	defer impatient.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for ctx.Err() == nil {
		o := z.load.place(-int(z.extra.Add(1)), "ballast")
		id, err := impatient.Submit(ctx, z.load.job(o.N, o.Kind), reeve.WithKey(fmt.Sprint("order-", o.N)))
		switch {
		case err == nil:
			z.load.mu.Lock()
			o.ID, o.Told = id, uptime()
			z.load.mu.Unlock()
		case ctx.Err() == nil && !z.load.passing(err):
			z.load.fault("submit of order %d to a server with a full disk: %v", o.N, err)
		}
		if n := z.load.refused(noSpace) - before; n > 0 {
			return some(n, "submits refused: no space left")
		}
	}
	z.load.mu.Lock()
	defer z.load.mu.Unlock()
	z.t.Logf("with a full disk submits are refused for other reasons: %v", z.load.refusals)
	return ""
}

// bait has a worker run something that has only begun, ignores SIGTERM and outlives a
// lease, so that what should kill it is needed.
func (z *zoo) bait(v *victim) {
	c := z.connect(0)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	taken := map[string]bool{}
	for range 2 * len(z.workers) {
		o := z.load.place(-int(z.extra.Add(1)), "stubborn")
		id := z.load.submitOne(ctx, c, o)
		z.load.mu.Lock()
		o.ID, o.Told = id, uptime()
		z.load.mu.Unlock()
		taken[id] = true
	}
	// It may find no room, or be another's.
	_ = z.until(z.lease, func() string {
		for _, m := range z.load.book.read(z.t) {
			if m.Worker == v.name && taken[m.Job] {
				return m.Job
			}
		}
		return ""
	})
}

// work waits until the jobs have written a little more, or for a moment: a fault is
// to hit work, at any moment of it.
func (z *zoo) work(jitter time.Duration) {
	from := z.load.book.size()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until) && z.load.book.size() < from+10_000; {
		<-tick.C
	}
	z.pass(jitter)
}

// inflict makes a fault, and waits for whoever is broken already.
func (z *zoo) inflict(name string, f fault, v *victim) {
	strike := strike{At: time.Now(), Up: uptime(), Name: name}
	switch {
	case f.worker != nil:
		v.mu.Lock()
		defer v.mu.Unlock()
		strike.At, strike.Name = time.Now(), name+": "+v.name
		strike.Evidence = f.worker(v)
	case f.clients != nil:
		z.clientele.Lock()
		defer z.clientele.Unlock()
		strike.Evidence = f.clients()
	case f.store != nil:
		z.store.Lock()
		defer z.store.Unlock()
		strike.Evidence = f.store()
	default:
		z.server.Lock()
		defer z.server.Unlock()
		if f.server != nil {
			strike.Evidence = f.server()
			break
		}
		z.store.Lock()
		defer z.store.Unlock()
		for _, v := range z.workers {
			v.mu.Lock()
		}
		strike.Evidence = f.all()
		for _, v := range z.workers {
			v.mu.Unlock()
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.strikes = append(z.strikes, strike)
	z.t.Logf("%s %s (%s)", strike.At.Format("15:04:05.000"), strike.Name, strike.Evidence)
}

// shuffled is the names of all faults in an order that the seed decides.
func (z *zoo) shuffled(faults map[string]fault) []string {
	names := slices.Sorted(maps.Keys(faults)) // the order of a map is not the seed's
	z.rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

// faultsOnce makes every fault once.
func (z *zoo) faultsOnce() { z.round(0, func() bool { return true }) }

// faultsFor makes faults for a time.
func (z *zoo) faultsFor(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		z.round(500*time.Millisecond, func() bool { return time.Now().Before(end) })
	}
}

// round makes every fault once, in an order that the seed decides, each now and then
// beside the next, while more says so.
func (z *zoo) round(jitter time.Duration, more func() bool) {
	var beside sync.WaitGroup
	defer beside.Wait()
	faults := z.faults()
	for _, name := range z.shuffled(faults) {
		v, wait, together := z.workers[z.rnd.IntN(len(z.workers))], time.Duration(z.rnd.Int64N(int64(jitter)+1)), z.rnd.IntN(3) > 0
		if !more() {
			return
		}
		z.work(wait)
		if together {
			beside.Go(func() { z.inflict(name, faults[name], v) })
			continue
		}
		z.inflict(name, faults[name], v)
		beside.Wait()
	}
}

// heal ends what may still be broken on the ways to the server.
func (z *zoo) heal() {
	for _, v := range z.workers {
		if v.link != nil {
			v.link.release()
		}
	}
	if z.front != nil {
		z.front.release()
	}
}

// number reads a number of the cluster: from the server that leads.
func (z *zoo) number(name string) (n float64, err error) {
	err = errors.New("no server leads")
	for _, admin := range z.admins {
		if leads, failed := metric(admin, "reeve_server_leads"); failed == nil && leads == 1 {
			n, err = metric(admin, name)
		}
	}
	return n, err
}

// metric reads one number from an admin address. One in another network has the name of its
// namespace and an @ before it.
func metric(admin, name string) (float64, error) {
	space, address, elsewhere := strings.Cut(admin, "@")
	c := http.Client{Timeout: 5 * time.Second}
	if !elsewhere {
		address = admin
	} else {
		c.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = inSpace(space, func() (err error) {
				conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
				return err
			})
			return conn, err
		}}
	}
	r, err := c.Get("http://" + address + "/metrics")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	return metricIn(r, name)
}

func metricIn(r *http.Response, name string) (float64, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("no %s among the metrics", name)
}
