package main

import (
	"testing"
	"time"
)

// TestLateness counts jobs by the second in which they were due, and by that in which they
// began.
func TestLateness(t *testing.T) {
	l := newLateness()
	at := func(d time.Duration) time.Time { return time.Unix(100, 0).Add(d) }
	for range 98 {
		l.note(at(0), at(time.Millisecond))
	}
	l.note(at(900*time.Millisecond), at(1100*time.Millisecond))
	l.note(at(999*time.Millisecond), at(2*time.Second))
	l.note(at(2*time.Second), at(2*time.Second))
	got := l.answer(lateQuery{From: 100, Seconds: 1, N: 3}).Intervals
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
	whole := l.answer(lateQuery{From: 100, Seconds: 3, N: 1}).Intervals
	if len(whole) != 1 || whole[0].Due != 101 || whole[0].Started != 101 {
		t.Errorf("in all %+v, want 101 due and started", whole)
	}
}

func TestDrift(t *testing.T) {
	for _, c := range []struct {
		all  []int64
		want float64
	}{
		{nil, 0},
		{[]int64{1, 2}, 0},
		{[]int64{9, 10, 20}, 2},
		{[]int64{0, 0, 0, 10, 11, 12, 11, 10, 12, 13}, 12.0 / 11},
	} {
		if got := drift(c.all); got != c.want {
			t.Errorf("drift of %v is %v, want %v", c.all, got, c.want)
		}
	}
}

func TestBackAfter(t *testing.T) {
	for _, c := range []struct {
		p99  []int64 // of each second, in milliseconds
		want int
	}{
		{[]int64{900, 300, 20, 30, 20, 90}, 2},
		{[]int64{10, 20, 80, 20, 20, 51}, 6},
		{[]int64{10, 20, 30}, 0},
		{nil, 0},
	} {
		var seconds []interval
		for _, ms := range c.p99 {
			seconds = append(seconds, interval{Due: 1, P99: ms * 1000})
		}
		if got := backAfter(seconds); got != c.want {
			t.Errorf("with a p99 of %v ms it is back after %d s, want %d", c.p99, got, c.want)
		}
	}
}
