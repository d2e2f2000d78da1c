package job

import "slices"

import "time"

// Retry is a task's retry rule. Budgets are kept apart by cause, so that a lost
// worker does not spend what was meant for flaky code.
type Retry struct {
	// MaxAttempts counts attempts that failed by exit code, signal or error,
	// the first included. 1 means no retry.
	MaxAttempts int `json:"max_attempts"`
	// OnTimeout, OnLost are how many more attempts those causes allow each.
	// OnTimeout nil means that a timeout spends MaxAttempts; so does OnMemory for attempts that
	// ran out of memory.
	OnTimeout *int `json:"on_timeout,omitempty"`
	OnMemory  *int `json:"on_memory,omitempty"`
	OnLost    int  `json:"on_lost"`
	// MaxMemory is the most, in bytes, that is asked for after an attempt ran out of memory; 0 is
	// DefaultGrowth times what the task asks for.
	MaxMemory int64 `json:"max_memory,omitempty"`
	// ExitCodes, when given, are the only codes that are retried; NotExitCodes
	// are never retried.
	ExitCodes    []int `json:"exit_codes,omitempty"`
	NotExitCodes []int `json:"not_exit_codes,omitempty"`
	// Delay, Factor and MaxDelay shape the exponential backoff; the wait is drawn
	// evenly between 0 and the cap of its round (full jitter). Factor is in
	// hundredths: 200 doubles.
	Delay    Duration `json:"delay"`
	Factor   int64    `json:"factor"`
	MaxDelay Duration `json:"max_delay"`
}

// Defaults of a retry rule, filled in by jobfile.
const (
	DefaultMaxAttempts = 1
	DefaultOnLost      = 3
	DefaultDelay       = time.Second
	DefaultFactor      = 200
	DefaultMaxDelay    = 5 * time.Minute
	DefaultGrowth      = 4
	// MaxAttemptsLimit bounds every budget.
	MaxAttemptsLimit = 1000
)

// Spent is how many attempts of an element ended by each kind of cause.
type Spent struct {
	Failed, TimedOut, Lost uint16
	// LostRunning is how many of Lost were running when their worker was lost.
	LostRunning uint8
	// Memory is how many ran out of memory.
	Memory uint16
}

// Larger reports whether an element asks for more memory than its task did at first.
func (s Spent) Larger() bool { return s.Memory > 0 }

// Quarantine rules: an element that was running on lost workers is isolated after
// IsolateAfter such losses, and given up after QuarantineAfter.
const (
	IsolateAfter    = 2
	QuarantineAfter = 3
)

// Isolated reports whether an element must have a worker to itself, so that it takes
// nothing else along if it is what the workers die of.
func (s Spent) Isolated() bool { return s.LostRunning >= IsolateAfter }

// Quarantined reports whether an element has taken too many workers along to be tried
// again.
func (s Spent) Quarantined() bool { return s.LostRunning >= QuarantineAfter }

// Count returns s with one more attempt that ended by c; wasRunning says whether
// it had started.
func (s Spent) Count(c Cause, wasRunning bool) Spent {
	switch c.Kind {
	case CauseTimeout:
		s.TimedOut++
	case CauseMemory:
		s.Memory++
	case CauseWorkerLost:
		s.Lost++
		if wasRunning {
			s.LostRunning++
		}
	case CauseRejected:
		s.Lost++
	case CausePreempted:
	default:
		s.Failed++
	}
	return s
}

// Again decides whether an attempt that ended by c, already counted in s, is
// followed by another. A rejected attempt never ran, so that even at_most_once
// allows another; preempted ones spend nothing.
func (r *Retry) Again(s Spent, c Cause, atMostOnce bool) bool {
	if c.Kind == CauseRejected {
		return int(s.Lost) <= r.OnLost
	}
	if atMostOnce {
		return false
	}
	switch c.Kind {
	case CausePreempted:
		return true
	case CauseWorkerLost:
		return int(s.Lost) <= r.OnLost && !s.Quarantined()
	case CauseTimeout:
		if r.OnTimeout != nil {
			return int(s.TimedOut) <= *r.OnTimeout
		}
	case CauseMemory:
		if r.OnMemory != nil {
			return int(s.Memory) <= *r.OnMemory
		}
	case CauseExit:
		if !r.retriesCode(int(c.Code)) {
			return false
		}
	case CauseError:
		if c.Code == PermanentError {
			return false
		}
	case CauseExpression, CauseOutput, CauseQuarantined:
		return false
	}
	failed := int(s.Failed)
	if r.OnTimeout == nil {
		failed += int(s.TimedOut)
	}
	if r.OnMemory == nil {
		failed += int(s.Memory)
	}
	return failed < r.MaxAttempts
}

func (r *Retry) retriesCode(code int) bool {
	if slices.Contains(r.NotExitCodes, code) {
		return false
	}
	if len(r.ExitCodes) == 0 {
		return true
	}
	return slices.Contains(r.ExitCodes, code)
}

// Backoff is how long to wait before the next attempt, given how many have ended
// badly (1 for the first) and a uniformly random number: between 0 and
// min(MaxDelay, Delay·Factor^(n-1)), evenly (AWS Architecture Blog, "Exponential
// Backoff And Jitter", full jitter).
func (r *Retry) Backoff(n int, random uint64) time.Duration {
	ceiling, limit := int64(r.Delay), int64(r.MaxDelay)
	for i := 1; i < n && ceiling < limit; i++ {
		if ceiling > limit*100/max(r.Factor, 100) {
			ceiling = limit
			break
		}
		ceiling = ceiling * max(r.Factor, 100) / 100
		if r.Factor <= 100 {
			break
		}
	}
	ceiling = min(ceiling, limit)
	if ceiling <= 0 {
		return 0
	}
	return time.Duration(random % uint64(ceiling+1))
}
