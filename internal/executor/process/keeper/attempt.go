package keeper

import (
	"fmt"
	"os"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/attemptlog"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// phase is how far an attempt has come.
type phase uint8

const (
	// queued: accepted and not started. The starter moves it on.
	_ phase = iota
	// running: its main process lives, or is a zombie not collected yet.
	running
	// clearing: its main process is gone, others of its tree or its pipes are not.
	clearing
	// ended: nothing of it is left but its result, until it is released.
	ended
)

// attempt is what the keeper knows of one attempt. Keeper.mu guards it.
type attempt struct {
	key     string
	ref     job.Ref
	dir     string
	task    executor.Task
	phase   phase
	log     *attemptlog.File
	started time.Time

	// pid is the main process from its start until it is collected. While it is
	// not zero that number, as a process and as a group, is nobody else's.
	pid int
	// slot is the cgroup it runs in, where cgroups are used.
	slot *slot
	// pipes are the reading ends of stdout and stderr.
	pipes [2]*os.File
	// pumping counts the pipes not at their end.
	pumping int
	// treeGone: no process of it is left.
	treeGone bool

	// asked: the keeper itself has begun to end it, because of cause.
	asked  bool
	killed bool
	cause  job.Cause

	status  status
	usage   job.Usage
	logSize int64
	exit    *executor.Exit
	// abandoned: nobody wants to hear of it.
	abandoned bool
	// news is what the agent has not been told.
	news news
	// listed: it is in Keeper.news.
	listed bool
}

// news are things to tell the agent about one attempt.
type news uint8

const (
	newsStarted news = 1 << iota
	newsWrote
	newsEnded
)

// status is how a process ended.
type status struct {
	code   int
	signal int
	usage  job.Usage
}

// why is the cause that the attempt's end is reported with.
func (a *attempt) why(outOfMemory bool) job.Cause {
	switch {
	case a.asked:
		return a.cause
	case a.status.signal == sigKill && outOfMemory:
		return job.Cause{Kind: job.CauseMemory}
	case a.status.signal != 0:
		return job.Cause{Kind: job.CauseSignal, Code: int32(a.status.signal)}
	case a.status.code != 0:
		return job.Cause{Kind: job.CauseExit, Code: int32(a.status.code)}
	}
	return job.Cause{}
}

// sigKill is SIGKILL's number on every system.
const sigKill = 9

// describe names an action on an attempt for its log.
func describe(v Verb, cause job.Cause) string {
	if v == VerbTerm {
		return fmt.Sprintf("reeve: %s: asked to end (SIGTERM)", cause)
	}
	return fmt.Sprintf("reeve: %s: killed (SIGKILL)", cause)
}
