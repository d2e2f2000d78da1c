package core

import (
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/match"
)

// A task that prefers the cheapest worker waits for that as long as the deadline of its job allows: until
// its latest start, which is the deadline less what it and all that follows from it are to take, and less a
// margin. So is cost kept down within a deadline by Buyya, Abramson and Giddy ("Nimrod/G: An Architecture
// for a Resource Management and Scheduling System in a Global Computational Grid", 2000) and, over graphs,
// by Abrishami, Naghibzadeh and Epema ("Deadline-constrained workflow scheduling algorithms for
// Infrastructure as a Service Clouds", 2013).
//
// When that is depends on what is known of run times and of workers when it is asked. That is a cache's
// business, like an order by length, and no part of what events say.

const (
	// impatient stands for a moment of a task that has waited for as long as it may, or is not to wait.
	impatient = -1
	// unknown stands for a length that nobody knows.
	unknown = -1
	// marginPart is which part of the expected length is added to it, and spare what is added to that in
	// milliseconds, for what nobody reckons with.
	marginPart = 4
	spare      = 10_000
)

// prefersCheapest reports whether a task prefers the cheapest worker.
func prefersCheapest(spec *job.Task) bool {
	for _, p := range spec.Prefer {
		if p.When == match.Cheapest && p.Weight > 0 {
			return true
		}
	}
	return false
}

// setPatience works out until when a task of which something may start waits for a cheaper worker, if that was
// not done before.
func (s *State) setPatience(j *jobState, ti uint32) {
	t := &j.tasks[ti]
	if t.patience != 0 || j.deadline == 0 || !prefersCheapest(&j.spec.spec.Tasks[ti]) {
		return
	}
	if j.tails == nil {
		j.seldom().tails = s.tails(j)
	}
	at := s.latest(j, ti, j.tails)
	t.seldom().patience = at
	if at > 0 {
		s.patience.push(timer{at: at, job: j.id, task: ti, kind: timerPatience})
	}
}

// expirePatience ends the patience of what has come to its latest start, unless that is later than it seemed, since
// fewer elements are left, say.
func (s *State) expirePatience(now int64) {
	for s.patience.due(now) {
		t := s.patience.pop()
		j := s.jobs.get(t.job)
		if j == nil || j.state.Terminal() || j.tasks[t.task].patience != t.at {
			continue
		}
		j.seldom().tails = s.tails(j)
		if at := s.latest(j, t.task, j.tails); at > now {
			j.tasks[t.task].seldom().patience = at
			s.patience.push(timer{at: at, job: t.job, task: t.task, kind: timerPatience})
			continue
		}
		j.tasks[t.task].seldom().patience = impatient
		s.regroup(j, t.task)
	}
}

// resetPatience has everybody's patience worked out anew.
func (s *State) resetPatience() {
	for j := range s.jobs.all {
		if j.deadline == 0 || j.state.Terminal() {
			continue
		}
		for i := range j.tasks {
			if j.tasks[i].patience != 0 {
				j.seldom().tails, j.tasks[i].seldom().patience = nil, 0
				s.regroup(j, uint32(i))
			}
		}
	}
}

// patienceOf is until when a task waits for a cheaper worker, or would if it were ready, 0 if it does not.
// tails is what follows from the job's tasks.
func (s *State) patienceOf(j *jobState, ti uint32, tails []int64) int64 {
	if at := j.tasks[ti].patience; at != 0 || tails == nil || !prefersCheapest(&j.spec.spec.Tasks[ti]) {
		return max(at, 0)
	}
	return max(s.latest(j, ti, tails), 0)
}

// latest is the latest start of a task whose job has a deadline, or impatient.
func (s *State) latest(j *jobState, ti uint32, tails []int64) int64 {
	length := s.lasts(j, ti)
	if length == unknown || tails[ti] == unknown {
		return impatient
	}
	length = min(length+tails[ti], far)
	at := j.deadline - length - length/marginPart - spare
	if j.startBefore > 0 && !j.begun {
		at = min(at, j.startBefore-spare)
	}
	if at <= 0 {
		return impatient
	}
	return at
}

// tails is for each task of a job how long that takes at most which follows from it, unknown where nobody
// knows. It is nil where no task waits for a cheaper worker.
func (s *State) tails(j *jobState) []int64 {
	waits := false
	for i := range j.spec.spec.Tasks {
		waits = waits || prefersCheapest(&j.spec.spec.Tasks[i])
	}
	if !waits || j.deadline == 0 {
		return nil
	}
	const open = -2
	out := make([]int64, len(j.tasks))
	for i := range out {
		out[i] = open
	}
	var tail func(ti uint32) int64
	tail = func(ti uint32) int64 {
		if out[ti] != open {
			return out[ti]
		}
		longest := int64(0)
		for _, next := range j.spec.needed[ti] {
			if j.tasks[next].over() || !follows(&j.spec.spec.Tasks[next]) {
				continue
			}
			length, rest := s.lasts(j, next), tail(next)
			if length == unknown || rest == unknown {
				longest = unknown
				break
			}
			longest = max(longest, min(length+rest, far))
		}
		out[ti] = longest
		return longest
	}
	for i := range out {
		tail(uint32(i))
	}
	return out
}

// follows reports whether a task runs if all that it needs succeeds.
func follows(spec *job.Task) bool {
	for _, need := range spec.Needs {
		if job.Decide(need.Condition, job.Succeeded) == job.Skip {
			return false
		}
	}
	return true
}

// lasts is how long a task takes that has yet to run, or what is left of it, in milliseconds: as nine of
// ten of the last ones, or else as long as it may, and that as often as its elements take turns where they
// could have all workers. It is unknown if nobody knows.
func (s *State) lasts(j *jobState, ti uint32) int64 {
	spec, t := &j.spec.spec.Tasks[ti], &j.tasks[ti]
	length := millis(spec.Timeout)
	if e, ok := s.predict(j, ti); ok {
		length = max(e.Run, e.High, 1)
	}
	if length == 0 {
		return unknown
	}
	length = min(length, far)
	if left := max(t.n, 1) - t.counts().Ended(); left > 1 && spec.Nodes == 0 {
		places := max(s.abreast(j, ti), 1)
		if turns := (left + places - 1) / places; turns < far/length {
			return turns * length
		}
		return far
	}
	return length
}

// abreast is how many elements of a task could run at the same time if nothing else ran.
func (s *State) abreast(j *jobState, ti uint32) int64 {
	spec := &j.spec.spec.Tasks[ti]
	workers, places := s.plan.Room(j.spec.shape(ti, 0, j.tasks[ti].memory))
	if spec.Apart.By != "" {
		places = workers
	}
	limits := []int64{j.queue.policy.Limit.Running, j.queue.space.policy.Limit.Running, spec.Array.Throttle}
	if spec.Concurrency != nil {
		limits = append(limits, spec.Concurrency.Limit)
	}
	for _, most := range limits {
		if most > 0 {
			places = min(places, most)
		}
	}
	return places
}
