package core

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// TestRankInSlices: however small the slices are in which jobs are ranked anew, and whatever happens
// between them, all stand where they belong in the end, at a server that follows as well.
func TestRankInSlices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := crowdedLab(t)
		must := func(c Command) {
			if _, err := l.do(c); err != nil {
				t.Fatal(err)
			}
		}
		orders := []job.Order{job.ByPriority, job.ByAge, job.ByDeadline, job.ByShare}
		t.Repeat(map[string]func(*rapid.T){
			"order": func(t *rapid.T) {
				name := rapid.SampledFrom([]string{DefaultName, "night"}).Draw(t, "queue")
				must(PutQueue{Namespace: DefaultName, Name: name, Change: job.QueueChange{Order: new(rapid.SampledFrom(orders).Draw(t, "order"))}})
			},
			"update": func(t *rapid.T) {
				must(Update{
					Job: job.ID(rapid.Uint64Range(1, uint64(l.s.nextJob)-1).Draw(t, "job")), Priority: new(int32(rapid.IntRange(-1000, 1000).Draw(t, "priority"))),
					Queue: new(rapid.SampledFrom([]string{DefaultName, "night"}).Draw(t, "queue")), Front: new(rapid.Bool().Draw(t, "front")),
				})
			},
			"submit": func(t *rapid.T) {
				if _, err := l.submit("array: 0-3\nrun: x\n", nil); err != nil {
					t.Fatal(err)
				}
			},
			"later": func(t *rapid.T) { l.now += rapid.Int64Range(1, 3_600_000).Draw(t, "by") },
			"rank":  func(t *rapid.T) { l.s.Rank(rapid.IntRange(1, 9).Draw(t, "most")) },
			"rank2": func(t *rapid.T) { l.follow().Rank(rapid.IntRange(1, 9).Draw(t, "most")) },
			"":      func(*rapid.T) { l.close() },
		})
		l.judge.deep = true
		l.judge.settled(l)
		l.failOver() // which compares a server that follows with one that starts
	})
}

// crowdedLab has jobs of two users in two queues: some run, more wait.
func crowdedLab(t *rapid.T) *lab {
	l := newLab(func(format string, args ...any) {
		t.Helper()
		t.Fatalf(format, args...)
	})
	for _, c := range []Command{RaiseFormat{To: FormatChanges}, PutQueue{Namespace: DefaultName, Name: "night", Create: true}} {
		if _, err := l.turn(c); err != nil {
			t.Fatal(err)
		}
	}
	hello := link.Hello{
		Protocol: link.Protocol, Name: "w", Instance: "w", Incarnation: 1, Slots: 12, Capacity: job.Resources{CPU: 12_000}, Executors: []string{"process"}, Prefetch: 3,
	}
	if err := l.join(hello); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		text := fmt.Sprintf("queue: %s\ntasks: {a: {array: 0-4, run: x}, b: {run: x}}\n", []string{"default", "night"}[i%2])
		if _, err := l.submit(text, func(c *Submit) { c.By = []string{"anna", "ben", "carl"}[i%3] }); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// TestRankIsBounded: a change of order does no more at once than a slice, and goes on with each
// Place until it is through.
func TestRankIsBounded(t *testing.T) {
	l := newLab(t.Fatalf)
	if _, err := l.turn(RaiseFormat{To: FormatChanges}); err != nil {
		t.Fatal(err)
	}
	const jobs = 3*rankSlice + 1
	if _, err := l.submit("name: many\nrun: x\n", func(c *Submit) {
		for len(c.Items) < jobs {
			c.Items = append(c.Items, c.Items[0])
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.do(PutQueue{Namespace: DefaultName, Name: DefaultName, Change: job.QueueChange{Ageing: new(job.MaxAgeing)}}); err != nil {
		t.Fatal(err)
	}
	rounds := 0
	for ; l.s.Ranking(); rounds++ {
		l.s.Place(l.now, 1)
	}
	if rounds < jobs/rankSlice || rounds > 2*jobs/rankSlice {
		t.Errorf("%d jobs were ranked anew in %d rounds", jobs, rounds)
	}
	// The copy of a server that follows does the same for itself.
	l.close()
	rounds = 0
	for s := l.follow(); s.Ranking(); rounds++ {
		s.Rank(rankSlice)
	}
	if rounds < jobs/rankSlice {
		t.Errorf("a server that follows ranked %d jobs in %d rounds", jobs, rounds)
	}
	l.judge.deep = true
	l.judge.settled(l)
}

// TestRankOfALargeJob: a change of a job with many tasks is bounded as well, and what is left of one
// change makes room for the next.
func TestRankOfALargeJob(t *testing.T) {
	l := newLab(t.Fatalf)
	if _, err := l.turn(RaiseFormat{To: FormatChanges}); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("tasks:\n")
	const tasks = rankSlice + 100
	for i := range tasks {
		fmt.Fprintf(&text, "  t%d: {run: x}\n", i)
	}
	if _, err := l.submit(text.String(), nil); err != nil {
		t.Fatal(err)
	}
	for priority := range int32(3) {
		if _, err := l.do(Update{Job: 1, Priority: new(priority + 1)}); err != nil {
			t.Fatal(err)
		}
		if got := len(l.s.ranks); got != 1 {
			t.Errorf("after %d changes there are %d rankings left; want 1", priority+1, got)
		}
	}
	if l.s.Place(l.now, 1); l.s.Ranking() {
		t.Errorf("%d tasks are not ranked anew in two slices", tasks)
	}
	l.judge.deep = true
	l.judge.settled(l)
}
