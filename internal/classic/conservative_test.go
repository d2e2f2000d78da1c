package classic

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/workload"
)

// used is how many processors are spoken for at a moment, by what runs and by what the
// scheduler has promised to those that wait, but for one.
func (b *bench) used(at int64, but int) (n int64) {
	for i := range b.next {
		from := b.start[i]
		if b.end[i] >= 0 || i == but {
			continue
		}
		if from < 0 {
			from = b.s.reserve.start[i]
		}
		if from <= at && at < from+b.estimate(i) {
			n += b.jobs[i].Procs
		}
	}
	return n
}

// hole is the first second from now on in which a job fits for as long as it may run.
func (b *bench) hole(i int) int64 {
	for from := b.now; ; from += 1000 {
		fits := true
		for at := from; fits && at < from+b.estimate(i); at += 1000 {
			fits = b.used(at, i)+b.jobs[i].Procs <= int64(b.procs)
		}
		if fits {
			return from
		}
	}
}

// TestConservativeDelaysNobody: each job is promised the first hole as it comes, and
// starts no later than that, whatever comes and ends after it.
func TestConservativeDelaysNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		procs := rapid.IntRange(1, 12).Draw(t, "machine")
		p := Policy{Backfill: Conservative, Estimate: rapid.SampledFrom([]Estimate{Requested, Actual}).Draw(t, "estimate")}
		b := newBench(t, p, drawJobs(t, procs), procs)
		promised := make([]int64, len(b.jobs))
		b.arrived = func(i int) {
			promised[i] = b.s.reserve.start[i]
			if want := b.hole(i); promised[i] != want {
				t.Fatalf("job %d came at %d and was promised %d; the first hole is at %d", i, b.now, promised[i], want)
			}
		}
		b.decided = func([]int) {
			for i := range b.next {
				switch now := b.s.reserve.start[i]; {
				case b.start[i] >= 0 && b.start[i] > promised[i], b.start[i] < 0 && now > promised[i]:
					t.Fatalf("job %d was promised %d; at %d it is to start at %d, or started at %d", i, promised[i], b.now, now, b.start[i])
				case b.start[i] < 0:
					promised[i] = now
				}
			}
			for at := b.now; at < b.now+100_000; at += 1000 {
				if n := b.used(at, none); n > int64(procs) {
					t.Fatalf("at %d, %d of %d processors are promised for %d", b.now, n, procs, at)
				}
			}
		}
		b.run()
	})
}

// TestConservativeOfThoseWhoKnow: where run times are known, what comes later changes
// nothing for those before it.
func TestConservativeOfThoseWhoKnow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		procs := rapid.IntRange(1, 12).Draw(t, "machine")
		jobs := drawJobs(t, procs)
		p := Policy{Backfill: Conservative, Estimate: Actual}
		all := newBench(t, p, jobs, procs)
		all.run()
		k := rapid.IntRange(1, len(jobs)).Draw(t, "k")
		some := newBench(t, p, jobs[:k], procs)
		some.run()
		if !slices.Equal(some.start, all.start[:k]) {
			t.Fatalf("the first %d start at %v, and with more after them at %v", k, some.start, all.start[:k])
		}
	})
}

// TestEasyKeepsTheHeadsReservation: who has become the head of a queue in order of
// arrival starts no later than was reserved then.
func TestEasyKeepsTheHeadsReservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		procs := rapid.IntRange(1, 12).Draw(t, "machine")
		p := Policy{Backfill: Easy, By: rapid.SampledFrom([]Order{FCFS, SJF, SAF}).Draw(t, "by"), Keep: rapid.Bool().Draw(t, "keep")}
		b := newBench(t, p, drawJobs(t, procs), procs)
		reserved := map[int]int64{}
		b.decided = func(started []int) {
			for _, i := range started {
				if at, ok := reserved[i]; ok && b.now > at {
					t.Fatalf("job %d had %d reserved and started at %d", i, at, b.now)
				}
			}
			if queue := b.waiting(came); len(queue) > 0 {
				if _, ok := reserved[queue[0]]; !ok {
					reserved[queue[0]] = earliest(b.processors(), b.jobs[queue[0]].Procs)
				}
			}
		}
		b.run()
	})
}

// TestEveryPolicyRunsEverything, on processors that there are, with predictions too that
// jobs outlive.
func TestEveryPolicyRunsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		procs := rapid.IntRange(1, 12).Draw(t, "machine")
		p := Policy{
			Order: Order(rapid.IntRange(0, int(orders)-1).Draw(t, "order")), Backfill: Backfill(rapid.IntRange(0, 3).Draw(t, "backfill")),
			By: Order(rapid.IntRange(0, int(orders)-1).Draw(t, "by")), Estimate: Estimate(rapid.IntRange(0, 3).Draw(t, "estimate")),
			Correct: Correction(rapid.IntRange(0, 2).Draw(t, "correct")), Keep: rapid.Bool().Draw(t, "keep"), Anew: rapid.Bool().Draw(t, "anew"), Events: Events(rapid.IntRange(0, 1).Draw(t, "events")),
		}
		if p.check() != nil {
			t.Skip("what does not go together")
		}
		newBench(t, p, drawJobs(t, procs), procs).run()
	})
}

// plain is conservative backfilling on a machine of which every second is looked at.
type plain struct {
	b *bench
	// start is by job when it is to start, or has.
	start   []int64
	waiting []int
	order   func(i, j int) int
	// used is by second how many processors are spoken for.
	used []int64
}

func (p *plain) take(i int, from, sign int64) {
	for at := from; at < from+p.b.estimate(i); at += 1000 {
		p.used[at/1000] += sign * p.b.jobs[i].Procs
	}
}

// hold takes the first hole from a moment on.
func (p *plain) hold(i int, now int64) {
	fits := func(from int64) bool {
		for at := from; at < from+p.b.estimate(i); at += 1000 {
			if p.used[at/1000]+p.b.jobs[i].Procs > int64(p.b.procs) {
				return false
			}
		}
		return true
	}
	for p.start[i] = now; !fits(p.start[i]); p.start[i] += 1000 {
	}
	p.take(i, p.start[i], 1)
}

// end gives back what a job does not need, and lets all that wait move in turn until
// nobody can.
func (p *plain) end(i int, now int64) {
	for at := now; at < p.start[i]+p.b.estimate(i); at += 1000 {
		p.used[at/1000] -= p.b.jobs[i].Procs
	}
	for moved := true; moved; {
		moved = false
		for _, w := range p.waiting {
			was := p.start[w]
			p.take(w, was, -1)
			p.hold(w, now)
			moved = moved || p.start[w] < was
		}
	}
}

// run is when each job starts.
func (p *plain) run() []int64 {
	for now := int64(0); now < int64(len(p.used))*1000; now += 1000 {
		for i := range p.b.jobs {
			if p.start[i] >= 0 && !slices.Contains(p.waiting, i) && p.start[i]+p.b.jobs[i].Run == now && p.b.estimate(i) > p.b.jobs[i].Run {
				p.end(i, now)
			}
		}
		for i := range p.b.jobs {
			if p.b.jobs[i].Submit == now {
				p.hold(i, now)
				p.waiting = append(p.waiting, i)
				slices.SortStableFunc(p.waiting, p.order)
			}
		}
		p.waiting = slices.DeleteFunc(p.waiting, func(i int) bool { return p.start[i] == now })
	}
	return p.start
}

// crowd is many jobs that come at about the same time, most of them asking for more time
// than they need: much moves.
func crowd(seed uint64, procs int) []workload.Job {
	chance := rand.New(rand.NewPCG(seed, 0))
	jobs := make([]workload.Job, 60)
	at := int64(1000)
	for i := range jobs {
		at += chance.Int64N(5) * 1000
		run := 1 + chance.Int64N(12)
		jobs[i] = workload.Job{Number: int64(i + 1), Submit: at, Run: run * 1000, Request: (run + chance.Int64N(20)) * 1000, Procs: 1 + chance.Int64N(int64(procs))}
	}
	return jobs
}

// TestConservativeIsWhatItsDefinitionSays, with every job looked at whenever anything
// ends, and in other orders too.
func TestConservativeIsWhatItsDefinitionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		procs := rapid.IntRange(1, 12).Draw(t, "machine")
		p := Policy{Backfill: Conservative, Order: rapid.SampledFrom([]Order{FCFS, SJF}).Draw(t, "order"),
			Estimate: rapid.SampledFrom([]Estimate{Requested, Actual}).Draw(t, "estimate")}
		b := newBench(t, p, crowd(rapid.Uint64().Draw(t, "seed"), procs), procs)
		b.run()
		naive := plain{b: b, start: make([]int64, len(b.jobs)), order: came, used: make([]int64, 4000)}
		if p.Order == SJF {
			naive.order = b.shorter
		}
		for i := range naive.start {
			naive.start[i] = -1
		}
		if want := naive.run(); !slices.Equal(b.start, want) {
			t.Fatalf("%s starts at\n%v, want\n%v", p, b.start, want)
		}
	})
}

// TestProfile compares a profile of many steps with one that is kept by the second.
func TestProfile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const end = 2000
		p, free, now := newProfile(0, 100), make([]int64, end), int64(0)
		for at := range free {
			free[at] = 100
		}
		for range rapid.IntRange(1, 600).Draw(t, "changes") {
			from := rapid.Int64Range(now, end-1).Draw(t, "from")
			to := rapid.Int64Range(now, end-1).Draw(t, "to")
			n := rapid.Int64Range(-9, 9).Draw(t, "n")
			p.add(from, to, n)
			for at := from; at < to; at++ {
				free[at] += n
			}
			if rapid.IntRange(0, 20).Draw(t, "passes") == 0 {
				now = min(now+rapid.Int64Range(0, 50).Draw(t, "by"), end-1)
				p.forget(now)
			}
		}
		if now == end-1 {
			return
		}
		from, to, procs := rapid.Int64Range(now, end-2).Draw(t, "from"), end-1, rapid.Int64Range(50, 150).Draw(t, "procs")
		length := rapid.Int64Range(1, 100).Draw(t, "length")
		if got, want := p.most(from, int64(to)), slices.Max(free[from:to]); got != want {
			t.Fatalf("the most from %d on is %d, want %d", from, got, want)
		}
		want := int64(end)
		for at := from; at < want; at++ {
			if at+length < end && slices.Min(free[at:at+length]) >= procs {
				want = at
			}
		}
		if got := p.earliest(from, forever, length, forever, procs); want < end && got != want || want == end && got < end-length {
			t.Fatalf("%d processors are free for %d from %d on, want %d", procs, length, got, want)
		}
		for _, b := range p.blocks {
			if len(b.at) == 0 || len(b.at) > blockSteps || b.low != slices.Min(b.free)+b.more || b.high != slices.Max(b.free)+b.more {
				t.Fatalf("a block of %d steps has %d to %d: %+v", len(b.at), b.low, b.high, b)
			}
		}
	})
}
