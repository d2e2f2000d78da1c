package core

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
)

func TestTimersComeInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var heap timers
		var model []timer
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				one := timer{
					at: rapid.Int64Range(0, 9).Draw(t, "at"), job: job.ID(rapid.Uint64Range(1, 3).Draw(t, "job")),
					task: rapid.Uint32Range(0, 1).Draw(t, "task"), position: rapid.Int64Range(0, 2).Draw(t, "position"),
					kind: timerKind(rapid.Uint8Range(0, 3).Draw(t, "kind")),
				}
				heap.push(one)
				model = append(model, one)
			},
			"pop": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("empty")
				}
				least := slices.MinFunc(model, func(a, b timer) int {
					if a.less(b) {
						return -1
					}
					return 1
				})
				if got := heap.pop(); got != least {
					t.Fatalf("pop = %+v, want %+v", got, least)
				}
				model = slices.Delete(model, slices.Index(model, least), slices.Index(model, least)+1)
			},
			"": func(t *rapid.T) {
				if len(heap) != len(model) {
					t.Fatalf("%d timers, want %d", len(heap), len(model))
				}
			},
		})
	})
}

func TestNextTimer(t *testing.T) {
	l := testLab(t)
	if at := l.s.NextTimer(); at != 0 {
		t.Errorf("NextTimer of nothing = %d", at)
	}
	if _, err := l.submit("run: \"true\"\nstart_after: 5s\ndeadline: 1m\n", nil); err != nil {
		t.Fatal(err)
	}
	if at := l.s.NextTimer(); at != began+5000 {
		t.Errorf("NextTimer = %d, want %d", at, began+5000)
	}
	l.advance(5000)
	if at := l.s.NextTimer(); at != began+60_000 {
		t.Errorf("NextTimer = %d, want %d", at, began+60_000)
	}
}
