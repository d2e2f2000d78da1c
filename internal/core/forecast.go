package core

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/forecast"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// Survey copies what planning knows, for forecasts, a slice at a time, so that no look at the
// state takes long. What happens between two looks may be in the copy in part: an attempt that
// has begun may be missing or still wait.
type Survey struct {
	now   int64
	stage surveyStage
	// at is how far the stage has come: an id of a worker, a class, a place in jobs; space is the
	// next namespace.
	at    uint64
	space string
	left  int // of the look
	// pieces is what each look has copied: a list that grows would be copied again and again.
	pieces []*forecast.Cluster
	*forecast.Cluster
	// each is how many groups of a class are copied, waiting and tasks how many groups and tasks
	// were.
	each, waiting, tasks int
	jobs                 []job.ID
	seen                 map[job.ID]bool
}

// NewSurvey returns a survey that has not begun. now is in Unix milliseconds.
func NewSurvey(now int64) *Survey {
	return &Survey{now: now, seen: map[job.ID]bool{}}
}

// Whole is the copy, once Look has said that it is whole. It takes no look at the state.
func (v *Survey) Whole() *forecast.Cluster {
	c := &forecast.Cluster{Now: v.now}
	for _, p := range v.pieces {
		c.Namespaces, c.Queues = append(c.Namespaces, p.Namespaces...), append(c.Queues, p.Queues...)
		c.Workers, c.Runs, c.Ahead = append(c.Workers, p.Workers...), append(c.Runs, p.Runs...), append(c.Ahead, p.Ahead...)
		c.Waiting, c.Jobs, c.More = append(c.Waiting, p.Waiting...), append(c.Jobs, p.Jobs...), c.More || p.More
		c.Behind, c.Pasts, c.Patience = append(c.Behind, p.Behind...), append(c.Pasts, p.Pasts...), append(c.Patience, p.Patience...)
	}
	return c
}

type surveyStage uint8

const (
	surveyQueues surveyStage = iota
	surveyWorkers
	surveyWaiting
	surveyJobs
	surveyDone
)

// Bounds of a survey. What is beyond them a forecast does not see.
const (
	// maxWaiting bounds the groups that wait, maxAlike those of one class.
	maxWaiting = 20_000
	maxAlike   = 2_000
	// maxGraph bounds the tasks of the jobs that are followed from task to task.
	maxGraph = 20_000
)

// Look goes on with a survey for about so many workers, attempts, groups and tasks, and reports
// whether it is whole.
func (s *State) Look(v *Survey, most int) (done bool) {
	v.Cluster = &forecast.Cluster{}
	v.pieces = append(v.pieces, v.Cluster)
	for v.left = most; v.left > 0 && v.stage < surveyDone; {
		more := false
		switch v.stage {
		case surveyQueues:
			more = s.lookAtQueues(v)
		case surveyWorkers:
			more = s.lookAtWorkers(v)
		case surveyWaiting:
			more = s.lookAtWaiting(v)
		case surveyJobs:
			more = s.lookAtJobs(v)
		}
		if !more {
			v.stage++
			v.at = 0
		}
	}
	return v.stage == surveyDone
}

// lookAtQueues copies namespaces and queues.
func (s *State) lookAtQueues(v *Survey) (more bool) {
	c := v.Cluster
	from, _ := slices.BinarySearch(s.spaceNames, v.space)
	for _, name := range s.spaceNames[from:] {
		if v.left <= 0 {
			v.space = name
			return true
		}
		n := s.spaces[name]
		c.Namespaces = append(c.Namespaces, forecast.Namespace{Name: name, Paused: n.paused, Policy: n.policy})
		for _, name := range n.names {
			q := n.queues[name]
			c.Queues = append(c.Queues, forecast.Queue{Namespace: n.name, Name: name, Paused: q.paused, Policy: q.policy, Meter: q.meter})
		}
		v.left -= 1 + len(n.names)
		s.plan.Pasts(n.name, func(p plan.Past) {
			c.Pasts = append(c.Pasts, p)
			v.left--
		})
	}
	return false
}

// lookAtWorkers copies workers and what they were given.
func (s *State) lookAtWorkers(v *Survey) (more bool) {
	c := v.Cluster
	from, _ := slices.BinarySearch(s.workerIDs, v.at)
	for _, id := range s.workerIDs[from:] {
		if v.left <= 0 {
			v.at = id
			return true
		}
		v.left--
		c.Workers = append(c.Workers, s.plan.Worker(id))
		for a := s.workers[id].first; a != nil; a = a.next {
			v.left--
			of := a.group()
			run := forecast.Run{Worker: id, Attempt: a.run.Attempt(), Of: of}
			if a.stop.Kind != job.CauseNone { // it was asked to end
				run.Attempt.Ends = v.now + max(a.grace, 1)
			}
			c.Runs = append(c.Runs, run)
			if run.Attempt.Prefetch {
				c.Ahead = append(c.Ahead, plan.Ready{Group: s.groupOf(a.job, of), N: 1})
			}
			v.meet(a.job)
		}
	}
	return false
}

// lookAtWaiting copies groups that wait, some of each class.
func (s *State) lookAtWaiting(v *Survey) (more bool) {
	c, classes := v.Cluster, s.plan.Classes()
	if v.each == 0 {
		v.each = max(1, min(maxAlike, maxWaiting/max(classes, 1)))
	}
	for class := int(v.at); class < classes; class++ {
		if v.left <= 0 {
			v.at = uint64(class)
			return true
		}
		v.left--
		most := min(v.each, maxWaiting-v.waiting)
		if most <= 0 {
			c.More = true
			return false
		}
		from := len(c.Waiting)
		var over bool
		c.Waiting, over = s.plan.Waiting(c.Waiting, class, most)
		c.More = c.More || over
		v.waiting += len(c.Waiting) - from
		v.left -= len(c.Waiting) - from
		for _, w := range c.Waiting[from:] {
			if j := s.jobs.get(w.Group.ID.Job); j != nil {
				v.meet(j)
				if w.Group.Patient {
					c.Patience = append(c.Patience, forecast.Patience{Of: w.Group.ID, Until: j.tasks[w.Group.ID.Task].patience})
				}
				if s.behind(j, w.Group.ID.Task) {
					c.Behind = append(c.Behind, w.Group.ID)
				}
			}
		}
	}
	return false
}

// group is what planning called the element of an attempt, whichever way that is served.
func (a *attempt) group() plan.GroupID {
	larger := !a.alone && a.memory > 0 && a.job.tasks[a.task].arr != nil && !a.gang()
	return plan.GroupID{Job: a.job.id, Task: a.task, Larger: larger, Alone: a.alone}
}

// behind reports whether others get a concurrency key before a task that waits for it.
func (s *State) behind(j *jobState, ti uint32) bool {
	if len(j.slots) == 0 {
		return false
	}
	for _, of := range []uint32{NoTask, ti} {
		if k := j.slotOf(of); k != nil {
			if n, waits := k.key.Before(limit.Group{Job: j.id, Task: ti}, 1); waits && n > 0 {
				return true
			}
		}
	}
	return false
}

// meet notes a job.
func (v *Survey) meet(j *jobState) {
	if !v.seen[j.id] {
		v.seen[j.id] = true
		v.jobs = append(v.jobs, j.id)
	}
}

// lookAtJobs copies the jobs that were met and that are more than what waits and runs of them.
func (s *State) lookAtJobs(v *Survey) (more bool) {
	for ; v.at < uint64(len(v.jobs)); v.at++ {
		if v.left <= 0 {
			return true
		}
		v.left--
		j := s.jobs.get(v.jobs[v.at])
		if j == nil || j.state.Terminal() || !j.unfolds() {
			continue
		}
		if v.tasks+len(j.tasks) > maxGraph {
			v.More = true
			continue
		}
		v.tasks += len(j.tasks)
		v.left -= len(j.tasks)
		v.Jobs = append(v.Jobs, s.graphOf(j))
	}
	return false
}

// unfolds reports whether more will wait of a job than does, or whether it matters when it ends.
func (j *jobState) unfolds() bool {
	if j.deadline > 0 || len(j.slots) > 0 {
		return true
	}
	for i := range j.tasks {
		t := &j.tasks[i]
		if t.counts()[job.Pending] > t.startable().all() {
			return true
		}
		if a := j.spec.spec.Tasks[i].Array; a != nil && a.Throttle > 0 {
			return true
		}
	}
	return false
}

// graphOf is a job as a forecast follows it.
func (s *State) graphOf(j *jobState) forecast.Job {
	out := forecast.Job{ID: j.id, Deadline: j.deadline, Tasks: make([]forecast.Task, 0, len(j.tasks))}
	tails := s.tails(j)
	for i := range j.tasks {
		t := &j.tasks[i]
		one := s.graphTask(j, uint32(i), tails)
		c := t.counts()
		one.Left = c.Total() - c.Ended()
		if t.arr != nil && t.arr.gang {
			for a := range t.attempts {
				if a.ended != nil { // it only awaits the others
					one.Left--
				}
			}
		}
		if t.over() {
			one.State = c.TaskState()
		}
		if at := t.retryOf(0).at; at > 0 && t.arr == nil {
			one.Again = at
		}
		one.Held = j.held || t.held || t.stop.Kind != job.CauseNone || j.stop.Kind != job.CauseNone
		one.Ready = t.ready
		if t.arr != nil && t.ready {
			one.Backoff = t.arr.backoff
		}
		out.Tasks = append(out.Tasks, one)
	}
	return out
}

// graphTask is a task as a forecast knows it from the spec, tails what follows from all of the job's.
func (s *State) graphTask(j *jobState, ti uint32, tails []int64) forecast.Task {
	spec := &j.spec.spec.Tasks[ti]
	out := forecast.Task{Name: spec.Name, Group: s.groupOf(j, plan.GroupID{Job: j.id, Task: ti}), Count: max(j.tasks[ti].n, 1)}
	for way := 1; way < spec.Ways(); way++ {
		out.Others = append(out.Others, s.groupOf(j, plan.GroupID{Job: j.id, Task: ti, Way: uint8(way)}))
	}
	out.Patience = s.patienceOf(j, ti, tails)
	out.Group.Patient = out.Patience > 0
	for i := range out.Others {
		out.Others[i].Patient = out.Group.Patient
	}
	for k, need := range spec.Needs {
		out.Needs = append(out.Needs, forecast.Need{Task: int(j.spec.ups[ti][k]), Condition: need.Condition, Each: need.Each})
	}
	if spec.Array != nil {
		out.Throttle = spec.Array.Throttle
	}
	if c := spec.Concurrency; c != nil && (out.Throttle == 0 || c.Limit < out.Throttle) {
		out.Throttle = c.Limit
	}
	_, out.Learned = s.predict(j, ti)
	for _, u := range j.spec.nears[ti] {
		out.Near = append(out.Near, int(u))
	}
	out.Last = j.tasks[ti].last
	return out
}

// Deadlines is how many unfinished jobs have a deadline.
func (s *State) Deadlines() int64 { return s.deadlines }
