package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

func drawResources(t *rapid.T) (r job.Resources) {
	r.CPU = rapid.SampledFrom([]int64{0, 500, 16_000}).Draw(t, "cpu")
	r.Memory = rapid.SampledFrom([]int64{0, 1 << 30, 12345}).Draw(t, "memory")
	for _, name := range []string{"gpu", "disk"} {
		r.Other = r.Other.Set(name, rapid.SampledFrom([]int64{0, 1, 4096}).Draw(t, name))
	}
	return r
}

// some draws a value, or nil for a part that is left as it is.
func some[T any](t *rapid.T, what string, draw func() T) *T {
	if !rapid.Bool().Draw(t, what) {
		return nil
	}
	return new(draw())
}

func drawRate(t *rapid.T) job.Rate {
	return rapid.SampledFrom([]job.Rate{{}, {Count: 3, Per: job.Duration(10 * time.Minute), Burst: 7}, {Count: 1, Per: job.Duration(time.Second), Burst: 1}}).Draw(t, "rate")
}

func TestChangesTravel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := func() job.Limit {
			return job.Limit{Running: rapid.Int64Range(0, 2).Draw(t, "running"), Resources: drawResources(t)}
		}
		span := func() job.Duration {
			return job.Duration(rapid.Int64Range(0, 1e6).Draw(t, "ms")) * job.Duration(time.Millisecond)
		}
		weight := func() int64 { return rapid.Int64Range(0, 9).Draw(t, "number") }
		amounts := func() job.Resources { return drawResources(t) }
		q := job.QueueChange{
			Order:    some(t, "order", func() job.Order { return rapid.SampledFrom([]job.Order{job.ByPriority, job.ByShare}).Draw(t, "order") }),
			Backfill: some(t, "backfill", func() job.Backfill { return job.BackfillNone }), Ageing: some(t, "ageing", span), Weight: some(t, "weight", weight),
			Guarantee: some(t, "guarantee", amounts), Limit: some(t, "limit", limit), Rate: some(t, "rate", func() job.Rate { return drawRate(t) }),
			HalfLife: some(t, "half-life", span), Preempt: some(t, "preempt", func() bool { return rapid.Bool().Draw(t, "yes") }),
		}
		if got, err := QueueChange(QueuePolicy(&q)); err != nil || !cmp.Equal(q, got) {
			t.Fatalf("%v (-want +got):\n%s", err, cmp.Diff(q, got))
		}
		n := job.NamespaceChange{
			Weight: some(t, "weight", weight), Guarantee: some(t, "guarantee", amounts), Limit: some(t, "limit", limit),
			Pending: some(t, "pending", weight), HalfLife: some(t, "half-life", span),
		}
		if got, err := NamespaceChange(NamespacePolicy(&n)); err != nil || !cmp.Equal(n, got) {
			t.Fatalf("%v (-want +got):\n%s", err, cmp.Diff(n, got))
		}
	})
}

func TestPoolsTravel(t *testing.T) {
	for _, c := range []job.PoolChange{{}, {Overcommit: &job.Factors{}}, {Overcommit: &job.Factors{CPU: 2000, Memory: 900, Other: "licence=1500"}}} {
		if got, err := PoolChange(PoolPolicy(&c)); err != nil || !cmp.Equal(c, got) {
			t.Errorf("%v (-want +got):\n%s", err, cmp.Diff(c, got))
		}
	}
	for want, factors := range map[string]map[string]string{
		"overcommit: cpu=much: want a number": {"cpu": "much"}, "overcommit: gpu=2: each": {"gpu": "2"}, "overcommit: memory=0.01: want": {"memory": "0.01"},
	} {
		if _, err := PoolChange(&reevev1.PoolPolicy{Overcommit: &reevev1.Overcommit{Factors: factors}}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v; want %s", factors, err, want)
		}
	}
	p := Pool(&core.PoolView{
		PoolSet: core.PoolSet{Name: "night", Policy: job.PoolPolicy{Overcommit: job.Factors{CPU: 1500}}}, Workers: 3, Live: 2, Running: 4, Slots: 8,
		Capacity: job.Resources{CPU: 4000}, Offers: job.Resources{CPU: 6000, Other: "licence=2"}, Used: job.Resources{CPU: 5000},
	})
	b, err := protojson.Marshal(p)
	want := `{"name":"night","policy":{"overcommit":{"factors":{"cpu":"1.5"}}},"workers":3,"workersLive":2,"running":4,"slots":8,"has":{"cpuMilli":"4000"},"offers":{"cpuMilli":"6000","resources":{"licence":"2"}},"used":{"cpuMilli":"5000"}}`
	if got := strings.ReplaceAll(string(b), " ", ""); err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestPoliciesAsJSON(t *testing.T) {
	q := Queue(&core.QueueView{QueueSet: core.QueueSet{Name: "night", Policy: job.QueuePolicy{
		Order: job.ByShare, Limit: job.Limit{Running: 10, Resources: job.Resources{CPU: 16_000}}, Rate: job.Rate{Count: 10, Per: job.Duration(time.Second), Burst: 20},
		Ageing: job.Duration(10 * time.Minute),
	}}})
	b, err := protojson.Marshal(q.GetPolicy())
	want := `{"order":"fair","backfill":"easy","ageing":"10m","weight":"1","limit":{"running":"10","resources":{"cpu":"16"}},"rate":{"count":"10","per":"1s","burst":"20"}}`
	if got := strings.ReplaceAll(string(b), " ", ""); err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	if n := Namespace(&core.NamespaceView{NamespaceSet: core.NamespaceSet{Name: "team"}}); n.GetPolicy().GetWeight() != 1 || n.GetPolicy().Pending != nil || n.GetPolicy().GetLimit() != nil {
		t.Errorf("a plain namespace is %v", n)
	}
}

func TestBadPolicies(t *testing.T) {
	for want, m := range map[string]*reevev1.QueuePolicy{
		`order "best": want one of`:     {Order: new("best")},
		`backfill "best": want one of`:  {Backfill: new("best")},
		`ageing: duration "soon"`:       {Ageing: new("soon")},
		`half_life: duration ""`:        {HalfLife: new("")},
		`guarantee: cpu "many"`:         {Guarantee: &reevev1.Amounts{Resources: map[string]string{"cpu": "many"}}},
		`limit: resource: name "no no"`: {Limit: &reevev1.Limit{Resources: map[string]string{"no no": "1"}}},
		`rate: duration ""`:             {Rate: &reevev1.Rate{Count: 1}},
	} {
		if _, err := QueueChange(m); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v; want %s", m, err, want)
		}
	}
	if _, err := NamespaceChange(&reevev1.NamespacePolicy{HalfLife: new("x")}); err == nil {
		t.Error("a bad half-life is taken")
	}
	if q, err := QueueChange(nil); err != nil || q != (job.QueueChange{}) {
		t.Errorf("nothing changes %v, %v", q, err)
	}
}
