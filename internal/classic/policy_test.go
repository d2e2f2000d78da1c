package classic

import (
	"math"
	"slices"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/workload"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"fcfs", "order=fcfs,backfill=none,by=fcfs,estimate=request,correct=request,predict=once,head=free,events=together"},
		{"easy++", "order=fcfs,backfill=easy,by=sjf,estimate=last-two,correct=steps,predict=once,head=free,events=together"},
		{"easy++,correct=double, estimate=actual", "order=fcfs,backfill=easy,by=sjf,estimate=actual,correct=double,predict=once,head=free,events=together"},
		{"order=wfp3,backfill=easy", "order=wfp3,backfill=easy,by=fcfs,estimate=request,correct=request,predict=once,head=free,events=together"},
		{"easy++,predict=anew,events=pyss", "order=fcfs,backfill=easy,by=sjf,estimate=last-two,correct=steps,predict=anew,head=free,events=pyss"},
		{"rlscheduler,order=f1,backfill=scan", "order=f1,backfill=scan,by=fcfs,estimate=request,correct=request,predict=once,head=kept,events=each"},
	} {
		p, err := Parse(c.text)
		if err != nil || p.String() != c.want || p.Name != c.text {
			t.Errorf("%s: %s, %v; want %s", c.text, p, err, c.want)
		}
		again, err := Parse(p.String())
		if again.Name = p.Name; err != nil || again != p {
			t.Errorf("%s is read as %+v, %v", p, again, err)
		}
	}
	names, says := Presets()
	for i, name := range names {
		if _, err := Parse(name); err != nil || says[i] == "" {
			t.Errorf("%s: %v, says %q", name, err, says[i])
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"eazy", `"eazy" is no policy; known: fcfs, sjf, easy, easy-sjbf, easy++, aged, conservative, rlscheduler, or key=value with commas`},
		{"easy,fast", `"fast": want key=value`},
		{"easy,speed=1", `"speed" is no part of a policy; known: order, backfill, by, estimate, correct, predict, head, events`},
		{"order=size", "order=size: want one of fcfs, sjf, saf, narrow, f1, wfp3, unicef, lxf, aged, published-wfp3, published-unicef"},
		{"easy,by=lxf", "by=lxf changes with time; backfilling looks in an order that stays: fcfs, sjf, saf, narrow, f1, aged, published-wfp3, published-unicef"},
		{"backfill=scan", "backfill=scan works out the reservation once, which asks for head=kept"},
		{"backfill=scan,head=kept,by=sjf", "backfill=scan looks in the order in which jobs came, not by=sjf"},
		{"conservative,predict=anew", "backfill=conservative reserves as a job comes, for what is known then: it asks for predict=once"},
		{"conservative,events=pyss", "events=pyss goes with backfill=none or easy, and head=free"},
		{"rlscheduler,events=pyss", "events=pyss goes with backfill=none or easy, and head=free"},
		{"conservative,order=lxf", "backfill=conservative reserves in an order that stays, and asks for no by and no head=kept"},
	} {
		if _, err := Parse(c.text); err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestScores(t *testing.T) {
	j := &workload.Job{Submit: 1000_000, Procs: 8}
	const estimate, now = 100_000, 1300_000 // 100 s, and 300 s later
	for _, c := range []struct {
		order Order
		want  float64
	}{
		{FCFS, 0}, {SJF, 100}, {SAF, 800}, {Narrow, 8},
		{F1, 2*8 + 870*3}, {WFP3, -27 * 8}, {UNICEF, -300.0 / (3 * 100)}, {LXF, -4},
		{Aged, 1000 + 86400*math.Log2(800)}, {PublishedWFP3, 10.01 * 10.01 * 10.01 * 8}, {PublishedUNICEF, 1001.0 / (3 * 100)},
	} {
		if got := c.order.score(j, estimate, now); math.Abs(got-c.want) > 1e-9*math.Abs(c.want) {
			t.Errorf("%s: %g, want %g", c.order, got, c.want)
		}
	}
	if got := F1.score(&workload.Job{Procs: 2}, 1000, 0); math.Abs(got+870) > 1e-9 {
		t.Errorf("F1 of a job at the beginning: %g, want the logarithm of 0.1 in the place of that of 0", got)
	}
	one := &workload.Job{Procs: 1}
	if a, b := UNICEF.score(one, estimate, now), UNICEF.score(j, estimate, now); a > b {
		t.Errorf("UNICEF puts a job of one processor at %g, after one of eight at %g", a, b)
	}
	for o := range orders {
		if slices.Contains(stayingOrders(), o.String()) == o.moves() {
			t.Errorf("%s is told as what it is not", o)
		}
	}
}

// ended is a scheduler that has seen jobs of users end.
func ended(e Estimate, c Correction, jobs ...workload.Job) *Scheduler {
	s := New(Policy{Estimate: e, Correct: c}, 1000, jobs)
	for i := range jobs {
		s.Arrive(i, 0)
		s.Start(i, 0)
	}
	return s
}

func TestLastTwo(t *testing.T) {
	user := func(name string, run, request int64) workload.Job {
		return workload.Job{User: name, Run: run, Request: request, Procs: 1}
	}
	jobs := []workload.Job{
		user("a", 10_000, 60_000), user("a", 25_000, 60_000), user("a", 41_000, 60_000), user("b", 5000, 60_000), user("", 1000, 60_000), user("", 2000, 60_000),
		user("a", 1, 60_000), user("a", 1, 20_000), user("b", 1, 60_000), user("", 1, 60_000),
	}
	for _, c := range []struct {
		estimate Estimate
		want     [4]int64
	}{
		{LastTwo, [4]int64{33_000, 20_000, 60_000, 60_000}},
		{LastTwoOfAll, [4]int64{33_000, 20_000, 60_000, 1000}},
		{Requested, [4]int64{60_000, 20_000, 60_000, 60_000}},
		{Actual, [4]int64{1, 1, 1, 1}},
	} {
		s := ended(c.estimate, ToRequest, jobs...)
		for i := range 6 {
			s.End(i, jobs[i].Run)
		}
		for k, want := range c.want {
			if got := s.estimate(6 + k); got != want {
				t.Errorf("%s: job %d is expected to take %d ms, want %d", estimates.of(uint8(c.estimate)), 6+k, got, want)
			}
		}
	}
}

// TestCorrections follows the prediction for a job of two hours and a half that was
// thought to take ten seconds.
func TestCorrections(t *testing.T) {
	const minute = 60_000
	for _, c := range []struct {
		correct Correction
		at      []int64 // seconds
		want    []int64
	}{
		{ToRequest, []int64{9, 10, 9000}, []int64{10, 18_000, 18_000}},
		{BySteps, []int64{9, 10, 70, 100, 310, 2000, 18_000}, []int64{10, 70, 310, 310, 910, 3610, 18_000}},
		{ByDoubling, []int64{9, 10, 20, 100, 17_000, 20_000}, []int64{10, 20, 40, 160, 20_480, 20_480}},
	} {
		s := ended(Requested, c.correct, workload.Job{Run: 150 * minute, Request: 300 * minute, Procs: 1})
		s.est[0] = 10_000
		s.running[0].end = 10_000
		for i, at := range c.at {
			s.correct(at * 1000)
			if got := s.running[0].end / 1000; got != c.want[i] {
				t.Errorf("%s: at %d s it is expected to end at %d s, want %d", corrections.of(uint8(c.correct)), at, got, c.want[i])
			}
		}
	}
}

func TestEndOfWhatDoesNotRun(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("nothing was wrong with the end of a job that does not run")
		}
	}()
	New(Policy{}, 1, make([]workload.Job, 1)).End(0, 0)
}
