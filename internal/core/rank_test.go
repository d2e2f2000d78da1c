package core

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// TestScore: the order of each policy, first to last.
func TestScore(t *testing.T) {
	type one struct {
		name                             string
		priority                         int32
		submitted, deadline, length, cpu int64
	}
	jobs := []one{
		{name: "old", submitted: 0, length: 3_600_000, cpu: 1000},
		{name: "short", submitted: 100_000, length: 1000, cpu: 1000},
		{name: "wide", submitted: 100_000, length: 2000, cpu: 64_000},
		{name: "high", submitted: 200_000, priority: 500, cpu: 1000},
		{name: "due", submitted: 300_000, deadline: 400_000, length: 50_000, cpu: 1000},
	}
	for _, c := range []struct {
		policy job.QueuePolicy
		want   []string
	}{
		{job.QueuePolicy{}, []string{"high", "old", "short", "wide", "due"}},
		{job.QueuePolicy{Ageing: job.Duration(time.Hour)}, []string{"high", "old", "short", "wide", "due"}},
		// 500 points of 100 ms are less than the 200 s by which old is older.
		{job.QueuePolicy{Ageing: job.Duration(100 * time.Millisecond)}, []string{"old", "short", "wide", "high", "due"}},
		{job.QueuePolicy{Order: job.ByAge}, []string{"old", "short", "wide", "high", "due"}},
		{job.QueuePolicy{Order: job.ByLength}, []string{"short", "wide", "due", "old", "high"}},
		{job.QueuePolicy{Order: job.ByLength, Ageing: job.Duration(time.Minute)}, []string{"short", "wide", "due", "old", "high"}},
		{job.QueuePolicy{Order: job.ByDeadline}, []string{"due", "high", "old", "short", "wide"}},
		{job.QueuePolicy{Order: job.ByShare}, []string{"high", "old", "short", "wide", "due"}},
	} {
		var got []string
		scores := map[string]int64{}
		for _, o := range jobs {
			j := &jobState{
				queue: &queue{policy: c.policy}, spec: &spec{spec: &job.Spec{Priority: o.priority}}, submitted: o.submitted,
				jobSeldom: &jobSeldom{deadline: o.deadline},
			}
			scores[o.name] = j.score(o.length, o.cpu)
			got = append(got, o.name)
		}
		slices.SortStableFunc(got, func(a, b string) int { return int(max(min(scores[b]-scores[a], 1), -1)) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s, ageing %s: %v, want %v", c.policy.Order, time.Duration(c.policy.Ageing), got, c.want)
		}
	}
}

func TestLog2(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, math.MaxInt64).Draw(t, "n")
		if got, want := float64(log2(n))/sixteenth, math.Log2(float64(n)); got > want+0.001 || got < want-0.16 {
			t.Fatalf("log2(%d) = %.3f, want %.3f", n, got, want)
		}
	})
}
