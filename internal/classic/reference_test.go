package classic

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/workload"
)

// bench lets a scheduler run on a machine whose every processor is looked at: nothing
// here is shared with the code under test.
type bench struct {
	t     *rapid.T
	jobs  []workload.Job
	procs int
	s     *Scheduler
	now   int64
	next  int
	// start and end are by job, -1 until it has; free counts processors.
	start, end []int64
	free       int64
	// decided is called after each decision, with what started.
	decided func(started []int)
	// arrived is called after each arrival.
	arrived func(i int)
}

func newBench(t *rapid.T, p Policy, jobs []workload.Job, procs int) *bench {
	b := &bench{
		t: t, jobs: jobs, procs: procs, s: New(p, int64(procs), jobs), start: make([]int64, len(jobs)), end: make([]int64, len(jobs)),
		free: int64(procs), decided: func([]int) {}, arrived: func(int) {},
	}
	for i := range jobs {
		b.start[i], b.end[i] = -1, -1
	}
	return b
}

// run lets time pass, from one thing that happens to the next.
func (b *bench) run() {
	for steps := 0; ; steps++ {
		next := int64(-1)
		for i := range b.jobs {
			switch {
			case i >= b.next && (next < 0 || b.jobs[i].Submit < next):
				next = b.jobs[i].Submit
			case b.start[i] >= 0 && b.end[i] < 0 && (next < 0 || b.start[i]+b.jobs[i].Run < next):
				next = b.start[i] + b.jobs[i].Run
			}
		}
		if next < 0 {
			break
		}
		if steps > 10*len(b.jobs) {
			b.t.Fatalf("nothing comes of it: %v", b.start)
		}
		b.now = next
		for i := range b.jobs {
			if b.start[i] >= 0 && b.end[i] < 0 && b.start[i]+b.jobs[i].Run == b.now {
				b.end[i] = b.now
				b.free += b.jobs[i].Procs
				b.s.End(i, b.now)
			}
		}
		for b.next < len(b.jobs) && b.jobs[b.next].Submit == b.now {
			b.s.Arrive(b.next, b.now)
			b.next++
			b.arrived(b.next - 1)
		}
		b.decide()
	}
	for i := range b.jobs {
		if b.end[i] < 0 {
			b.t.Fatalf("job %d never ran; starts %v", i, b.start)
		}
	}
}

func (b *bench) decide() {
	var started []int
	for {
		i, ok := b.s.Next(b.now)
		if !ok {
			break
		}
		if again, ok := b.s.Next(b.now); !ok || again != i {
			b.t.Fatalf("at %d job %d was proposed, and then %d, %v", b.now, i, again, ok)
		}
		if b.start[i] >= 0 || i >= b.next {
			b.t.Fatalf("at %d job %d was proposed, which does not wait", b.now, i)
		}
		if b.free -= b.jobs[i].Procs; b.free < 0 {
			b.t.Fatalf("at %d job %d was proposed into %d processors too few", b.now, i, -b.free)
		}
		b.s.Start(i, b.now)
		b.start[i] = b.now
		started = append(started, i)
	}
	b.decided(started)
}

// drawJobs draws jobs of small numbers, so that much happens at the same moment.
func drawJobs(t *rapid.T, procs int) []workload.Job {
	n := rapid.IntRange(1, 40).Draw(t, "n")
	jobs := make([]workload.Job, n)
	at := int64(1000)
	exact := rapid.Bool().Draw(t, "exact")
	for i := range jobs {
		at += int64(rapid.IntRange(0, 6).Draw(t, "gap")) * 1000
		j := workload.Job{Number: int64(i + 1), Submit: at, Run: int64(rapid.IntRange(1, 20).Draw(t, "run")) * 1000,
			Procs: int64(rapid.IntRange(1, procs).Draw(t, "procs")), User: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "user")}
		j.Request = j.Run
		if !exact {
			j.Request += int64(rapid.IntRange(0, 20).Draw(t, "more")) * 1000
		}
		jobs[i] = j
	}
	return jobs
}

// processors is by processor when it is expected to be free, as the definitions of
// backfilling speak of it.
func (b *bench) processors() []int64 {
	until := make([]int64, 0, b.procs)
	for i := range b.jobs {
		if b.start[i] >= 0 && b.end[i] < 0 {
			for range b.jobs[i].Procs {
				until = append(until, b.start[i]+b.estimate(i))
			}
		}
	}
	for len(until) < b.procs {
		until = append(until, b.now)
	}
	slices.Sort(until)
	return until
}

func (b *bench) estimate(i int) int64 {
	if b.s.policy.Estimate == Actual {
		return b.jobs[i].Run
	}
	return b.jobs[i].Request
}

// waiting is who waits, in an order.
func (b *bench) waiting(less func(i, j int) int) (out []int) {
	for i := range b.next {
		if b.start[i] < 0 {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, less)
	return out
}

func came(i, j int) int { return i - j }

func (b *bench) shorter(i, j int) int {
	if d := b.estimate(i) - b.estimate(j); d != 0 {
		return int(d)
	}
	return i - j
}

// earliest is when a number of processors is expected to be free together.
func earliest(until []int64, procs int64) int64 { return until[procs-1] }

// easy is who starts now by the definition: heads as long as they fit; then, in order,
// each whose start leaves the head's earliest start where it is.
func (b *bench) easy(head, by func(i, j int) int) (out []int) {
	until := b.processors()
	free := b.free
	begin := func(i int) []int64 {
		after := slices.Clone(until)
		for k := range b.jobs[i].Procs { // on processors that are free now, which come first
			after[k] = b.now + b.estimate(i)
		}
		slices.Sort(after)
		return after
	}
	started := func(i int) { until, free, out = begin(i), free-b.jobs[i].Procs, append(out, i) }
	queue := b.waiting(head)
	for len(queue) > 0 && b.jobs[queue[0]].Procs <= free {
		started(queue[0])
		queue = queue[1:]
	}
	if len(queue) == 0 {
		return out
	}
	first := queue[0]
	reserved := earliest(until, b.jobs[first].Procs)
	for _, i := range b.waiting(by) {
		if i == first || slices.Contains(out, i) || b.jobs[i].Procs > free {
			continue
		}
		if earliest(begin(i), b.jobs[first].Procs) <= reserved {
			started(i)
		}
	}
	return out
}

// TestEasyIsWhatItsDefinitionSays compares each decision with one that is made by looking
// at every processor.
func TestEasyIsWhatItsDefinitionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		procs := rapid.IntRange(1, 12).Draw(t, "machine")
		p := Policy{Backfill: Easy, Order: rapid.SampledFrom([]Order{FCFS, SJF}).Draw(t, "order"),
			By: rapid.SampledFrom([]Order{FCFS, SJF}).Draw(t, "by"), Estimate: rapid.SampledFrom([]Estimate{Requested, Actual}).Draw(t, "estimate")}
		b := newBench(t, p, drawJobs(t, procs), procs)
		orders := map[Order]func(i, j int) int{FCFS: came, SJF: b.shorter}
		b.decided = func(got []int) {
			again := *b
			again.start = slices.Clone(b.start)
			for _, i := range got {
				again.start[i] = -1
				again.free += b.jobs[i].Procs
			}
			if want := again.easy(orders[p.Order], orders[p.By]); !slices.Equal(got, want) {
				t.Fatalf("at %d by %s started %v, want %v", b.now, p, got, want)
			}
		}
		b.run()
	})
}
