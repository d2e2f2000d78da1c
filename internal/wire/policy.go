package wire

import (
	"encoding"
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// Queue writes a queue with how it is served.
func Queue(v *core.QueueView) *reevev1.Queue {
	return &reevev1.Queue{
		Namespace: v.Namespace, Name: v.Name, Paused: v.Paused, CreatedAt: Time(v.Created), Jobs: v.Jobs, Policy: queuePolicy(&v.Policy),
	}
}

// Namespace writes a namespace with how it is served.
func Namespace(v *core.NamespaceView) *reevev1.Namespace {
	return &reevev1.Namespace{Name: v.Name, Paused: v.Paused, CreatedAt: Time(v.Created), Jobs: v.Jobs, Policy: namespacePolicy(&v.Policy)}
}

func queuePolicy(p *job.QueuePolicy) *reevev1.QueuePolicy {
	return QueuePolicy(&job.QueueChange{
		Order: &p.Order, Backfill: &p.Backfill, Weight: new(max(p.Weight, 1)), Ageing: set(p.Ageing), Guarantee: set(p.Guarantee),
		Limit: set(p.Limit), Rate: set(p.Rate), HalfLife: set(p.HalfLife), Preempt: set(p.Preempt),
	})
}

func namespacePolicy(p *job.NamespacePolicy) *reevev1.NamespacePolicy {
	return NamespacePolicy(&job.NamespaceChange{
		Weight: new(max(p.Weight, 1)), Guarantee: set(p.Guarantee), Limit: set(p.Limit), Pending: set(p.Pending), HalfLife: set(p.HalfLife),
	})
}

// set is nil for what is not set.
func set[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// QueuePolicy writes the parts of a policy that are not nil; QueueChange reads them.
func QueuePolicy(c *job.QueueChange) *reevev1.QueuePolicy {
	return &reevev1.QueuePolicy{
		Order: word(c.Order), Backfill: word(c.Backfill), Ageing: word(c.Ageing), Weight: c.Weight, Guarantee: amounts(c.Guarantee),
		Limit: limit(c.Limit), Rate: rate(c.Rate), HalfLife: word(c.HalfLife), Preempt: c.Preempt,
	}
}

// NamespacePolicy writes the parts of a policy that are not nil; NamespaceChange reads them.
func NamespacePolicy(c *job.NamespaceChange) *reevev1.NamespacePolicy {
	return &reevev1.NamespacePolicy{
		Weight: c.Weight, Guarantee: amounts(c.Guarantee), Limit: limit(c.Limit), Pending: c.Pending, HalfLife: word(c.HalfLife),
	}
}

// word writes a value that is one word, absent for nil; none of ours fails.
func word[T encoding.TextMarshaler](v *T) *string {
	if v == nil {
		return nil
	}
	text, err := (*v).MarshalText()
	if err != nil {
		return nil
	}
	return new(string(text))
}

func amounts(r *job.Resources) *reevev1.Amounts {
	if r == nil {
		return nil
	}
	return &reevev1.Amounts{Resources: job.AmountsByName(*r)}
}

func limit(l *job.Limit) *reevev1.Limit {
	if l == nil {
		return nil
	}
	return &reevev1.Limit{Running: l.Running, Resources: job.AmountsByName(l.Resources)}
}

func rate(r *job.Rate) *reevev1.Rate {
	switch {
	case r == nil:
		return nil
	case *r == job.Rate{}:
		return &reevev1.Rate{}
	}
	return &reevev1.Rate{Count: r.Count, Per: job.FormatDuration(time.Duration(r.Per)), Burst: r.Burst}
}

// change reads the parts of a policy, and keeps the first error.
type change struct{ err error }

func (c *change) fail(what string, err error) {
	if c.err == nil && err != nil {
		c.err = fmt.Errorf("%s: %w", what, err)
	}
}

func (c *change) duration(what string, s *string) *job.Duration {
	if s == nil {
		return nil
	}
	d, err := job.ParseDuration(*s)
	c.fail(what, err)
	return new(job.Duration(d))
}

func (c *change) resources(what string, words map[string]string) job.Resources {
	r, err := job.ResourcesOf(words)
	c.fail(what, err)
	return r
}

func (c *change) guarantee(m *reevev1.Amounts) *job.Resources {
	if m == nil {
		return nil
	}
	return new(c.resources("guarantee", m.GetResources()))
}

func (c *change) limit(m *reevev1.Limit) *job.Limit {
	if m == nil {
		return nil
	}
	return &job.Limit{Running: m.GetRunning(), Resources: c.resources("limit", m.GetResources())}
}

func (c *change) rate(m *reevev1.Rate) *job.Rate {
	switch {
	case m == nil:
		return nil
	case m.GetCount() == 0 && m.GetPer() == "" && m.GetBurst() == 0:
		return &job.Rate{}
	}
	d, err := job.ParseDuration(m.GetPer())
	c.fail("rate", err)
	return &job.Rate{Count: m.GetCount(), Per: job.Duration(d), Burst: max(m.GetBurst(), 1)}
}

// QueueChange reads the parts of a policy that are there.
func QueueChange(m *reevev1.QueuePolicy) (job.QueueChange, error) {
	var c change
	if m == nil {
		return job.QueueChange{}, nil
	}
	out := job.QueueChange{
		Ageing: c.duration("ageing", m.Ageing), Weight: m.Weight, Guarantee: c.guarantee(m.GetGuarantee()),
		Limit: c.limit(m.GetLimit()), Rate: c.rate(m.GetRate()), HalfLife: c.duration("half_life", m.HalfLife), Preempt: m.Preempt,
	}
	if m.Order != nil {
		o, err := job.ParseOrder(m.GetOrder())
		if out.Order = &o; err != nil {
			return out, err
		}
	}
	if m.Backfill != nil {
		b, err := job.ParseBackfill(m.GetBackfill())
		if out.Backfill = &b; err != nil {
			return out, err
		}
	}
	return out, c.err
}

// NamespaceChange reads the parts of a policy that are there.
func NamespaceChange(m *reevev1.NamespacePolicy) (job.NamespaceChange, error) {
	var c change
	if m == nil {
		return job.NamespaceChange{}, nil
	}
	out := job.NamespaceChange{
		Weight: m.Weight, Guarantee: c.guarantee(m.GetGuarantee()), Limit: c.limit(m.GetLimit()), Pending: m.Pending,
		HalfLife: c.duration("half_life", m.HalfLife),
	}
	return out, c.err
}

// Pool writes a pool with how it is given away.
func Pool(v *core.PoolView) *reevev1.Pool {
	return &reevev1.Pool{
		Name: v.Name, Policy: PoolPolicy(&job.PoolChange{Overcommit: set(v.Policy.Overcommit)}), Workers: int32(v.Workers), WorkersLive: int32(v.Live),
		Running: int32(v.Running), Slots: int32(v.Slots), Has: poolAmounts(v.Capacity), Offers: poolAmounts(v.Offers), Used: poolAmounts(v.Used),
	}
}

func poolAmounts(r job.Resources) *reevev1.PoolAmounts {
	return &reevev1.PoolAmounts{CpuMilli: r.CPU, MemoryBytes: r.Memory, Resources: amountMap(r.Other)}
}

// PoolPolicy writes the parts of a policy that are not nil; PoolChange reads them.
func PoolPolicy(c *job.PoolChange) *reevev1.PoolPolicy {
	if c.Overcommit == nil {
		return &reevev1.PoolPolicy{}
	}
	return &reevev1.PoolPolicy{Overcommit: &reevev1.Overcommit{Factors: job.FactorsByName(*c.Overcommit)}}
}

// PoolChange reads the parts of a policy that are there.
func PoolChange(m *reevev1.PoolPolicy) (job.PoolChange, error) {
	if m.GetOvercommit() == nil {
		return job.PoolChange{}, nil
	}
	f, err := job.FactorsOf(m.GetOvercommit().GetFactors())
	if err != nil {
		return job.PoolChange{}, fmt.Errorf("overcommit: %w", err)
	}
	return job.PoolChange{Overcommit: &f}, nil
}

// ConcurrencyKey writes a key of a namespace with who holds it and what waits.
func ConcurrencyKey(namespace string, v *core.KeyView) *reevev1.ConcurrencyKey {
	out := &reevev1.ConcurrencyKey{
		Namespace: namespace, Key: v.Key, Of: "jobs", Limit: v.Limit, Held: v.Held, Waiting: v.Waiting, Jobs: v.Jobs, OpensAt: Time(v.Opens),
	}
	if v.Each {
		out.Of = "attempts"
	}
	for _, u := range v.Holders {
		out.Holders = append(out.Holders, &reevev1.KeyUser{Ref: u.Ref.String(), Since: Time(u.Since)})
	}
	for _, u := range v.Waiters {
		out.Waiters = append(out.Waiters, &reevev1.KeyUser{Ref: u.Ref.String(), Since: Time(u.Since)})
	}
	return out
}
