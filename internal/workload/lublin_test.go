package workload

import (
	"math"
	"math/bits"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGammaBelow(t *testing.T) {
	for _, c := range []struct{ shape, x, want float64 }{
		{1, 1, 1 - 1/math.E}, // exponential
		{0.5, 0.5, math.Erf(math.Sqrt(0.5))},
		{3, 2, 1 - math.Exp(-2)*(1+2+2)}, // Erlang
		{8, 40, 1}, {8, 0, 0}, {8, -1, 0},
	} {
		if got := gammaBelow(c.shape, c.x); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("gammaBelow(%g, %g) = %.12f, want %.12f", c.shape, c.x, got, c.want)
		}
	}
}

func TestDayShares(t *testing.T) {
	day := dayShares()
	sum, peak := 0.0, 0
	for i, s := range day {
		sum += s
		if s > day[peak] {
			peak = i
		}
	}
	if math.Abs(sum-buckets) > 1e-9 {
		t.Errorf("the shares of a day come to %f, want %d", sum, buckets)
	}
	if hour := float64(peak) / 2; hour < 12 || hour > 16 {
		t.Errorf("most jobs come at %g o'clock, want the early afternoon", hour)
	}
	if night := day[8]; night > 0.35 { // 4 o'clock
		t.Errorf("at 4 o'clock come %.2f of the mean, want few", night)
	}
}

// TestModel compares what is drawn with the distributions that the model names.
func TestModel(t *testing.T) {
	m := Model{Jobs: 50_000, Procs: 256, Seed: 7}
	trace := m.Trace()
	serial, powers, small, large := 0, 0, 0.0, 0.0
	smallN, largeN := 0, 0
	for i := range trace.Jobs {
		j := &trace.Jobs[i]
		if j.Procs < 1 || j.Procs > 256 || j.Run < 1000 || j.Run > int64(math.Exp(maxLogRun)*1000) || j.Request != j.Run || j.Number != int64(i+1) {
			t.Fatalf("job %d is %+v", i, j)
		}
		if i > 0 && j.Submit < trace.Jobs[i-1].Submit {
			t.Fatalf("job %d comes before the one before it", i)
		}
		switch {
		case j.Procs == 1:
			serial++
		case bits.OnesCount64(uint64(j.Procs)) == 1:
			powers++
		}
		if j.Procs <= 4 {
			small += math.Log(float64(j.Run) / 1000)
			smallN++
		} else if j.Procs >= 100 {
			large += math.Log(float64(j.Run) / 1000)
			largeN++
		}
	}
	n := float64(m.Jobs)
	if share := float64(serial) / n; math.Abs(share-serialShare) > 0.01 {
		t.Errorf("%.3f of the jobs have one processor, want %.3f", share, serialShare)
	}
	if share := float64(powers) / n; share < powerShare || share > powerShare+0.06 { // and some by chance
		t.Errorf("%.3f of the jobs have another power of two, want a little above %.3f", share, powerShare)
	}
	if s, l := small/float64(smallN), large/float64(largeN); l < s+1.5 {
		t.Errorf("the logarithm of the run time is %.2f in the mean of small jobs and %.2f of large ones; want these longer", s, l)
	}
	if diff := cmp.Diff(trace, m.Trace()); diff != "" {
		t.Error("the same model makes other jobs the second time")
	}
	m.Seed++
	if cmp.Equal(trace, m.Trace()) {
		t.Error("another seed makes the same jobs")
	}
}

func TestModelOfUsers(t *testing.T) {
	m := Model{Jobs: 20_000, Procs: 64, Seed: 3, Load: 800, Users: 20, Repeat: 5, Overestimate: 400}
	trace := m.Trace()
	if got := trace.Load(64); got < 790 || got > 810 {
		t.Errorf("the load is %d thousandths, want 800", got)
	}
	last := map[string]*Job{}
	alike, jobs := 0, map[string]int{}
	for i := range trace.Jobs {
		j := &trace.Jobs[i]
		if j.User == "" || j.Request < j.Run || j.Request > 5*j.Run+60_000 || j.Request%60_000 != 0 {
			t.Fatalf("job %d is %+v", i, j)
		}
		if l := last[j.User]; l != nil && l.Procs == j.Procs && math.Abs(math.Log(float64(l.Run)/float64(j.Run))) < 1 {
			alike++
		}
		last[j.User] = j
		jobs[j.User]++
	}
	if share := float64(alike) / float64(m.Jobs); share < 0.7 || share > 0.95 {
		t.Errorf("%.2f of the jobs are like their user's last, want about 5 of 6", share)
	}
	if len(jobs) != 20 || jobs["1"] < 5*jobs["20"] {
		t.Errorf("user 1 has %d jobs and user 20 has %d of %d users; want Zipf's law", jobs["1"], jobs["20"], len(jobs))
	}
}

func TestModelCheck(t *testing.T) {
	for _, c := range []struct {
		m    Model
		want string
	}{
		{Model{Procs: 1}, "0 jobs: want 1 to 20000000"},
		{Model{Jobs: 1}, "0 processors: want 1 to 1073741824"},
		{Model{Jobs: 1, Procs: 1, Load: -1}, "a load of -0.001: want 0.001 to 100"},
		{Model{Jobs: 1, Procs: 1, Users: -1}, "-1 users: want 0 to 20000000"},
		{Model{Jobs: 1, Procs: 1, Users: 1, Repeat: 1001}, "1001 repetitions: want 0 to 1000"},
		{Model{Jobs: 1, Procs: 1, Repeat: 2}, "2 repetitions without users: nobody is there to repeat"},
		{Model{Jobs: 1, Procs: 1, Overestimate: 100_001}, "an overestimate of 1000.01: want 0 to 1000"},
	} {
		if err := c.m.Check(); err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v, want %s", c.m, err, c.want)
		}
	}
	if err := (&Model{Jobs: 1, Procs: 1}).Check(); err != nil {
		t.Error(err)
	}
	if got := (&Model{Jobs: 3, Procs: 1, Seed: 1}).Trace(); got.Jobs[2].Procs != 1 {
		t.Errorf("a job of %d processors on a machine of one", got.Jobs[2].Procs)
	}
}

func TestWindow(t *testing.T) {
	trace := (&Model{Jobs: 10, Procs: 4, Seed: 1}).Trace()
	for _, c := range []struct{ at, n, first, want int }{{0, 3, 1, 3}, {8, 5, 9, 2}, {-1, 2, 1, 2}} {
		if w := trace.Window(c.at, c.n); len(w.Jobs) != c.want || w.Jobs[0].Number != int64(c.first) || w.Procs != 4 {
			t.Errorf("window %d, %d: %d jobs from %d on", c.at, c.n, len(w.Jobs), w.Jobs[0].Number)
		}
	}
	if w := trace.Window(10, 5); len(w.Jobs) != 0 {
		t.Errorf("a window after the end has %d jobs", len(w.Jobs))
	}
}
