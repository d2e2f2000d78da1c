package classic

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
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
