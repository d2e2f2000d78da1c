package core

import "testing"

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
