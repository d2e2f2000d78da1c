package core

import (
	"fmt"
	"slices"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/predict"
)

// TestParts: the parts of a round hold every job that has not ended once, and everything else.
func TestParts(t *testing.T) {
	l := newLab(t.Fatalf)
	for range partObjects + 20 {
		mustTurn(t, l, PutNamespace{Name: fmt.Sprintf("n%d", len(l.s.spaceNames)), Create: true})
	}
	l.s.Apply(FormatRaised{Format: FormatPools})
	for i := range partObjects + 5 {
		l.s.Apply(PoolSet{Name: fmt.Sprint("p", i), Policy: job.PoolPolicy{Overcommit: job.Factors{CPU: 2000}}})
	}
	l.s.learned = predict.New(predict.MaxKeys)
	for i := range 2*partObjects + 20 { // more than there are namespaces
		l.s.learned.Teach(l.s.learned.Entry(predict.Key{Job: fmt.Sprint(i)}), predict.Observation{Succeeded: true})
	}
	var want []job.ID
	for i := range 30 {
		jobs, err := l.submit(`{"tasks": {"a": {"run": "true"}, "b": {"run": "true", "array": "1-3000"}}}`, nil)
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			mustTurn(t, l, Cancel{Job: jobs[0].ID, Task: NoTask, Kill: true})
			continue
		}
		want = append(want, jobs[0].ID)
	}
	for _, most := range []int{1, 7, 1000} {
		var got []job.ID
		spaces, pools, learned := map[string]bool{}, map[string]bool{}, map[int]bool{}
		e := StateDigested{Round: 4}
		for n := 0; ; n++ {
			if n > 100 {
				t.Fatal("the round does not end")
			}
			e.To = l.s.EndOfPart(e.From, most, e.Slice)
			var part tables
			l.s.ExportPart(&part, e)
			if len(part.jobs) > most/2+1 || len(part.spaces) > partObjects || len(part.learned) > partObjects || part.counters == nil {
				t.Errorf("a part of %d tasks has %d jobs, and %d namespaces", most, len(part.jobs), len(part.spaces))
			}
			for id := range part.jobs {
				got = append(got, id)
				if _, ok := part.chunks[chunkKey{id, 1, 1}]; !ok || len(part.chunks) != len(part.jobs) {
					t.Errorf("round 4 has %d chunks of %d jobs", len(part.chunks), len(part.jobs))
				}
			}
			for name := range part.spaces {
				spaces[name] = true
			}
			for name := range part.pools {
				pools[name] = true
			}
			for slot := range part.learned {
				learned[slot] = true
			}
			if e.To == LastJob {
				break
			}
			e.From, e.Slice = e.To+1, e.Slice+1
		}
		slices.Sort(got)
		if !slices.Equal(got, want) || len(spaces) != len(l.s.spaceNames) || len(pools) != partObjects+5 || len(learned) != 2*partObjects+20 {
			t.Errorf("parts of %d tasks have jobs %v, %d namespaces and %d keys; want %v, %d and all", most, got, len(spaces), len(learned), want, len(l.s.spaceNames))
		}
	}
}
