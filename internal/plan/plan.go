// Package plan answers which task next, on which worker, and why not. It is an
// incremental index that only the core's Apply touches, and it only proposes: the
// core checks each proposal again, applies the assignment and asks for the next.
//
// The cost of an answer grows with what changed since the last one, not with what
// waits: DESIGN.md beside this file says how.
package plan

import (
	"github.com/reeve-scheduler/reeve/internal/job"
)

// GroupID names the ready elements of one task.
type GroupID struct {
	Job  job.ID
	Task uint32
	// Alone sets apart the elements that must have a worker for themselves,
	// because several workers were lost while they ran.
	Alone bool
}

// Shape is what an attempt needs of a worker. Attempts of equal shape are
// interchangeable in a place: a prefetched one is promoted when one of the same
// shape ends.
type Shape struct {
	Resources job.Resources
	// Executor is "process" or "function".
	Executor string
	// Function is the handler's name if the executor is "function", else empty.
	Function string
	// Where is the labels that the worker must have, "key=value" or "key" for any
	// value, sorted and joined by newlines.
	Where string
}

// Group is ready elements that are alike in everything that planning looks at.
type Group struct {
	ID               GroupID
	Namespace, Queue string
	// Priority: higher goes first; then the older job, then the lower task.
	Priority int32
	Shape    Shape
	// NoPrefetch keeps the elements from being sent ahead of their place, as
	// at_most_once asks.
	NoPrefetch bool
}

// Worker is what planning knows of an agent.
type Worker struct {
	ID   uint64
	Name string
	// Capacity is what attempts may use together, Slots how many may run.
	Capacity job.Resources
	Slots    int
	// Prefetch is how many attempts may be sent ahead of a free place.
	Prefetch             int
	Executors, Functions []string
	// Labels is sorted "key=value".
	Labels []string
	// Accepts is true while the worker is connected, not draining, and fit.
	Accepts bool
	// Unfit is why it can take nothing, if that is all that keeps it; only Explain
	// looks at it.
	Unfit string
}

// Placement is a proposal: one element of the group to the worker.
type Placement struct {
	Group  GroupID
	Worker uint64
	// Prefetch means that the worker has no free place now but works on the same
	// shape, so that the element starts when one of those ends.
	Prefetch bool
}

// Recall is a proposal to ask a worker for attempts back that it has not started,
// because another worker could start them now.
type Recall struct {
	From  uint64
	Shape Shape
	// N is how many, the newest first.
	N int
}

// Index is the state of planning. It is not safe for concurrent use, and what it
// answers depends on nothing but the calls made before.
type Index struct {
	groups  groupTable
	records records

	// active and hopeful are lanes in order; a lane that is in neither has nothing
	// to place or no way to.
	active, hopeful heap
	// gained is the workers that may have gained room since there was nothing more
	// to place, gaining their profiles, tried the waiting lanes that fit none.
	gained  []*worker
	gaining []*profile
	tried   []*lane
	// ahead is the shapes of which workers hold prefetched attempts.
	ahead []*shape

	workers    map[uint64]*worker
	workerList []*worker // by id

	// The maps are for look-up only, the lists for everything that goes through
	// all: a map's order is no one's.
	profiles    map[string]*profile
	profileList []*profile
	kinds       map[kindName]*kind
	kindList    []*kind
	nextKind    uint32
	shapes      map[Shape]*shape
	shapeList   []*shape
	spaces      map[string]*space
	spaceList   []*space
	queues      map[queueName]*queue
	classOf     map[classKey]*class
	// classes and lanes are by id, nil where the id is free.
	classes                []*class
	lanes                  []*lane
	freeClasses, freeLanes []uint32
	// recent is the class of the last new group: the next is often alike.
	recent            *class
	interned, sweepAt int
}

// New returns an index without groups and workers.
func New() *Index {
	return &Index{
		workers:  map[uint64]*worker{},
		profiles: map[string]*profile{},
		kinds:    map[kindName]*kind{},
		shapes:   map[Shape]*shape{},
		spaces:   map[string]*space{},
		queues:   map[queueName]*queue{},
		classOf:  map[classKey]*class{},
		sweepAt:  internedFloor,
	}
}
