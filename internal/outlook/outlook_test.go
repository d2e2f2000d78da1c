package outlook

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/forecast"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// engine is a state that nobody else uses.
type engine struct {
	mu    sync.Mutex
	s     *core.State
	began time.Time
	looks int
	slow  atomic.Int64 // a look takes so many nanoseconds
	fails error
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{s: core.New(core.Config{Lease: 60_000, Retention: 60_000}), began: time.Now()}
	for _, event := range e.s.Begin(e.Now(), 1, 1) {
		e.s.Apply(event)
	}
	e.do(t, core.WorkerHello{Hello: link.Hello{
		Protocol: link.Protocol, Name: "w1", Instance: "w1", Incarnation: 1, Slots: 4, Executors: []string{"process"},
		Capacity: job.Resources{CPU: 4000, Memory: 8 << 30},
	}})
	return e
}

func (e *engine) Now() int64 { return 1_000_000 + time.Since(e.began).Milliseconds() }

func (e *engine) View(_ context.Context, fn func(*core.State)) error {
	<-time.After(time.Duration(e.slow.Load())) // in a bubble's time
	e.mu.Lock()
	defer e.mu.Unlock()
	e.looks++
	if e.fails != nil {
		return e.fails
	}
	fn(e.s)
	return nil
}

func (e *engine) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fails = err
}

func (e *engine) do(t *testing.T, c core.Command) any {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	d, err := e.s.Decide(core.Input{Now: e.Now()}, c)
	if err != nil {
		t.Fatal(err)
	}
	reply := d.Reply
	for more := true; more; d, more = e.s.Follow(e.Now()) {
		for _, event := range d.Events {
			e.s.Apply(event)
		}
	}
	e.s.Place(e.Now(), 100)
	return reply
}

func (e *engine) submit(t *testing.T, text string) job.ID {
	t.Helper()
	file, err := jobfile.Parse("", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return e.do(t, core.Submit{
		Namespace: core.DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, By: "anna",
		Items: []core.Item{{Params: []byte("{}")}}, ReadSeq: e.s.Seq(),
	}).([]core.Submitted)[0].ID
}

// run lets an outlook run within a bubble of virtual time.
func run(t *testing.T, e *engine, change func(*Options), test func(t *testing.T, o *Outlook)) {
	t.Helper()
	options := Options{Engine: e, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&options)
	}
	o := New(options)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { o.Run(ctx); close(ended) }()
	test(t, o)
	cancel()
	<-ended
}

func starts(f *Forecast, id job.ID) forecast.Start { return f.Course.Starts[plan.GroupID{Job: id}] }

// TestFresh: what was submitted before a question is in the answer, those who ask at the same time
// get the same one, and no two are less than a second apart.
func TestFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		run(t, e, nil, func(t *testing.T, o *Outlook) {
			e.submit(t, "run: x\nresources: {cpu: 4}\ntimeout: 10m\n")
			id := e.submit(t, "run: x\nresources: {cpu: 4}\ntimeout: 5m\n")
			f, err := o.Fresh(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if s := starts(f, id); s.First != e.Now()+600_000 || s.Ends != e.Now()+900_000 {
				t.Errorf("the second starts %+v, it is %d", s, e.Now())
			}
			second := e.submit(t, "run: x\n")
			before, looks := time.Now(), e.looks
			var all [5]*Forecast
			var wg sync.WaitGroup
			for i := range all {
				wg.Go(func() { all[i], _ = o.Fresh(t.Context()) })
			}
			wg.Wait()
			if took := time.Since(before); took != time.Second {
				t.Errorf("the next forecast came after %s; want a second", took)
			}
			for _, other := range all {
				if other == nil || other != all[0] {
					t.Errorf("those who asked at the same time got %p and %p", all[0], other)
				}
			}
			if starts(all[0], second).Started == 0 || e.looks != looks+1 {
				t.Errorf("after %d looks the new job starts %+v", e.looks-looks, starts(all[0], second))
			}
		})
	})
}

// TestLast: a list takes what there is, and does not wait for what takes long.
func TestLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		run(t, e, nil, func(t *testing.T, o *Outlook) {
			first := o.Last(t.Context())
			if first == nil || o.Last(t.Context()) != first {
				t.Fatal("the last forecast is not kept for a second")
			}
			<-time.After(2 * time.Second)
			second := o.Last(t.Context())
			if second == first {
				t.Error("two seconds later it is the same")
			}
			e.slow.Store(int64(2 * time.Second))
			<-time.After(2 * time.Second)
			before := time.Now()
			if f := o.Last(t.Context()); f != second || time.Since(before) > moment {
				t.Errorf("with slow looks it took %s, and the last one is another: %v", time.Since(before), f != second)
			}
			<-time.After(10 * time.Second)
			third := o.Last(t.Context())
			before = time.Now()
			if f := o.Last(t.Context()); f != third || time.Since(before) > 0 {
				t.Errorf("once forecasts are known to be slow it took %s", time.Since(before))
			}
			<-time.After(2 * stale)
			if f := o.Last(t.Context()); f != nil {
				t.Error("a forecast of minutes ago is still told")
			}
		})
	})
}

// TestRest: what takes long is made less often.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		e.slow.Store(int64(time.Second))
		run(t, e, nil, func(t *testing.T, o *Outlook) {
			begun := time.Now()
			for range 5 {
				if _, err := o.Fresh(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(begun); took != 4*share*time.Second+time.Second {
				t.Errorf("five forecasts of a second each took %s", took)
			}
		})
	})
}

// TestFails: without a leader there is no answer, and the last one if there is one.
func TestFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		run(t, e, nil, func(t *testing.T, o *Outlook) {
			e.fail(errors.New("nobody leads"))
			if f, err := o.Fresh(t.Context()); f != nil || !errors.Is(err, e.fails) {
				t.Errorf("%v, %v; want that nobody leads", f, err)
			}
			fails := e.fails
			e.fail(nil)
			good, err := o.Fresh(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			e.fail(fails)
			if f, err := o.Fresh(t.Context()); f != good || err != nil {
				t.Errorf("%v, %v; want the last one", f, err)
			}
			soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if f, err := o.Fresh(soon); f != good || err != nil {
				t.Errorf("%v, %v; want the last one when there is no time", f, err)
			}
		})
		if _, err := New(Options{}).Fresh(ended(t)); err == nil {
			t.Error("one that does not run has an answer")
		}
		var none *Outlook
		if _, err := none.Fresh(t.Context()); err == nil || none.Last(t.Context()) != nil {
			t.Error("none has an answer")
		}
	})
}

func ended(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestStops: who waits while the server stops is told so.
func TestStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var o *Outlook
		asked := make(chan error, 1)
		run(t, e, nil, func(t *testing.T, running *Outlook) {
			o = running
			if _, err := o.Fresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-time.After(2 * stale)
			e.slow.Store(int64(time.Hour))
			go func() {
				_, err := o.Fresh(t.Context())
				asked <- err
			}()
			synctest.Wait()
			e.fail(context.Canceled)
		})
		if err := <-asked; err == nil {
			t.Error("there was an answer")
		}
	})
}

// TestPanics: a fault in what is worked out costs the answer and nothing else.
func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		run(t, e, nil, func(t *testing.T, o *Outlook) {
			f, err := o.Fresh(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Moment(t.Context(), f, func(*forecast.Moment) { panic("a fault") }); !errors.Is(err, errFailed) {
				t.Errorf("%v", err)
			}
			n := 0
			if err := o.Moment(t.Context(), f, func(*forecast.Moment) { n++ }); err != nil || n != 1 {
				t.Errorf("afterwards: %v", err)
			}
			busy, done := make(chan struct{}), make(chan struct{})
			go o.Moment(t.Context(), f, func(*forecast.Moment) { close(busy); <-done })
			<-busy
			if err := o.Moment(ended(t), f, func(*forecast.Moment) { n++ }); !errors.Is(err, context.Canceled) || n != 1 {
				t.Errorf("with no time, while something else is worked out: %v", err)
			}
			close(done)
		})
	})
}

// TestLooksAhead: the leader says by itself, and once, that a job will miss its deadline; a server
// that does not lead, or without deadlines, does not look.
func TestLooksAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var log bytes.Buffer
		var leads atomic.Bool
		var late atomic.Int64
		leads.Store(true)
		wait := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		options := func(o *Options) {
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			o.Leads = leads.Load
			o.Made = func(n int, _ time.Duration) { late.Store(int64(n)) }
		}
		run(t, e, options, func(t *testing.T, o *Outlook) {
			wait(ahead + time.Second)
			if o.kept() != nil || late.Load() != 0 {
				t.Error("it looked ahead without deadlines")
			}
			e.submit(t, "run: x\nresources: {cpu: 4}\ntimeout: 10m\n")
			id := e.submit(t, "name: report\nrun: x\ntimeout: 5m\ndeadline: 12m\n")
			wait(3 * ahead)
			want := "will miss its deadline"
			if n := strings.Count(log.String(), want); n != 1 || late.Load() != 1 || o.kept().Late[id] == nil {
				t.Errorf("%d jobs late, told %d times:\n%s", late.Load(), n, log.String())
			}
			e.do(t, core.Cancel{Job: id, Task: core.NoTask})
			wait(2 * ahead)
			if late.Load() != 0 {
				t.Errorf("%d jobs late after the cancel", late.Load())
			}
			leads.Store(false)
			e.submit(t, "run: x\ntimeout: 5m\ndeadline: 12m\n")
			wait(2 * ahead)
			if late.Load() != 0 {
				t.Errorf("%d jobs late, says one that does not lead", late.Load())
			}
		})
	})
}
