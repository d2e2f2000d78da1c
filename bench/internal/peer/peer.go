// Package peer is the systems that people would use instead of Reeve, each at its best
// setting: how its servers are started, filled and worked off.
package peer

import (
	"context"
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// Site is where systems run.
type Site struct {
	// Context ends everything.
	Context context.Context
	// Dir holds what servers write. Source is this module's folder.
	Dir, Source string
}

const (
	// Batch is how many jobs a call submits.
	Batch = 1000
	// Submitters is how many submit at the same time.
	Submitters = 2
	// WarmJobs come first where one job is measured at a time, and are not counted: connections
	// and caches are made with them.
	WarmJobs = 20
)

// Cases of what OneByOne measures.
const (
	Start = "submit → start"
	Seen  = "submit → end seen"
)

// Latencies are how long something took, each time.
type Latencies struct {
	What string
	Took []time.Duration
}

// Systems are the peers that run functions.
func Systems() []System {
	return []System{RiverSystem(), graphileSystem(), asynqSystem("everysec", "1 s"), asynqSystem("always", figure.Durable)}
}

// Programs are what a program that measures peers is when Site starts it as another, by its
// first argument.
func Programs() map[string]func(args []string) error {
	return map[string]func([]string) error{riverCommand: riverProgram, asynqCommand: asynqProgram}
}

// Queue is a running system that takes jobs which are functions, fresh and empty. The
// client is this process, or one that the queue starts.
type Queue interface {
	// Fill submits n jobs that do nothing, and returns when all are acknowledged.
	Fill(n int) error
	// Prepare starts a worker that does nothing until Work, and returns when nothing trails
	// any more that filling the queue left to do.
	Prepare(w Workload) error
	Work() error
	// OneByOne submits n jobs that say when they started, each after the end of the one before
	// was seen.
	OneByOne(n int) ([]Latencies, error)
	// Drained returns when all jobs have ended and the system has that as durable as it
	// promises.
	Drained() error
	// Graph runs n jobs that need each other, and returns when the last has ended.
	Graph(k Kind, n int) error
	Parts() []proc.Part
	Close() error
}

// Backlog is a queue whose jobs can be let wait.
type Backlog interface {
	Parts() []proc.Part
	// FillWith is Fill with jobs that carry so many bytes each.
	FillWith(n, bytes int) error
	// Stored is the bytes that it keeps on disk.
	Stored() (int64, error)
}

// Payload is a text of that many bytes which no other job has.
func Payload(i, bytes int) string { return fmt.Sprintf("%0*d", bytes, i) }

// Synced is a queue that counts how often it has told the disk to make something durable.
// After the last of what is measured a worker may be ended for it.
type Synced interface {
	Syncs(last bool) (int64, error)
}

// Workload is what a worker is prepared for.
type Workload struct {
	// Jobs is how many will end.
	Jobs int
	// Slots is how many at the same time; 0 is the best number for throughput.
	Slots int
	Kind  Kind
}

// Kind is what jobs do.
type Kind string

// Kinds: nothing; saying when they started; each the one before the next; one before many
// before one more; counting how late they began.
const (
	Noop  Kind = ""
	Stamp Kind = "stamp"
	Chain Kind = "chain"
	Fan   Kind = "fan"
	Late  Kind = "late"
)

// System is a kind of queue.
type System struct {
	Name, Durability string
	Kind             figure.Kind
	Start            func(*Site) (Queue, error)
	// Rate is a guess at the jobs that it ends a second with so many slots, 0 for many: by it a
	// run is shortened to one of seconds.
	Rate func(slots int) int
}

// pollEvery is how often the end of a run is looked for, and so how inexact its time is.
const pollEvery = 5 * time.Millisecond
