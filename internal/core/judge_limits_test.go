package core

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
)

// starts is when what a rate counts has started, by what counts it.
type starts map[string][]int64

// limits holds an assignment against every limit there is, by counting.
func (g *judge) limits(l *lab, e AttemptAssigned) {
	s := l.s
	j := s.jobs.get(e.Job)
	a := s.attempts[e.Fence]
	q, n := j.queue, j.queue.space
	inQueue := func(o *jobState) bool { return o.queue == q }
	inSpace := func(o *jobState) bool { return o.queue.space == n }
	for _, c := range []struct {
		what string
		in   func(*jobState) bool
		most job.Limit
	}{{"queue", inQueue, q.policy.Limit}, {"namespace", inSpace, n.policy.Limit}} {
		_, running, used := g.loadOf(l, c.in)
		need := g.needs(l, a)
		if over := c.most.Over(running-1, used.Minus(need), need); over != "" {
			l.fail("%d is assigned beyond the limit of its %s: %s of %s", e.Job, c.what, over, c.most)
		}
	}
	if a.gang() && e.Position > 0 {
		return // the start of a gang is one
	}
	g.rate(l, "queue "+q.name, q.policy.Rate, e.At)
	first := j.started == e.At && g.firstOf(j, a)
	for _, ti := range []uint32{NoTask, e.Task} {
		k := j.slotOf(ti)
		if k == nil || ti == NoTask && !first {
			continue
		}
		c := j.concurrency(ti)
		if held := int64(len(g.holders(l, k.key.Name()))); c.Limit > 0 && held > c.Limit {
			l.fail("%d is assigned as the holder %d of %s, which has %d slots", e.Job, held, k.key.Name().Key, c.Limit)
		}
		if c.Rate != nil {
			g.rate(l, keyRow(k.key.Name()), *c.Rate, e.At)
		}
	}
}

// firstOf reports whether an attempt is the first of its job that was assigned.
func (g *judge) firstOf(j *jobState, a *attempt) bool {
	if g.begun[j.id] {
		return false
	}
	if g.begun == nil {
		g.begun = map[job.ID]bool{}
	}
	g.begun[j.id] = true
	return a.job == j
}

// rate holds a start against those before it: in no time more than the burst and what that
// time has room for.
func (g *judge) rate(l *lab, of string, r job.Rate, at int64) {
	if r.Count == 0 {
		return
	}
	if g.starts == nil {
		g.starts = starts{}
	}
	g.starts[of] = append(g.starts[of], at)
	all := g.starts[of]
	per := time.Duration(r.Per).Microseconds()
	between := (per + r.Count - 1) / r.Count
	for i := range all {
		if n, passed := int64(len(all)-i), (at-all[i])*1000; n > r.Burst+passed/between {
			l.fail("%s: %d starts within %d ms, by a rate of %s with a burst of %d", of, n, at-all[i], r, r.Burst)
		}
	}
}

// loadOf counts what the jobs selected have.
func (g *judge) loadOf(l *lab, in func(*jobState) bool) (pending, running int64, used job.Resources) {
	for j := range l.s.jobs.all {
		if j.state.Terminal() || !in(j) {
			continue
		}
		for i := range j.tasks {
			t := &j.tasks[i]
			for p := range max(t.n, 1) {
				if t.n != 0 && t.state(p) == job.Pending {
					pending++
				}
				if a := t.attempt(p); t.n != 0 && a != nil && a.ended == nil {
					running++
					used = used.Plus(g.needs(l, a))
				}
			}
		}
	}
	return pending, running, used
}

// holders is who holds a key, by the states of jobs and attempts alone.
func (g *judge) holders(l *lab, n limit.Name) (out []limit.Owner) {
	for j := range l.s.jobs.all {
		for _, k := range j.slots {
			if k.key.Name() != n {
				continue
			}
			if k.task == NoTask {
				if j.state == job.JobRunning && !k.released {
					out = append(out, limit.Owner{Job: j.id})
				}
				continue
			}
			for a := j.tasks[k.task].nextLive(0); a != nil; a = j.tasks[k.task].nextLive(a.position + 1) {
				if !a.released {
					out = append(out, limit.Owner{Job: j.id, Fence: uint64(a.fence)})
				}
			}
		}
	}
	return out
}

// counts holds what queues, namespaces and keys have counted against what there is.
func (g *judge) counts(l *lab) {
	s := l.s
	for _, name := range s.spaceNames {
		n := s.spaces[name]
		of := map[*load]func(*jobState) bool{&n.load: func(j *jobState) bool { return j.queue.space == n }}
		for _, q := range n.queues {
			of[&q.load] = func(j *jobState) bool { return j.queue == q }
		}
		for have, in := range of {
			pending, running, used := g.loadOf(l, in)
			if have.pending != pending || have.running != running || have.used != used {
				l.fail("%s has %d waiting, %d running and %v, and counts %d, %d and %v", name, pending, running, used, have.pending, have.running, have.used)
			}
		}
	}
	uses := map[limit.Name]int64{}
	for j := range s.jobs.all {
		if j.state.Terminal() && len(j.slots) > 0 {
			l.fail("job %d has ended and has keys", j.id)
		}
		for _, k := range j.slots {
			uses[k.key.Name()]++
		}
	}
	byOwner := func(a, b limit.Owner) int { return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Fence, b.Fence)) }
	for n, want := range uses {
		k := s.limits.Find(n)
		held := g.holders(l, n)
		slices.SortFunc(held, byOwner)
		if k == nil || k.Uses() != want || !slices.Equal(held, k.Owners(math.MaxInt)) {
			l.fail("%d jobs name %v, held by %v; known: %v", want, n, held, k)
		}
	}
	if known := s.limits.Len(); known > len(uses)+len(s.limits.Owing()) {
		l.fail("%d keys are known, %d are named and %d owed for", known, len(uses), len(s.limits.Owing()))
	}
}

// rooms is how many elements of each task could start by the keys alone: worked out from
// scratch, from what could start but for them.
func (g *judge) rooms(l *lab) map[limit.Group]int64 {
	base, whole, each := map[limit.Group]int64{}, map[limit.Name][]limit.Claim{}, map[limit.Name][]limit.Claim{}
	out := map[limit.Group]int64{}
	s := l.s
	for j := range s.jobs.all {
		for i := range j.tasks {
			of := limit.Group{Job: j.id, Task: uint32(i)}

			if base[of] = g.startable(l, j, uint32(i)).all(); base[of] == 0 {
				continue
			}
			out[of] = limit.Unlimited
			if k := j.slotOf(NoTask); k != nil && j.state == job.JobPending {
				whole[k.key.Name()] = append(whole[k.key.Name()], s.claimOf(j, uint32(i), NoTask))
			}
		}
	}
	g.share(l, whole, out)
	for j := range s.jobs.all {
		for i := range j.tasks {
			of := limit.Group{Job: j.id, Task: uint32(i)}
			if out[of] > 0 { // the job's key bounds jobs, not elements
				out[of] = limit.Unlimited
			}
			if k := j.slotOf(uint32(i)); k != nil && out[of] > 0 {
				each[k.key.Name()] = append(each[k.key.Name()], s.claimOf(j, uint32(i), uint32(i)))
			}
		}
	}
	g.share(l, each, out)
	return out
}

// share gives the room of each key to those that wait first.
func (g *judge) share(l *lab, claims map[limit.Name][]limit.Claim, out map[limit.Group]int64) {
	for n, all := range claims {
		held := int64(len(g.holders(l, n)))
		slices.SortFunc(all, func(a, b limit.Claim) int {
			switch {
			case a.Cancels && b.Cancels:
				return cmp.Or(cmp.Compare(b.Job, a.Job), cmp.Compare(a.Task, b.Task))
			case a.Cancels:
				return -1
			case b.Cancels:
				return 1
			}
			return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Job, b.Job), cmp.Compare(a.Task, b.Task))
		})
		rivals := len(all) > 0 && all[0].Cancels
		places := map[string]int{}
		for _, c := range all {
			line := c.Queue
			if c.Cancels {
				line = "/cancels"
			}
			places[line]++
			switch closed := l.s.limits.Find(n).Opens() > 0; {
			case places[line] > limit.Window, rivals && !c.Cancels, c.Rate.Count > 0 && closed:
				out[c.Group] = 0
			case c.Limit > 0:
				out[c.Group] = min(out[c.Group], max(c.Limit-held, 0))
			}
		}
	}
}

// startable is what could start of a task but for keys.
func (g *judge) startable(l *lab, j *jobState, ti uint32) startable {
	t := &j.tasks[ti]
	if !t.ready || t.held || j.held || j.state.Terminal() || t.stop.Kind != job.CauseNone {
		return startable{}
	}
	n, backoff := g.pendingOf(l, j, ti)
	if j.spec.spec.Tasks[ti].Nodes > 0 { // one start is all of it
		if backoff > 0 || n.all() < t.n {
			return startable{}
		}
		return n.within(1)
	}
	if throttle := j.spec.spec.Tasks[ti].Array; t.arr != nil && throttle.Throttle > 0 {
		n = n.within(max(throttle.Throttle-int64(len(t.arr.live)), 0))
	}
	return n
}
