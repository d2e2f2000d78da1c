package predict

import "math/bits"

const (
	// enoughRuns is how many must have ended before advice is given: fewer may all have had
	// little to do.
	enoughRuns = 20
	// largeGap is how much less than was asked for, in bytes, must do before that is advised,
	// and wasteful how many times the need must have been asked for.
	largeGap = 64 << 20
	wasteful = 2
	// leastMemory is the least that is advised, in bytes.
	leastMemory = 16 << 20
	// growth is how many times the memory that did not do is asked for next: half as much again
	// would kill a task of unknown need nearly twice as often on its way.
	growth = 2
)

// Memory is how much memory attempts have taken at their peaks, in bytes.
type Memory struct {
	// P99 is what 99 of 100 stayed within, Max what all did, Runs how many of them count. All
	// are 0 if nothing is known.
	P99, Max, Runs int64
	// Others is as of an Estimate.
	Others bool
}

func (l *learned) usage() Memory {
	return Memory{P99: l.memory.Quantile(990), Max: l.memory.Quantile(1000), Runs: l.memory.Count()}
}

// Advice says that a task should ask for another amount of memory. All are in bytes.
type Advice struct {
	Requested int64
	Used      Memory
	// Suggested is the p99 with headroom.
	Suggested int64
}

// Advise compares a request in bytes with what was used. It is false where there is nothing
// to say: nothing was requested, few attempts have ended, or it matters little.
func (m Memory) Advise(requested int64) (Advice, bool) {
	a := Advice{Requested: requested, Used: m, Suggested: m.headroom()}
	if requested <= 0 || m.Runs < enoughRuns {
		return a, false
	}
	much := requested-a.Suggested >= largeGap && requested/wasteful >= a.Suggested
	little := m.P99-requested > requested/(2*subBuckets) // by more than a sketch may err
	return a, much || little
}

// headroom is what to ask for where nothing goes wrong: a quarter more than the p99, rounded
// up to three binary digits.
func (m Memory) headroom() int64 {
	const most = 1 << 60
	need := max(min(m.P99, most)/4*5, leastMemory)
	step := int64(1) << (bits.Len64(uint64(need)) - 1 - subBits)
	return (need + step - 1) / step * step
}

// Grow is what the attempt after one that ran out of memory should ask for, in bytes: twice
// what that had, and at least what was learned, with headroom; at most a bound, if that is not
// 0, but never less than it had. Of a request of 0, nothing known, it makes nothing.
func (m Memory) Grow(had, most int64) int64 {
	const far = 1 << 60
	next := min(had, far) * growth
	if m.Runs > 0 {
		next = max(next, m.headroom())
	}
	return max(within(next, most), had)
}
