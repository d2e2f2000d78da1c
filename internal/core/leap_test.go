package core

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// TestLeap begins a generation: none of the ids that a lost history may have given out is
// given out again, and what lives goes on under its own.
func TestLeap(t *testing.T) {
	l := newLab(t.Fatalf)
	submit := func() uint64 {
		t.Helper()
		jobs, err := l.submit(`{"tasks": {"main": {"run": "true"}}}`, nil)
		if err != nil {
			t.Fatal(err)
		}
		return uint64(jobs[0].ID)
	}
	first := submit()
	begin := func(generation uint64) {
		l.carryOut(Decision{Events: l.s.Begin(l.now, l.s.Epoch()+1, generation)})
		l.close()
	}
	begin(l.s.Generation())
	if next := submit(); next != first+1 {
		t.Errorf("job %d after job %d and a term of the same generation", next, first)
	}
	begin(l.s.Generation() + 1)
	if next := submit(); next != 1<<leapBits {
		t.Errorf("job %d is the first of a generation; want %d", next, 1<<leapBits)
	}
	for range 2 { // the second time there is nothing to do
		if _, err := l.turn(Leap{Generation: 5}); err != nil {
			t.Fatal(err)
		}
	}
	if next := submit(); next != 2<<leapBits || l.s.nextFence < 2<<leapBits || l.s.nextWorker < 2<<leapBits {
		t.Errorf("job %d is the first of the next generation, then fence %d and worker %d", next, l.s.nextFence, l.s.nextWorker)
	}
	if l.s.Totals().Live != 4 || l.recovered().nextJob != l.s.nextJob {
		t.Errorf("%d jobs live, and who recovers goes on at %d", l.s.Totals().Live, l.recovered().nextJob)
	}
}

// TestLeapOfAnEmptyState begins a generation that is not the first where nothing is left of the
// history: what was given out in it is not known, and is not given out again.
func TestLeapOfAnEmptyState(t *testing.T) {
	for generation, want := range map[uint64]job.ID{1: 1, 2: 1 << leapBits} {
		s := New(Config{})
		for _, e := range s.Begin(1000, 1, generation) {
			s.Apply(e)
		}
		if s.nextJob != want || s.Generation() != generation {
			t.Errorf("the first job in generation %d is %d; want %d", s.Generation(), s.nextJob, want)
		}
	}
}

// TestAtMostOnceOverALostHistory has a worker come back from a history that is lost. It lacks
// an attempt that it has been given: in that history it may have run, and its end have been
// acknowledged, so that it must not be sent again.
func TestAtMostOnceOverALostHistory(t *testing.T) {
	l := newLab(t.Fatalf)
	hello := goodHello("w")
	hello.Slots, hello.Capacity.CPU = 2, 2000
	mustJoin(t, l, hello)
	once := mustSubmit(t, l, `{"tasks": {"main": {"run": "true", "at_most_once": true}}}`)
	again := mustSubmit(t, l, `{"tasks": {"main": {"run": "true"}}}`)
	w := l.workers["w"]
	if len(w.held) != 2 {
		t.Fatalf("the worker holds %d attempts; want 2", len(w.held))
	}
	w.held = nil // in what is lost they ended, and that was acknowledged
	hello.Generation = l.s.Generation()
	if _, err := l.turn(Leap{Generation: hello.Generation + 1}); err != nil {
		t.Fatal(err)
	}
	mustJoin(t, l, hello)
	if len(w.held) != 1 {
		t.Errorf("the worker holds %d attempts; want the one that may run again", len(w.held))
	}
	if m, _ := l.s.Image(once); m.State != job.JobFailed {
		t.Errorf("the at_most_once job is %s; want failed", m.State)
	}
	if m, _ := l.s.Image(again); m.State.Terminal() {
		t.Errorf("the other job is %s; want it to run again", m.State)
	}
}
