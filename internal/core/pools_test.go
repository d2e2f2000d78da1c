package core

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// poolLab is a lab of the newest format with a worker of a pool.
func poolLab(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, pool string, has job.Resources) *lab {
	l := newLab(t.Fatalf)
	if _, err := l.turn(RaiseFormat{To: FormatPools}); err != nil {
		t.Fatalf("%v", err)
	}
	if err := l.join(poolHello("w1", pool, has)); err != nil {
		t.Fatalf("%v", err)
	}
	return l
}

func poolHello(name, pool string, has job.Resources) link.Hello {
	return link.Hello{
		Protocol: link.Protocol, Name: name, Instance: name, Incarnation: 1, Slots: 10_000, Capacity: has, Executors: []string{"process"}, Pool: pool,
		Labels: map[string]string{link.PoolLabel: pool},
	}
}

func overcommit(text string) PutPool {
	f, err := job.ParseFactors(text)
	if err != nil {
		panic(err)
	}
	return PutPool{Name: "night", Change: job.PoolChange{Overcommit: &f}}
}

// TestOvercommitIsUsedUpAndNotMore: of what is over-committed, exactly as much is given away as is
// the amount by its factor, rounded down; no more after a smaller factor, and what runs stays.
func TestOvercommitIsUsedUpAndNotMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		has := job.Resources{CPU: rapid.Int64Range(100, 8000).Draw(t, "cpu"), Memory: rapid.Int64Range(0, 16).Draw(t, "memory") << 30}
		has.Other = has.Other.Set("licence", rapid.Int64Range(0, 8).Draw(t, "licences"))
		l := poolLab(t, "night", has)
		need := job.Resources{CPU: rapid.Int64Range(100, 3000).Draw(t, "needs cpu"), Memory: rapid.Int64Range(0, 3).Draw(t, "needs memory") << 30}
		need.Other = need.Other.Set("licence", rapid.Int64Range(0, 2).Draw(t, "needs licences"))
		text := fmt.Sprintf("run: x\npool: night\narray: 0-999\nresources: {cpu: %dm, memory: %d, licence: %d}\n", need.CPU, need.Memory, need.Other.Get("licence"))
		if need.Memory == 0 {
			text = strings.Replace(text, "memory: 0, ", "", 1)
		}
		if need.Other == "" {
			text = strings.Replace(text, ", licence: 0", "", 1)
		}
		factor := rapid.SampledFrom([]int64{job.MinFactor, 500, 900, job.Once, 1100, 1500, 2000, 3333, 10_000})
		running := int64(0)
		for i := range 4 {
			over := job.Factors{CPU: factor.Draw(t, "cpu times"), Memory: factor.Draw(t, "memory times")}
			over.Other = over.Other.Set("licence", factor.Draw(t, "licence times"))
			if _, err := l.turn(PutPool{Name: "night", Change: job.PoolChange{Overcommit: &over}}); err != nil {
				t.Fatalf("%s: %v", over, err)
			}
			if i == 0 {
				if _, err := l.submit(text, nil); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
			}
			most := has.CPU * over.CPU / 1000 / need.CPU
			if need.Memory > 0 {
				most = min(most, has.Memory*over.Memory/1000/need.Memory)
			}
			if n := need.Other.Get("licence"); n > 0 {
				most = min(most, has.Other.Get("licence")*over.Other.Get("licence")/1000/n)
			}
			running = max(running, min(most, 1000))
			if got := l.s.Workers()[0]; int64(got.Running) != running {
				t.Fatalf("%s of %+v: %d run that need %+v each; want %d (%d fit)", over, has, got.Running, need, running, most)
			}
			recovered := l.recovered()
			if got, want := recovered.Workers()[0].Offers, l.s.Workers()[0].Offers; got != want {
				t.Fatalf("after a recovery the worker gives %+v, before %+v", got, want)
			}
		}
	})
}

// TestPoolsAreApart: a setting is one pool's, holds for workers that come later, and ends.
func TestPoolsAreApart(t *testing.T) {
	l := poolLab(t, "night", job.Resources{CPU: 2000})
	mustTurn(t, l, overcommit("cpu=2"))
	for _, w := range []struct{ name, pool string }{{"w2", "night"}, {"w3", "day"}, {"w4", DefaultName}} {
		if err := l.join(poolHello(w.name, w.pool, job.Resources{CPU: 3000})); err != nil {
			t.Fatal(err)
		}
	}
	offers := func() (out []int64) {
		for _, w := range l.s.Workers() {
			out = append(out, w.Offers.CPU)
		}
		return out
	}
	if got := fmt.Sprint(offers()); got != "[4000 6000 3000 3000]" {
		t.Errorf("the workers give %s", got)
	}
	mustSubmit(t, l, "run: x\narray: 0-1\nresources: {cpu: 3}\n")
	for f := range l.s.attempts { // a worker is told of what it may run beyond what it has
		a := l.s.Assignments([]link.Fence{f})[0]
		if w := l.s.attempts[f].worker; w.pool() == "night" && a.Offers != w.offers || w.pool() != "night" && a.Offers != (job.Resources{}) {
			t.Errorf("worker %s of pool %s is told of %+v", w.hello.Name, w.pool(), a.Offers)
		}
	}
	var names []string
	for _, p := range l.s.Pools() {
		names = append(names, fmt.Sprintf("%s %d/%d %d/%d %s", p.Name, p.Live, p.Workers, p.Capacity.CPU, p.Offers.CPU, p.Policy.Overcommit))
	}
	if got := strings.Join(names, "; "); got != "day 1/1 3000/3000 none; default 1/1 3000/3000 none; night 2/2 5000/10000 cpu=2" {
		t.Errorf("the pools are %s", got)
	}
	if d, err := l.s.Decide(Input{Now: l.now}, overcommit("cpu=2")); err != nil || len(d.Events) > 0 {
		t.Errorf("the same again decides %+v, %v", d.Events, err)
	}
	mustTurn(t, l, overcommit("none"))
	if got := fmt.Sprint(offers()); got != "[2000 3000 3000 3000]" || len(l.s.pools)+len(l.s.poolNames) > 0 {
		t.Errorf("after the end of the setting the workers give %s, and pools are %v", got, l.s.pools)
	}
}

// TestDevicesAreNeverMore: devices with ids are what they are, also where a factor was said before
// anybody had any.
func TestDevicesAreNeverMore(t *testing.T) {
	l := poolLab(t, "night", job.Resources{CPU: 2000, Other: "tape=2"})
	mustTurn(t, l, overcommit("tape=2"))
	h := poolHello("w2", "night", job.Resources{CPU: 2000, Other: "tape=2"})
	h.Devices = h.Devices.Set("tape", []string{"a", "b"})
	if err := l.join(h); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{4, 2} {
		if got := l.s.Workers()[i].Offers.Other.Get("tape"); got != want {
			t.Errorf("worker %d gives %d tapes, want %d", i, got, want)
		}
	}
	const says = "pool night: overcommit: tape=3: worker w2 has 2 devices of that name, each of which is one attempt's alone; leave tape out"
	if _, err := l.turn(overcommit("tape=3")); job.CodeOf(err) != job.Invalid || !strings.Contains(err.Error(), says) {
		t.Errorf("%v; want %s", err, says)
	}
}

// TestSmallerFactorAsksBack: what was sent ahead of a place that is none any more is asked back, and
// nothing more is sent ahead while more is given away than there is.
func TestSmallerFactorAsksBack(t *testing.T) {
	l := poolLab(t, "night", job.Resources{CPU: 2000})
	h := poolHello("w1", "night", job.Resources{CPU: 2000})
	h.Prefetch, h.Incarnation = 3, 2
	if err := l.join(h); err != nil {
		t.Fatal(err)
	}
	mustTurn(t, l, overcommit("cpu=2"))
	mustSubmit(t, l, "run: x\npool: night\narray: 0-99\nresources: {cpu: 1}\n")
	if w := l.s.Workers()[0]; w.Running != 4 || w.Prefetched != 3 {
		t.Fatalf("%d run and %d are ahead", w.Running, w.Prefetched)
	}
	mustTurn(t, l, overcommit("cpu=1.5"))
	for a := l.s.workers[1].first; a != nil; a = a.next {
		if a.prefetched && !a.recalled {
			t.Errorf("%d stays ahead of a place that is none", a.fence)
		}
	}
	if w := l.s.Workers()[0]; w.Running != 4 || w.Prefetched > 3 {
		t.Errorf("%d run and %d are ahead", w.Running, w.Prefetched)
	}
}

// TestExplainSaysTheFactor: what a worker has free or has in all is by its pool's over-commit.
func TestExplainSaysTheFactor(t *testing.T) {
	l := poolLab(t, "night", job.Resources{CPU: 4000})
	mustTurn(t, l, overcommit("cpu=1.5"))
	mustSubmit(t, l, "run: x\npool: night\nresources: {cpu: 5}\n")
	for text, want := range map[string]string{
		"run: x\npool: night\nresources: {cpu: 2}\n": "too little cpu free (needs 2, the most free is 1 by an over-commit of 1.5)",
		"run: x\npool: night\nresources: {cpu: 7}\n": "too small: needs 7 cpu, the largest has 6 by an over-commit of 1.5",
	} {
		id := mustSubmit(t, l, text)
		var got []string
		for _, x := range l.s.Explain(id, "", l.now) {
			for _, r := range x.Reasons {
				got = append(got, r.Text)
			}
		}
		if all := strings.Join(got, "\n"); !strings.Contains(all, want) {
			t.Errorf("%s is explained by\n%s\nwant %s", text, all, want)
		}
	}
}
