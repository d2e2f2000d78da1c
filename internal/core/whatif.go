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
	// Cancels is jobs that it would cancel to have their slots of a concurrency key.
	Cancels []job.ID
	Key     string
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
			out.Key, out.Cancels = s.supersedes(&e, c.Spec)
			switch { // as soon as it is there, Tick would see to that
			case e.Deadline > 0 && e.Deadline <= in.Now:
				out.Doomed = job.Cause{Kind: job.CauseDeadline}
			case e.StartBefore > 0 && e.StartBefore <= in.Now:
				out.Doomed = job.Cause{Kind: job.CauseWindow}
			}
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
				one.Blocked = append(one.Blocked, s.keyTaken(limit.Name{Namespace: e.Namespace, Key: key.Key, Each: key.Task != NoTask}, of, e.At)...)
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

// supersedes is the jobs that a job would cancel that takes their slots of a key, and the key.
func (s *State) supersedes(e *JobSubmitted, spec *job.Spec) (key string, out []job.ID) {
	c := spec.Concurrency
	if c == nil || c.Conflict != job.ConflictCancel {
		return "", nil
	}
	for _, k := range e.Keys {
		of := s.limits.Find(limit.Name{Namespace: e.Namespace, Key: k.Key})
		if k.Task != NoTask || of == nil {
			continue
		}
		key = k.Key
		need := of.Held() + 1 - c.Limit
		for _, o := range of.Owners(int(of.Held())) {
			switch h := s.jobs.get(o.Job); {
			case need <= 0:
			case h.stop.Kind != job.CauseNone: // it goes anyway
				need--
			default:
				out = append(out, o.Job)
				need--
			}
		}
	}
	return key, out
}

// keyTaken says that a key can't be had now, nothing if it can. One that cancels what holds it
// gets it. Who waits for it before is in the way only where as many look for a place as may, since others may keep to
// a lower limit, or have no place.
func (s *State) keyTaken(name limit.Name, c *job.Concurrency, now int64) []why.Reason {
	k := s.limits.Find(name)
	if k == nil || c.Conflict == job.ConflictCancel {
		return nil
	}
	what, kind := "concurrency key "+name.Key, "concurrency"
	waiting := ""
	if n := k.Waiting(); n > 0 {
		waiting = fmt.Sprintf("; %s for it", plural(int(n), "waits", "wait"))
	}
	var text string
	rate := rateOf(c)
	next := k.Meter().Next(rate, now)
	switch first := k.Queue(1); {
	case len(first) > 0 && first[0].Cancels:
		text = fmt.Sprintf("job %d cancels what holds %s, and goes before it", first[0].Job, what)
	case c.Limit > 0 && k.Held() >= c.Limit:
		text = fmt.Sprintf("%s is held by %s (%d of %d)%s", what, s.holders(k), k.Held(), c.Limit, waiting)
	case next > now:
		kind, text = "rate", fmt.Sprintf("%s may start %s; the next in %s%s", what, rateWords(rate), span(next-now), waiting)
	case k.Waiting() >= limit.Window:
		text = fmt.Sprintf("the first %d that wait for %s look for a place on a worker%s", limit.Window, what, waiting)
	default:
		return nil
	}
	return []why.Reason{{Kind: kind, Text: text}}
}
