package core

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// A gang is the elements of a task that start together, each on a worker of its own: its ranks.
// When one of them ends, its attempt gives back what it had and stays; what becomes of the elements
// is decided for all at once when the last has ended. So a rank that ended well is not told to have
// succeeded until all have, and all of them are tried again together.

// FormatGangs is the format from which on tasks may take several workers at once.
const FormatGangs = 3

// gang reports whether an attempt is one of a gang's.
func (a *attempt) gang() bool { return a.job.spec.spec.Tasks[a.task].Nodes > 0 }

// hosts is what the workers of a gang's ranks call their hosts, by rank. All ranks are told of the
// same list.
func (t *task) hosts() []string {
	if t.arr.hosts == nil {
		for a := t.nextLive(0); a != nil; a = t.nextLive(a.position + 1) {
			t.arr.hosts = append(t.arr.hosts, a.worker.hello.Host)
		}
	}
	return t.arr.hosts
}

// checkGang looks at a proposal for a gang as check does, and places all of it or nothing.
func (s *State) checkGang(p plan.Placement, now int64) []AttemptAssigned {
	j, out := s.jobs.get(p.Group.Job), []AttemptAssigned(nil)
	if j != nil && !j.held && !j.state.Terminal() {
		out = s.placeTeam(j, p, now)
	}
	if out == nil {
		s.plan.SetReady(p.Group, 0)
		return nil
	}
	if !s.permits(j, p.Group, now) {
		return nil
	}
	return out
}

// placeTeam gives each rank of a gang a worker, nothing if one of them has no place.
func (s *State) placeTeam(j *jobState, p plan.Placement, now int64) (out []AttemptAssigned) {
	ti, team := p.Group.Task, p.All()
	t, spec := &j.tasks[ti], &j.spec.spec.Tasks[ti]
	way, memory := p.Group.Way, t.memoryFor(p.Group)
	if int(way) >= spec.Ways() {
		return nil
	}
	need := spec.Asks(way, memory)
	if p.Prefetch || t.startable().of(p.Group) != t.n || int64(len(team)) != t.n {
		return nil
	}
	for i, id := range team {
		w, position := s.workers[id], int64(i)
		if w == nil || !w.accepts() || slices.Contains(team[:i], id) || t.state(position) != job.Pending {
			return nil
		}
		devices, fits := s.placeOn(w, need)
		if !fits || w.against(j.queue, s.plan.Lasts(p.Group), now) {
			return nil
		}
		out = append(out, AttemptAssigned{
			Job: j.id, Task: ti, Position: position, Attempt: t.record(position).Attempts + 1, Fence: s.nextFence + link.Fence(i),
			Worker: id, Lease: s.leaseOf(spec), At: now, Alone: p.Group.Alone, Devices: devices, Way: way, Memory: memory,
		})
	}
	return out
}

// endRank decides the end of a gang's attempt as far as that can be: it gives back what it had.
// Outputs are kept of the first rank alone, as those of the task.
func (s *State) endRank(d *Decision, in Input, a *attempt, r link.Result) {
	r.Started, r.Ended = a.during(in.Now, r.Started, r.Ended)
	if a.started == 0 && r.Started > 0 {
		d.Events = append(d.Events, AttemptStarted{Fence: a.fence, At: r.Started})
	}
	if a.position > 0 || r.Cause.Kind != job.CauseNone {
		r.Outputs = nil
	}
	d.Events = append(d.Events, AttemptEnded{
		Fence: a.fence, Cause: a.causeOf(r), Usage: r.Usage, Started: r.Started, Ended: r.Ended, At: in.Now,
		Outputs: r.Outputs, LogSize: r.LogSize, Awaits: true,
	})
}

// giveBack decides what follows from an attempt that its worker has not begun and does not keep.
// A gang is tried again as a whole, which spends nothing.
func (s *State) giveBack(d *Decision, in Input, a *attempt) {
	if !a.gang() {
		d.Events = append(d.Events, AttemptReturned{Fence: a.fence})
		return
	}
	s.endRank(d, in, a, link.Result{Fence: a.fence, Cause: job.Cause{Kind: job.CausePreempted, Detail: "given back by worker " + a.worker.hello.Name}})
}

func (s *State) applyRankEnded(a *attempt, e AttemptEnded) {
	s.release(a, e.Promotes, e.At)
	e.Promotes, e.LogSize = 0, 0
	a.ended = &e
	a.worker.awaits++
	s.follow.gang(a.job.id, a.task)
}

// gang notes one of which an attempt has ended.
func (w *worklist) gang(id job.ID, ti uint32) {
	if k, n := (taskKey{id, ti}), len(w.gangs); n == 0 || w.gangs[n-1] != k {
		w.gangs = append(w.gangs, k)
	}
}

// followGang asks the rest of a gang to end when one ended badly, and decides what becomes of the
// elements when all have ended.
func (s *State) followGang(d *Decision, k taskKey, now int64) {
	j := s.jobs.get(k.job)
	if j == nil || j.state.Terminal() {
		return
	}
	var decisive *attempt // the first by how much it says
	var live, ended []*attempt
	for a := range j.tasks[k.task].attempts {
		if a.ended == nil {
			live = append(live, a)
			continue
		}
		ended = append(ended, a)
		if decisive == nil || a.weight() > decisive.weight() {
			decisive = a
		}
	}
	switch {
	case decisive == nil:
	case len(live) == 0:
		s.endGang(d, ended, decisive, now)
	case decisive.ended.Cause.Kind != job.CauseNone:
		cause, grace := decisive.toOthers(), millis(j.spec.spec.Tasks[k.task].Grace)
		for _, a := range live {
			if a.stop.Kind == job.CauseNone {
				d.Events = append(d.Events, AttemptStopped{Fence: a.fence, Cause: cause, Grace: grace})
				d.Sends = append(d.Sends, Send{Worker: a.worker.id, Msg: link.ToWorker{Stop: stopMessage(a.fence, grace, cause)}})
			}
		}
	}
}

// attempts goes through what is live of a task.
func (t *task) attempts(yield func(*attempt) bool) {
	for a := t.nextLive(0); a != nil && yield(a); a = t.nextLive(a.position + 1) {
	}
}

// asked reports whether an attempt was asked to end so that its element does too.
func (a *attempt) asked() bool {
	switch a.stop.Kind {
	case job.CauseNone, job.CausePreempted, job.CauseGang:
		return false
	}
	return true
}

// mayHaveBegun reports whether an attempt that ended had begun, for all that is known.
func (a *attempt) mayHaveBegun() bool {
	return a.started > 0 || a.ended.Started > 0 || a.ended.Cause.Kind == job.CauseWorkerLost
}

// weight says how much the end of an attempt explains the end of its gang. What failed after a
// worker was lost did so for that.
func (a *attempt) weight() int {
	switch kind := a.ended.Cause.Kind; {
	case a.asked():
		return 5
	case kind == job.CauseNone:
		return 0
	case a.stop.Kind == job.CauseGang:
		return 1
	case kind == job.CauseWorkerLost:
		return 4
	case kind == job.CausePreempted || a.stop.Kind == job.CausePreempted:
		return 3
	}
	return 2
}

// toOthers is the cause of the ends of the others of a gang.
func (a *attempt) toOthers() job.Cause {
	return job.Cause{Kind: job.CauseGang, Detail: fmt.Sprintf("rank %d: %s", a.position, cmp.Or(a.stop, a.ended.Cause))}.Trim()
}

// endGang ends the elements of a gang, or lets all of them be tried again: as the decisive one of
// its attempts says, whose end comes first, since its cause is the job's.
func (s *State) endGang(d *Decision, all []*attempt, decisive *attempt, now int64) {
	first, quarantined := s.outcome(Input{Now: now}, decisive, *decisive.ended)
	if spec := &decisive.job.spec.spec.Tasks[decisive.task]; spec.AtMostOnce && first.Next == job.Pending && slices.ContainsFunc(all, (*attempt).mayHaveBegun) {
		first.Next, first.RetryAt = job.Failed, 0 // though the decisive one never ran
	}
	end := func(a *attempt, cause job.Cause) {
		e := *a.ended
		e.Cause, e.Awaits, e.At = cause, false, now
		e.Next, e.RetryAt, e.Spent, e.Memory = first.Next, first.RetryAt, first.Spent, first.Memory
		if first.Next != job.Succeeded {
			e.Outputs = nil
		}
		d.Events = append(d.Events, e)
	}
	end(decisive, first.Cause)
	for _, a := range all {
		cause := a.ended.Cause
		switch {
		case a == decisive:
			continue
		case first.Next == job.Succeeded:
		case first.Next == job.Cancelled:
			cause = first.Cause
		case a.asked() || a.stop.Kind == job.CausePreempted && cause.Kind != job.CauseNone:
			cause = a.stop
		case a.stop.Kind == job.CauseGang || cause.Kind == job.CauseNone:
			cause = decisive.toOthers()
		}
		end(a, cause)
	}
	if quarantined {
		all := element.Span{Last: decisive.job.tasks[decisive.task].n - 1}
		d.Events = append(d.Events, quarantine(decisive, all, first.Spent, now))
	}
}
