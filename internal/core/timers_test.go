package core

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

func TestTimersComeInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var heap timers
		var model []timer
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				one := timer{
					at: rapid.Int64Range(0, 9).Draw(t, "at"), job: job.ID(rapid.Uint64Range(1, 3).Draw(t, "job")),
					task: rapid.Uint32Range(0, 1).Draw(t, "task"), position: rapid.Int64Range(0, 2).Draw(t, "position"),
					kind: timerKind(rapid.Uint8Range(0, 3).Draw(t, "kind")),
				}
				heap.push(one)
				model = append(model, one)
			},
			"pop": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("empty")
				}
				least := slices.MinFunc(model, func(a, b timer) int {
					if a.less(b) {
						return -1
					}
					return 1
				})
				if got := heap.pop(); got != least {
					t.Fatalf("pop = %+v, want %+v", got, least)
				}
				model = slices.Delete(model, slices.Index(model, least), slices.Index(model, least)+1)
			},
			"": func(t *rapid.T) {
				if len(heap) != len(model) {
					t.Fatalf("%d timers, want %d", len(heap), len(model))
				}
			},
		})
	})
}

func TestNextTimer(t *testing.T) {
	l := testLab(t)
	if at := l.s.NextTimer(); at != 0 {
		t.Errorf("NextTimer of nothing = %d", at)
	}
	if _, err := l.submit("run: \"true\"\nstart_after: 5s\ndeadline: 1m\n", nil); err != nil {
		t.Fatal(err)
	}
	if at := l.s.NextTimer(); at != began+5000 {
		t.Errorf("NextTimer = %d, want %d", at, began+5000)
	}
	l.advance(5000)
	if at := l.s.NextTimer(); at != began+60_000 {
		t.Errorf("NextTimer = %d, want %d", at, began+60_000)
	}
}

// TestATimerThatPanicsGoesAlone has one timer among several that can't be decided, as a
// fault of our own would make it: it is left out, and the others fire at the next tick.
func TestATimerThatPanicsGoesAlone(t *testing.T) {
	l := testLab(t)
	for range 3 {
		if _, err := l.submit("run: \"true\"\nstart_after: 5s\n", nil); err != nil {
			t.Fatal(err)
		}
	}
	l.s.timers.push(timer{at: began + 5000, job: 2, task: 99, kind: timerBackoff}) // there is no such task
	l.now += 5000
	tick := func() (d Decision, panicked bool) {
		defer func() { panicked = recover() != nil }()
		d, err := l.s.Decide(Input{Now: l.now}, Tick{})
		if err != nil {
			t.Fatal(err)
		}
		return d, false
	}
	if _, panicked := tick(); !panicked {
		t.Fatal("the timer of no task was decided")
	}
	d, panicked := tick()
	if panicked || len(d.Events) != 3 {
		t.Errorf("after the panic the tick decides %v (panicked again: %v); want the three jobs woken", d.Events, panicked)
	}
	if at := l.s.NextTimer(); at != 0 {
		t.Errorf("a timer is left for %d", at)
	}
}

// retrying is a lab whose one element has failed and backs off.
func retrying(t *testing.T, more string) (l *lab, until int64) {
	t.Helper()
	l = testLab(t)
	if err := l.join(link.Hello{Protocol: link.Protocol, Name: "w1", Instance: "i1", Incarnation: 1, Slots: 1,
		Capacity: job.Resources{CPU: 1000}, Executors: []string{"process"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.submit("run: \"false\"\nretry: {max_attempts: 3, delay: 30s}\n"+more, nil); err != nil {
		t.Fatal(err)
	}
	w := l.workers["w1"]
	l.finish(w, w.held[0], link.Result{Cause: job.Cause{Kind: job.CauseExit, Code: 1}})
	return l, l.s.NextTimer()
}

// TestOneBackoffEndsOnce has two timers of one element come due in one tick, as after a
// recovery whose rows have the backoff before: it is woken once.
func TestOneBackoffEndsOnce(t *testing.T) {
	l, until := retrying(t, "")
	l.s.timers.push(timer{at: until - 1, job: 1, kind: timerBackoff})
	d, err := l.s.Decide(Input{Now: until}, Tick{})
	if err != nil || len(d.Events) != 1 || d.Events[0] != (ElementWoken{Job: 1}) {
		t.Errorf("the tick decides %v (%v); want the element woken once", d.Events, err)
	}
}

// TestNothingIsWokenThatIsSkipped has the deadline of a job come due in one tick with the end
// of a backoff.
func TestNothingIsWokenThatIsSkipped(t *testing.T) {
	const deadline = began + 3_600_000
	for _, first := range []int64{began + 1, deadline + 1} { // which of the two comes due first
		l, _ := retrying(t, "deadline: 1h\n")
		l.s.timers.push(timer{at: first, job: 1, kind: timerBackoff})
		l.s.jobs.get(1).tasks[0].setRetry(0, retry{at: first})
		d, err := l.s.Decide(Input{Now: deadline + 2}, Tick{})
		woken := slices.IndexFunc(d.Events, func(e Event) bool { return e == Event(ElementWoken{Job: 1}) })
		ended := slices.IndexFunc(d.Events, func(e Event) bool { _, is := e.(ElementsEnded); return is })
		if err != nil || ended < 0 || woken > ended {
			t.Errorf("the tick decides %v (%v); want nothing woken after it was skipped", d.Events, err)
		}
	}
}

// TestOneStartIsNotedOnce has a worker report a start twice in one report.
func TestOneStartIsNotedOnce(t *testing.T) {
	l, until := retrying(t, "")
	l.advance(until - l.now)
	w := l.workers["w1"]
	began := link.Started{Fence: w.held[0].fence, At: until}
	d, err := l.s.Decide(Input{Now: until}, WorkerReport{Worker: w.id, Session: w.session, Report: link.Report{Started: []link.Started{began, began}}})
	if want := (AttemptStarted{Fence: began.Fence, At: until}); err != nil || len(d.Events) != 1 || d.Events[0] != want {
		t.Errorf("the report decides %v (%v); want %+v once", d.Events, err, want)
	}
}

// TestNothingIsPlacedTooLate submits more jobs than one tick takes whose start_before has
// passed, beside an idle worker: none of them may start, nor what is due to be stopped.
func TestNothingIsPlacedTooLate(t *testing.T) {
	for _, key := range []string{"start_before", "deadline"} {
		l := testLab(t)
		if err := l.join(link.Hello{Protocol: link.Protocol, Name: "w1", Instance: "i1", Incarnation: 1, Slots: 1,
			Capacity: job.Resources{CPU: 1000}, Executors: []string{"process"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.submit("run: \"true\"\n"+key+": 1970-01-01T00:00:01Z\n", func(c *Submit) { c.Items = make([]Item, 1500) }); err != nil {
			t.Fatal(err)
		}
		ticks := 0
		for ; l.s.Due(l.now); ticks++ {
			if _, err := l.turn(Tick{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, batch := range l.journal {
			for _, e := range batch {
				if a, ok := e.(AttemptAssigned); ok {
					t.Fatalf("%s has passed, and a worker is given %+v", key, a)
				}
			}
		}
		if ticks < 2 {
			t.Errorf("%d ticks decided all of it; the test is about what one leaves", ticks)
		}
		if n := l.s.Totals().Live; n != 0 {
			t.Errorf("%s has passed, and %d jobs go on", key, n)
		}
	}
}

// TestATickIsBounded has many more timers come due at once than one decision takes.
func TestATickIsBounded(t *testing.T) {
	l := testLab(t)
	const many = 1200
	if _, err := l.submit("run: \"true\"\nstart_after: 5s\n", func(c *Submit) { c.Items = make([]Item, many) }); err != nil {
		t.Fatal(err)
	}
	l.now += 5000
	woken := 0
	for ticks := 1; woken < many; ticks++ {
		d, err := l.s.Decide(Input{Now: l.now}, Tick{})
		if err != nil || len(d.Events) == 0 || len(d.Events) > 1000 || ticks > 2 {
			t.Fatalf("tick %d decides %d events, %v", ticks, len(d.Events), err)
		}
		woken += len(d.Events)
		l.carryOut(d)
	}
}
