// Package forecast is what will start when, as far as is known: the plan itself in virtual
// time, on a copy of what there is.
package forecast

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// Cluster is all that planning knows at a moment. It is read-only once it is made, and may be
// used by several at the same time.
type Cluster struct {
	// Now is in Unix milliseconds.
	Now        int64
	Namespaces []Namespace
	Queues     []Queue
	Workers    []plan.Worker
	// Runs is what workers were given.
	Runs []Run
	// Waiting is groups that are ready, of which there may be More.
	Waiting []plan.Ready
	More    bool
}

// Namespace is how one is served.
type Namespace struct {
	Name   string
	Paused bool
	Policy job.NamespacePolicy
}

// Queue is how one is served.
type Queue struct {
	Namespace, Name string
	Paused          bool
	Policy          job.QueuePolicy
}

// Run is an attempt that a worker was given.
type Run struct {
	Worker  uint64
	Attempt plan.Attempt
}

// Bounds of a forecast. Beyond them nothing is said.
const (
	// MaxSteps bounds the attempts that are started in virtual time.
	MaxSteps = 20_000
	// MaxAhead is how far a forecast looks, in milliseconds.
	MaxAhead = 30 * 24 * 3600 * 1000
)

// Start is when elements of a group start.
type Start struct {
	// First and Last are the first and the last known start, in Unix milliseconds.
	First, Last int64
	// Ends is when the last that started is expected to end, 0 if that is unknown.
	Ends int64
	// Worker is where the first starts.
	Worker uint64
	// Started is how many elements do within the forecast.
	Started int64
}

// Course is what is expected to happen.
type Course struct {
	Now    int64
	Starts map[plan.GroupID]Start
	// Kept is the places that are kept now.
	Kept []plan.Kept
	// Endless is how many attempts run of which nobody knows the end.
	Endless int
	// Whole: everything that waits was followed to its start, or to where only what has no
	// known end is in its way.
	Whole bool
}

// Forecast follows the cluster until everything that waits has started, or the bounds.
func (c *Cluster) Forecast() *Course {
	e := c.engine()
	e.settle()
	e.course.Kept = slices.Clone(e.x.Kept())
	e.follow()
	return e.course
}
