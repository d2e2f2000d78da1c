package core

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/forecast"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// Survey copies what planning knows, for forecasts, a slice at a time, so that no look at the
// state takes long. What happens between two looks may be in the copy in part: an attempt that
// has begun may be missing or still wait.
type Survey struct {
	now   int64
	stage surveyStage
	// at is how far the stage has come: an id of a worker, a class, a place in jobs.
	at   uint64
	left int // of the look
	// pieces is what each look has copied: a list that grows would be copied again and again.
	pieces []*forecast.Cluster
	*forecast.Cluster
	// each is how many groups of a class are copied, waiting and tasks how many groups and tasks
	// were.
	each, waiting, tasks int
	jobs                 []job.ID
	seen                 map[job.ID]bool
	queues               map[[2]string]bool
}

// NewSurvey returns a survey that has not begun. now is in Unix milliseconds.
func NewSurvey(now int64) *Survey {
	return &Survey{now: now, seen: map[job.ID]bool{}, queues: map[[2]string]bool{}}
}

// Whole is the copy, once Look has said that it is whole. It takes no look at the state.
func (v *Survey) Whole() *forecast.Cluster {
	c := &forecast.Cluster{Now: v.now}
	for _, p := range v.pieces {
		c.Namespaces, c.Queues = append(c.Namespaces, p.Namespaces...), append(c.Queues, p.Queues...)
		c.Workers, c.Runs, c.Ahead = append(c.Workers, p.Workers...), append(c.Runs, p.Runs...), append(c.Ahead, p.Ahead...)
		c.Waiting, c.Jobs, c.More = append(c.Waiting, p.Waiting...), append(c.Jobs, p.Jobs...), c.More || p.More
	}
	return c
}

type surveyStage uint8

const (
	surveyWorkers surveyStage = iota
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
			of := plan.GroupID{Job: a.job.id, Task: a.task, Alone: a.alone}
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
		from, over := len(c.Waiting), false
		c.Waiting, over = s.plan.Waiting(c.Waiting, class, most)
		c.More = c.More || over
		v.waiting += len(c.Waiting) - from
		v.left -= len(c.Waiting) - from
		for _, w := range c.Waiting[from:] {
			if j := s.jobs.get(w.Group.ID.Job); j != nil {
				v.meet(j)
			}
		}
	}
	return false
}

// meet notes a job and its queue.
func (v *Survey) meet(j *jobState) {
	if v.seen[j.id] {
		return
	}
	v.seen[j.id] = true
	v.jobs = append(v.jobs, j.id)
	c, n, q := v.Cluster, j.queue.space, j.queue
	if key := [2]string{n.name}; !v.queues[key] {
		v.queues[key] = true
		c.Namespaces = append(c.Namespaces, forecast.Namespace{Name: n.name, Paused: n.paused, Policy: n.policy})
	}
	if key := [2]string{n.name, q.name}; !v.queues[key] {
		v.queues[key] = true
		c.Queues = append(c.Queues, forecast.Queue{Namespace: n.name, Name: q.name, Paused: q.paused, Policy: q.policy})
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
	if j.deadline > 0 {
		return true
	}
	for i := range j.tasks {
		t := &j.tasks[i]
		shared, alone := t.startable()
		if pending := t.counts()[job.Pending]; pending > shared+alone {
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
	for i := range j.tasks {
		t := &j.tasks[i]
		one := s.graphTask(j, uint32(i))
		c := t.counts()
		one.Left = c.Total() - c.Ended()
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

// graphTask is a task as a forecast knows it from the spec.
func (s *State) graphTask(j *jobState, ti uint32) forecast.Task {
	spec := &j.spec.spec.Tasks[ti]
	out := forecast.Task{Name: spec.Name, Group: s.groupOf(j, plan.GroupID{Job: j.id, Task: ti}), Count: max(j.tasks[ti].n, 1)}
	for k, need := range spec.Needs {
		out.Needs = append(out.Needs, forecast.Need{Task: int(j.spec.ups[ti][k]), Condition: need.Condition, Each: need.Each})
	}
	if spec.Array != nil {
		out.Throttle = spec.Array.Throttle
	}
	_, out.Learned = s.predict(j, ti)
	return out
}

// Deadlines is how many unfinished jobs have a deadline.
func (s *State) Deadlines() int64 { return s.deadlines }

// Asked is what would be decided of a submit.
type Asked struct {
	// Job is the job as a forecast follows it.
	Job forecast.Job
	// Existing is the job that its key stands for already, 0 for none: then there would be no
	// other.
	Existing job.ID
	// Doomed is why it would end at once.
	Doomed job.Cause
}

// WhatIf says what would be decided if a submit of one job were a command now: what it would be
// refused with, or what planning would see. It changes nothing.
func (s *State) WhatIf(in Input, c Submit) (Asked, error) {
	d, err := s.Decide(in, c)
	if err != nil {
		return Asked{}, err
	}
	if done, ok := d.Reply.([]Submitted); ok && len(done) == 1 && done[0].Existed {
		return Asked{Existing: done[0].ID}, nil
	}
	var out Asked
	for _, e := range d.Events {
		switch e := e.(type) {
		case JobSubmitted:
			out.Job = s.asked(&e, c.Spec)
		case CancelRequested:
			if e.Job == out.Job.ID {
				out.Doomed = e.Cause
			}
		}
	}
	return out, nil
}

// asked is a job that is not there as planning would see it.
func (s *State) asked(e *JobSubmitted, spec *job.Spec) forecast.Job {
	j := s.newJob(len(spec.Tasks))
	j.id, j.spec, j.submitted = e.ID, weave(spec), e.At
	j.queue, j.input = s.spaces[e.Namespace].queues[queueName(spec)], &input{params: e.Params, by: e.By}
	j.jobSeldom = &jobSeldom{startAfter: e.StartAfter, startBefore: e.StartBefore, deadline: e.Deadline}
	out := forecast.Job{ID: e.ID, Deadline: e.Deadline, From: e.StartAfter}
	for _, w := range e.Waits {
		out.After = append(out.After, w.Job)
	}
	for i := range j.tasks {
		t := &j.tasks[i]
		t.prepare(&spec.Tasks[i], spec.Tasks[i].Array.Len(), nil)
		if t.n < 0 && len(spec.Tasks[i].Needs) == 0 { // it depends on parameters alone
			if n, _, err := s.elements(j, uint32(i)); err == nil {
				t.n = n
			}
		}
		one := s.graphTask(j, uint32(i))
		one.Left = one.Count
		if t.n == 0 {
			one.Left, one.State = 0, job.Succeeded
		}
		out.Tasks = append(out.Tasks, one)
	}
	return out
}
