package core

import (
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// copied is a lab with a worker in place a, and what its state directory says of it in
// place b.
func copied(t *testing.T, spec string) (l *lab, a *hand, b link.Hello) {
	t.Helper()
	l = testLab(t)
	h := link.Hello{Protocol: link.Protocol, Name: "w1", Instance: "one", Incarnation: 1, Place: "a", Host: "here", Slots: 2,
		Capacity: job.Resources{CPU: 2000}, Executors: []string{"process"}}
	if err := l.join(h); err != nil {
		t.Fatal(err)
	}
	if _, err := l.submit(spec, nil); err != nil {
		t.Fatal(err)
	}
	a = l.workers["w1"]
	l.begin(a, a.held[0])
	b = h
	b.Incarnation, b.Place, b.Host = 2, "b", "there"
	return l, a, b
}

// greet has a worker greet from elsewhere.
func (l *lab) greet(h link.Hello) (Welcomed, error) {
	reply, err := l.turn(WorkerHello{Hello: h})
	w, _ := reply.(Welcomed)
	return w, err
}

func (l *lab) state(id job.ID) job.ElementState {
	return l.s.jobs.get(id).tasks[0].record(0).State
}

// TestACopyIsKeptOutWhileTheWorkerIsHere and let in once it is not.
func TestACopyIsKeptOutWhileTheWorkerIsHere(t *testing.T) {
	l, a, b := copied(t, "run: \"true\"")
	if _, err := l.greet(b); job.CodeOf(err) != job.Exists || !strings.Contains(err.Error(), "here") {
		t.Fatalf("the copy is told: %v; want it refused, with the host that the worker is on", err)
	}
	if _, err := l.turn(WorkerClosed{Worker: a.id, Session: a.session}); err != nil {
		t.Fatal(err)
	}
	w, err := l.greet(b)
	if err != nil || w.Worker == a.id {
		t.Fatalf("the copy is welcomed as %d (%v), the worker is %d; want another", w.Worker, err, a.id)
	}
	h := a.hello
	if _, err := l.greet(h); job.CodeOf(err) != job.Exists {
		t.Fatalf("the worker is told: %v; want it refused while its copy is here", err)
	}
	if _, err := l.turn(WorkerClosed{Worker: w.Worker, Session: w.Session}); err != nil {
		t.Fatal(err)
	}
	h.Held = a.list()
	if again, err := l.greet(h); err != nil || again.Worker != a.id {
		t.Fatalf("the worker is welcomed as %d (%v); want %d", again.Worker, err, a.id)
	}
	if s := l.state(1); s != job.Running {
		t.Errorf("what ran all the time is %s", s)
	}
}

// TestWhatRunsElsewhereIsLostAfterItsLease and no sooner: for all that the copy knows, it
// still runs.
func TestWhatRunsElsewhereIsLostAfterItsLease(t *testing.T) {
	for _, lostAfter := range []string{"60s", "never"} {
		t.Run(lostAfter, func(t *testing.T) {
			l, a, b := copied(t, "run: \"true\"\nlost_after: "+lostAfter)
			if _, err := l.turn(WorkerClosed{Worker: a.id, Session: a.session}); err != nil {
				t.Fatal(err)
			}
			silent := func(ms int64) {
				if _, err := l.turn(WorkerSilent{Worker: a.id, For: ms}); err != nil {
					t.Fatal(err)
				}
			}
			l.now += 70_000
			if lostAfter == "never" {
				silent(70_000)
				if s := l.state(1); s != job.Running {
					t.Fatalf("what never counts as lost is %s after a silence", s)
				}
			}
			l.s = l.recovered()
			b.Held = nil
			w, err := l.greet(b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.turn(WorkerHeld{Worker: w.Worker, Session: w.Session}); err != nil {
				t.Fatal(err)
			}
			if s := l.state(1); s != job.Running {
				t.Fatalf("once the copy is here, the attempt is %s; want it running", s)
			}
			silent(65_000)
			if s := l.state(1); s != job.Running {
				t.Fatalf("before the lease and its margin are over the attempt is %s", s)
			}
			silent(66_000)
			if s := l.state(1); s == job.Running {
				t.Error("the attempt is never lost")
			}
			if l.s.workers[a.id] != nil {
				t.Error("the worker that was replaced is never forgotten")
			}
		})
	}
}

// TestAResultFromAnotherPlace counts if it was kept on disk: a machine that was restarted
// has it. That an attempt is lost only the place where it ran can say.
func TestAResultFromAnotherPlace(t *testing.T) {
	for _, tt := range []struct {
		cause job.Cause
		want  job.ElementState
	}{
		{job.Cause{}, job.Succeeded},
		{job.Cause{Kind: job.CauseWorkerLost, Detail: "w1"}, job.Running},
	} {
		l, a, b := copied(t, "run: \"true\"\nat_most_once: true")
		if _, err := l.turn(WorkerClosed{Worker: a.id, Session: a.session}); err != nil {
			t.Fatal(err)
		}
		fence := a.held[0].fence
		b.Held = []link.Held{{Fence: fence, Phase: link.Ended}}
		w, err := l.greet(b)
		if err != nil {
			t.Fatal(err)
		}
		report := link.Report{Ended: []link.Result{{Fence: fence, Cause: tt.cause, Started: l.now, Ended: l.now}}}
		if _, err := l.turn(WorkerReport{Worker: w.Worker, Session: w.Session, Report: report}); err != nil {
			t.Fatal(err)
		}
		if s := l.state(1); s != tt.want {
			t.Errorf("after a result %q from another place the task is %s; want %s", tt.cause, s, tt.want)
		}
	}
}

// TestAWorkerThatSaysNoPlaceIsTakenAtItsWord: workers of versions that don't know places,
// before or after one that does.
func TestAWorkerThatSaysNoPlaceIsTakenAtItsWord(t *testing.T) {
	l, a, b := copied(t, "run: \"true\"")
	for _, place := range []string{"", "b", "", "c"} {
		b.Place, b.Held = place, a.list()
		b.Incarnation++
		if place == "" {
			if w, err := l.greet(b); err != nil || w.Worker != a.id {
				t.Fatalf("without a place: worker %d (%v); want %d", w.Worker, err, a.id)
			}
			continue
		}
		if w, err := l.greet(b); err != nil || w.Worker != a.id {
			t.Fatalf("in %s, after a process without a place: worker %d (%v); want %d", place, w.Worker, err, a.id)
		}
	}
	if s := l.state(1); s != job.Running {
		t.Errorf("what ran all the time is %s", s)
	}
}
