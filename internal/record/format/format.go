// Package format is which format of the store each event and row needs: a cluster that was not
// raised to that has no place for it.
package format

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Raises is the format from which on a cluster has a format of its own: the counters' row says it,
// and batches begin with it. Leaders write digests of their state.
const Raises = 2

// Needs is the format that a cluster must have been raised to before e is written into its
// journal, but for what a spec says, which the core sees to. The raise itself needs none: who
// can't read it must not go on.
func Needs(e core.Event) uint64 {
	limits := false
	switch e := e.(type) {
	case core.StateDigested:
		return Raises
	case core.JobChanged:
		return core.FormatChanges
	case core.PoolSet:
		return core.FormatPools
	case core.ReservationSet, core.ReservationRemoved:
		return core.FormatReservations
	case core.WorkerJoined:
		return OfHello(&e.Hello)
	case core.AttemptAssigned:
		return max(ofAsked(e.Way, e.Memory), ofDevices(e.Devices))
	case core.AttemptEnded:
		switch {
		case e.Awaits:
			return core.FormatGangs
		case e.Memory != 0 || e.Spent.Memory != 0:
			return core.FormatAsks
		}
	case core.NamespaceSet:
		limits = e.Policy != job.NamespacePolicy{}
	case core.QueueSet:
		limits = e.Policy != job.QueuePolicy{}
	case core.JobSubmitted:
		if slices.ContainsFunc(e.Carry, func(c core.Carry) bool { return c.Worker != 0 }) {
			return core.FormatNear
		}
		limits = len(e.Keys) > 0
	case core.SlotReleased:
		limits = true
	}
	if limits {
		return core.FormatLimits
	}
	return core.FirstFormat
}

// OfHello is Needs for what a worker says of itself.
func OfHello(h *link.Hello) uint64 {
	if h.Capacity.Other != "" || h.Pool != "" {
		return core.FormatResources
	}
	return ofDevices(h.Devices)
}

func ofDevices(d job.Devices) uint64 {
	if d != "" {
		return core.FormatResources
	}
	return core.FirstFormat
}

// OfChunk is Needs for a row of an array's elements.
func OfChunk(m *core.ChunkImage) uint64 {
	need := uint64(core.FirstFormat)
	if element.Asks(m.Columns) {
		need = core.FormatAsks
	}
	for i := range m.Live {
		need = max(need, ofAttempt(&m.Live[i]))
	}
	for i := range m.Retries {
		need = max(need, ofSpent(m.Retries[i].Spent))
	}
	return need
}

// OfPast is Needs for the row of an attempt that was not its element's last.
func OfPast(a *core.PastAttempt) uint64 { return ofAsked(a.Way, a.Memory) }

func ofAsked(way uint8, memory int64) uint64 {
	if way != 0 || memory != 0 {
		return core.FormatAsks
	}
	return core.FirstFormat
}

func ofSpent(s job.Spent) uint64 {
	if s.Memory != 0 {
		return core.FormatAsks
	}
	return core.FirstFormat
}

func ofAttempt(a *core.AttemptImage) uint64 {
	if a.Released {
		return core.FormatLimits
	}
	if a.Ended != nil {
		return core.FormatGangs
	}
	return max(ofAsked(a.Way, a.Memory), ofDevices(a.Devices))
}

// OfJob is Needs for the row of a job.
func OfJob(m *core.JobImage) uint64 {
	need := uint64(core.FirstFormat)
	if len(m.Keys) > 0 || m.Released {
		need = core.FormatLimits
	}
	if m.Front != 0 {
		need = max(need, core.FormatChanges)
	}
	for i := range m.Tasks {
		need = max(need, ofSpent(m.Tasks[i].Retry.Spent), ofAsked(m.Tasks[i].Record.Way, m.Tasks[i].Record.Memory))
		if m.Tasks[i].Last != 0 {
			need = max(need, core.FormatNear)
		}
		if m.Tasks[i].Memory != 0 {
			need = max(need, core.FormatAsks)
		}
		if live := m.Tasks[i].Live; live != nil {
			need = max(need, ofAttempt(live))
		}
	}
	return need
}
