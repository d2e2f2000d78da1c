package lateness

import (
	"testing"
	"time"
)

// TestLateness counts jobs by the second in which they were due, and by that in which they
// began.
func TestLateness(t *testing.T) {
	l := New()
	at := func(d time.Duration) time.Time { return time.Unix(100, 0).Add(d) }
	for range 98 {
		l.note(at(0), at(time.Millisecond))
	}
	l.note(at(900*time.Millisecond), at(1100*time.Millisecond))
	l.note(at(999*time.Millisecond), at(2*time.Second))
	l.note(at(2*time.Second), at(2*time.Second))
	got := l.answer(Query{From: 100, Seconds: 1, N: 3}).Intervals
	for i, want := range []struct{ due, started int64 }{{100, 98}, {0, 1}, {1, 2}} {
		if got[i].Due != want.due || got[i].Started != want.started {
			t.Errorf("second %d: %d due and %d started, want %d and %d", i, got[i].Due, got[i].Started, want.due, want.started)
		}
	}
	within := func(what string, got, least, most int64) {
		t.Helper()
		if got < least || got > most {
			t.Errorf("%s is %d µs, want %d to %d", what, got, least, most)
		}
	}
	within("the median", got[0].P50, 1000, 1100)
	within("p99", got[0].P99, 200_000, 220_000)
	within("p99.9", got[0].P999, 1_001_000, 1_110_000)
	whole := l.answer(Query{From: 100, Seconds: 3, N: 1}).Intervals
	if len(whole) != 1 || whole[0].Due != 101 || whole[0].Started != 101 {
		t.Errorf("in all %+v, want 101 due and started", whole)
	}
}
