package limit

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
)

func drawRate(t *rapid.T) job.Rate {
	return job.Rate{
		Count: rapid.SampledFrom([]int64{1, 2, 3, 7, 10, 1000}).Draw(t, "count"),
		Per:   job.Duration(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 10 * time.Second, time.Hour}).Draw(t, "per")),
		Burst: rapid.SampledFrom([]int64{1, 2, 5, 20}).Draw(t, "burst"),
	}
}

// TestMeterKeepsTheRate starts as soon as it may, and by chance later, and holds the starts
// against what a rate is: in any time no more than the burst and what that time has room
// for.
func TestMeterKeepsTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRate(t)
		var m Meter
		now := rapid.Int64Range(0, 1e12).Draw(t, "now")
		var starts []int64
		for range rapid.IntRange(1, 80).Draw(t, "starts") {
			next := m.Next(r, now)
			if next < now {
				t.Fatalf("at %d the next may start at %d", now, next)
			}
			if next > now && m.Next(r, next-1) == next-1 {
				t.Fatalf("it may start at %d, before %d", next-1, next)
			}
			now = next + rapid.SampledFrom([]int64{0, 0, 0, 1, 400, 5000}).Draw(t, "late")
			if m.Next(r, now) != now {
				t.Fatalf("at %d it may not start after all", now)
			}
			m = m.Take(r, now)
			starts = append(starts, now)
		}
		for i := range starts {
			for k := i; k < len(starts); k++ {
				passed := (starts[k] - starts[i]) * 1000
				if most := r.Burst + passed/between(r); int64(k-i+1) > most {
					t.Fatalf("rate %s, burst %d: %d starts from %d to %d, at most %d", r, r.Burst, k-i+1, starts[i], starts[k], most)
				}
			}
		}
	})
}

// TestMeterGivesTheRate: who always starts as soon as possible gets what the rate promises.
func TestMeterGivesTheRate(t *testing.T) {
	for _, r := range []job.Rate{
		{Count: 10, Per: job.Duration(time.Second), Burst: 1}, {Count: 3, Per: job.Duration(time.Second), Burst: 5},
		{Count: 1000, Per: job.Duration(time.Second), Burst: 1}, {Count: 1, Per: job.Duration(time.Hour), Burst: 2},
	} {
		var m Meter
		const begin = 5_000_000
		now := int64(begin)
		const starts = 2000
		for range starts {
			now = m.Next(r, now)
			m = m.Take(r, now)
		}
		want := (starts - r.Burst) * time.Duration(r.Per).Milliseconds() / r.Count
		if took := now - begin; took > want+want/500+2 || took < want-want/500-2 {
			t.Errorf("rate %s, burst %d: %d starts took %d ms, want about %d", r, r.Burst, starts, took, want)
		}
	}
}

func TestMeterForgives(t *testing.T) {
	slow := job.Rate{Count: 1, Per: job.Duration(24 * time.Hour), Burst: 1}
	fast := job.Rate{Count: 10, Per: job.Duration(time.Second), Burst: 1}
	m := Meter(0).Take(slow, 1000)
	if next := m.Next(slow, 2000); next != 1000+24*3600*1000 {
		t.Errorf("the next of one in a day is at %d", next)
	}
	if next := m.Next(fast, 2000); next != 2100 {
		t.Errorf("under another rate the next is at %d, want after one step of that", next)
	}
	if next := m.Next(slow, 500); next > 500+24*3600*1000 {
		t.Errorf("after a clock went back, the next is at %d", next)
	}
	if m.Rests(2000) || !m.Rests(1000+24*3600*1000) {
		t.Error("it rests too early, or never")
	}
	if none := (job.Rate{}); m.Next(none, 7) != 7 || m.Take(none, 7) != m {
		t.Error("no rate makes wait, or costs")
	}
}
