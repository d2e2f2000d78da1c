package agent

import (
	"time"

	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/agent/workspace"
	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// reporter brings what executors report into the machine's words.
type reporter struct {
	s        *shell
	function bool
}

// Started reports that an attempt runs.
func (r *reporter) Started(key string, at time.Time) {
	if f, ok := will.FenceOf(key); ok {
		r.s.box.put(will.Started{Fence: f, At: at.UnixMilli()})
	}
}

// Ended reports that an attempt has ended.
func (r *reporter) Ended(key string, exit executor.Exit) {
	f, ok := will.FenceOf(key)
	if !ok {
		return
	}
	x := exitOf(exit)
	if r.function {
		out, err := workspace.FunctionOutputs(exit.Output)
		x.Outputs = out
		if err != nil && x.Cause.Kind == job.CauseNone {
			x.Cause = job.Cause{Kind: job.CauseOutput, Detail: err.Error()}.Trim()
		}
	}
	r.s.cfg.Observer.Ran(x.Cause.Kind)
	r.s.box.put(will.Ended{Fence: f, Exit: x})
}

// Wrote hints that a log has grown.
func (r *reporter) Wrote(key string) {
	if f, ok := will.FenceOf(key); ok && !r.s.ship.wrote(f) {
		r.s.box.put(will.Wrote{Fence: f})
	}
}

func exitOf(e executor.Exit) will.Exit {
	x := will.Exit{Cause: e.Cause, Usage: e.Usage, LogSize: e.LogSize}
	if !e.Started.IsZero() {
		x.Started = e.Started.UnixMilli()
	}
	if !e.Ended.IsZero() {
		x.Ended = e.Ended.UnixMilli()
	}
	return x
}
