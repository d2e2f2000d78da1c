package sim

// Promise is something that Reeve promises and the judge holds it to.
type Promise string

// The promises.
const (
	// NoPanic: no part fails in a way that it does not know.
	NoPanic Promise = "no panic"
	// Durable: what was acknowledged exists (P1).
	Durable Promise = "P1 nothing accepted is lost"
	// NoPhantom: a job exists by one item of one submit, and that item makes no other.
	NoPhantom Promise = "no phantom jobs"
	// OneEnd: a terminal state that was told never changes (P2).
	OneEnd Promise = "P2 one end"
	// Legal: elements take no step but those of their graph, and the journal has no gap.
	Legal Promise = "steps are legal"
	// Fenced: the result of a superseded attempt is refused, numbers and fences rise (P3).
	Fenced Promise = "P3 fenced"
	// NoTwins: no two attempts of an element overlap (P4).
	NoTwins Promise = "P4 no twins"
	// Once: an at_most_once element starts at most once.
	Once Promise = "at most once"
	// Order: nothing starts before what it needs allows it.
	Order Promise = "dependencies hold"
	// Room: no worker is given more than it has.
	Room Promise = "resources hold"
	// Throttled: no array runs more elements at a time than it says.
	Throttled Promise = "throttles hold"
	// Exclusive: no concurrency key is held more often than it has slots, or started by more
	// often than its rate says.
	Exclusive Promise = "concurrency keys hold"
	// Quotas: no queue and no namespace is given more than its limit, and no more is submitted
	// to one than may wait.
	Quotas Promise = "quotas hold"
	// Budgets: no element is tried more often than its rules allow.
	Budgets Promise = "retry budgets hold"
	// Backoff: an element waits as long as its rules say before it is tried again.
	Backoff Promise = "backoffs hold"
	// Held: what is held or paused does not start.
	Held Promise = "holds and pauses hold"
	// Cancelled: what was cancelled does not start any more, and what runs of it ends.
	Cancelled Promise = "cancels are obeyed"
	// InTime: nothing starts before its time or after it.
	InTime Promise = "times are kept"
	// TimedOut: no process runs longer than its timeout and grace.
	TimedOut Promise = "timeouts are obeyed"
	// Stopped: too many failures stop the rest of an array.
	Stopped Promise = "max_fails is obeyed"
	// Together: the ranks of a gang start at once, on workers of their own, and end as one.
	Together Promise = "gangs start and end together"
	// Steady: where nothing fails, no attempt is lost.
	Steady Promise = "nothing is lost without a fault"
	// Law: tables and the journal's tail together are the state.
	Law Promise = "load + tail = state"
	// Codec: what is written is what is read.
	Codec Promise = "what is encoded is decoded"
	// Truthful: what the state says of an attempt is what its process did.
	Truthful Promise = "results are true"
	// Says: whatever waits is explained (P7).
	Says Promise = "P7 it says why"
	// Streams: who watches is told everything, in order, once, and only what is durable.
	Streams Promise = "watches miss nothing"
	// Reads: an answer shows what had been acknowledged when it was asked for, and nothing
	// that is not durable.
	Reads Promise = "reads are fresh"
	// Silent: a server whose lease is over renews nobody's lease and answers no read.
	Silent Promise = "who does not lead is silent"
	// Leapt: once it is known that history was lost, no number is given out that had been
	// given out before.
	Leapt Promise = "numbers are given once"
	// Renewed: nothing counts as running for longer than its lease after its worker was
	// last heard.
	Renewed Promise = "nothing runs without a renewed lease"
	// Progress: where a queue has work that may start and an idle worker takes it, it
	// starts.
	Progress Promise = "queues with work and workers move"
	// OneJob: an idempotency key stands for one job.
	OneJob Promise = "one job per key"
	// Ends: once faults are over, everything ends, and every worker is of use.
	Ends Promise = "everything ends"
)

// Promises lists every promise.
func Promises() []Promise {
	return []Promise{
		NoPanic, Durable, NoPhantom, OneEnd, Legal, Fenced, NoTwins, Once, Order, Room, Throttled, Exclusive, Quotas, Budgets, Backoff, Held, Cancelled, InTime, TimedOut,
		Stopped, Together, Steady, Law, Codec, Truthful, Says, Streams, Reads, Silent, Leapt, Renewed, Progress, OneJob, Ends,
	}
}
