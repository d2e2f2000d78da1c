package sim

// Promise is something that Reeve promises and the judge holds it to.
type Promise string

// The promises.
const (
	// NoPanic: no part fails in a way that it does not know.
	NoPanic Promise = "no panic"
	// Durable: what was acknowledged exists (P1).
	Durable Promise = "P1 nothing accepted is lost"
	// OneEnd: a terminal state that was told never changes (P2).
	OneEnd Promise = "P2 one end"
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
	// Budgets: no element is tried more often than its rules allow.
	Budgets Promise = "retry budgets hold"
	// Obeyed: what is held, paused, cancelled or timed out does not start or run on.
	Obeyed Promise = "holds, cancels and timeouts are obeyed"
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
	// OneJob: an idempotency key stands for one job.
	OneJob Promise = "one job per key"
	// Ends: once faults are over, everything ends, and every worker is of use.
	Ends Promise = "everything ends"
)

// Promises lists every promise.
func Promises() []Promise {
	return []Promise{
		NoPanic, Durable, OneEnd, Fenced, NoTwins, Once, Order, Room, Throttled, Budgets, Obeyed, Steady, Law, Codec, Truthful, Says, OneJob, Ends,
	}
}
