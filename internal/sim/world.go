package sim

import (
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store/memstore"
)

// Options of a run.
type Options struct {
	Seed uint64
	// Bug is a fault of the world that no part of Reeve can make good: the judge must
	// catch it. The zero value is none.
	Bug Bug
	// Verbose is told each line of the trace as it happens; it may be nil.
	Verbose func(line string)
}

// Result is what a run that broke no promise has to show.
type Result struct {
	// Events and Virtual are how much happened in how much simulated time.
	Events  int
	Virtual time.Duration
	// Trace is a hash of everything that was traced and journaled: the same seed gives the
	// same.
	Trace uint64
	Tally Tally
	// Void is why the run proves nothing, if it does not: faults that it claims and that
	// did not come about.
	Void []string
}

// BrokenError is a promise that was broken, with what led to it.
type BrokenError struct {
	Seed    uint64
	Promise Promise
	Text    string
	// Trace is the last lines before it.
	Trace []string
}

// Error is what a failing test prints.
func (v *BrokenError) Error() string {
	return fmt.Sprintf("seed %d breaks %s: %s\nreplay: go test ./internal/sim -run TestSeeds -sim.seed %d -v\n%s",
		v.Seed, v.Promise, v.Text, v.Seed, strings.Join(v.Trace, "\n"))
}

// traceTail is how many lines a violation carries.
const traceTail = 400

// quietFor bounds the true time from the end of all faults until everything has ended.
const quietFor = 2 * time.Hour

// patient is how much longer than planned a run goes on for what it claims to come about.
const patient = time.Minute

// maxSteps bounds what happens in one run: it is far more than any takes.
const maxSteps = 1_000_000

// bootedAt is the boot clocks' reading at the beginning: never zero, which means none.
const bootedAt = time.Hour

// began is the wall clocks' reading at the beginning, in Unix milliseconds.
const began = int64(1_700_000_000_000)

// world is everything there is. It belongs to one goroutine.
type world struct {
	opt     Options
	rnd     *rand.Rand
	now     time.Duration // true time, which the server's boot clock shows
	seq     uint64
	queue   events
	lines   []string // the last lines of the trace, as a ring
	at      int
	sum     hash.Hash64
	tally   Tally
	faults  faults
	servers []*server
	// server is the one that leads, or did last.
	server *server
	// disk is the store. away is until when nobody reaches it.
	disk     *memstore.Store
	away     time.Duration
	nodes    []*node
	watchers []*watcher
	users    *users
	steps    int
	truth    *ledger
	past     *history
	// healed: no new fault begins.
	healed bool
	// wanting: what the run claims has not come about yet.
	wanting bool
	// voids is why the run proves nothing.
	voids []string
	// calm is what to do once something was counted that came for the asking.
	calm map[string]func()
}

// Run simulates one cluster. The error is a *BrokenError.
func Run(opt Options) (Result, error) {
	w := newWorld(opt)
	n := 0
	if err := w.watched(func() {
		w.build()
		n = w.run()
	}); err != nil {
		return Result{}, err
	}
	return Result{Events: n, Virtual: w.now - bootedAt, Trace: w.sum.Sum64(), Tally: w.tally, Void: w.voids}, nil
}

func newWorld(opt Options) *world {
	w := &world{opt: opt, rnd: rand.New(rand.NewPCG(opt.Seed, 0x73696d)), now: bootedAt, sum: fnv.New64a(), lines: make([]string, traceTail), tally: Tally{}, calm: map[string]func(){}}
	w.disk = memstore.NewAt(func() time.Time { return time.UnixMilli(began).Add(w.now - bootedAt) })
	w.truth = newLedger(w)
	w.past = newHistory(w)
	w.users = newUsers(w)
	return w
}

// watched does something and returns the promise that it breaks, if any.
func (w *world) watched(do func()) (err error) {
	defer func() {
		switch x := recover().(type) {
		case nil:
		case *BrokenError:
			err = x
		default:
			err = w.violation(NoPanic, "%v\n%s", x, debug.Stack())
		}
	}()
	do()
	return nil
}

func (w *world) build() {
	w.faults = drawFaults(w.rnd, w.opt.Bug)
	for range w.faults.servers {
		w.servers = append(w.servers, newServer(w))
	}
	w.server = w.servers[0]
	for i := range 2 + w.rnd.IntN(3) {
		w.nodes = append(w.nodes, newNode(w, i))
	}
	w.trace("faults %s", w.faults)
	if w.faults.calm {
		w.count("calm run")
	}
	for _, s := range w.servers {
		s.start()
	}
	for _, n := range w.nodes {
		n.boot()
	}
	w.users.begin()
	w.plague()
}

// run lets everything happen: first with faults, then without, until all has ended.
func (w *world) run() (n int) {
	end := w.now + w.faults.length
	for ; w.now < end || w.wanting && w.now < end+patient; n++ {
		w.step()
	}
	w.heal()
	limit := w.now + quietFor
	for ; !w.users.done(); n++ {
		if w.now > limit {
			w.fail(Ends, "%v after all faults were over something has not ended:\n%s", quietFor, w.stuck())
		}
		w.step()
	}
	for settle := w.now + settleFor; w.now < settle; n++ {
		w.step()
	}
	w.judgeEnd()
	w.voids = append(w.voids, w.idle()...)
	return n
}

func (w *world) step() {
	if w.steps++; w.steps > maxSteps {
		w.fail(Ends, "after %d steps it goes round in circles:\n%s", w.steps, w.stuck())
	}
	e := w.queue.pop()
	w.now = e.at
	e.do()
}

// count notes that something happened.
func (w *world) count(name string) {
	w.tally[name]++
	if calm := w.calm[name]; calm != nil && !w.healed {
		calm()
		delete(w.calm, name)
	}
}

// after plans something.
func (w *world) after(d time.Duration, do func()) {
	w.seq++
	w.queue.push(event{w.now + max(d, 0), w.seq, do})
}

// until is how long it is to a moment.
func (w *world) until(at time.Duration) time.Duration { return max(at-w.now, 0) }

// trace notes something; args must be values that nobody changes.
func (w *world) trace(format string, args ...any) {
	line := fmt.Sprintf("%11.6f  "+format, append([]any{(w.now - bootedAt).Seconds()}, args...)...)
	_, _ = w.sum.Write([]byte(line))
	w.lines[w.at%traceTail] = line
	w.at++
	if w.opt.Verbose != nil {
		w.opt.Verbose(line)
	}
}

func (w *world) violation(p Promise, format string, args ...any) *BrokenError {
	v := &BrokenError{Seed: w.opt.Seed, Promise: p, Text: fmt.Sprintf(format, args...)}
	for i := max(w.at-traceTail, 0); i < w.at; i++ {
		v.Trace = append(v.Trace, w.lines[i%traceTail])
	}
	return v
}

// fail ends the run: a promise is broken.
func (w *world) fail(p Promise, format string, args ...any) { panic(w.violation(p, format, args...)) }

// chance is true in p of a thousand cases.
func (w *world) chance(p int) bool { return p > 0 && w.rnd.IntN(1000) < p }

// between draws a duration, short ones more often.
func (w *world) between(least, most time.Duration) time.Duration {
	f := w.rnd.Float64()
	return least + time.Duration(float64(most-least)*f*f)
}

// led notes that a server's epoch has begun, and that it leads unless it slept and another one has
// begun meanwhile.
func (w *world) led(s *server, epoch uint64) {
	s.ready = true
	if epoch >= w.past.epoch {
		w.server = s
	}
}

// stuck says what has not ended and why, as explain does.
func (w *world) stuck() string {
	s := w.server
	if !s.up || !s.ready {
		return "no server leads"
	}
	var out []byte
	for _, id := range slices.Sorted(w.past.unfinished()) {
		out = fmt.Appendf(out, "job %d:\n", id)
		for _, e := range s.state.Explain(id, "", s.time()) {
			out = fmt.Appendf(out, "  %s %s: %v\n", e.Task, e.State, e.Reasons)
		}
	}
	for _, v := range s.state.Workers() {
		out = fmt.Appendf(out, "worker %d %s: away %v draining %v, %d running %d prefetched\n", v.ID, v.Hello.Name, v.Away, v.Draining, v.Running, v.Prefetched)
	}
	for _, n := range w.nodes {
		out = fmt.Appendf(out, "%s\n", n)
	}
	return string(out) + w.users.String()
}
