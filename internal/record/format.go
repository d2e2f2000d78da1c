package record

import (
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// A format holds all that the one before it does, and what is listed here beside its number.
// A cluster begins with the newest that its first server knows and is raised by its
// administrator, when no server is left that does not know the next one: until then nothing
// is written that needs it.
const (
	// formatRaises is where a cluster has a format of its own: the counters' row says it, and
	// batches begin with it. Leaders write digests of their state.
	formatRaises = 2

	// formatLearns is where it learns from what ends: the tables have rows of that.
	formatLearns = core.FormatLearns

	// formatResources is where specs ask for more than processors and memory, and workers
	// have more.
	formatResources = core.FormatResources
	// formatGangs is where tasks take several workers at once.
	formatGangs = core.FormatGangs
	// formatLimits is where queues and namespaces have policies.
	formatLimits = core.FormatLimits
	// formatUse is where it remembers who used how much.
	formatUse = core.FormatUse
	// formatPools is where pools are given away in ways of their own.
	formatPools = core.FormatPools
	// formatAsks is where attempts of a task ask for different amounts.
	formatAsks = core.FormatAsks
	// formatChanges is where jobs stand elsewhere than their specs say.
	formatChanges = core.FormatChanges

	// Newest is the newest format that this program reads and writes.
	Newest = formatResources
)

// Needs is the format that a cluster must have been raised to before e is written into its
// journal, but for what a spec says, which the core sees to. The raise itself needs none: who
// can't read it must not go on.
func Needs(e core.Event) uint64 {
	limits := false
	switch e := e.(type) {
	case core.StateDigested:
		return formatRaises
	case core.JobChanged:
		return formatChanges
	case core.PoolSet:
		return formatPools
	case core.WorkerJoined:
		return needsOfHello(&e.Hello)
	case core.AttemptAssigned:
		if e.Way != 0 || e.Memory != 0 {
			return formatAsks
		}
		return needsOfDevices(e.Devices)
	case core.AttemptEnded:
		switch {
		case e.Awaits:
			return formatGangs
		case e.Memory != 0 || e.Spent.Memory != 0:
			return formatAsks
		}
	case core.NamespaceSet:
		limits = e.Policy != job.NamespacePolicy{}
	case core.QueueSet:
		limits = e.Policy != job.QueuePolicy{}
	case core.JobSubmitted:
		limits = len(e.Keys) > 0
	case core.SlotReleased:
		limits = true
	}
	if limits {
		return formatLimits
	}
	return core.FirstFormat
}

// needsOfHello is Needs for what a worker says of itself.
func needsOfHello(h *link.Hello) uint64 {
	if h.Capacity.Other != "" || h.Pool != "" {
		return formatResources
	}
	return needsOfDevices(h.Devices)
}

func needsOfDevices(d job.Devices) uint64 {
	if d != "" {
		return formatResources
	}
	return core.FirstFormat
}

// needsOfChunk is Needs for a row of an array's elements.
func needsOfChunk(m *core.ChunkImage) uint64 {
	need := uint64(core.FirstFormat)
	for i := range m.Live {
		need = max(need, needsOfAttempt(&m.Live[i]))
	}
	for i := range m.Retries {
		need = max(need, needsOfSpent(m.Retries[i].Spent))
	}
	return need
}

func needsOfSpent(s job.Spent) uint64 {
	if s.Memory != 0 {
		return formatAsks
	}
	return core.FirstFormat
}

func needsOfAttempt(a *core.AttemptImage) uint64 {
	if a.Released {
		return formatLimits
	}
	if a.Ended != nil {
		return formatGangs
	}
	if a.Way != 0 || a.Memory != 0 {
		return formatAsks
	}
	return needsOfDevices(a.Devices)
}

// needsOfJob is Needs for the row of a job.
func needsOfJob(m *core.JobImage) uint64 {
	need := uint64(core.FirstFormat)
	if len(m.Keys) > 0 || m.Released {
		need = formatLimits
	}
	if m.Front != 0 {
		need = max(need, formatChanges)
	}
	for i := range m.Tasks {
		need = max(need, needsOfSpent(m.Tasks[i].Retry.Spent))
		if m.Tasks[i].Memory != 0 {
			need = max(need, formatAsks)
		}
		if live := m.Tasks[i].Live; live != nil {
			need = max(need, needsOfAttempt(live))
		}
	}
	return need
}

// Digests says whether the leader of a cluster of that format digests its state.
func Digests(format uint64) bool { return format >= formatRaises }

// CheckNeeds fails for what must not be written into the journal of a cluster of that format.
func CheckNeeds(e core.Event, format uint64) error {
	if need := Needs(e); need > format {
		return fmt.Errorf("record: %T needs format %d, and the cluster's is %d", e, need, format)
	}
	return nil
}

// CheckRaise returns ErrFormat when a cluster was raised to what this program does not know.
func CheckRaise(format uint64) error {
	if format > Newest {
		return fmt.Errorf("the cluster's format is %d by now, and this program knows those up to %d: %w", format, Newest, ErrFormat)
	}
	return nil
}
