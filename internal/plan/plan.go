// Package plan answers which task next, on which worker, and why not. It is an
// incremental index that only the core's Apply touches, and it only proposes: the
// core checks each proposal again, applies the assignment and asks for the next.
//
// The cost of an answer grows with what changed since the last one, not with what
// waits: DESIGN.md beside this file says how.
package plan

import (
	"container/list"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/match"
	"github.com/reeve-scheduler/reeve/internal/plan/pile"
	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
)

// Ways bounds GroupID.Way.
const Ways = 8

// GroupID names the ready elements of one task.
type GroupID struct {
	Job  job.ID
	Task uint32
	// Larger sets apart the elements that need more than the others.
	Larger bool
	// Way, less than Ways, is one of the ways to serve elements, by what they need; of each way there
	// is a group of the same elements, and whoever places one tells of all of them anew. The first
	// that finds a place is taken.
	Way uint8
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
	// Where is what the worker must be: labels, "key=value" or "key" for any value, and
	// expressions as package match has them, sorted and joined by newlines.
	Where string
}

// Group is ready elements that are alike in everything that planning looks at.
type Group struct {
	ID               GroupID
	Namespace, Queue string
	// User is set where the users of a queue take turns.
	User string
	// Background ones start when nothing else can.
	Background bool
	// Tier is from 0, for background, up: what is of a lower one may have to make room, where
	// the queue's policy says so, or if it is of tier 0.
	Tier uint8
	// Score: higher goes first within a queue, or among what a user has in it; then the older
	// job, then the lower task. At most MaxScore above or below 0.
	Score int64
	// Length is the expected run time in milliseconds, 0 for unknown. It is what decides
	// whether an element ends before a place is needed that is kept for another.
	Length int64
	Shape  Shape
	// Prefer is which of the workers that it could have it would rather have, as PreferOf writes it.
	Prefer string
	// Patient: until the caller says otherwise the elements wait for the workers that are worth the most by
	// Prefer of all that could run them if they did nothing else. Such are not sent ahead.
	Patient bool
	// Nodes is how many workers each element takes at once, 0 or 1 for one of them. The shape is
	// what it needs of each.
	Nodes int
	// NoPrefetch keeps the elements from being sent ahead of their place, as
	// at_most_once asks.
	NoPrefetch bool
	// Apart is those of which none that run have a domain in common with the elements, Spread those that they
	// are spread with, where there are any. Such elements are not sent ahead.
	Apart, Spread Company
	// Near is the workers that it would rather have than all others, the first of them that has room, as
	// NearOf writes it. Such are not sent ahead.
	Near string
}

// MaxScore bounds a group's score on both sides of 0.
const MaxScore = 1 << 60

// Attempt is what planning is told of one that a worker was given.
type Attempt struct {
	Shape                  Shape
	Namespace, Queue, User string
	// Prefetch: it was sent ahead, and has no place yet. Alone is whether its group was.
	Prefetch, Alone bool
	// Apart and Spread are its group's, and Job is its job, which Explain names.
	Apart, Spread Company
	Job           job.ID
	// Tier is its group's; Stays keeps it from having to make room.
	Tier  uint8
	Stays bool
	// Nodes is its group's: without it the others of its gang have run in vain.
	Nodes int
	// Tag is the caller's name for it, which Evict gives back.
	Tag uint64
	// Began is when it was placed, in Unix milliseconds.
	Began int64
	// Ends is when it is expected to end, Limit when it will have at the latest, in Unix
	// milliseconds, 0 for unknown.
	Ends, Limit int64
}

// Worker is what planning knows of an agent.
type Worker struct {
	ID   uint64
	Name string
	// Capacity is what attempts may use together, Slots how many may run.
	Capacity job.Resources
	Slots    int
	// Overcommit is by what the capacity is more or less than the worker has; only Explain looks
	// at it.
	Overcommit job.Factors
	// Prefetch is how many attempts may be sent ahead of a free place.
	Prefetch             int
	Executors, Functions []string
	// Labels is "key=value", sorted by key; the pool is one of them.
	Labels []string
	// Accepts is true while the worker is connected, not draining, and fit.
	Accepts bool
	// Unfit is why it can take nothing, if that is all that keeps it; only Explain
	// looks at it.
	Unfit string
	// Reserved is the windows for which it is set aside, in order.
	Reserved []Window
}

// Placement is a proposal: one element of the group to the worker.
type Placement struct {
	Group  GroupID
	Worker uint64
	// Team is the other workers of a group that takes several at once.
	Team []uint64
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
	groups pile.Pile

	// root is the order of all that waits.
	root *node
	// gained is the workers that may have gained room since there was nothing more
	// to place, gaining their profiles, tried the waiting classes that fit tournament.None, and stale the
	// nodes below which others may fit too.
	gained  []*worker
	gaining []*profile
	tried   []*class
	stale   []*node
	// changed: there may be something to place. passing: Next looks for it, at the moment now.
	changed, passing bool
	now              int64
	// relook is when something is expected to end on a worker on which a place was kept: if it
	// has not, that place is kept for nothing, or for later.
	relook int64
	// holds are the places that are kept in this pass, on the workers in reserved; kept is
	// what they were at the end of the last one, keptOn on which workers, and again these until they are looked
	// at again.
	holds           []hold
	reserved, again []*worker
	kept            []Kept
	keptOn          []uint64
	keeps           bool // kept is of the last pass
	dated           bool // something was placed since places or room were kept, perhaps for what would be kept none now
	barred, planned []*account
	futile          []*class // no place can be kept for it, in this pass
	// yielding is who waits in this pass since room in a limit is kept, keepers of which accounts; yielded:
	// somebody did in the last one.
	yielding []*class
	keepers  []*account
	yielded  bool
	replan   bool // a queue is planned no more, since something more of it waits
	aside    []*class
	// leaving is the workers on which something makes room; background and preempting count
	// attempts of tier 0 and queues that preempt. stirred: a pass has ended since nothing could
	// be evicted.
	leaving    []*worker
	background int
	preempting int
	stirred    bool
	// ahead is the shapes of which workers hold prefetched attempts.
	ahead []*shape

	workers    map[uint64]*worker
	workerList []*worker // by id

	// columns are the resources beside processors and memory; total is what all workers have,
	// places how many slots.
	width   int
	columns map[string]int
	names   []string
	total   []int64
	places  int64
	reweigh bool // shares are of another total

	// pasts is the accounts that have one, aged how far Age has come with them, touched those of
	// which it is another than what somebody keeps, and resting the users that run nothing,
	// whoever did last at the back.
	pasts, touched []*account
	stamp          uint64
	aged           int
	resting        *list.List

	// The maps are for look-up only, the lists for everything that goes through
	// all: a map's order is no one's.
	profiles    map[string]*profile
	profileList []*profile
	// calendars are the windows that workers are reserved for, clock the last moment that Next was
	// told, and edge when the next window is over.
	calendars    []*calendar
	nextCalendar uint32
	clock, edge  int64
	kinds        map[kindName]*kind
	kindList     []*kind
	nextKind     uint32
	// book is the entries of all Wheres and Prefers, each read once; preferences are the Prefers
	// that classes have.
	book        match.Book
	preferences map[string]*preference
	companies   [sides]map[Company]*company
	arrivals    arrivals
	charts      []*chart
	// nears is what groups are near, by their number.
	nears map[uint32]string
	// patients is the classes that wait for better workers than may be free, patientPrefs the preferences by which
	// they do. fleet counts the changes of workers, and unsure: there were some since it was looked at who
	// takes which.
	patients     []*class
	patientPrefs []*preference
	fleet        uint64
	unsure       bool
	// followed are those by which workers are ranked, asks is how often any was asked for.
	followed  []*preference
	asks      uint64
	shapes    map[Shape]*shape
	shapeList []*shape
	spaces    map[string]*account
	spaceList []*account
	queues    map[queueName]*account
	users     map[userName]*account
	classOf   map[classKey]*class
	// classes are by id, nil where the id is free.
	classes                []*class
	freeClasses, freeKinds []uint32
	// recent is the class of the last new group, lastFlow and lastShape are of the last attempt
	// that was taken: the next is often alike.
	recent            *class
	lastFlow          *account
	lastShape         *shape
	interned, sweepAt int

	// Room to work in, so that a placement allocates nothing.
	asked, everything, nothing, spare []int64
	steps                             []step
	// budget is how many workers may yet be asked one by one in this call of Next.
	budget int
	team   []*worker
	// gangs is how many classes need several workers.
	gangs int
}

// New returns an index without groups and workers.
func New() *Index {
	x := &Index{
		root:     &node{},
		resting:  list.New(),
		relook:   never,
		edge:     never,
		width:    otherColumn,
		columns:  map[string]int{},
		workers:  map[uint64]*worker{},
		profiles: map[string]*profile{},
		kinds:    map[kindName]*kind{},

		preferences: map[string]*preference{}, companies: [...]map[Company]*company{sideApart: {}, sideSpread: {}}, nears: map[uint32]string{},

		shapes:  map[Shape]*shape{},
		spaces:  map[string]*account{},
		queues:  map[queueName]*account{},
		users:   map[userName]*account{},
		classOf: map[classKey]*class{},
		sweepAt: internedFloor,
		fleet:   1,
	}
	for band := range uint64(bands) {
		x.add(x.root, &node{rank: tournament.Rank{ID: band}})
	}
	x.widen()
	return x
}
