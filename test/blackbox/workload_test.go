package blackbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve"
)

// What the kinds of jobs of a mixed-fault run promise themselves.
const (
	throttle    = 3
	maxAttempts = 3
	laterBy     = 1500 * time.Millisecond
	hastyWithin = 3 * time.Second
	limitOf     = 600 * time.Millisecond
	graceOf     = 200 * time.Millisecond
	linesOf     = 40
)

// workload is what clients of a mixed-fault run submit, and what they were told.
type workload struct {
	book book
	seed uint64
	// cancels are orders whose end a client asks for once it has a moment.
	cancels chan *order

	mu     sync.Mutex
	orders []*order
	ends   map[string][]reeve.State
	heard  []heard
	reads  []reading
	early  map[string]string
	resync bool
	told   []string
	// refusals counts submits that were turned away with a text.
	refusals map[string]int
}

func newWorkload(t *testing.T, seed uint64) *workload {
	t.Helper()
	return &workload{
		book: book{t.TempDir() + "/book"}, seed: seed, ends: map[string][]reeve.State{}, refusals: map[string]int{}, early: map[string]string{}, cancels: make(chan *order, 10_000),
	}
}

// fault notes what no client may be told.
func (w *workload) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, fmt.Sprintf(format, args...))
}

// rare are the kinds of jobs that few are of, by the last two digits of their number.
func rare() map[int]string {
	return map[int]string{
		7: "slow", 57: "slow", 27: "graph", 67: "graph", 37: "array", 3: "timeout", 13: "doomed", 23: "later", 33: "hasty", 43: "chatty", 93: "chatty",
		63: "failing", 10: "flaky", 20: "flaky", 30: "flaky", 40: "flaky", 50: "flaky", 60: "flaky",
		15: "once", 25: "once", 35: "once", 45: "once", 55: "once", 65: "once",
	}
}

// rarer are those that outlive a lease, by what is left of their number over two hundred.
// One that has lost two workers gets a third to itself, so that many would leave little
// for others.
func rarer() map[int]string {
	return map[int]string{17: "once-slow", 47: "stubborn", 53: "patient", 157: "long"}
}

// kindOf is the kind of the n-th job: mostly short ones, and some of everything that
// faults can hurt.
func kindOf(n int) string {
	return cmp.Or(rarer()[n%200], rare()[n%100], "quick")
}

// ticking is a script that says for 1.2 seconds that it lives.
const ticking = `i=0; while [ $i -lt 12 ]; do mark tick; sleep 0.1; i=$((i+1)); done; `

// outliving says for five seconds that it lives: what nobody kills at the end of its
// lease is still there when its successor begins.
const outliving = `i=0; while [ $i -lt 25 ]; do mark tick; sleep 0.2; i=$((i+1)); done; `

// endless says for twelve seconds that it lives: longer than a fault lasts in which nobody can
// end what is past its limit.
const endless = `i=0; while [ $i -lt 60 ]; do mark tick; sleep 0.2; i=$((i+1)); done; `

// task is one that begins, does what the script says, and says its success last.
func task(script string) reeve.Task {
	return reeve.Task{
		Command: []string{"sh", "-c", bookShell + "mark begin; " + script + "mark end"}, Resources: reeve.Resources{CPU: 0.1}, Grace: graceOf,
		Retry: reeve.Retry{MaxAttempts: maxAttempts, OnLost: 50, Delay: 10 * time.Millisecond},
	}
}

// job is the n-th job.
func (w *workload) job(n int, kind string) reeve.Job {
	j := reeve.Job{
		Labels: map[string]string{"n": strconv.Itoa(n), "kind": kind}, Env: w.book.env(), Tasks: []reeve.Task{task("")},
	}
	main := &j.Tasks[0]
	switch kind {
	case "slow":
		*main = task(ticking)
	case "long":
		*main = task(outliving)
	case "patient":
		*main = task(outliving)
		main.LostAfter = -1
	case "stubborn":
		*main = task("trap '' TERM; " + outliving)
	case "timeout":
		*main = task(endless)
		main.Timeout, main.Retry.MaxAttempts = limitOf, 1
	case "flaky":
		*main = task(`[ $REEVE_ATTEMPT -gt 1 ] || { mark fail; exit 7; }; `)
	case "failing":
		*main = task(`mark fail; exit 3; `)
	case "later":
		j.StartAfter = reeve.In(laterBy)
	case "hasty":
		j.StartBefore = reeve.In(hastyWithin)
	case "chatty":
		*main = task(fmt.Sprintf(`i=0; while [ $i -lt %d ]; do echo line $i; i=$((i+1)); [ $((i%%10)) -gt 0 ] || sleep 0.05; done; `, linesOf))
	case "array":
		main.Array = &reeve.Array{Indexes: "0-7", Throttle: throttle}
		main.Command = task("sleep 0.05; ").Command
	case "graph":
		second := task("")
		main.Name, second.Name, second.Needs = "first", "second", reeve.Needs("first")
		j.Tasks = append(j.Tasks, second)
	case "doomed":
		first, handler, never := task("mark fail; exit 3; "), task(""), task("")
		first.Name, handler.Name, never.Name = "first", "handler", "never"
		first.Retry.MaxAttempts = 1
		handler.Needs, never.Needs = []reeve.Need{{Task: "first", On: reeve.OnFailed}}, reeve.Needs("first")
		j.Tasks = []reeve.Task{first, handler, never}
	case "once", "once-slow":
		if kind == "once-slow" {
			*main = task(outliving)
		}
		main.AtMostOnce, main.Retry = true, reeve.Retry{}
	case "ballast":
		*main = task("cat > /dev/null; ")
		var text strings.Builder // nothing that could be squeezed
		for rnd := rand.New(rand.NewPCG(w.seed, uint64(-n))); text.Len() < 300_000; {
			fmt.Fprintf(&text, "%x", rnd.Uint64())
		}
		main.Stdin = text.String()
	}
	return j
}

// place puts an order on the list, before anything is known of it.
func (w *workload) place(n int, kind string) *order {
	o := &order{N: n, Kind: kind, Asked: uptime()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.orders = append(w.orders, o)
	return o
}

// submit orders jobs until take has no more numbers. Unknown outcomes are repeated
// with the same key, some known ones too.
func (w *workload) submit(ctx context.Context, c *reeve.Client, take func() (n int, ok bool)) {
	for {
		n, ok := take()
		if !ok {
			return
		}
		rnd := rand.New(rand.NewPCG(w.seed, uint64(n)))
		o := w.place(n, kindOf(n))
		id := w.submitOne(ctx, c, o)
		if id == "" {
			return
		}
		w.mu.Lock()
		o.ID, o.Told = id, uptime()
		w.mu.Unlock()
		if rnd.IntN(50) == 0 {
			if again := w.submitOne(ctx, c, o); again != "" && again != id {
				w.fault("order %d was acknowledged as job %s, and repeated as job %s", n, id, again)
			}
			w.submitOther(ctx, c, o)
		}
		if rnd.IntN(20) == 0 {
			w.readBack(ctx, c, id)
		}
		switch {
		case rnd.IntN(100) == 0:
			w.cancel(ctx, c, o)
		case rnd.IntN(4) == 0 && slices.Contains([]string{"slow", "long", "stubborn", "once-slow", "patient", "timeout", "array"}, o.Kind):
			w.cancels <- o
		}
	}
}

// submitOne returns the id, or nothing if ctx has ended.
func (w *workload) submitOne(ctx context.Context, c *reeve.Client, o *order) string {
	for ctx.Err() == nil {
		id, err := c.Submit(ctx, w.job(o.N, o.Kind), reeve.WithKey(fmt.Sprint("order-", o.N)))
		if err == nil {
			return id
		}
		if ctx.Err() == nil && !w.passing(err) {
			w.fault("submit of order %d: %v", o.N, err)
			return ""
		}
	}
	return ""
}

// submitOther submits another job with the key of an order, which must be refused.
func (w *workload) submitOther(ctx context.Context, c *reeve.Client, o *order) {
	other := w.job(o.N, o.Kind)
	other.Labels = maps.Clone(other.Labels)
	other.Labels["other"] = "yes"
	id, err := c.Submit(ctx, other, reeve.WithKey(fmt.Sprint("order-", o.N)))
	if err == nil || ctx.Err() == nil && !errors.Is(err, reeve.ErrExists) && !w.passing(err) {
		w.fault("another job with the key of order %d: job %q, %v; want that it exists", o.N, id, err)
	}
}

// readBack reads what has just been acknowledged.
func (w *workload) readBack(ctx context.Context, c *reeve.Client, id string) {
	j, err := c.Get(ctx, id)
	switch {
	case err == nil:
		w.mu.Lock()
		w.reads = append(w.reads, reading{id, j.State})
		w.mu.Unlock()
	case ctx.Err() == nil && !w.passing(err):
		w.fault("job %s was acknowledged, and then: %v", id, err)
	}
}

// cancel asks for a job's end, once: what became of it if no answer comes is not known.
func (w *workload) cancel(ctx context.Context, c *reeve.Client, o *order) {
	w.mu.Lock()
	o.Cancelled = true
	w.mu.Unlock()
	_, err := c.Cancel(ctx, o.ID, "the client changed its mind")
	w.mu.Lock()
	o.CancelTold, o.CancelAt = uptime(), time.Now()
	if err != nil {
		o.CancelTold, o.CancelAt = 0, time.Time{}
	}
	w.mu.Unlock()
	switch {
	case err == nil:
		w.readBack(ctx, c, o.ID)
	case ctx.Err() == nil && !w.passing(err):
		w.fault("cancel job %s: %v", o.ID, err)
	}
}

// cancelLate cancels what is likely to run, until there are no more such orders.
func (w *workload) cancelLate(ctx context.Context, c *reeve.Client) {
	for o := range w.cancels {
		wait := time.NewTimer(time.Duration(o.N%13) * 50 * time.Millisecond)
		select {
		case <-wait.C:
			w.cancel(ctx, c, o)
		case <-ctx.Done():
		}
		wait.Stop()
	}
}

// passing says whether an error is one that may pass, and notes its reason.
func (w *workload) passing(err error) bool {
	// A server may find that the caller's time is over a moment before the caller does.
	if !errors.Is(err, reeve.ErrUnavailable) && !errors.Is(err, reeve.ErrBusy) && !errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusals[err.Error()]++
	return true
}

// refused counts how often a client was turned away with words.
func (w *workload) refused(words string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for text, times := range w.refusals {
		if strings.Contains(text, words) {
			n += times
		}
	}
	return n
}

// watch notes every event as it is told, and reads some of the jobs that it is told the
// end of.
func (w *workload) watch(ctx context.Context, c *reeve.Client, opened chan<- struct{}) {
	for e, err := range c.Watch(ctx, reeve.WatchOptions{}) {
		if err != nil {
			if ctx.Err() == nil {
				w.fault("watch: %v", err)
			}
			return
		}
		w.mu.Lock()
		w.heard = append(w.heard, heard{e.Kind, e.Ref, e.State, e.Worker})
		switch e.Kind {
		case reeve.EventOpened:
			if opened != nil {
				close(opened)
				opened = nil
			}
		case reeve.EventResync:
			w.resync = true
		case reeve.EventJobEnded:
			w.ends[e.Ref] = append(w.ends[e.Ref], e.State)
		}
		w.mu.Unlock()
	}
}

// readEnds reads jobs whose end was heard: what is read after it must be that end.
func (w *workload) readEnds(ctx context.Context, c *reeve.Client) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for at := 0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		w.mu.Lock()
		var e heard
		for ; at < len(w.heard) && e.Ref == ""; at++ {
			if w.heard[at].Kind == reeve.EventJobEnded && at%3 == 0 {
				e = w.heard[at]
			}
		}
		w.mu.Unlock()
		if e.Ref == "" {
			continue
		}
		j, err := c.Get(ctx, e.Ref)
		switch {
		case err == nil && j.State != e.State:
			w.fault("job %s was heard to end as %s and then read as %s", e.Ref, e.State, j.State)
		case err != nil && ctx.Err() == nil && !w.passing(err):
			w.fault("job %s was heard to end, and then: %v", e.Ref, err)
		case err == nil && j.Labels["kind"] == "chatty":
			if lines, _, err := readLog(ctx, c, e.Ref); err == nil {
				w.mu.Lock()
				w.early[e.Ref] = lines
				w.mu.Unlock()
			}
		}
	}
}
