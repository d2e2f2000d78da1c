package job

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestWordsOfPolicies(t *testing.T) {
	for o := range orders {
		if got, err := ParseOrder(o.String()); err != nil || got != o {
			t.Errorf("order %s is read as %v, %v", o, got, err)
		}
	}
	for b := range backfills {
		if got, err := ParseBackfill(b.String()); err != nil || got != b {
			t.Errorf("backfill %s is read as %v, %v", b, got, err)
		}
	}
	for text, want := range map[string]string{
		"fair": "", "FIFO": "fifo", "": "priority, fifo, shortest, deadline, fair",
	} {
		if _, err := ParseOrder(text); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("order %q: %v", text, err)
		}
	}
	if _, err := ParseBackfill("greedy"); err == nil || err.Error() != `backfill "greedy": want one of easy, conservative, any, none` {
		t.Errorf("backfill greedy: %v", err)
	}
}

func TestLimitTexts(t *testing.T) {
	for text, want := range map[string]Limit{
		"none":                         {},
		"running=10":                   {Running: 10},
		"running=10,cpu=16,gpu=2":      {Running: 10, Resources: Resources{CPU: 16_000, Other: AmountsOf(map[string]int64{"gpu": 2})}},
		"cpu=0.5,memory=64Gi":          {Resources: Resources{CPU: 500, Memory: 64 << 30}},
		"disk=1Ti,licence=3":           {Resources: Resources{Other: AmountsOf(map[string]int64{"disk": 1 << 40, "licence": 3})}},
		"cpu=1,memory=1k,bandwidth=1G": {Resources: Resources{CPU: 1000, Memory: 1000, Other: AmountsOf(map[string]int64{"bandwidth": 1e9})}},
	} {
		got, err := ParseLimit(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("limit %q: %v (-want +got):\n%s", text, err, diff)
		}
		again, err := ParseLimit(got.String())
		if err != nil || again != got {
			t.Errorf("limit %q is written as %q and read as %v, %v", text, got, again, err)
		}
	}
	for text, want := range map[string]string{
		"":                  "want pairs such as cpu=16,gpu=2",
		"10":                "want pairs",
		"cpu=":              "want pairs",
		"cpu=1,cpu=2":       "cpu stands there twice",
		"running=0":         "running=0: want a whole number of attempts",
		"running=x":         "want a whole number of attempts",
		"cpu=many":          `cpu "many"`,
		"memory=big":        `size "big"`,
		"gpu=1.5":           `gpu "1.5"`,
		"Gpu=1":             `resource: name "Gpu"`,
		"cpu=1,, gpu=1":     "want pairs",
		"running=1,disk=-1": `disk "-1": want a size`,
	} {
		if got, err := ParseLimit(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("limit %q is %v, %v; want an error with %q", text, got, err, want)
		}
	}
}

func TestRateTexts(t *testing.T) {
	for text, want := range map[string]Rate{
		"none":      {},
		"10/s":      {Count: 10, Per: Duration(time.Second), Burst: 1},
		"5/m":       {Count: 5, Per: Duration(time.Minute), Burst: 1},
		"100/h":     {Count: 100, Per: Duration(time.Hour), Burst: 1},
		"1/d":       {Count: 1, Per: Duration(24 * time.Hour), Burst: 1},
		"3/10m":     {Count: 3, Per: Duration(10 * time.Minute), Burst: 1},
		"1000000/s": {Count: 1_000_000, Per: Duration(time.Second), Burst: 1},
	} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("rate %q is %+v, %v; want %+v", text, got, err, want)
		}
		if again, err := ParseRate(got.String()); err != nil || again != got {
			t.Errorf("rate %q is written as %q and read as %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "10", "10/", "/s", "0/s", "-1/s", "10/y", "1.5/s", "10/0s", "10/s/s", "1000001/s", "2000/1ms", "1/31d", "99999999999999999999/s"} {
		if got, err := ParseRate(text); err == nil || !strings.Contains(err.Error(), "rate") {
			t.Errorf("rate %q is %+v, %v; want an error", text, got, err)
		}
	}
}

func TestCheckOfPolicies(t *testing.T) {
	many := map[string]int64{}
	for i := range MaxResources + 1 {
		many["r"+string(rune('a'+i))] = 1
	}
	good := QueuePolicy{
		Order: ByShare, Backfill: BackfillNone, Ageing: Duration(time.Minute), Weight: 3, Guarantee: Resources{CPU: 8000},
		Limit: Limit{Running: 10, Resources: Resources{Other: AmountsOf(map[string]int64{"gpu": 2})}},
		Rate:  Rate{Count: 10, Per: Duration(time.Second), Burst: 20}, HalfLife: Duration(time.Hour),
	}
	if err := good.Check(); err != nil {
		t.Errorf("a good policy: %v", err)
	}
	for want, spoil := range map[string]func(*QueuePolicy){
		"order 5":                         func(p *QueuePolicy) { p.Order = orders },
		"backfill 4":                      func(p *QueuePolicy) { p.Backfill = backfills },
		"ageing":                          func(p *QueuePolicy) { p.Ageing = 1 },
		"ageing 366d":                     func(p *QueuePolicy) { p.Ageing = Duration(366 * 24 * time.Hour) },
		"weight -1":                       func(p *QueuePolicy) { p.Weight = -1 },
		"weight 10001":                    func(p *QueuePolicy) { p.Weight = MaxWeight + 1 },
		"half-life 1ms":                   func(p *QueuePolicy) { p.HalfLife = Duration(time.Millisecond) },
		"guarantee: cpu":                  func(p *QueuePolicy) { p.Guarantee.CPU = MaxCPU + 1 },
		"guarantee: memory":               func(p *QueuePolicy) { p.Guarantee.Memory = -1 },
		"guarantee: 17 other resources":   func(p *QueuePolicy) { p.Guarantee.Other = AmountsOf(many) },
		"limit: running=-1":               func(p *QueuePolicy) { p.Limit.Running = -1 },
		"limit: gpu=-2":                   func(p *QueuePolicy) { p.Limit.Resources.Other = AmountsOf(map[string]int64{"gpu": -2}) },
		"limit: resource: name \"no no\"": func(p *QueuePolicy) { p.Limit.Resources.Other = AmountsOf(map[string]int64{"no no": 1}) },
		"rate: a count of 0":              func(p *QueuePolicy) { p.Rate.Count = 0 },
		"rate: in 0s":                     func(p *QueuePolicy) { p.Rate.Per = 0 },
		"rate: a burst of 0":              func(p *QueuePolicy) { p.Rate.Burst = 0 },
		"rate: 1001 in 1ms":               func(p *QueuePolicy) { p.Rate = Rate{Count: 1001, Per: Duration(time.Millisecond), Burst: 1} },
	} {
		p := good
		spoil(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("want an error of one line with %q, got %v", want, err)
		}
	}
	for want, p := range map[string]NamespacePolicy{
		"weight": {Weight: -1}, "pending -1": {Pending: -1}, "limit": {Limit: Limit{Running: MaxRunning + 1}}, "": {Pending: 5, Weight: 1},
	} {
		if err := p.Check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", p, err, want)
		}
	}
}

func TestChangesOfPolicies(t *testing.T) {
	p := QueuePolicy{Order: ByAge, Weight: 2, Rate: Rate{Count: 1, Per: Duration(time.Second), Burst: 1}}
	change := QueueChange{Order: new(ByShare), Limit: &Limit{Running: 3}, Rate: &Rate{}, HalfLife: new(Duration(time.Hour)), Preempt: new(true)}
	want := QueuePolicy{Order: ByShare, Weight: 2, Limit: Limit{Running: 3}, HalfLife: Duration(time.Hour), Preempt: true}
	if got := change.Apply(p); got != want || p.Order != ByAge {
		t.Errorf("changed to %+v, want %+v", got, want)
	}
	n := NamespacePolicy{Weight: 2, Pending: 10}
	if got := (&NamespaceChange{Pending: new(int64(0)), Guarantee: &Resources{CPU: 1}}).Apply(n); got != (NamespacePolicy{Weight: 2, Guarantee: Resources{CPU: 1}}) {
		t.Errorf("changed to %+v", got)
	}
	if got := (&NamespaceChange{}).Apply(n); got != n {
		t.Errorf("changed by nothing to %+v", got)
	}
}

// TestOver holds the answer against a plain count of each amount.
func TestOver(t *testing.T) {
	names := []string{"gpu", "disk", "licence"}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string) (r Resources) {
			n := rapid.Int64Range(0, 3)
			r.CPU, r.Memory = n.Draw(t, what+" cpu"), n.Draw(t, what+" memory")
			for _, name := range names {
				r.Other = r.Other.Set(name, n.Draw(t, what+" "+name))
			}
			return r
		}
		l := Limit{Running: rapid.Int64Range(0, 3).Draw(t, "limit"), Resources: draw("limit")}
		running, used, more := rapid.Int64Range(0, 3).Draw(t, "running"), draw("used"), draw("more")
		over := l.Running > 0 && running+1 > l.Running
		one := func(most, used, more int64) { over = over || most > 0 && more > 0 && used+more > most }
		one(l.Resources.CPU, used.CPU, more.CPU)
		one(l.Resources.Memory, used.Memory, more.Memory)
		for _, name := range names {
			one(l.Resources.Other.Get(name), used.Other.Get(name), more.Other.Get(name))
		}
		if got := l.Over(running, used, more); (got != "") != over {
			t.Errorf("%s with %d and %s used, and %s more: %q, want %v", l, running, FormatResources(used), FormatResources(more), got, over)
		}
	})
}

func TestPoliciesAsJSON(t *testing.T) {
	p := QueuePolicy{Order: ByAge, Backfill: BackfillAny, Ageing: Duration(time.Minute), Rate: Rate{Count: 1, Per: Duration(time.Second), Burst: 2}}
	b, err := json.Marshal(p)
	var got QueuePolicy
	if err == nil {
		err = json.Unmarshal(b, &got)
	}
	if err != nil || got != p {
		t.Errorf("%s is read as %+v, %v", b, got, err)
	}
}
