package plan

import (
	"fmt"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// site is a worker: what it has in places, its zone, and its disk.
type site struct {
	slots      int
	zone, disk string
}

func district(list ...site) *Index {
	x := New()
	for i, of := range list {
		w := host(uint64(i+1), of.slots)
		w.Labels = []string{"disk=" + of.disk, "zone=" + of.zone}
		x.SetWorker(w)
	}
	return x
}

// zoned places n elements of job 1, which are spread over zones, and says on which workers.
func zoned(x *Index, g Group, n int) (on []uint64) {
	for range n {
		p, ok := x.Next(5)
		if !ok || p.Group != g.ID {
			break
		}
		x.Take(p.Worker, Attempt{Shape: g.Shape, Namespace: g.Namespace, Queue: g.Queue, Apart: g.Apart, Spread: g.Spread}, 0)
		on = append(on, p.Worker)
	}
	return on
}

// TestTheLeastIsLearnedAgain: how few there are at least near to any worker with room is remembered, and
// no longer when a worker has room that had none, when one goes with what ran there, when what others were to be
// apart from has gone, and when a group may go where one before it might not.
func TestTheLeastIsLearnedAgain(t *testing.T) {
	outsider := Attempt{Shape: cpu1, Namespace: "default", Queue: "default"}
	spreads := func(x *Index) Group {
		g := group(task(1), cpu1)
		g.Spread = Company{Job: 1, By: "zone"}
		x.SetGroup(g, 100)
		return g
	}
	for name, run := range map[string]func(t *testing.T) (got, want string){
		"a worker has room": func(*testing.T) (string, string) {
			x := district(site{1, "a", ""}, site{9, "b", ""}, site{9, "b", ""})
			r := x.Take(1, outsider, 0)
			g := spreads(x)
			before := zoned(x, g, 4)
			x.Give(r, 0)
			return fmt.Sprint(before, zoned(x, g, 2)), "[2 3 2 3] [1 2]"
		},
		"more than are remembered have room": func(*testing.T) (string, string) {
			x := district(site{1, "a", ""}, site{9, "b", ""}, site{9, "b", ""})
			r := x.Take(1, outsider, 0)
			g := spreads(x)
			before := zoned(x, g, 4)
			x.Give(r, 0)
			for range 2 * maxArrivals {
				x.Give(x.Take(3, outsider, 0), 0)
			}
			return fmt.Sprint(before, zoned(x, g, 2)), "[2 3 2 3] [1 2]"
		},
		"a worker goes": func(*testing.T) (string, string) {
			x := district(site{2, "a", ""}, site{9, "b", ""}, site{9, "b", ""}, site{1, "a", ""})
			g := spreads(x)
			before := zoned(x, g, 4)
			x.RemoveWorker(1)
			return fmt.Sprint(before, zoned(x, g, 2)), "[2 1 3 1] [4 2]"
		},
		"what they are apart from goes": func(*testing.T) (string, string) {
			x := district(site{9, "a", "x"}, site{9, "b", "y"}, site{9, "b", "z"}, site{9, "b", "w"}, site{1, "a", "x"})
			g := spreads(x)
			g.Apart = Company{Space: "default", Key: "k", By: "disk"}
			x.SetGroup(g, 100)
			other := outsider
			other.Apart = g.Apart
			x.Take(1, other, 0)
			before := zoned(x, g, 2)
			x.RemoveWorker(1)
			return fmt.Sprint(before, zoned(x, g, 1)), "[2 3] [5]"
		},
		"a shorter one comes": func(*testing.T) (string, string) {
			x := district(site{2, "a", ""}, site{9, "b", ""}, site{9, "b", ""})
			w := x.Worker(1)
			w.Reserved = []Window{{Name: "r", From: 990_000, Until: 2_000_000}}
			x.SetWorker(w)
			g := spreads(x)
			g.Length, g.Score = 1_000_000, 1 // it would be in the window
			x.SetGroup(g, 100)
			before := zoned(x, g, 2)
			x.SetReady(g.ID, 0)
			g.ID.Larger, g.Length = true, 900_000
			x.SetGroup(g, 100)
			return fmt.Sprint(before, zoned(x, g, 2)), "[2 3] [1 1]"
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got, want := run(t); got != want {
				t.Errorf("they go to %s, want %s", got, want)
			}
		})
	}
}

// TestFewAreAsked: where many workers have room, few are looked at for each of those that look at their like, and who
// asks within bounds goes on where it was.
func TestFewAreAsked(t *testing.T) {
	const workers, zones, n = 3000, 3, 60
	x := New()
	for i := range workers {
		w := host(uint64(i+1), 4)
		w.Prefetch, w.Labels = 0, []string{fmt.Sprint("zone=", i%zones)}
		x.SetWorker(w)
	}
	total := 0
	place := func(id job.ID, apart, spread string) (most int) {
		g := group(task(id), cpu1)
		if apart != "" {
			g.Apart = Company{Job: id, By: apart}
		}
		if spread != "" {
			g.Spread = Company{Job: id, By: spread}
		}
		x.SetGroup(g, n)
		for left := int64(n - 1); left >= 0; left-- {
			budget := workers * 10
			p, ok := x.NextWithin(1, &budget)
			if !ok {
				t.Fatalf("%d of job %d were not placed", left, id)
			}
			x.Take(p.Worker, Attempt{Shape: cpu1, Namespace: "default", Queue: "default", Apart: g.Apart, Spread: g.Spread}, 0)
			x.SetReady(p.Group, left)
			total += workers*10 - budget
			most = max(most, workers*10-budget)
		}
		return most
	}
	place(1, job.AtWorker, "")
	place(2, "", "zone")
	place(3, job.AtWorker, "zone")
	if limit := 3*n*maxMisses/8 + 2*workers + 1000; total > limit {
		t.Errorf("%d workers were asked for %d placements, want at most %d", total, 3*n, limit)
	}
}

// TestAskingGoesOn: who asks about so many workers at a time gets to the end, and to the same.
func TestAskingGoesOn(t *testing.T) {
	const workers, jobs = 200, 10
	x := New()
	for id := uint64(1); id <= workers; id++ {
		x.SetWorker(host(id, 2*jobs))
		for of := range job.ID(jobs) { // each of them is everywhere but on the last worker
			if id < workers || of < jobs-1 {
				x.Take(id, Attempt{Shape: cpu1, Namespace: "default", Queue: "default", Apart: Company{Job: of, By: job.AtWorker}}, 0)
			}
		}
	}
	for of := range job.ID(jobs) {
		g := group(task(of), cpu1)
		g.Apart = Company{Job: of, By: job.AtWorker}
		x.SetGroup(g, 1)
	}
	calls, placed := 1, 0
	for ; ; calls++ {
		budget := 2 * workers
		p, ok := x.NextWithin(1, &budget)
		if ok {
			if p.Worker != workers || p.Group != task(jobs-1) {
				t.Fatalf("%+v has no place", p)
			}
			placed++
			x.SetReady(p.Group, 0)
		} else if budget > 0 {
			break
		}
	}
	if placed != 1 || calls < jobs/2 || calls > 2*jobs {
		t.Errorf("%d were placed in %d calls", placed, calls)
	}
}

// TestCharts: workers that come to another profile, or leave one, stay where they are on charts, and a label
// that nobody looks at any more makes room for another.
func TestCharts(t *testing.T) {
	x := New()
	for id := uint64(1); id <= 7; id++ {
		w := host(id, 10-int(id))
		w.Labels = []string{fmt.Sprint("disk=", id%2)}
		if id <= 4 {
			w.Labels = append(w.Labels, "gpu=a")
		}
		x.SetWorker(w)
	}
	where := func(what string) Shape { return Shape{Executor: "process", Where: what} }
	for i, s := range []Shape{where("gpu"), where("disk=1"), where(""), where("disk=0")} {
		g := group(task(job.ID(i+1)), s)
		g.Spread = Company{Job: job.ID(i + 1), By: "disk"}
		x.SetGroup(g, 2)
		var on []uint64
		for range 2 {
			p, _ := x.Next(0)
			x.Take(p.Worker, Attempt{Shape: s, Namespace: "default", Queue: "default", Spread: g.Spread}, 0)
			on = append(on, p.Worker)
		}
		x.SetReady(g.ID, 0)
		if got, want := fmt.Sprint(on), []string{"[1 2]", "[1 1]", "[2 3]", "[2 4]"}[i]; got != want {
			t.Errorf("those of shape %+v go to %s, want %s", s, got, want)
		}
	}
	for i := range job.ID(3 * maxCharts) {
		x.sweepAt = 0
		g := group(task(100+i), cpu1)
		g.Spread = Company{Job: 100 + i, By: fmt.Sprint("label-", i)}
		x.SetGroup(g, 1)
		if m := x.companies[sideSpread][g.Spread]; m == nil || m.chart == nil || len(x.charts) > maxCharts {
			t.Fatalf("the company of job %d is %+v, and there are %d charts", 100+i, m, len(x.charts))
		}
		x.SetReady(g.ID, 0)
	}
}
