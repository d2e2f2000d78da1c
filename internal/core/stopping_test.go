package core

import (
	"slices"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// cancelledUnheard is a lab with a cancelled job whose attempt its worker never heard of.
func cancelledUnheard(t *testing.T) (l *lab, w *hand, fence link.Fence) {
	t.Helper()
	l = testLab(t)
	if err := l.join(link.Hello{Protocol: link.Protocol, Name: "w1", Instance: "i1", Incarnation: 1, Slots: 1, Prefetch: 1,
		Capacity: job.Resources{CPU: 1000}, Executors: []string{"process"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second waits for the place of the first
		if _, err := l.submit("run: \"true\"\n", nil); err != nil {
			t.Fatal(err)
		}
	}
	w = l.workers["w1"]
	fence = w.held[0].fence
	w.up = false
	w.drop(fence)
	if _, err := l.turn(Cancel{Job: 1, Task: NoTask, By: "anna"}); err != nil {
		t.Fatal(err)
	}
	return l, w, fence
}

// TestWhatIsCancelledIsNotSentAgain has a worker come back that never heard of an attempt
// which was cancelled meanwhile: it is not sent, and its place goes to the next.
func TestWhatIsCancelledIsNotSentAgain(t *testing.T) {
	l, w, fence := cancelledUnheard(t)
	sent := []link.Fence{}
	l.note = func(x any) {
		if m, ok := x.(toHand); ok && m.msg.Assign != nil {
			for _, a := range m.msg.Assign.Attempts {
				sent = append(sent, a.Fence)
			}
		}
	}
	if err := l.join(w.hello); err != nil {
		t.Fatal(err)
	}
	if m, ok := l.s.Image(1); !ok || m.State != job.JobCancelled {
		t.Errorf("the cancelled job is %s", m.State)
	}
	if slices.Contains(sent, fence) || !slices.Contains(sent, fence+1) {
		t.Errorf("the worker is sent %v; want %d, which takes the place of %d", sent, fence+1, fence)
	}
}

// TestWhatIsCancelledIsStoppedWhenSentAgain has a worker in the middle of a session lack an
// attempt that is to end: it may be on its way, so that its end is told behind it.
func TestWhatIsCancelledIsStoppedWhenSentAgain(t *testing.T) {
	l, w, fence := cancelledUnheard(t)
	d, err := l.s.Decide(Input{Now: l.now}, WorkerHeld{Worker: w.id, Session: w.session, Held: w.list()})
	if err != nil || len(d.Sends) != 2 || !slices.Equal(d.Sends[0].Assign, []link.Fence{fence}) || d.Sends[1].Msg.Stop == nil || d.Sends[1].Msg.Stop.Fence != fence {
		t.Errorf("the worker is sent %+v (%v); want attempt %d and then its stop", d.Sends, err, fence)
	}
}

// TestAnEarlierTermsClockDelaysNoLoss has a server come back whose clock was set back: what
// was assigned before, in its future, is lost with its worker all the same.
func TestAnEarlierTermsClockDelaysNoLoss(t *testing.T) {
	l, until := retrying(t, "")
	l.advance(until - l.now)
	w := l.workers["w1"]
	w.up = false
	l.now -= 3_600_000
	l.failOver()
	d, err := l.s.Decide(Input{Now: l.now + 70_000}, WorkerSilent{Worker: w.id, For: 70_000})
	if err != nil || !slices.ContainsFunc(d.Events, func(e Event) bool { _, ended := e.(AttemptEnded); return ended }) {
		t.Errorf("after silence for longer than the lease it is decided: %v (%v)", d.Events, err)
	}
}

// TestWhatIsPreemptedCanBeCancelled cancels an element whose attempt a drain has asked to
// end: it is not tried again.
func TestWhatIsPreemptedCanBeCancelled(t *testing.T) {
	l := testLab(t)
	if err := l.join(link.Hello{Protocol: link.Protocol, Name: "w1", Instance: "i1", Incarnation: 1, Slots: 1,
		Capacity: job.Resources{CPU: 1000}, Executors: []string{"process"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.submit("run: sleep 100\narray: 0-1\n", nil); err != nil {
		t.Fatal(err)
	}
	w := l.workers["w1"]
	l.begin(w, w.held[0])
	for _, c := range []Command{
		Drain{Worker: "w1", Draining: true, Stop: true, By: "anna"},
		Cancel{Job: 1, Task: 0, Spans: []element.Span{{First: 0, Last: 0}}, By: "anna"},
	} {
		if _, err := l.turn(c); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.held[0].stop; got == nil || got.Cause.Kind != job.CauseCancelled {
		t.Errorf("after the cancel the worker was told %+v", got)
	}
	l.finish(w, w.held[0], link.Result{Cause: job.Cause{Kind: job.CauseSignal, Code: 15}})
	if m, _ := l.s.Image(1); m.Tasks[0].Counts[job.Cancelled] != 1 {
		t.Errorf("after it ended the elements are %v; want the first cancelled", m.Tasks[0].Counts)
	}
}

// TestWhatEndsTakesNoPlace has a worker come back without attempts that are to end: the
// place of one is given neither to another that has just ended, nor to one that turns out
// to have a place already.
func TestWhatEndsTakesNoPlace(t *testing.T) {
	for _, test := range []struct {
		what string
		held func(first, waits *grip) []*grip
	}{
		{"who waits is gone too", func(first, _ *grip) []*grip { return []*grip{first} }},
		{"who waits has started", func(first, waits *grip) []*grip {
			waits.phase = link.Running
			return []*grip{first, waits}
		}},
		{"who waits has ended", func(first, waits *grip) []*grip {
			waits.phase = link.Ended
			return []*grip{first, waits}
		}},
	} {
		t.Run(test.what, func(t *testing.T) {
			l := testLab(t)
			if err := l.join(link.Hello{Protocol: link.Protocol, Name: "w1", Instance: "i1", Incarnation: 1, Slots: 2, Prefetch: 1,
				Capacity: job.Resources{CPU: 2000}, Executors: []string{"process"}}); err != nil {
				t.Fatal(err)
			}
			// The third waits for a place like the first's; the fourth finds the second's.
			for _, cpu := range []string{"1", "0.5", "1", "1"} {
				if _, err := l.submit("run: sleep 100\nresources: {cpu: "+cpu+"}\n", nil); err != nil {
					t.Fatal(err)
				}
			}
			w := l.workers["w1"]
			first, second := w.held[0], w.held[1]
			l.begin(w, first)
			l.begin(w, second)
			l.finish(w, second, link.Result{})
			if len(w.held) != 3 || !w.held[1].prefetched || w.held[2].prefetched {
				t.Fatalf("the worker holds %d; want one that runs, one that waits, and then one that may start", len(w.held))
			}
			w.up = false
			w.held = test.held(first, w.held[1])
			if _, err := l.turn(Drain{Worker: "w1", Draining: true, Stop: true, By: "anna"}); err != nil {
				t.Fatal(err)
			}
			if err := l.join(w.hello); err != nil {
				t.Fatal(err)
			}
			if n := len(l.s.attempts); n != len(w.held) {
				t.Errorf("%d attempts are left, want the %d that the worker has", n, len(w.held))
			}
		})
	}
}
