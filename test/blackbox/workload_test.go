package blackbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve"
)

// workload is what clients of a mixed-fault run submit, and what they were told.
type workload struct {
	book book
	seed uint64

	mu     sync.Mutex
	orders []order
	ends   map[string][]reeve.State
	resync bool
	faults []string
}

func newWorkload(t *testing.T, seed uint64) *workload {
	t.Helper()
	return &workload{book: book{t.TempDir() + "/book"}, seed: seed, ends: map[string][]reeve.State{}}
}

func (w *workload) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// kindOf is the kind of the n-th job: mostly short ones, and some of everything that
// faults can hurt.
func kindOf(n int) string {
	switch n % 100 {
	case 7, 57:
		return "slow"
	case 17:
		return "once-slow"
	case 27, 67:
		return "graph"
	case 37:
		return "array"
	case 47:
		return "stubborn"
	case 10, 20, 30, 40, 50, 60:
		return "flaky"
	case 15, 25, 35, 45, 55, 65:
		return "once"
	}
	return "quick"
}

// job is the n-th job. Each begins, some tick, and each says its success last.
func (w *workload) job(n int) reeve.Job {
	kind := kindOf(n)
	const ticking = `i=0; while [ $i -lt 12 ]; do mark tick; sleep 0.1; i=$((i+1)); done; `
	task := func(script string) reeve.Task {
		return reeve.Task{
			Command: []string{"sh", "-c", bookShell + "mark begin; " + script + "mark end"}, Resources: reeve.Resources{CPU: 0.1},
			Grace: 200 * time.Millisecond, Retry: reeve.Retry{MaxAttempts: 3, OnLost: 50, Delay: 10 * time.Millisecond},
		}
	}
	j := reeve.Job{
		Labels: map[string]string{"n": strconv.Itoa(n), "kind": kind}, Env: w.book.env(), Tasks: []reeve.Task{task("")},
	}
	main := &j.Tasks[0]
	switch kind {
	case "slow":
		*main = task(ticking)
	case "stubborn":
		*main = task("trap '' TERM; " + ticking + ticking)
	case "flaky":
		*main = task(`[ $REEVE_ATTEMPT -gt 1 ] || exit 7; `)
	case "array":
		main.Array = &reeve.Array{Indexes: "0-4", Throttle: 3}
	case "graph":
		second := task("")
		main.Name, second.Name, second.Needs = "first", "second", reeve.Needs("first")
		j.Tasks = append(j.Tasks, second)
	case "once", "once-slow":
		if kind == "once-slow" {
			*main = task(ticking)
		}
		main.AtMostOnce, main.Retry = true, reeve.Retry{}
	}
	return j
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
		o := order{n: n, kind: kindOf(n)}
		if o.id = w.submitOne(ctx, c, n); o.id == "" {
			return
		}
		if rnd.IntN(50) == 0 {
			if again := w.submitOne(ctx, c, n); again != "" && again != o.id {
				w.fault("order %d was acknowledged as job %s, and repeated as job %s", n, o.id, again)
			}
		}
		if rnd.IntN(100) == 0 {
			o.cancelled = true
			if _, err := c.Cancel(ctx, o.id, "the client changed its mind"); err != nil && ctx.Err() == nil && !retryable(err) {
				w.fault("cancel job %s: %v", o.id, err)
			}
		}
		w.mu.Lock()
		w.orders = append(w.orders, o)
		w.mu.Unlock()
	}
}

func retryable(err error) bool {
	return errors.Is(err, reeve.ErrUnavailable) || errors.Is(err, reeve.ErrBusy)
}

// submitOne returns the id, or nothing if ctx has ended.
func (w *workload) submitOne(ctx context.Context, c *reeve.Client, n int) string {
	for ctx.Err() == nil {
		id, err := c.Submit(ctx, w.job(n), reeve.WithKey(fmt.Sprint("order-", n)))
		if err == nil {
			return id
		}
		if ctx.Err() == nil && !retryable(err) {
			w.fault("submit of order %d: %v", n, err)
			return ""
		}
	}
	return ""
}

// watch notes the end of every job as it is told.
func (w *workload) watch(ctx context.Context, c *reeve.Client, opened chan<- struct{}) {
	for e, err := range c.Watch(ctx, reeve.WatchOptions{}) {
		if err != nil {
			if ctx.Err() == nil {
				w.fault("watch: %v", err)
			}
			return
		}
		w.mu.Lock()
		switch e.Kind {
		case reeve.EventOpened:
			if opened != nil {
				close(opened)
				opened = nil
			}
		case reeve.EventResync:
			w.resync = true
		case "job_ended":
			w.ends[e.Ref] = append(w.ends[e.Ref], e.State)
		}
		w.mu.Unlock()
	}
}

// unfinished counts the jobs that have not ended.
func unfinished(ctx context.Context, c *reeve.Client) (n int, err error) {
	for _, err := range c.List(ctx, reeve.Filter{States: []reeve.State{reeve.Pending, reeve.Running}}) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// history reads what Reeve says of every job in the end.
func (w *workload) history(ctx context.Context, c *reeve.Client) (map[string]record, error) {
	ids := make(chan string)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	records := map[string]record{}
	for range 8 {
		wg.Go(func() {
			for id := range ids {
				r, err := recordOf(ctx, c, id)
				mu.Lock()
				if err != nil {
					failed = err
				}
				records[id] = r
				mu.Unlock()
			}
		})
	}
	for j, err := range c.List(ctx, reeve.Filter{}) {
		if err != nil {
			failed = err
			break
		}
		ids <- j.ID
	}
	close(ids)
	wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, r := range records {
		if r.ends = w.ends[id]; len(r.ends) == 0 && !w.resync {
			w.faults = append(w.faults, fmt.Sprintf("nobody heard of the end of job %s", id))
		}
		records[id] = r
	}
	return records, failed
}

func recordOf(ctx context.Context, c *reeve.Client, id string) (record, error) {
	info, err := c.Get(ctx, id)
	if err != nil {
		return record{}, err
	}
	r := record{info: info, elements: map[string]reeve.ElementInfo{}}
	for i := range info.Tasks {
		t := &info.Tasks[i]
		if !t.Array {
			r.elements[fmt.Sprintf("%s.%s.0", id, t.Name)] = *t.Element
			continue
		}
		for e, err := range c.Elements(ctx, id, t.Name) {
			if err != nil {
				return record{}, err
			}
			r.elements[fmt.Sprintf("%s.%s.%d", id, t.Name, e.Index)] = e
		}
	}
	return r, nil
}

// acknowledged is a copy of what was acknowledged so far.
func (w *workload) acknowledged() (orders []order, faults []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]order(nil), w.orders...), append([]string(nil), w.faults...)
}

// kindsSeen counts what was ordered, for the log of a run.
func kindsSeen(orders []order) map[string]int {
	out := map[string]int{}
	for _, o := range orders {
		out[o.kind]++
	}
	return out
}
