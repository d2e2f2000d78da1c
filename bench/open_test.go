package main

import (
	"testing"

	"github.com/reeve-scheduler/reeve/bench/internal/lateness"
)

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
		var seconds []lateness.Interval
		for _, ms := range c.p99 {
			seconds = append(seconds, lateness.Interval{Due: 1, P99: ms * 1000})
		}
		if got := backAfter(seconds); got != c.want {
			t.Errorf("with a p99 of %v ms it is back after %d s, want %d", c.p99, got, c.want)
		}
	}
}
