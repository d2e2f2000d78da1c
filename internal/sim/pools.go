package sim

import (
	"cmp"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// overcommitSome has the workers given away as more or less than they are.
func (u *users) overcommitSome() {
	w := u.w
	factor := func() int64 { return pick[int64](w, 0, 500, 1500, 2000, 3000) }
	over := job.Factors{CPU: factor(), Memory: factor(), Other: job.AmountsOf(map[string]int64{"licence": factor(), job.Disk: factor()})}
	u.overcommit(over)
}

func (u *users) overcommit(over job.Factors) {
	c := core.PutPool{Name: core.DefaultName, Change: job.PoolChange{Overcommit: &over}}
	u.ask(&call{
		what: "over-commit", lane: laneControl, command: func(*server) core.Command { return c }, heard: func(any, error) {},
		leaves: func(_ any, err error) {
			if err == nil {
				u.w.past.judgePool(over)
			}
		},
	})
}

// pooled takes in how a pool is given away from now on.
func (h *history) pooled(e core.PoolSet) {
	if h.pools[e.Name] == e.Policy.Overcommit {
		h.fail(Legal, "%+v changes nothing", e)
	}
	h.pools[e.Name], h.pooledAt = e.Policy.Overcommit, h.batches
	for _, w := range h.workers {
		w.short = true // if less is given away than before
	}
	h.w.truth.widen(e)
}

// judgePool wants what is answered to be so. It may have been changed again since it was asked for.
func (h *history) judgePool(over job.Factors) {
	if h.pools[core.DefaultName] != over && h.pooledAt <= h.asked {
		h.fail(Durable, "an over-commit of %s is answered and not durable; it is %s", over, h.pools[core.DefaultName])
	}
}

// offers is what a worker has to give away, by a reading of its own of what the documents say.
func (h *history) offers(w *pastWorker) job.Resources {
	return multiplied(w.hello.Capacity, w.hello.Devices, h.pools[cmp.Or(w.hello.Pool, core.DefaultName)])
}

// multiplied is amounts by their factors, rounded down, but for devices, which are what they are.
func multiplied(has job.Resources, ids job.Devices, over job.Factors) job.Resources {
	out := job.Resources{CPU: has.CPU * over.Get("cpu") / 1000, Memory: has.Memory * over.Get("memory") / 1000}
	for name, n := range has.Other.All {
		if ids.Get(name) == nil {
			n = n * over.Get(name) / 1000
		}
		out.Other = out.Other.Set(name, n)
	}
	return out
}

// widen notes the most that pools ever gave away: what has been started stays.
func (l *ledger) widen(e core.PoolSet) {
	over, most := e.Policy.Overcommit, &l.widest
	most.CPU, most.Memory = max(most.Get("cpu"), over.Get("cpu")), max(most.Get("memory"), over.Get("memory"))
	for name, n := range over.Other.All {
		most.Other = most.Other.Set(name, max(n, most.Get(name)))
	}
}
