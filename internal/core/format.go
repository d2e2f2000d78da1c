package core

import (
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/match"
)

// FirstFormat is the cluster's format until it is raised for the first time.
const FirstFormat = 1

// FormatResources is the format from which on jobs may ask for more than processors and
// memory, and workers have more.
const FormatResources = 3

// FormatLimits is the format from which on queues and namespaces have policies.
const FormatLimits = 3

// FormatConditions is the format from which on tasks may say which workers they want by more than
// labels.
const FormatConditions = 3

// FormatChanges is the format from which on jobs may stand elsewhere than their specs say.
const FormatChanges = 3

// FormatAsks is the format from which on attempts of a task may ask for different amounts.
const FormatAsks = 3

// FormatNear is the format from which on tasks may be near others.
const FormatNear = 3

// Format is the cluster's: a leader writes only what programs can read that know it.
// Which kinds of events and fields need which format is said in package record; what no event
// shows, since it is within a spec, is refused here.
func (s *State) Format() uint64 { return s.format }

func (s *State) decideRaise(in Input, c RaiseFormat) (d Decision, err error) {
	if c.To <= s.format {
		return d, refuse(job.Refused, "the cluster's format is %d already; it never falls, so that %d is nothing to raise it to", s.format, c.To)
	}
	d.Events = []Event{FormatRaised{Format: c.To, By: c.By, At: in.Now}}
	if s.format >= FormatResources || c.To < FormatResources {
		return d, nil
	}
	for _, id := range s.workerIDs { // what they said at first was reduced
		if !s.workers[id].away {
			d.Sends = append(d.Sends, Send{Worker: id, Msg: link.ToWorker{Goodbye: fmt.Sprintf("the cluster's format is %d now; say again what this worker has", c.To)}})
		}
	}
	return d, nil
}

// checkFormat refuses what servers could not read that know the cluster's format and no
// newer one. what begins the sentence.
func (s *State) checkFormat(need uint64, what string) error { //nolint:unparam // formats to come need other numbers
	if need <= s.format {
		return nil
	}
	return refuse(job.Refused, "%s needs format %d, and the cluster's is %d: reeve upgrade --finalize raises it when all servers know that", what, need, s.format)
}

// checkSpec is checkFormat for what a spec asks for.
func (s *State) checkSpec(spec *job.Spec) error {
	for i := range spec.Tasks {
		if err := s.checkConditions(&spec.Tasks[i]); err != nil {
			return err
		}
		if spec.Tasks[i].Nodes > 0 {
			if err := s.checkFormat(FormatGangs, "task "+spec.Tasks[i].Name+" takes several workers at once (nodes), which"); err != nil {
				return err
			}
		}
		t := &spec.Tasks[i]
		if t.Apart != (job.Share{}) || t.Spread != (job.Share{}) {
			if err := s.checkFormat(FormatAsks, "task "+t.Name+" has elements that look at each other (apart, spread), which"); err != nil {
				return err
			}
		}
		if len(t.Near) > 0 {
			if err := s.checkFormat(FormatNear, "task "+t.Name+" would rather run where another did (near), which"); err != nil {
				return err
			}
		}
		if len(t.Either) > 0 || t.Retry.OnMemory != nil || t.Retry.MaxMemory > 0 {
			if err := s.checkFormat(FormatAsks, "task "+t.Name+" has what may change from attempt to attempt (either, on_memory, max_memory), which"); err != nil {
				return err
			}
		}
		for name := range t.Resources.Other.All {
			return s.checkFormat(FormatResources, "task "+t.Name+" asks for "+name+", which")
		}
	}
	return nil
}

// checkConditions is checkFormat for the workers that a task wants.
func (s *State) checkConditions(t *job.Task) error {
	for _, entry := range t.Where {
		if !match.IsLabel(entry) {
			return s.checkFormat(FormatConditions, "task "+t.Name+" has an expression in where, which")
		}
	}
	if t.Prefer != nil {
		return s.checkFormat(FormatConditions, "task "+t.Name+" prefers some workers (prefer), which")
	}
	return nil
}
