// Package link holds the messages between a server and a worker in domain words.
// Both ends are state machines that exchange these values; how they travel is
// package wire's business. Every message is a hint for latency: what holds is
// what both sides compare when a session starts and at each beat.
package link

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Protocol is the version of this conversation. A server refuses a worker whose
// version it does not speak.
const Protocol = 1

// Fence is an attempt's fencing token: cluster-wide, rising, never reissued. It
// names the attempt in every message.
type Fence uint64

// Proof shows the server that gave an attempt to a worker that whoever has it is that
// worker. Zero is none: a worker that has lost it can't say anything of the attempt but
// how it ends.
type Proof [16]byte

// MarshalText spells a proof in hexadecimal.
func (p Proof) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, p[:]), nil }

// UnmarshalText reads what MarshalText writes.
func (p *Proof) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(p) {
		return fmt.Errorf("proof: want %d bytes in hexadecimal", len(p))
	}
	*p = Proof(b)
	return nil
}

// String hides the secret.
func (Proof) String() string { return "proof" }

// GoString hides the secret from %#v too.
func (p Proof) GoString() string { return p.String() }

// Claim is how a worker names an attempt of its own when it sends what that leaves.
type Claim struct {
	Fence Fence
	Ref   job.Ref
	Proof Proof
}

// Phase is how far an attempt that a worker holds has come.
type Phase uint8

// The phases.
const (
	// Waiting: not started, because it was prefetched or its inputs are on their way.
	Waiting Phase = 1
	// Running: it runs.
	Running Phase = 2
	// Ended: it has ended and its result is not acknowledged.
	Ended Phase = 3
)

// Held is an attempt that a worker holds.
type Held struct {
	Fence Fence
	Phase Phase
}

// PoolLabel is the label that says which pool a worker is in.
const PoolLabel = "pool"

// Hello opens a session.
type Hello struct {
	Protocol uint32
	Name     string
	// Instance is random and kept in the worker's state directory: who it is.
	Instance string
	// Incarnation is new in every process of it, and rises: once a later process has
	// greeted, what is left of an earlier one on the way counts for nothing.
	Incarnation uint64
	// Greeting counts the sessions of the process, this one in: a hello that comes after that
	// of a later session counts for nothing. 0 in versions that don't count.
	Greeting uint64
	// Place tells where the state directory is: the boot of a machine, and the directory on
	// it. Whoever has the same sees what an earlier process of this worker has left there;
	// whoever has another, such as a copy of the directory, does not. Empty for not known,
	// which passes for any.
	Place    string
	Labels   map[string]string
	Capacity job.Resources
	// Devices are those of Capacity that have ids: as many as it says there.
	Devices job.Devices
	// Pool is where the worker belongs; empty for the default one.
	Pool string
	// Slots is how many attempts run at the same time.
	Slots int
	// Prefetch is how many more attempts it takes, to have the next at hand.
	Prefetch  int
	Executors []string
	Functions []string
	Version   string
	Host      string
	// About is what its executors enforce, in words.
	About []string
	Held  []Held
	// Unfit is why the worker can take nothing at the moment, empty if it can.
	Unfit string
	// Generation and Seq are the newest it has heard of: a server behind them has
	// lost its past.
	Generation, Seq uint64
}

// Beat renews the lease of everything held. It carries the whole list, so that
// each beat is also a comparison.
type Beat struct {
	// Number rises by one within a session; the answer repeats it.
	Number uint64
	Held   []Held
}

// Started reports that an attempt runs.
type Started struct {
	Fence Fence
	// At is the worker's wall clock in Unix milliseconds.
	At int64
}

// Result reports how an attempt ended. It is repeated until acknowledged.
type Result struct {
	Fence Fence
	Cause job.Cause
	Usage job.Usage
	// Started and Ended are the worker's wall clock in Unix milliseconds; Started
	// is 0 if it never ran.
	Started, Ended int64
	// Outputs is a JSON object of strings, nil for none.
	Outputs []byte
	LogSize int64
}

// Report is what happened to attempts.
type Report struct {
	Started []Started
	Ended   []Result
	// Returned are attempts given back unstarted: after a recall, or because the worker
	// can take nothing.
	Returned []Fence
	// Unfit is why the worker can take nothing from now on; empty means that it can
	// again, and nil that this is as it was.
	Unfit *string
}

// FromWorker is one message from a worker: exactly one field is set.
type FromWorker struct {
	Hello   *Hello
	Beat    *Beat
	Report  *Report
	Leaving bool
}

// Welcome answers a hello.
type Welcome struct {
	WorkerID        uint64
	Generation, Seq uint64
	// Beat is how often to send one.
	Beat time.Duration
	// Lease is the lease of attempts whose task says nothing else.
	Lease time.Duration
	// Note is what of the hello the server can't use so far, and why; empty for nothing.
	Note string
}

// BeatAnswer answers a beat. Only now do the leases it renewed count, from the
// moment the beat was sent.
type BeatAnswer struct {
	Number          uint64
	Generation, Seq uint64
}

// Assignment is one attempt to run.
type Assignment struct {
	Fence     Fence
	Job       job.ID
	JobUID    string
	Namespace string
	// Task is the task's place in the spec, Position the element's.
	Task     uint32
	Position int64
	Index    int64
	Attempt  int
	SpecHash [32]byte
	// Spec is filled in by the receiver from SpecHash.
	Spec *job.Spec
	// Params is the bound parameters as a JSON object.
	Params  []byte
	Payload []byte
	// Away: Payload is still to be read from the tables. It stays at the server: nothing
	// goes to a worker without its payload.
	Away bool
	// Item is the array's item if it has items and the spec does not hold them.
	Item    string
	HasItem bool
	// Count, First and Last describe the array.
	Count, First, Last int64
	// Outputs of the tasks that expressions of this one may name.
	Outputs []TaskOutputs
	// Lease is the time after which the attempt counts as lost; 0 for never.
	Lease time.Duration
	// JobDeadline is in Unix milliseconds, 0 for none.
	JobDeadline int64
	// Prefetched: reserve nothing; start when an attempt of the same shape ended.
	Prefetched bool
	// Devices are the attempt's alone until it has ended.
	Devices job.Devices
	// Offers is what the worker's pool gives away of it, where that is another amount than the worker
	// has: it may run so much at a time. Nothing stands for what it has.
	Offers job.Resources
	// Way and Memory say what it is given: see Resources.
	Way    uint8
	Memory int64
	// Hosts is what the workers of a gang's ranks call their hosts, by rank. Position is the rank.
	Hosts []string
	// Proof is filled in at the server's door.
	Proof Proof
}

// Resources is what the attempt is given of its worker.
func (a *Assignment) Resources() job.Resources { return a.Spec.Tasks[a.Task].Asks(a.Way, a.Memory) }

// Ref names the attempt as users write it.
func (a *Assignment) Ref() job.Ref {
	return job.Ref{Job: a.Job, Task: a.Spec.Tasks[a.Task].Name, Index: a.Index, Attempt: a.Attempt}
}

// TaskOutputs is what a task that is not an array wrote to REEVE_OUTPUT.
type TaskOutputs struct {
	Task string
	// Outputs is a JSON object of strings.
	Outputs []byte
}

// SpecText is a canonical spec, sent once per session.
type SpecText struct {
	Hash      [32]byte
	Canonical []byte
}

// Assign gives attempts to a worker.
type Assign struct {
	Specs    []SpecText
	Attempts []Assignment
}

// Stop asks an attempt to end.
type Stop struct {
	Fence Fence
	// Grace before the whole tree is killed; 0 kills at once.
	Grace time.Duration
	Cause job.Cause
	// Forget: the server does not know the attempt; end it, and report nothing.
	Forget bool
}

// BeatEvery is how often a worker beats under a lease: a sixth of it, so that a few
// lost beats do no harm, at least every 5 s and at most five times a second.
func BeatEvery(lease time.Duration) time.Duration {
	return min(max(lease/6, 200*time.Millisecond), 5*time.Second)
}

// ToWorker is one message to a worker: exactly one field is set.
type ToWorker struct {
	Welcome *Welcome
	Beat    *BeatAnswer
	Assign  *Assign
	Stop    *Stop
	// Recall asks for attempts back that have not started.
	Recall []Fence
	// Ack says that results, and that something was given back, are durable or not
	// wanted; the worker may forget them.
	Ack []Fence
	// Goodbye ends the session with a reason.
	Goodbye string
}
