package core

import (
	"cmp"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// FormatPools is the format from which on pools are given away in a way of their own.
const FormatPools = 3

// PoolView is a pool with what is in it.
type PoolView struct {
	PoolSet
	// Workers counts its workers, Live those of them that are connected. The rest is of those.
	Workers, Live  int
	Running, Slots int
	// Capacity is what they have, Offers what of it may be given away, Used what attempts have.
	Capacity, Offers, Used job.Resources
}

func (s *State) decidePool(c PutPool) (d Decision, err error) {
	if err := job.CheckName(c.Name); err != nil {
		return d, refuse(job.Invalid, "pool: %s", err)
	}
	views := s.poolsBy(func(name string) bool { return name == c.Name })
	if len(views) == 0 {
		if names := s.knownPools(); c.Known && names == nil {
			return d, refuse(job.NotFound, "pool %q has no worker and no setting; there is no pool", c.Name)
		} else if c.Known {
			return d, refuse(job.NotFound, "pool %q has no worker and no setting; known: %s", c.Name, known(names))
		}
		views = []PoolView{{PoolSet: PoolSet{Name: c.Name}}}
	}
	view, old := views[0], s.pools[c.Name]
	view.Policy = c.Change.Apply(old)
	if err := s.checkPool(&view.PoolSet); err != nil {
		return d, err
	}
	if view.Policy != old {
		d.Events = append(d.Events, view.PoolSet)
		view.Offers = job.Resources{}
		for _, w := range s.workersOf(c.Name) {
			if !w.away {
				view.Offers = view.Offers.Plus(view.Policy.Overcommit.Besides(w.hello.Devices).Of(w.hello.Capacity))
			}
		}
	}
	d.Reply = view
	return d, nil
}

// checkPool refuses a policy that is wrong, that the cluster's format has no place for, or that
// makes more of devices.
func (s *State) checkPool(e *PoolSet) error {
	if err := e.Policy.Check(); err != nil {
		return refuse(job.Invalid, "pool %s: %s", e.Name, err)
	}
	if e.Policy == (job.PoolPolicy{}) {
		return nil
	}
	if err := s.checkFormat(FormatPools, "the policy of pool "+e.Name); err != nil {
		return err
	}
	if _, there := s.pools[e.Name]; !there && len(s.pools) >= MaxPools {
		return refuse(job.Refused, "there are %d pools with a setting; no more are allowed", len(s.pools))
	}
	for _, w := range s.workersOf(e.Name) {
		for name, ids := range w.hello.Devices.All {
			if f := e.Policy.Overcommit.Get(name); f != job.Once {
				return refuse(job.Invalid, "pool %s: overcommit: %s=%s: worker %s has %d devices of that name, each of which is one attempt's alone; leave %s out",
					e.Name, name, job.FormatCPU(f), w.hello.Name, len(ids), name)
			}
		}
	}
	return nil
}

func (s *State) applyPool(e PoolSet) {
	if e.Policy == (job.PoolPolicy{}) {
		delete(s.pools, e.Name)
		s.poolNames = slices.DeleteFunc(s.poolNames, func(name string) bool { return name == e.Name })
	} else {
		s.pools[e.Name] = e.Policy
		s.poolNames = insert(s.poolNames, e.Name)
	}
	for _, w := range s.workersOf(e.Name) {
		s.present(w)
	}
	s.follow.overtaken(overtaken{pool: e.Name})
	s.flush.object(objectKey{KindPool, e.Name})
}

// present tells the plan of a worker as its pool gives it away, and what it is reserved for.
func (s *State) present(w *worker) {
	w.over = s.pools[w.pool()].Overcommit.Besides(w.hello.Devices)
	w.offers = w.over.Of(w.hello.Capacity)
	w.windows = s.windowsOf(w)
	s.plan.SetWorker(planWorker(w))
}

// workersOf is the workers of a pool by id.
func (s *State) workersOf(pool string) (out []*worker) {
	for _, id := range s.workerIDs {
		if w := s.workers[id]; w.pool() == pool {
			out = append(out, w)
		}
	}
	return out
}

// Pools returns the pools that have workers or a setting, by name.
func (s *State) Pools() []PoolView { return s.poolsBy(func(string) bool { return true }) }

func (s *State) poolsBy(want func(name string) bool) []PoolView {
	var out []PoolView
	at := map[string]int{}
	pool := func(name string) *PoolView {
		i, seen := at[name]
		if !seen {
			i = len(out)
			at[name] = i
			out = append(out, PoolView{PoolSet: PoolSet{Name: name, Policy: s.pools[name]}})
		}
		return &out[i]
	}
	for _, name := range s.poolNames {
		if want(name) {
			pool(name)
		}
	}
	for _, id := range s.workerIDs {
		w := s.workers[id]
		if !want(w.pool()) {
			continue
		}
		v := pool(w.pool())
		if v.Workers++; w.away {
			continue
		}
		_, running, _ := s.plan.Usage(id)
		v.Live, v.Running, v.Slots = v.Live+1, v.Running+running, v.Slots+w.hello.Slots
		v.Capacity, v.Offers, v.Used = v.Capacity.Plus(w.hello.Capacity), v.Offers.Plus(w.offers), v.Used.Plus(w.used)
	}
	slices.SortFunc(out, func(a, b PoolView) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (s *State) knownPools() (names []string) {
	for _, v := range s.Pools() {
		names = append(names, v.Name)
	}
	return names
}
