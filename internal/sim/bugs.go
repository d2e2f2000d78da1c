package sim

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
	// BugNoNeeds, BugNoThrottle, BugNoBudget and BugNoResources hide a part of each job
	// from the server.
	BugNoNeeds     Bug = "hide needs"
	BugNoThrottle  Bug = "hide throttles"
	BugNoBudget    Bug = "hide retry budgets"
	BugNoResources Bug = "hide resources"
	// BugNoTimeout is a keeper that does not know the time.
	BugNoTimeout Bug = "keeper forgets timeouts"
	// BugNoRenewal is a keeper that is not told of renewed leases.
	BugNoRenewal Bug = "drop renewals"
	// BugDropHold answers holds and does nothing.
	BugDropHold Bug = "drop holds"
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
	// BugDropMail is a server that has forgotten some messages once a batch is durable, and
	// never repeats them.
	BugDropMail Bug = "forget messages after durable"
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
		{BugReplyEarly, Durable, also(Obeyed, OneEnd)},
		{BugLoseTail, Durable, nil},
		{BugTwoEnds, OneEnd, nil},
		{BugNoFence, Fenced, also(Truthful, NoTwins)},
		{BugNoKill, NoTwins, also(Obeyed)},
		{BugStartTwice, Once, nil},
		{BugNoNeeds, Order, nil},
		{BugNoThrottle, Throttled, nil},
		{BugNoBudget, Budgets, nil},
		{BugNoResources, Room, nil},
		{BugNoTimeout, Obeyed, nil},
		{BugNoRenewal, Steady, nil},
		{BugDropHold, Obeyed, nil},
		{BugSwap, Law, nil},
		{BugGarble, Codec, nil},
		{BugLie, Truthful, also(Budgets)},
		{BugSilent, Says, nil},
		{BugForgetKeys, OneJob, nil},
		{BugDropMail, Ends, nil},
	}
}
