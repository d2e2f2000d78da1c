package plan

import (
	"cmp"
	"math/big"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan/usage"
)

// note adds to pasts what whoever an attempt is of has used until now, before that changes.
func (m *model) note(a Attempt) {
	names := []string{a.Namespace, a.Queue, a.User}
	for i := range names {
		of := names[:i+1]
		if names[i] == "" {
			continue
		}
		p, known := m.pasts[strings.Join(of, "/")]
		if !known {
			p = usage.Past{At: m.now}
		}
		m.pasts[strings.Join(of, "/")] = p.Add(m.now, m.halfLife(of...), min(m.share(of...), mostPast), m.now-p.At)
	}
}

func (m *model) halfLife(of ...string) int64 {
	d := job.Duration(0)
	switch len(of) {
	case 2:
		d = m.spaces[of[0]].HalfLife
	case 3:
		d = m.queues[of[0]+"/"+of[1]].HalfLife
	}
	return time.Duration(cmp.Or(d, job.DefaultHalfLife)).Milliseconds()
}

func (m *model) left(of ...string) int64 {
	return m.pasts[strings.Join(of, "/")].Left(m.now, m.halfLife(of...))
}

// key ranks namespaces, queues or users: who has the lower one goes first.
func (m *model) key(of ...string) int64 {
	weight, guarantee := int64(1), job.Resources{}
	switch len(of) {
	case 1:
		weight, guarantee = m.spaces[of[0]].Weight, m.spaces[of[0]].Guarantee
	case 2:
		q := m.queues[of[0]+"/"+of[1]]
		weight, guarantee = q.Weight, q.Guarantee
	}
	used, _ := m.part(of...)
	promised, under := false, true
	for _, c := range []struct{ used, guarantee int64 }{
		{used.CPU, guarantee.CPU}, {used.Memory, guarantee.Memory}, {used.Other.Get("gpu"), guarantee.Other.Get("gpu")},
	} {
		promised = promised || c.guarantee > 0
		under = under && (c.guarantee == 0 || c.used < c.guarantee)
	}
	key := (m.share(of...) + m.left(of...)) / max(weight, 1)
	if promised && under {
		key -= 1 << 40
	}
	return key
}

// share is the largest part of anything that somebody has.
func (m *model) share(of ...string) int64 {
	var total job.Resources
	places := int64(0)
	for _, w := range m.workers {
		total, places = total.Plus(w.Capacity), places+int64(w.Slots)
	}
	used, running := m.part(of...)
	return max(modelRatio(running, places), modelRatio(used.CPU, total.CPU), modelRatio(used.Memory, total.Memory),
		modelRatio(used.Other.Get("gpu"), total.Other.Get("gpu")))
}

// modelRatio is in millionths, as nearly as the index has it.
func modelRatio(part, whole int64) int64 {
	switch {
	case part <= 0:
		return 0
	case whole <= 0:
		return unit
	}
	ratio := new(big.Int).Mul(big.NewInt(part), big.NewInt(unit))
	return ratio.Div(ratio, big.NewInt(whole)).Int64()
}
