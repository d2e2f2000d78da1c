package core

import (
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/forecast"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
)

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
	}
	tails := s.tails(j)
	for i := range j.tasks {
		t := &j.tasks[i]
		one := s.graphTask(j, uint32(i), tails)
		one.Left = one.Count
		if t.n == 0 {
			one.Left, one.State = 0, job.Succeeded
		}
		for _, key := range e.Keys {
			if of := j.concurrency(key.Task); key.Task == NoTask || key.Task == uint32(i) {
				one.Blocked = append(one.Blocked, s.keyTaken(limit.Name{Namespace: e.Namespace, Key: key.Key, Each: key.Task != NoTask}, of)...)
			}
		}
		if e.Held {
			one.Blocked = append(one.Blocked, why.Reason{Kind: "hold", Text: "the job is held until it is released"})
		}
		one.Held = len(one.Blocked) > 0
		if len(one.Needs) == 0 {
			for _, w := range e.Waits {
				one.Waits = append(one.Waits, why.Reason{Kind: "after", Text: fmt.Sprintf("job %d has not ended (after: %s)", w.Job, w.Condition)})
			}
			if e.StartAfter > e.At {
				one.Waits = append(one.Waits, why.Reason{Kind: "start_after", Text: "start_after is " + away(e.StartAfter, e.At) + " away"})
			}
		}
		out.Tasks = append(out.Tasks, one)
	}
	return out
}

// keyTaken says that a key can't be had now, nothing if it can. One that cancels what holds it
// gets it.
func (s *State) keyTaken(name limit.Name, c *job.Concurrency) []why.Reason {
	k := s.limits.Find(name)
	if k == nil || c.Conflict == job.ConflictCancel || k.Held() < c.Limit && k.Waiting() == 0 {
		return nil
	}
	text := fmt.Sprintf("concurrency key %s", name.Key)
	if k.Held() >= c.Limit {
		text += fmt.Sprintf(" is held by %s (%d of %d)", s.holders(k), k.Held(), c.Limit)
	}
	if n := k.Waiting(); n > 0 {
		text += fmt.Sprintf("; %s for it before", plural(int(n), "waits", "wait"))
	}
	return []why.Reason{{Kind: "concurrency", Text: text}}
}
