package sim_test

import (
	"errors"
	"flag"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/sim"
)

// budget is how many seeds every test run tries, and from which on: enough for everything to
// happen.
const (
	budget = 30
	from   = 131
)

var (
	seeds = flag.Int("sim.seeds", budget, "how many seeds to run")
	first = flag.Uint64("sim.from", from, "the first of them")
	seed  = flag.Uint64("sim.seed", 0, "replay this seed alone; with -v its whole trace is printed")
)

// TestSeeds runs clusters under faults. What it finds it prints with the seed and the
// trace that led to it.
func TestSeeds(t *testing.T) {
	t.Parallel()
	if *seed != 0 {
		res, err := sim.Run(sim.Options{Seed: *seed, Verbose: func(line string) { t.Log(line) }})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", res)
		if res.Void != nil {
			t.Errorf("the run is void: %v", res.Void)
		}
		return
	}
	all, void := sim.Tally{}, 0
	const progress = 500
	for i := range uint64(*seeds) {
		if i > 0 && i%progress == 0 {
			t.Logf("%d seeds so far", i)
		}
		res, err := sim.Run(sim.Options{Seed: *first + i})
		if err != nil {
			t.Error(err)
			continue
		}
		if res.Void != nil {
			t.Logf("seed %d is void: it claims faults that did not come about, or did hardly anything: %v", *first+i, res.Void)
			void++
			continue
		}
		all.Add(res.Tally)
	}
	t.Logf("%d seeds, %d of them void: %v", *seeds, void, all)
	if void > *seeds/10 {
		t.Errorf("%d of %d runs are void", void, *seeds)
	}
	if *seeds < budget {
		return
	}
	if idle := all.Idle(); len(idle) > 0 {
		t.Errorf("nothing was seen of %v: the runs prove nothing about it", idle)
	}
}

// TestSameSeedSameRun holds the simulator to its first promise.
func TestSameSeedSameRun(t *testing.T) {
	t.Parallel()
	several, alone := 0, 0
	for s := range uint64(4) {
		a, errA := sim.Run(sim.Options{Seed: 100 + s})
		b, errB := sim.Run(sim.Options{Seed: 100 + s})
		if a.Trace != b.Trace || a.Events != b.Events || (errA == nil) != (errB == nil) {
			t.Errorf("seed %d ran as %+v (%v) and as %+v (%v)", 100+s, a, errA, b, errB)
		}
		if a.Tally["lease is won"] > 0 {
			several++
		} else {
			alone++
		}
	}
	if several == 0 || alone == 0 {
		t.Errorf("%d runs with several servers and %d with one; want both", several, alone)
	}
}

// TestTheJudgeSeesEveryBug makes the world break each promise, which the judge must
// see: within a few seeds, since not every run comes to what the bug is about.
func TestTheJudgeSeesEveryBug(t *testing.T) {
	t.Parallel()
	const most = 120
	proven := map[sim.Promise]bool{sim.NoPanic: true} // the testing package proves that one
	for _, c := range sim.Bugs() {
		t.Run(string(c.Bug), func(t *testing.T) {
			t.Parallel()
			for s := range uint64(most) {
				_, err := sim.Run(sim.Options{Seed: 1 + s, Bug: c.Bug})
				v, ok := errors.AsType[*sim.BrokenError](err)
				switch {
				case ok && v.Promise == c.Breaks:
					return
				case ok && !c.Also[v.Promise]:
					t.Fatalf("seed %d: want %q to be broken: %v", 1+s, c.Breaks, err)
				}
			}
			t.Errorf("%d seeds, and nobody saw that it breaks %q", most, c.Breaks)
		})
		proven[c.Breaks] = true
	}
	for _, p := range sim.Promises() {
		if !proven[p] {
			t.Errorf("no bug proves that %q is judged", p)
		}
	}
}
