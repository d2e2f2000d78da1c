package core

import (
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// Place turns up to most of the plan's proposals into assignments, or fewer where the plan asks about many
// workers for them: then there is more to do. Unlike Decide it applies its events as it goes, since
// each proposal depends on the one before. As long as something is due it places nothing: what would be
// placed may be too late.
func (s *State) Place(now int64, most int) Decision {
	var d Decision
	s.Rank(rankSlice)
	if s.Due(now) {
		return d
	}
	const (
		mostRefused = 1000 // each is kept aside, or its queue closed, until something changes
		mostAged    = 64   // users whose turn comes nearer
	)
	asks := mostAsked
	s.openDue(now)
	s.expirePatience(now)
	s.plan.Age(now, mostAged)
	byWorker := map[uint64]int{}
	for refused := 0; len(d.Events) < most && refused < mostRefused && asks > 0; {
		p, ok := s.plan.NextWithin(now, &asks)
		if !ok && asks <= 0 {
			break
		}
		if !ok {
			s.recall(&d, most)
			s.clear(&d, now, most)
			s.makeRoom(&d, now, most)
			s.callBack(now)
			break
		}
		placed := s.check(p, now)
		for _, e := range placed {
			s.assigned(&d, e, byWorker)
		}
		if placed == nil {
			refused++
		}
	}
	d.More = len(d.Events) >= most || asks <= 0
	return d
}

// mostAsked is about how many workers the plan asks one by one in a turn, a millisecond or two's worth.
const mostAsked = 20_000

// assigned applies an assignment, and adds it to what is sent to its worker.
func (s *State) assigned(d *Decision, e AttemptAssigned, byWorker map[uint64]int) {
	s.Apply(e)
	d.Events = append(d.Events, e)
	i, ok := byWorker[e.Worker]
	if !ok {
		i = len(d.Sends)
		byWorker[e.Worker] = i
		d.Sends = append(d.Sends, Send{Worker: e.Worker})
	}
	d.Sends[i].Assign = append(d.Sends[i].Assign, e.Fence)
}

// check looks at a proposal with the core's own eyes, and is what follows from it: nothing from one
// that breaks a rule. That is a fault in the plan; its group is taken out, so that it can't come
// again.
func (s *State) check(p plan.Placement, now int64) []AttemptAssigned {
	if j := s.jobs.get(p.Group.Job); j != nil && j.spec.spec.Tasks[p.Group.Task].Nodes > 0 {
		return s.checkGang(p, now)
	}
	if e, ok := s.checkOne(p, now); ok && p.Team == nil {
		return []AttemptAssigned{e}
	}
	return nil
}

// checkOne looks at a proposal for one element.
func (s *State) checkOne(p plan.Placement, now int64) (AttemptAssigned, bool) {
	j, w := s.jobs.get(p.Group.Job), s.workers[p.Worker]
	if j == nil || w == nil || !w.accepts() || j.held || j.state.Terminal() {
		s.plan.SetReady(p.Group, 0)
		return AttemptAssigned{}, false
	}
	t, spec := &j.tasks[p.Group.Task], &j.spec.spec.Tasks[p.Group.Task]
	if int(p.Group.Way) >= spec.Ways() {
		s.plan.SetReady(p.Group, 0)
		return AttemptAssigned{}, false
	}
	position, memory := t.pick(p.Group), t.memoryFor(p.Group)
	need := spec.Asks(p.Group.Way, memory)
	_, _, prefetched := s.plan.Usage(w.id)
	var devices job.Devices
	fits := prefetched < w.hello.Prefetch && !mayHaveIDs(need) && len(spec.Either) == 0 && spec.Apart == (job.Share{}) && spec.Spread == (job.Share{}) &&
		j.near(p.Group.Task) == "" && (job.Resources{}).Fits(w.room())
	if !p.Prefetch {
		devices, fits = s.placeOn(w, need)
	}
	if position < 0 || !fits || !s.apart(j.apart(p.Group.Task), w) || t.state(position) != job.Pending || w.against(j.queue, s.plan.Lasts(p.Group), now) {
		s.plan.SetReady(p.Group, 0)
		return AttemptAssigned{}, false
	}
	if !s.permits(j, p.Group, now) {
		return AttemptAssigned{}, false
	}
	return AttemptAssigned{
		Job: j.id, Task: p.Group.Task, Position: position, Attempt: t.record(position).Attempts + 1,
		Fence: s.nextFence, Worker: w.id, Lease: s.leaseOf(spec), At: now, Prefetched: p.Prefetch, Alone: p.Group.Alone,
		Devices: devices, Way: p.Group.Way, Memory: memory,
	}, true
}

// placeOn reports whether a worker has a place for an attempt, and the devices that would be its own.
func (s *State) placeOn(w *worker, need job.Resources) (job.Devices, bool) {
	_, running, _ := s.plan.Usage(w.id)
	devices, fits := w.pick(need)
	return devices, fits && running < w.hello.Slots && need.Fits(w.room())
}

// label is the value of a worker's label, nothing if it has none.
func (w *worker) label(key string) string {
	if _, says := w.hello.Labels[key]; key == link.PoolLabel && !says {
		return w.pool()
	}
	return w.hello.Labels[key]
}

// leaseOf is the lease of a task's attempts in milliseconds, 0 for never lost.
func (s *State) leaseOf(spec *job.Task) int64 {
	switch l := spec.LostAfter; {
	case l == nil:
		return s.config.Lease
	case l.Never:
		return 0
	default:
		return millis(l.After)
	}
}

// recall asks for prefetched attempts back that another worker could start now.
func (s *State) recall(d *Decision, most int) {
	for _, r := range s.plan.Recalls(most) {
		w := s.workers[r.From]
		var fences []link.Fence
		asked := 0 // those that are on their way back count
		for a := w.last; a != nil && asked < r.N; a = a.prev {
			if !a.prefetched || a.shape() != r.Shape {
				continue
			}
			asked++
			if a.recalled {
				continue
			}
			e := AttemptRecalled{Fence: a.fence}
			s.Apply(e)
			d.Events = append(d.Events, e)
			fences = append(fences, a.fence)
		}
		if fences != nil {
			d.Sends = append(d.Sends, Send{Worker: w.id, Msg: link.ToWorker{Recall: fences}})
		}
	}
}

// makeRoom asks attempts to make room for what comes first. They don't spend a try, and are
// tried again.
func (s *State) makeRoom(d *Decision, now int64, most int) {
	for len(d.Events) < most {
		e, ok := s.plan.Evict(now)
		if !ok {
			return
		}
		cause := job.Cause{Kind: job.CausePreempted, Detail: "for job " + e.Group.Job.String()}
		for _, tag := range e.Tags {
			a := s.attempts[fenceOf(tag)]
			if a == nil || a.worker.id != e.Worker || a.stop.Kind != job.CauseNone || a.job.spec.spec.Tasks[a.task].AtMostOnce {
				return // a fault of the plan: it proposes what it must not
			}
			ev := AttemptStopped{Fence: a.fence, Cause: cause, Grace: millis(a.job.spec.spec.Tasks[a.task].Grace)}
			s.Apply(ev)
			d.Events = append(d.Events, ev)
			d.Sends = append(d.Sends, Send{Worker: e.Worker, Msg: link.ToWorker{Stop: stopMessage(a.fence, ev.Grace, cause)}})
		}
	}
}

// Assignments builds what a worker needs to run the attempts named, leaving out
// those that have ended since. The slices in it are shared and read-only. Payloads that are
// in the tables alone are left to whoever sends it.
func (s *State) Assignments(fences []link.Fence) []link.Assignment {
	out := make([]link.Assignment, 0, len(fences))
	for _, f := range fences {
		if a := s.heldBy(f); a != nil {
			out = append(out, s.assignment(a))
		}
	}
	return out
}

func (s *State) assignment(a *attempt) link.Assignment {
	j, t := a.job, &a.job.tasks[a.task]
	spec := &j.spec.spec.Tasks[a.task]
	m := link.Assignment{
		Fence: a.fence, Job: j.id, JobUID: j.uid.String(), Namespace: j.queue.space.name, Task: a.task, Position: a.position,
		Index: job.NoIndex, Attempt: int(a.number), SpecHash: j.spec.hash, Spec: j.spec.spec, Params: j.params, Payload: j.payload, Away: j.away,
		Lease: time.Duration(a.lease) * time.Millisecond, JobDeadline: j.deadline, Prefetched: a.prefetched,
		Devices: a.devices, Way: a.way, Memory: a.memory,
	}
	if a.worker.over != (job.Factors{}) {
		m.Offers = a.worker.offers
	}
	if t.arr != nil {
		m.Index, m.Count = spec.Array.Index(a.position), t.n
		m.First, m.Last = spec.Array.Bounds(t.n)
		if t.items != nil {
			m.Item, m.HasItem = t.items[a.position], true
		}
	}
	if spec.Nodes > 0 {
		m.Hosts = t.hosts()
	}
	for _, u := range j.spec.uses[a.task] {
		if raw := j.tasks[u].outputs; raw != nil {
			m.Outputs = append(m.Outputs, link.TaskOutputs{Task: j.spec.spec.Tasks[u].Name, Outputs: raw})
		}
	}
	return m
}

// Canonical returns the text of an interned spec, or nil.
func (s *State) Canonical(h Hash) []byte {
	if sp := s.specs[h]; sp != nil {
		return sp.canonical
	}
	return nil
}
