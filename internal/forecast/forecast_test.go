package forecast

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
)

const second = 1000

func shape(cpu, memory int64) plan.Shape {
	return plan.Shape{Resources: job.Resources{CPU: cpu * 1000, Memory: memory << 30}, Executor: "process"}
}

func worker(id uint64, cpu, memory int64) plan.Worker {
	return plan.Worker{
		ID: id, Name: fmt.Sprintf("w%d", id), Capacity: job.Resources{CPU: cpu * 1000, Memory: memory << 30}, Slots: 100, Executors: []string{"process"}, Accepts: true,
	}
}

func ready(id job.ID, s plan.Shape, length, n int64) plan.Ready {
	return plan.Ready{Group: plan.Group{
		ID: plan.GroupID{Job: id}, Namespace: "default", Queue: "default", Shape: s, Length: length,
	}, N: n}
}

func running(id uint64, s plan.Shape, ends int64) Run {
	return Run{Worker: id, Attempt: plan.Attempt{Shape: s, Namespace: "default", Queue: "default", Ends: ends, Limit: ends}}
}

func TestForecast(t *testing.T) {
	c := &Cluster{
		Now: 100 * second, Workers: []plan.Worker{worker(1, 4, 8)},
		Runs: []Run{running(1, shape(3, 0), 130*second)},
		Waiting: []plan.Ready{
			ready(1, shape(4, 0), 60*second, 1),
			ready(2, shape(1, 0), 20*second, 2),
			ready(3, shape(1, 0), 0, 1),
		},
	}
	got := c.Forecast(nil)
	want := map[plan.GroupID]Start{
		{Job: 1}: {First: 140 * second, Last: 140 * second, Ends: 200 * second, Worker: 1, Started: 1},
		{Job: 2}: {First: 100 * second, Last: 120 * second, Ends: 140 * second, Worker: 1, Started: 2},
		{Job: 3}: {First: 200 * second, Last: 200 * second, Worker: 1, Started: 1},
	}
	// The second of job 2 would delay job 1 by 10 s if it were not for the place that is kept.
	want[plan.GroupID{Job: 1}] = Start{First: 130 * second, Last: 130 * second, Ends: 190 * second, Worker: 1, Started: 1}
	want[plan.GroupID{Job: 2}] = Start{First: 100 * second, Last: 190 * second, Ends: 210 * second, Worker: 1, Started: 2}
	want[plan.GroupID{Job: 3}] = Start{First: 190 * second, Last: 190 * second, Worker: 1, Started: 1}
	if diff := cmp.Diff(want, got.Starts); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	jobs := map[job.ID]JobCourse{
		1: {Start: 130 * second, End: 190 * second},
		2: {Start: 100 * second, End: 210 * second},
		3: {Start: 190 * second, End: 190 * second, Open: true},
	}
	if diff := cmp.Diff(jobs, got.Jobs, cmpopts.IgnoreMapEntries(func(id job.ID, _ JobCourse) bool { return id == 0 })); diff != "" {
		t.Errorf("jobs: -want +got\n%s", diff)
	}
	if got.Extent != Whole || got.Endless != 0 || got.Further != 1 {
		t.Errorf("extent %d, %d and %d without an end; want all of it, and job 3", got.Extent, got.Endless, got.Further)
	}
}

// TestUnknown: what waits for something of which nobody knows the end has no start.
func TestUnknown(t *testing.T) {
	c := &Cluster{
		Now: 1, Workers: []plan.Worker{worker(1, 2, 8)}, Runs: []Run{running(1, shape(2, 0), 0)},
		Waiting: []plan.Ready{ready(1, shape(1, 0), second, 1)},
	}
	got := c.Forecast(nil)
	if len(got.Starts) != 0 || got.Extent != Whole || got.Endless != 1 {
		t.Errorf("%+v; want no start, for one attempt without an end", got)
	}
}

// TestOverrun: what has outlived its prediction takes what it may.
func TestOverrun(t *testing.T) {
	late := running(1, shape(2, 0), 50*second)
	late.Attempt.Limit = 200 * second
	c := &Cluster{
		Now: 100 * second, Workers: []plan.Worker{worker(1, 2, 8)}, Runs: []Run{late},
		Waiting: []plan.Ready{ready(1, shape(1, 0), second, 1)},
	}
	if got := c.Forecast(nil).Starts[plan.GroupID{Job: 1}]; got.First != 200*second {
		t.Errorf("it starts at %d; want the limit of what runs, 200 s", got.First)
	}
}

func TestWhatIf(t *testing.T) {
	c := &Cluster{
		Now: 100 * second, Workers: []plan.Worker{worker(1, 2, 8)},
		Runs:    []Run{running(1, shape(1, 0), 110*second)},
		Waiting: []plan.Ready{ready(1, shape(2, 0), 10*second, 1), ready(2, shape(1, 0), 50*second, 1)},
	}
	group := func(task uint32, s plan.Shape, length int64) plan.Group {
		g := ready(9, s, length, 0).Group
		g.ID.Task, g.Score = task, 1
		return g
	}
	j := &Job{ID: 9, Tasks: []Task{
		{Name: "extract", Group: group(0, shape(1, 0), 30*second), Count: 1, Left: 1},
		{Name: "load", Group: group(1, shape(1, 0), 5*second), Count: 3, Left: 3, Needs: []Need{{Task: 0}}},
		{Name: "tidy", Group: group(2, shape(1, 0), 0), Count: 1, Left: 1, Needs: []Need{{Task: 0}, {Task: 1}}},
		{Name: "alarm", Group: group(3, shape(1, 0), 0), Count: 1, Left: 1, Needs: []Need{{Task: 1, Condition: job.OnFailed}}},
	}}
	got := c.WhatIf(j, c.Forecast(nil), nil)
	want := &Effect{
		Tasks: []TaskCourse{
			{Name: "extract", Started: 1, Count: 1, First: 100 * second, Last: 100 * second, Ends: 130 * second, Worker: "w1"},
			{Name: "load", Started: 3, Count: 3, First: 130 * second, Last: 135 * second, Ends: 140 * second, Worker: "w1"},
			{Name: "tidy", Started: 1, Count: 1, First: 140 * second, Last: 140 * second, Worker: "w1"},
			{Name: "alarm", Count: 1, Skipped: true},
		},
		Delays: []Delay{
			{Job: 1, From: 110 * second}, // the end of tidy is not known
			{Job: 2, From: 120 * second, To: 140 * second},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestWhatIfNever: what could never start is told what would let it.
func TestWhatIfNever(t *testing.T) {
	c := &Cluster{Now: second, Workers: []plan.Worker{worker(1, 2, 8)}}
	asked := ready(9, shape(4, 1), 10*second, 0).Group
	got := c.WhatIf(&Job{ID: 9, Tasks: []Task{{Name: "main", Group: asked, Count: 1, Left: 1}}}, c.Forecast(nil), nil)
	task := got.Tasks[0]
	if got.Verdict != Never || !task.Never || task.First != 0 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]Change{{Resource: "cpu", From: 4000, To: 2000}}, task.Changes); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestForecastOfAGang: all of it starts when the last of the places that it needs is free, and what
// needs it when all of it has ended.
func TestForecastOfAGang(t *testing.T) {
	c := &Cluster{
		Now: 100 * second, Workers: []plan.Worker{worker(1, 4, 8), worker(2, 4, 8), worker(3, 2, 8)},
		Runs: []Run{running(1, shape(3, 0), 130*second), running(2, shape(1, 0), 110*second)},
	}
	gang := ready(9, shape(2, 0), 10*second, 1).Group
	gang.Nodes = 3
	after := ready(9, shape(1, 0), 5*second, 1).Group
	after.ID.Task = 1
	asked := &Job{ID: 9, Tasks: []Task{
		{Name: "gang", Group: gang, Count: 3, Left: 3},
		{Name: "after", Group: after, Count: 1, Left: 1, Needs: []Need{{Task: 0, Condition: job.OnSucceeded}}},
	}}
	got := c.WhatIf(asked, c.Forecast(nil), nil)
	want := []TaskCourse{
		{
			Name: "gang", Started: 3, Count: 3, First: 130 * second, Last: 130 * second, Ends: 140 * second, Worker: "w1",
			Changes: []Change{{Resource: "cpu", From: 2000, To: 1000}},
		},
		{Name: "after", Started: 1, Count: 1, First: 140 * second, Last: 140 * second, Ends: 145 * second, Worker: "w1"},
	}
	want[0].Reasons = got.Tasks[0].Reasons
	if diff := cmp.Diff(want, got.Tasks); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got.Verdict != Waits || got.End != 145*second || len(want[0].Reasons) == 0 {
		t.Errorf("%+v", got)
	}
	gang.Nodes = 4
	asked.Tasks[0] = Task{Name: "gang", Group: gang, Count: 4, Left: 4}
	got = c.WhatIf(asked, c.Forecast(nil), nil)
	const never = "it could never start as the cluster is: task gang: it needs 4 workers at once; 3 could run it now"
	if text := got.Summary(c.Now); got.Verdict != Never || text != never {
		t.Errorf("%s\n%+v", text, got)
	}
}

// TestMore: where more waits than is looked at, what is expected is at the earliest.
func TestMore(t *testing.T) {
	c := &Cluster{
		Now: second, Workers: []plan.Worker{worker(1, 2, 8)}, Runs: []Run{running(1, shape(2, 0), 10*second)},
		Waiting: []plan.Ready{ready(1, shape(1, 0), second, 1)},
	}
	kinds := func(reasons []why.Reason) (out []string) {
		for _, r := range reasons {
			out = append(out, r.Kind)
		}
		return out
	}
	asked := Task{Name: "main", Group: ready(9, shape(1, 0), second, 0).Group, Count: 1, Left: 1}
	for more, want := range map[bool][2][]string{
		false: {{"expected"}, {"no_room", "turn"}},
		true:  {{"expected", "at_least"}, {"no_room", "turn", "at_least"}},
	} {
		c.More = more
		course := c.Forecast(nil)
		got := [2][]string{
			kinds(c.Moment().Expect(course, plan.GroupID{Job: 1}, 1).Reasons),
			kinds(c.WhatIf(&Job{ID: 9, Tasks: []Task{asked}}, course, nil).Tasks[0].Reasons),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with more: %v (-want +got)\n%s", more, diff)
		}
		effect, m := c.WhatIf(&Job{ID: 9, Tasks: []Task{asked}}, course, nil), c.Moment()
		if said := strings.HasSuffix(effect.Summary(c.Now), ", at the earliest"); said != more || effect.AtLeast != more {
			t.Errorf("with more: %v: %s", more, effect.Summary(c.Now))
		}
		if got := kinds(m.Beyond(plan.GroupID{Job: 8})); (len(got) > 0) != more || m.Beyond(plan.GroupID{Job: 1}) != nil {
			t.Errorf("with more: %v: of what is not looked at %v", more, got)
		}
		ahead := ", of job 1"
		if more {
			ahead = "more than 1 ready elements are ahead of it in order, first of job 1"
		}
		if got := effect.Tasks[0].Reasons[1].Text; !strings.HasSuffix(got, ahead) {
			t.Errorf("with more: %v: %s", more, got)
		}
	}
}

func TestChanges(t *testing.T) {
	labelled := worker(2, 8, 4)
	labelled.Labels = []string{"zone=a"}
	zone := shape(2, 1)
	zone.Where = "zone=b"
	c := &Cluster{
		Now: 100 * second, Workers: []plan.Worker{worker(1, 8, 8), labelled},
		Runs: []Run{running(1, shape(4, 2), 160*second)},
		Waiting: []plan.Ready{
			ready(1, shape(6, 7), 60*second, 1),
			ready(2, shape(1, 8), 0, 1),
			ready(3, zone, 0, 1),
			ready(4, shape(1, 2), 500*second, 1),
		},
	}
	for id, want := range map[job.ID][]Change{
		1: {{Resource: "memory", From: 7 << 30, To: 2 << 30}}, // on worker 2
		// What is free on worker 1 is kept for job 1, and nobody knows how long this one takes.
		2: {{Resource: "memory", From: 8 << 30, To: 2 << 30}},
		3: {{Label: "zone=b"}},
		4: nil, // it starts now, on worker 2
	} {
		if diff := cmp.Diff(want, c.Moment().Changes(plan.GroupID{Job: id}, false)); diff != "" {
			t.Errorf("job %d: -want +got\n%s", id, diff)
		}
	}
	c.Waiting = c.Waiting[1:2]
	want := []Change{{Resource: "memory", From: 8 << 30, To: 6 << 30}}
	if diff := cmp.Diff(want, c.Moment().Changes(plan.GroupID{Job: 2}, false)); diff != "" {
		t.Errorf("memory: -want +got\n%s", diff)
	}
}

// TestChangesOfEachWay: what can be served in several ways is told what would do for each of them.
func TestChangesOfEachWay(t *testing.T) {
	other := ready(1, shape(2, 16), 0, 1)
	other.Group.ID.Way = 1
	c := &Cluster{
		Now: 100 * second, Workers: []plan.Worker{worker(1, 8, 8)},
		Waiting: []plan.Ready{ready(1, shape(9, 4), 0, 1), other},
	}
	var got []string
	for _, change := range c.Moment().Changes(plan.GroupID{Job: 1}, false) {
		got = append(got, change.String())
	}
	want := []string{
		"with cpu=9,memory=4Gi: would start now with 8 cpu instead of 9",
		"with cpu=2,memory=16Gi: would start now with 8Gi of memory instead of 16Gi",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestShorterStartsNow: what ends before a kept place is needed starts at once.
func TestShorterStartsNow(t *testing.T) {
	c := &Cluster{
		Now: 100 * second, Workers: []plan.Worker{worker(1, 4, 8)}, Runs: []Run{running(1, shape(2, 0), 160*second)},
		Waiting: []plan.Ready{ready(1, shape(4, 0), 60*second, 1), ready(2, shape(1, 0), 0, 1)},
	}
	want := []Change{{Length: 57 * second}} // and time to submit it
	if diff := cmp.Diff(want, c.Moment().Changes(plan.GroupID{Job: 2}, false)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestForecastComesTrue: if everything lasts as long as it says and nothing is submitted, a
// forecast is what happens.
func TestForecastComesTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &Cluster{Now: 1000 * second}
		for id := range uint64(rapid.IntRange(1, 3).Draw(t, "workers")) {
			c.Workers = append(c.Workers, worker(id+1, rapid.Int64Range(1, 8).Draw(t, "cpu"), 8))
		}
		for id := range job.ID(rapid.IntRange(1, 12).Draw(t, "jobs")) {
			r := ready(id+1, shape(rapid.Int64Range(1, 8).Draw(t, "need"), 0), second*rapid.Int64Range(1, 90).Draw(t, "length"), rapid.Int64Range(1, 3).Draw(t, "n"))
			r.Group.Score = rapid.Int64Range(0, 1).Draw(t, "score")
			r.Group.Nodes = rapid.SampledFrom([]int{0, 0, 1, 2, 3}).Draw(t, "nodes")
			if r.Group.Nodes <= 1 {
				r.Group.Apart = rapid.SampledFrom([]plan.Company{{}, {}, {Key: "disk", By: job.AtWorker}, {Job: id + 1, By: job.AtWorker}}).Draw(t, "apart")
				r.Group.Spread = rapid.SampledFrom([]plan.Company{{}, {Key: "web", By: job.AtWorker}}).Draw(t, "spread")
			}
			c.Waiting = append(c.Waiting, r)
		}
		want := happens(c)
		got := map[plan.GroupID][]int64{}
		for id, s := range c.Forecast(nil).Starts {
			got[id] = []int64{s.First, s.Last}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-happened +forecast\n%s", diff)
		}
	})
}

// happens lets a plan place what waits, in steps of time.
func happens(c *Cluster) map[plan.GroupID][]int64 {
	type run struct {
		run  *plan.Run
		ends int64
	}
	x, out := plan.New(), map[plan.GroupID][]int64{}
	for _, w := range c.Workers {
		x.SetWorker(w)
	}
	left := map[plan.GroupID]plan.Ready{}
	for _, r := range c.Waiting {
		r.Group.NoPrefetch = true
		left[r.Group.ID] = r
		x.SetGroup(r.Group, r.N)
	}
	var runs []run
	for now := c.Now; now < c.Now+10_000*second; now += second {
		runs = slices.DeleteFunc(runs, func(r run) bool {
			if r.ends == now {
				x.Give(r.run, 0)
			}
			return r.ends == now
		})
		for {
			p, ok := x.Next(now)
			if !ok {
				break
			}
			r := left[p.Group]
			a := plan.Attempt{Shape: r.Group.Shape, Namespace: "default", Queue: "default", Ends: now + r.Group.Length, Limit: now + r.Group.Length, Apart: r.Group.Apart, Spread: r.Group.Spread}
			for _, worker := range p.All() {
				runs = append(runs, run{x.Take(worker, a, 0), a.Ends})
			}
			r.N--
			left[p.Group] = r
			x.SetReady(p.Group, r.N)
			if out[p.Group] == nil {
				out[p.Group] = []int64{now, now}
			}
			out[p.Group][1] = now
		}
	}
	return out
}

// TestReservedStartsLater: what a reservation keeps back is expected when it is over, and what it is for before.
func TestReservedStartsLater(t *testing.T) {
	w := plan.Worker{ID: 1, Name: "w1", Capacity: job.Resources{CPU: 1000, Memory: 1 << 30}, Slots: 1, Executors: []string{"process"}, Accepts: true}
	w.Reserved = []plan.Window{{Name: "r", From: 500, Until: 90_000, Lead: 1000, Namespace: "default", Queue: "night"}}
	group := func(id job.ID, queue string) plan.Ready {
		return plan.Ready{Group: plan.Group{
			ID: plan.GroupID{Job: id}, Namespace: "default", Queue: queue, Length: 10_000,
			Shape: plan.Shape{Resources: job.Resources{CPU: 1000}, Executor: "process"},
		}, N: 1}
	}
	c := &Cluster{Now: 1000, Workers: []plan.Worker{w}, Waiting: []plan.Ready{group(1, "default"), group(2, "night")}}
	got := c.Forecast(nil)
	if first, second := got.Starts[plan.GroupID{Job: 2}].First, got.Starts[plan.GroupID{Job: 1}].First; first != 1000 || second != 90_000 || got.Extent != Whole {
		t.Errorf("they start at %d and %d, want 1000 and 90000; extent %d", first, second, got.Extent)
	}
	if y := c.Moment().Why(plan.GroupID{Job: 1}); len(y.Reserved) != 1 || y.Reserved[0].Workers != 1 {
		t.Errorf("it waits for %+v", y)
	}
}

// TestShorterStartsBeforeReservation: what ends before its worker is reserved starts at once.
func TestShorterStartsBeforeReservation(t *testing.T) {
	w := worker(1, 4, 8)
	w.Reserved = []plan.Window{{Name: "r", From: 200 * second, Until: 400 * second, Lead: 300 * second, Namespace: "default", Queue: "night"}}
	for length, want := range map[int64][]Change{0: {{Length: 95 * second}}, 150 * second: {{Length: 95 * second}}} {
		c := &Cluster{Now: 100 * second, Workers: []plan.Worker{w}, Waiting: []plan.Ready{ready(1, shape(2, 0), length, 1)}}
		if diff := cmp.Diff(want, c.Moment().Changes(plan.GroupID{Job: 1}, false)); diff != "" {
			t.Errorf("of %d ms: -want +got\n%s", length, diff)
		}
	}
	c := &Cluster{Now: 250 * second, Workers: []plan.Worker{w}, Waiting: []plan.Ready{ready(1, shape(2, 0), 0, 1)}}
	if got := c.Moment().Changes(plan.GroupID{Job: 1}, false); got != nil {
		t.Errorf("in the reservation: %v", got)
	}
}

// TestLastOfAnArray: the last of its elements is known to start, however many of them have begun since it was
// asked, and is not if some never start.
func TestLastOfAnArray(t *testing.T) {
	c := &Cluster{
		Now: 100 * second, Workers: []plan.Worker{worker(1, 2, 8)}, Runs: []Run{running(1, shape(2, 0), 110*second)},
		Waiting: []plan.Ready{ready(1, shape(1, 0), 10*second, 4)},
	}
	says := func() string {
		return c.Moment().Expect(c.Forecast(nil), plan.GroupID{Job: 1}, 6).Reasons[0].Text // two have begun
	}
	if got := says(); !strings.HasPrefix(got, "its elements are expected to start from 10s (") || !strings.Contains(got, " to 20s (") {
		t.Errorf("it says %q", got)
	}
	c.Waiting[0].Group.Length = 0
	if got := says(); !strings.HasSuffix(got, "; when the last does nobody knows") {
		t.Errorf("of unknown length: it says %q", got)
	}
}

// TestBehindWhatNeverStarts: in a queue in which nothing passes what comes first, nobody knows when the rest starts if that
// can't; in another queue it starts.
func TestBehindWhatNeverStarts(t *testing.T) {
	for backfill, want := range map[job.Backfill]string{
		job.BackfillNone: "nobody knows when it starts: its queue starts nothing before what comes first in it (backfill: none), and that can't start as things are",
		job.BackfillEasy: "it is expected to start now, on worker w1",
	} {
		c := &Cluster{
			Now: second, Workers: []plan.Worker{worker(1, 2, 8)},
			Waiting: []plan.Ready{ready(1, shape(1, 0), second, 1), ready(2, shape(1, 0), second, 1)},
		}
		c.Waiting[0].Group.Nodes = 2
		g := c.Waiting[0].Group
		c.Queues = []Queue{{Namespace: g.Namespace, Name: g.Queue, Policy: job.QueuePolicy{Backfill: backfill}}}
		reasons := c.Moment().Expect(c.Forecast(nil), plan.GroupID{Job: 2}, 1).Reasons
		if len(reasons) != 1 || reasons[0].Text != want {
			t.Errorf("%v: %v; want %s", backfill, reasons, want)
		}
	}
}

// TestLateWithinAMinute: who is late by seconds is not told the same minute twice.
func TestLateWithinAMinute(t *testing.T) {
	const minute = 60 * second
	for late, want := range map[Late]string{
		{Deadline: 10 * minute, At: 10*minute + 5*second, Task: "main"}: "will miss its deadline 00:10:00 UTC by about 5s: task main is not expected to end before 00:10:05 UTC",
		{Deadline: 10 * minute, At: 12 * minute, Task: "main"}:          "will miss its deadline 00:10 UTC by about 2m: task main is not expected to end before 00:12 UTC",
	} {
		if got := late.String(minute); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

// TestForecastFollowsNear: a task is expected where the one is expected to have run that it is near, or
// is known to have, if there is room by then.
func TestForecastFollowsNear(t *testing.T) {
	workers := []plan.Worker{worker(1, 1, 8), worker(2, 2, 8), worker(3, 8, 8)}
	task := func(ti uint32, cpu int64) Task {
		g := ready(9, shape(cpu, 0), 10*second, 0).Group
		g.ID.Task = ti
		return Task{Name: fmt.Sprint(ti), Group: g, Count: 1, Left: 1}
	}
	tasks := []Task{task(0, 1), task(1, 1), task(2, 2), task(3, 1)}
	tasks[0].Group.Shape.Where = "small"
	workers[0].Labels = []string{"small=yes"}
	tasks[1].Needs, tasks[1].Near = []Need{{Task: 0}}, []int{0}
	tasks[2].Needs, tasks[2].Near = []Need{{Task: 1}}, []int{1} // it never fits there
	tasks[3].Needs, tasks[3].Near = []Need{{Task: 2}}, []int{1, 2}
	c := &Cluster{Now: 100 * second, Workers: workers}
	where := func() (out []string) {
		for _, task := range c.WhatIf(&Job{ID: 9, Tasks: tasks}, c.Forecast(nil), nil).Tasks {
			out = append(out, task.Worker)
		}
		return out
	}
	if diff := cmp.Diff([]string{"w1", "w1", "w2", "w1"}, where()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	tasks = tasks[:2]
	tasks[0].Left, tasks[0].State, tasks[0].Last = 0, job.Succeeded, 2
	if got := where()[1]; got != "w2" {
		t.Errorf("after it ran on w2: %s", got)
	}
}

// TestForecastOfPatience: what waits for a cheaper worker starts there if that is free in time, else on
// another at its latest start; one that is yet to become ready, or is asked about, does the same.
func TestForecastOfPatience(t *testing.T) {
	cheap, dear := worker(1, 2, 8), worker(2, 2, 8)
	cheap.Labels, dear.Labels = []string{"price=0.1"}, []string{"price=0.9"}
	thrifty := func(id job.ID, task uint32, way uint8) plan.Group {
		g := ready(id, shape(2, 0), 10*second, 0).Group
		g.ID.Task, g.ID.Way, g.Patient = task, way, true
		g.Prefer = plan.PreferOf([]job.Preference{{When: "cheapest", Weight: 1}})
		return g
	}
	for _, test := range []struct{ ends, until, first, worker int64 }{
		{130, 200, 130, 1}, {130, 120, 120, 2}, {130, 100, 100, 2}, {130, 90, 100, 2}, {0, 150, 150, 2},
	} {
		want := Start{First: test.first * second, Last: test.first * second, Ends: (test.first + 10) * second, Worker: uint64(test.worker), Started: 1}
		c := &Cluster{
			Now: 100 * second, Workers: []plan.Worker{cheap, dear}, Runs: []Run{running(1, shape(2, 0), test.ends*second)},
			Waiting:  []plan.Ready{{Group: thrifty(1, 0, 0), N: 1}, {Group: thrifty(1, 0, 1), N: 1}},
			Patience: []Patience{{Of: plan.GroupID{Job: 1}, Until: test.until * second}},
		}
		if diff := cmp.Diff(want, c.Forecast(nil).Starts[plan.GroupID{Job: 1}]); diff != "" {
			t.Errorf("%+v: -want +got\n%s", test, diff)
		}
		if now, want := c.Moment().Waits(plan.GroupID{Job: 1}), test.first > 100; now != want {
			t.Errorf("%+v: it waits now: %v", test, now)
		}
		c.Waiting, c.Patience = nil, nil
		asked := Task{Name: "main", Group: thrifty(9, 0, 0), Patience: test.until * second, Count: 1, Left: 1}
		after := Task{Name: "after", Group: thrifty(9, 1, 0), Patience: (test.first + 50) * second, Count: 1, Left: 1, Needs: []Need{{Task: 0, Condition: job.OnSucceeded}}}
		got := c.WhatIf(&Job{ID: 9, Tasks: []Task{asked, after}}, c.Forecast(nil), nil)
		on := fmt.Sprint("w", test.worker)
		if main := got.Tasks[0]; main.First != want.First || main.Worker != on || (got.Verdict == Waits) != (test.first > 100) {
			t.Errorf("%+v: asked: %+v", test, main)
		}
		// What follows has the cheap worker when that is free, if it is in time.
		next := max(test.first+10, test.ends)
		if test.ends == 0 {
			next = test.first + 50
		}
		if got := got.Tasks[1].First / second; got != next {
			t.Errorf("%+v: what follows starts at %d, want %d", test, got, next)
		}
	}
}
