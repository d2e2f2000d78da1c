package sim

import (
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Tally counts what happened in runs, by name: runs in which something never happened
// prove nothing about it.
type Tally map[string]int

// Add counts another run in.
func (t Tally) Add(o Tally) {
	for name, n := range o {
		t[name] += n
	}
}

// Idle names what never happened.
func (t Tally) Idle() (names []string) {
	for _, name := range happenings() {
		if t[name] == 0 {
			names = append(names, name)
		}
	}
	return names
}

// happenings is what must happen: every fault, every kind of event, and every cause that
// processes without functions and faulty disks come to.
func happenings() []string {
	all := []string{
		"server crashes", "server stalls", "loop is busy", "append of unknown outcome", "flush fails", "answer gets lost",
		"agent is killed", "agent is stopped", "agent leaves", "keeper is killed", "agent and keeper are killed", "reboot",
		"disk is full", "cut", "reset", "slow message", "clock steps", "submit is repeated", "calm run",
		"store is broken", "recovery fails", "lookup fails", "payloads can't be read", "payloads are read", "trim fails", "power is lost",
		"crash beside an append", "crash beside a flush", "crash within a release",
		"message comes twice", "agent dies within a step", "keeper dies within a call", "facts are old", "facts are too old",
		"watch is told", "watch is resynced", "watch is begun again", "watch loses an answer",
		"lease is won", "term ends", "append is fenced", "append takes long", "append of one that is gone", "beat past the lease is not answered",
		"server is cut off from the store", "store is away", "store can't be reached", "worker and server are parted", "server resigns", "follower is read",
		"failover loses history", "server misses what it has seen", "follower can't go on", "acknowledged job is lost",
		"process starts", "process runs out of memory", "attempt asks for more memory", "attempt takes another way", "elements are kept apart", "jobs are kept apart", "attempt runs near another", "attempt is tried again", "attempt is prefetched", "attempt is given beside reservations", "attempt is promoted", "attempt is alone", "job holds a key", "limit is reached", "submit is refused for a quota", "attempt holds a key", "worker is unfit", "job is retried", "gang starts", "gang is tried again", "rank awaits its gang",
	}
	for _, e := range []core.Event{
		core.EpochStarted{}, core.NamespaceSet{}, core.QueueSet{}, core.PoolSet{}, core.ReservationSet{}, core.ReservationRemoved{}, core.SpecAdded{}, core.JobSubmitted{}, core.JobWoken{}, core.AfterMet{},
		core.TaskReady{}, core.ElementsOpened{}, core.ElementsEnded{}, core.ElementWoken{}, core.JobEnded{},
		core.AttemptAssigned{}, core.AttemptStarted{}, core.AttemptEnded{}, core.AttemptReturned{}, core.AttemptRecalled{}, core.AttemptStopped{}, core.AttemptsStopped{},
		core.CancelRequested{}, core.HoldSet{}, core.JobChanged{}, core.WorkerJoined{}, core.WorkerAway{}, core.WorkerDrained{}, core.WorkerUnfit{}, core.WorkerForgotten{},
	} {
		all = append(all, kindOf(e))
	}
	for k := job.CauseNone; k <= job.LastCause; k++ {
		switch k {
		case job.CauseSignal, job.CauseStart, job.CauseError, job.CauseOutput:
		default:
			all = append(all, because(k))
		}
	}
	return all
}

func kindOf(e core.Event) string { return fmt.Sprintf("%T", e) }

// because names the end of an attempt, or of elements, by its cause.
func because(k job.CauseKind) string { return fmt.Sprintf("ends by cause %d", k) }
