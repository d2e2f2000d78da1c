package record

import (
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/record/format"
)

// A format holds all that the one before it does, and what is listed here beside its number.
// A cluster begins with the newest that its first server knows and is raised by its
// administrator, when no server is left that does not know the next one: until then nothing
// is written that needs it. What the room format asks of the core's own words for it is listed there.
const (
	// formatRaises is where a cluster has a format of its own: the counters' row says it, and
	// batches begin with it. Leaders write digests of their state.
	formatRaises = format.Raises

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
	// formatReservations is where workers are reserved.
	formatReservations = core.FormatReservations
	// formatChanges is where jobs stand elsewhere than their specs say.
	formatChanges = core.FormatChanges
	// formatNear is where tasks are near others.
	formatNear = core.FormatNear

	// Newest is the newest format that this program reads and writes.
	Newest = formatResources
)

// Needs is what a cluster must have been raised to before e is written into its journal.
func Needs(e core.Event) uint64 { return format.Needs(e) }

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
