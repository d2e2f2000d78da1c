package simulate

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/classic"
	"github.com/reeve-scheduler/reeve/internal/outcome"
	"github.com/reeve-scheduler/reeve/internal/workload"
)

func policy(t testing.TB, text string) classic.Policy {
	t.Helper()
	p, err := classic.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// jobsOf makes jobs of submit, run, request and processors, times in seconds.
func jobsOf(rows ...[4]int64) *workload.Trace {
	t := &workload.Trace{}
	for i, r := range rows {
		t.Jobs = append(t.Jobs, workload.Job{Number: int64(i + 1), Submit: r[0] * 1000, Run: r[1] * 1000, Request: r[2] * 1000, Procs: r[3], User: "a"})
	}
	return t
}

// TestMachine follows small workloads on four processors, by hand.
func TestMachine(t *testing.T) {
	head := jobsOf([4]int64{0, 10, 10, 3}, [4]int64{1, 10, 10, 4}, [4]int64{2, 20, 20, 1}, [4]int64{3, 6, 6, 1}, [4]int64{4, 5, 5, 1})
	early := jobsOf([4]int64{0, 4, 10, 3}, [4]int64{1, 5, 5, 4}, [4]int64{2, 8, 8, 1}, [4]int64{2, 9, 9, 1})
	moment := jobsOf([4]int64{0, 2, 7, 4}, [4]int64{2, 1, 6, 2}, [4]int64{2, 4, 7, 3}, [4]int64{2, 1, 1, 4}, [4]int64{3, 3, 3, 2}, [4]int64{6, 3, 8, 1})
	learnt := jobsOf([4]int64{0, 2, 11, 3}, [4]int64{4, 5, 8, 2}, [4]int64{6, 3, 12, 3}, [4]int64{8, 8, 11, 4}, [4]int64{11, 4, 4, 1})
	for _, c := range []struct {
		trace  *workload.Trace
		policy string
		want   []int64 // seconds
	}{
		// The second blocks all behind it.
		{head, "fcfs", []int64{0, 10, 20, 20, 20}},
		// The fourth ends at 9 beside the first, and the fifth would at 14.
		{head, "easy", []int64{0, 10, 20, 3, 20}},
		// Of those that could pass the shortest is first: the fifth comes at 4, when the
		// fourth runs already.
		{head, "easy-sjbf", []int64{0, 10, 20, 3, 20}},
		{head, "conservative", []int64{0, 10, 20, 3, 20}},
		{head, "sjf", []int64{0, 14, 24, 3, 9}},
		// The first was to run until 10, and ends at 4: the third, which passed the second,
		// is in its way until 10.
		{early, "easy", []int64{0, 10, 2, 15}},
		{early, "easy,estimate=actual", []int64{0, 4, 9, 9}},
		{early, "conservative", []int64{0, 10, 2, 15}},
		{early, "fcfs", []int64{0, 4, 9, 9}},
		// The second ends at 3, before it was expected to, when the fifth comes. Seen together,
		// that leaves room for the third, which is first. One by one the fifth comes before, and
		// starts beside the second. At 6 it ends as it was expected to, and the sixth comes: for
		// pyss there is room then for the third, which leaves none for the sixth.
		{moment, "easy", []int64{0, 2, 3, 7, 8, 8}},
		{moment, "easy,events=each", []int64{0, 2, 6, 10, 3, 6}},
		{moment, "easy,events=pyss", []int64{0, 2, 6, 10, 3, 11}},
		// Nothing was known of the third as it came, and it asks for 12 s: the fifth may pass the
		// fourth. As it starts two have ended, by which it is to take 3 s: the fifth may not.
		{learnt, "easy++", []int64{0, 4, 9, 15, 11}},
		{learnt, "easy++,predict=anew", []int64{0, 4, 9, 12, 20}},
	} {
		start, err := Machine(c.trace, policy(t, c.policy), 4)
		if err != nil {
			t.Fatal(err)
		}
		for i := range start {
			start[i] /= 1000
		}
		if !slices.Equal(start, c.want) {
			t.Errorf("%s starts at %v, want %v", c.policy, start, c.want)
		}
	}
}

// TestKeptHead: by the rules of RLScheduler who is found to be first waits as the first,
// whoever comes, and arrivals of a moment are seen before its ends.
func TestKeptHead(t *testing.T) {
	trace := jobsOf([4]int64{0, 10, 10, 4}, [4]int64{1, 10, 10, 2}, [4]int64{2, 5, 5, 3}, [4]int64{10, 1, 1, 2})
	for _, c := range []struct {
		policy string
		want   []int64
	}{
		{"rlscheduler,order=sjf", []int64{0, 10_000, 20_000, 10_000}},
		{"sjf", []int64{0, 16_000, 11_000, 10_000}},
	} {
		start, err := Machine(trace, policy(t, c.policy), 4)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(start, c.want) {
			t.Errorf("%s starts at %v, want %v", c.policy, start, c.want)
		}
	}
}

func TestMachineRefuses(t *testing.T) {
	for _, row := range [][4]int64{{0, 1, 1, 5}, {0, 1, 1, 0}, {0, 0, 1, 1}, {0, 2, 1, 1}} {
		if _, err := Machine(jobsOf(row), policy(t, "easy"), 4); err == nil || !strings.HasPrefix(err.Error(), "job 1: ") {
			t.Errorf("%v on 4 processors: %v", row, err)
		}
	}
}

// TestEnds is the heap against sorting.
func TestEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h ends
		var want []end
		for i, at := range rapid.SliceOf(rapid.Int64Range(0, 9)).Draw(t, "at") {
			e := end{at: at, nth: int32(i)}
			h.push(e)
			want = append(want, e)
		}
		slices.SortFunc(want, func(a, b end) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		for _, w := range want {
			if got := h.pop(); got != w {
				t.Fatalf("%+v comes before %+v", got, w)
			}
		}
	})
}

// published reads a log that published results were made with, which is not ours to keep
// here: a variable names its place.
func published(t *testing.T, variable, what string) *workload.Trace {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Skipf("%s names no file: %s", variable, what)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log, err := workload.ReadSWF(f)
	if err != nil {
		t.Fatal(err)
	}
	trace, _ := log.Clean(workload.Rules{})
	return trace
}

// TestPublishedTableOfGaussier repeats what Gaussier et al. (2015) found on the log
// KTH-SP2, by the figures that come with their program.
func TestPublishedTableOfGaussier(t *testing.T) {
	trace := published(t, "REEVE_KTH_SP2", "the log KTH-SP2 of the Parallel Workloads Archive")
	for _, c := range []struct {
		policy string
		want   float64
	}{
		{"easy", 92.5765397336}, {"easy,estimate=actual", 71.7223851124}, {"easy,estimate=last-two,correct=steps", 85.4429055860},
		{"easy,estimate=last-two,correct=request", 65.7235894400}, {"easy,estimate=last-two,correct=double", 76.9224423224},
		{"easy-sjbf", 69.4054005803}, {"easy-sjbf,estimate=actual", 49.8477189313}, {"easy++", 63.5006771704},
		{"easy++,correct=request", 62.8568827273}, {"easy++,correct=double", 64.5274742219},
	} {
		start, err := Machine(trace, policy(t, c.policy+",events=pyss"), trace.Procs)
		if err != nil {
			t.Fatal(err)
		}
		if got := outcome.Measure(Ran(trace, start, trace.Procs), outcome.Rules{}).Slowdown.Mean; math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %.10f, published is %.10f", c.policy, got, c.want)
		}
	}
}

// TestPublishedTableOfRLScheduler repeats the table of RLScheduler (Zhang et al., 2020,
// and the page of its program).
func TestPublishedTableOfRLScheduler(t *testing.T) {
	trace := published(t, "REEVE_LUBLIN_256", "the trace lublin_256.swf of RLScheduler")
	for _, c := range []struct {
		order string
		want  [2]float64 // without and with backfilling
	}{
		{"fcfs", [2]float64{7273.77, 235.82}}, {"published-wfp3", [2]float64{19753.53, 133.87}}, {"published-unicef", [2]float64{22274.74, 307.23}},
		{"sjf", [2]float64{277.35, 73.31}}, {"f1", [2]float64{258.37, 75.07}},
	} {
		for k, backfill := range []string{"none", "scan"} {
			p := policy(t, "rlscheduler,order="+c.order+",backfill="+backfill)
			var all []outcome.Figures
			for _, at := range []int{1981, 2756, 4299, 8850, 3316, 2714, 5228, 7762, 4022, 7085} {
				w := trace.Window(at, 1024)
				start, err := Machine(w, p, trace.Procs)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, outcome.Measure(Ran(w, start, trace.Procs), outcome.Rules{}))
			}
			if got := math.Round(outcome.Mean(all).Slowdown.Mean*100) / 100; got != c.want[k] {
				t.Errorf("%s: %.2f, published is %.2f", p.Name, got, c.want[k])
			}
		}
	}
}

// TestProcessorsThatThereAre: in whatever order a moment's events are seen, no two jobs
// have a processor at once, and none starts before it comes.
func TestProcessorsThatThereAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trace := &workload.Trace{}
		at := int64(0)
		for i := range rapid.IntRange(1, 40).Draw(t, "jobs") {
			at += rapid.Int64Range(0, 3).Draw(t, "gap") * 1000
			run := rapid.Int64Range(1, 9).Draw(t, "run") * 1000
			trace.Jobs = append(trace.Jobs, workload.Job{Number: int64(i + 1), Submit: at, Run: run, Request: run + rapid.Int64Range(0, 9).Draw(t, "more")*1000,
				Procs: rapid.Int64Range(1, 8).Draw(t, "procs"), User: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "user")})
		}
		p, err := classic.Parse(rapid.SampledFrom([]string{"fcfs", "easy", "easy-sjbf", "easy++", "easy++,predict=anew", "easy++,correct=double", "easy,estimate=actual"}).Draw(t, "policy") +
			",events=" + rapid.SampledFrom([]string{"together", "each", "pyss"}).Draw(t, "events"))
		if err != nil {
			t.Fatal(err)
		}
		start, err := Machine(trace, p, 8)
		if err != nil {
			t.Fatal(err)
		}
		for i := range start {
			used := int64(0)
			for k, j := range trace.Jobs {
				if start[k] <= start[i] && start[i] < start[k]+j.Run {
					used += j.Procs
				}
			}
			if start[i] < trace.Jobs[i].Submit || used > 8 {
				t.Fatalf("by %s job %d, which comes at %d, starts at %d, when %d processors are in use of 8", p.Name, i+1, trace.Jobs[i].Submit, start[i], used)
			}
		}
	})
}
