// Package forecast is what will start when, as far as is known: the plan itself in virtual
// time, on a copy of what there is.
package forecast

import (
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// Cluster is all that planning knows at a moment. It is read-only once it is made, and may be
// used by several at the same time.
type Cluster struct {
	// Now is in Unix milliseconds.
	Now        int64
	Namespaces []Namespace
	Queues     []Queue
	// Pasts is what namespaces, queues and users have used.
	Pasts []plan.Past
	// Workers is by id.
	Workers []plan.Worker
	// Runs is what workers were given. Ahead is what they were sent ahead of a place, which is
	// in Runs too, as if it waited.
	Runs  []Run
	Ahead []plan.Ready
	// Waiting is groups that are ready. There may be More, and jobs that are not in Jobs.
	Waiting []plan.Ready
	More    bool
	// Behind is groups of those for which others go first, for a concurrency key: nobody knows
	// when they get it.
	Behind []plan.GroupID
	// Patience is until when groups wait for cheaper workers.
	Patience []Patience
	// Jobs is those of which more will wait than does, and those that have a deadline.
	Jobs []Job
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
	// Meter is how far its rate is used up.
	Meter limit.Meter
}

// Run is an attempt that a worker was given.
type Run struct {
	Worker  uint64
	Attempt plan.Attempt
	Of      plan.GroupID
}

// Patience is until when a group waits for cheaper workers, in Unix milliseconds.
type Patience struct {
	Of    plan.GroupID
	Until int64
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
	// Started is how many elements do within the forecast, and Left how many more there are of which
	// that is not known.
	Started, Left int64
}

// JobCourse is what is expected of a job. Its zero value is nothing.
type JobCourse struct {
	// Start is when the first of what waits of it starts, 0 for unknown.
	Start int64
	// End is the last moment of it that is known, and Task the place of the task that it is of.
	End  int64
	Task uint32
	// Open: there may be more of it, of which nobody knows.
	Open bool
}

// Course is what is expected to happen.
type Course struct {
	Now    int64
	Starts map[plan.GroupID]Start
	// Jobs is what waits or runs, by job.
	Jobs map[job.ID]JobCourse
	// Late is the jobs that are expected to miss their deadline.
	Late []Late
	// Evicted is attempts that make room, in the order in which they are asked to.
	Evicted []Eviction
	// Endless is how many attempts run of which nobody knows the end, Further how many more
	// there are among those that start.
	Endless, Further int
	Extent           Extent
}

// Eviction is an attempt of a job that makes room for another.
type Eviction struct{ Of, For job.ID }

// Extent is how far a forecast looked.
type Extent uint8

const (
	// Whole: everything that waits was followed to its start, or to where only what has no
	// known end is in its way.
	Whole Extent = iota
	// TooMany: MaxSteps ended it.
	TooMany
	// TooFar: MaxAhead did.
	TooFar
	// TooLong: who asked did.
	TooLong
)

// Late is a job that is expected to miss its deadline. Times are Unix milliseconds.
type Late struct {
	Job      job.ID
	Deadline int64
	// At is when it is expected to end; AtLeast says that it may be later.
	At      int64
	AtLeast bool
	// Task is the name of what is the last of it, as far as is known.
	Task string
}

// Forecast follows the cluster until everything that waits has started, or the bounds, or until
// stop, which may be nil and is asked now and then, says so.
func (c *Cluster) Forecast(stop func() bool) *Course {
	e := c.engine(true)
	e.stop = stop
	e.settle()
	e.follow()
	return e.finish(c)
}
