package sim

import "github.com/reeve-scheduler/reeve/internal/core"

// Bug is something that the world does wrong on purpose, so that a test can prove that
// the judge sees it.
type Bug string

// The bugs.
const (
	// BugReplyEarly answers before the batch is durable.
	BugReplyEarly Bug = "reply before durable"
	// BugLoseTail loses the last durable batch in a crash.
	BugLoseTail Bug = "lose the journal's last batch"
	// BugTwoEnds tells of jobs that ended as if they had ended otherwise, now and then.
	BugTwoEnds Bug = "tell another end"
	// BugNoFence hands on results of other attempts as if they were of those that are
	// current.
	BugNoFence Bug = "ignore fences"
	// BugNoKill is a keeper that lets attempts live past their deadline.
	BugNoKill Bug = "keeper does not kill"
	// BugStartTwice starts a process a second time when it has ended.
	BugStartTwice Bug = "start twice"
	// BugNoNeeds, BugNoThrottle, BugNoBudget, BugNoResources and BugNoKeys hide a part of each
	// job from the server.
	BugNoNeeds     Bug = "hide needs"
	BugNoThrottle  Bug = "hide throttles"
	BugNoBudget    Bug = "hide retry budgets"
	BugNoResources Bug = "hide resources"
	// BugSameDevice tells attempts of the first device of their worker, whichever is theirs.
	BugSameDevice Bug = "tell of the same device"
	BugNoKeys     Bug = "hide concurrency keys"
	// BugNoTimeout is a keeper that does not know the time.
	BugNoTimeout Bug = "keeper forgets timeouts"
	// BugNoRenewal is a keeper that is not told of renewed leases.
	BugNoRenewal Bug = "drop renewals"
	// BugDropHold answers holds and does nothing.
	BugDropHold Bug = "drop holds"
	// BugDropPause answers pauses and does nothing.
	BugDropPause Bug = "drop pauses"
	// BugDropLimit answers what gives queues and namespaces limits, and does nothing.
	BugDropLimit Bug = "drop limits"
	// BugSwap replays the last events of batches in another order.
	BugSwap Bug = "apply out of order"
	// BugGarble changes events between encoding and decoding.
	BugGarble Bug = "garble events"
	// BugLie reports exit 0 for processes that failed.
	BugLie Bug = "lie about exit codes"
	// BugSilent explains nothing.
	BugSilent Bug = "explain nothing"
	// BugForgetKeys submits without the idempotency key.
	BugForgetKeys Bug = "forget keys"
	// BugSubmitTwice is a server that carries out submits without a key twice.
	BugSubmitTwice Bug = "submit twice"
	// BugStutter is a server that notes twice that attempts have started.
	BugStutter Bug = "note starts twice"
	// BugHideOnce, BugOtherNeeds, BugNoBackoff and BugNoTimes hide or change more of jobs.
	BugHideOnce   Bug = "hide at_most_once"
	BugOtherNeeds Bug = "change needs"
	BugNoBackoff  Bug = "hide backoffs"
	BugNoTimes    Bug = "hide times"
	BugNoMaxFails Bug = "hide max_fails"
	// BugNoGangs has the server start ranks of gangs one by one.
	BugNoGangs Bug = "hide nodes"
	// BugDropCancel answers cancels and does nothing.
	BugDropCancel Bug = "drop cancels"
	// BugDeaf is a keeper that does not hear what it is to stop.
	BugDeaf Bug = "keeper does not hear stops"
	// BugSkipNotice does not tell watchers the last of each batch.
	BugSkipNotice Bug = "skip notices"
	// BugTellEarly tells watchers before the batch is durable.
	BugTellEarly Bug = "tell watchers before durable"
	// BugStaleReads answers from the tables alone.
	BugStaleReads Bug = "read the tables alone"
	// BugNoExpiry is a server that gives nobody up.
	BugNoExpiry Bug = "give up nobody"
	// BugIdle is a server that places nothing for a minute, every other minute.
	BugIdle Bug = "place nothing for a while"
	// BugOldFacts is a server that takes what was read of the tables for news, however old it
	// is.
	BugOldFacts Bug = "believe old facts"
	// BugDropMail is a server that has forgotten some messages once a batch is durable, and
	// never repeats them.
	BugDropMail Bug = "forget messages after durable"
	// BugNoFencing is a store that takes the batch of a leader which another one has followed.
	BugNoFencing Bug = "take batches of deposed leaders"
	// BugHoldOn is a leader that answers when its lease is over.
	BugHoldOn Bug = "answer past the lease"
	// BugNoReadIndex is a follower that answers with what it has.
	BugNoReadIndex Bug = "follower reads what it has"
	// BugNoGrace is a leader that takes over and gives up whoever it has not heard.
	BugNoGrace Bug = "take over without grace"
	// BugNoLeap is servers that do not notice that history was lost.
	BugNoLeap Bug = "miss no history"
)

// Breach is a bug and the promise that it breaks.
type Breach struct {
	Bug    Bug
	Breaks Promise
	// Also is promises that it may be seen to break first.
	Also map[Promise]bool
}

// Bugs lists every bug.
func Bugs() []Breach {
	also := func(ps ...Promise) map[Promise]bool {
		m := map[Promise]bool{}
		for _, p := range ps {
			m[p] = true
		}
		return m
	}
	return []Breach{
		{BugReplyEarly, Durable, also(Cancelled, Held, OneEnd, Reads)},
		{BugLoseTail, Durable, nil},
		{BugTwoEnds, OneEnd, nil},
		{BugNoFence, Fenced, also(Truthful, NoTwins)},
		{BugNoKill, NoTwins, also(Cancelled)},
		{BugStartTwice, Once, nil},
		{BugNoNeeds, Order, nil},
		{BugNoThrottle, Throttled, nil},
		{BugNoBudget, Budgets, nil},
		{BugNoResources, Room, nil},
		{BugSameDevice, Room, nil},
		{BugNoKeys, Exclusive, nil},
		{BugNoTimeout, TimedOut, also(NoTwins)},
		{BugNoRenewal, Steady, nil},
		{BugDropHold, Held, also(Ends)},
		{BugDropPause, Held, also(Quotas)},
		{BugDropLimit, Quotas, nil},
		{BugSwap, Law, nil},
		{BugGarble, Codec, nil},
		{BugLie, Truthful, also(Budgets)},
		{BugSilent, Says, nil},
		{BugForgetKeys, OneJob, nil},
		{BugOldFacts, OneJob, nil},
		{BugDropMail, Ends, also(Cancelled)},
		{BugSubmitTwice, NoPhantom, nil},
		{BugStutter, Legal, nil},
		{BugHideOnce, Once, also(Budgets)},
		{BugOtherNeeds, Order, nil},
		{BugNoBackoff, Backoff, nil},
		{BugNoTimes, InTime, also(Order)},
		{BugNoMaxFails, Stopped, nil},
		{BugNoGangs, Together, also(Cancelled)},
		{BugDropCancel, Cancelled, nil},
		{BugDeaf, Cancelled, nil},
		{BugSkipNotice, Streams, nil},
		{BugTellEarly, Streams, nil},
		{BugStaleReads, Reads, also(OneEnd)},
		{BugNoExpiry, Renewed, nil},
		{BugIdle, Progress, nil},
		{BugNoFencing, Fenced, also(NoPanic)},
		{BugHoldOn, Silent, also(Reads)},
		{BugNoReadIndex, Reads, also(Law, Durable)},
		{BugNoGrace, NoTwins, nil},
		{BugNoLeap, Leapt, nil},
	}
}

// twice is events as BugStutter notes them.
func twice(events []core.Event) []core.Event {
	var out []core.Event
	for _, e := range events {
		out = append(out, e)
		if _, ok := e.(core.AttemptStarted); ok {
			out = append(out, e)
		}
	}
	return out
}
