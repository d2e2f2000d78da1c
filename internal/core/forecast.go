package core

import (
	"github.com/reeve-scheduler/reeve/internal/forecast"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// maxForecast bounds the groups of one class that a forecast is told of.
const maxForecast = 2000

// Cluster is a copy of what planning knows, to be looked at beside the loop. now is in Unix
// milliseconds.
func (s *State) Cluster(now int64) *forecast.Cluster {
	c := &forecast.Cluster{Now: now, Workers: s.plan.Workers()}
	for _, name := range s.spaceNames {
		n := s.spaces[name]
		c.Namespaces = append(c.Namespaces, forecast.Namespace{Name: name, Paused: n.paused, Policy: n.policy})
		for _, q := range n.names {
			c.Queues = append(c.Queues, forecast.Queue{Namespace: name, Name: q, Paused: n.queues[q].paused, Policy: n.queues[q].policy})
		}
	}
	for i := range c.Workers {
		for _, a := range s.plan.Running(c.Workers[i].ID) {
			c.Runs = append(c.Runs, forecast.Run{Worker: c.Workers[i].ID, Attempt: a})
		}
	}
	c.Waiting, c.More = s.plan.Waiting(maxForecast)
	return c
}

// WhatIf is a job as planning would see it if a spec were submitted now by somebody.
func (s *State) WhatIf(namespace, by string, spec *job.Spec, now int64) (*forecast.Job, error) {
	n, err := s.space(namespace)
	if err != nil {
		return nil, err
	}
	q, err := n.queue(queueName(spec))
	if err != nil {
		return nil, err
	}
	sp := weave(spec)
	j := &jobState{id: s.nextJob, queue: q, spec: sp, submitted: now, input: &input{by: by}, jobSeldom: &jobSeldom{
		deadline: spec.Deadline.Resolve(now), startBefore: spec.StartBefore.Resolve(now),
	}}
	out := &forecast.Job{ID: j.id}
	for i := range spec.Tasks {
		t := forecast.Task{Name: spec.Tasks[i].Name, Count: max(spec.Tasks[i].Array.Len(), 1)}
		t.Group = s.groupOf(j, plan.GroupID{Job: j.id, Task: uint32(i)})
		for _, u := range sp.ups[i] {
			t.Needs = append(t.Needs, int(u))
		}
		out.Tasks = append(out.Tasks, t)
	}
	return out, nil
}
