package job

import "fmt"

// ElementState is the state of a task element; a task that is not an array has
// one element. The numbers are stored and sent.
type ElementState uint8

// The states of an element. Each comment says who moves it there and what a
// crash leaves.
const (
	// Pending: waiting; since the submit, or again after an attempt that is to be
	// retried. The core moves it. A crash leaves it pending.
	Pending ElementState = 0
	// Assigned: an attempt was given to a worker, which has not yet said that it
	// runs. The core moves it. After a crash the worker and the server compare
	// what they hold, and the assignment is sent again or recalled.
	Assigned ElementState = 1
	// Running: the worker said that the attempt runs. It stays so while the lease
	// is renewed; a server's crash changes nothing.
	Running ElementState = 2
	// Succeeded, by the worker's report. Terminal: it never changes.
	Succeeded ElementState = 3
	// Failed: the last attempt ended badly and no budget for another is left.
	// Terminal.
	Failed ElementState = 4
	// TimedOut: as Failed, by the attempt's timeout or the job's deadline. Terminal.
	TimedOut ElementState = 5
	// Cancelled: somebody asked, and nothing runs any more. Terminal.
	Cancelled ElementState = 6
	// Skipped: it never ran and never will, since a dependency or a condition
	// rules it out. Terminal.
	Skipped ElementState = 7
)

// ElementStates lists every state in order.
func ElementStates() []ElementState {
	return []ElementState{Pending, Assigned, Running, Succeeded, Failed, TimedOut, Cancelled, Skipped}
}

// String returns the state's word.
func (s ElementState) String() string {
	words := [...]string{"pending", "assigned", "running", "succeeded", "failed", "timed_out", "cancelled", "skipped"}
	if int(s) < len(words) {
		return words[s]
	}
	return fmt.Sprintf("state %d", s)
}

// Terminal reports whether the state never changes again.
func (s ElementState) Terminal() bool { return s >= Succeeded }

// Live reports whether a worker holds an attempt of it.
func (s ElementState) Live() bool { return s == Assigned || s == Running }

// ParseElementState reads a state's word.
func ParseElementState(word string) (ElementState, error) {
	for _, s := range ElementStates() {
		if s.String() == word {
			return s, nil
		}
	}
	return 0, fmt.Errorf("state %q: want one of pending, assigned, running, succeeded, failed, timed_out, cancelled, skipped", word)
}

// Transition is a step that an element may take.
type Transition struct {
	From, To ElementState
	// Why says what makes the step, for the documents.
	Why string
}

// Transitions is the whole graph of an element's states; no other step is legal.
func Transitions() []Transition {
	return []Transition{
		{Pending, Assigned, "the leader places an attempt on a worker"},
		{Pending, Cancelled, "cancel or kill"},
		{Pending, Skipped, "a dependency, start_before, the deadline or max_fails rules it out"},
		{Pending, Failed, "what it needs to start can't be worked out, or it is quarantined"},
		{Assigned, Running, "the worker started it"},
		{Assigned, Pending, "recalled, refused by the worker, or the worker was lost"},
		{Assigned, Succeeded, "started and ended between two reports"},
		{Assigned, Failed, "it could not be started, or started and failed, and no budget is left"},
		{Assigned, TimedOut, "started and timed out between two reports, or the deadline passed"},
		{Assigned, Cancelled, "cancel or kill before it ran"},
		{Running, Pending, "the attempt failed, timed out, or its worker was lost, and a budget is left"},
		{Running, Succeeded, "it ended well"},
		{Running, Failed, "it ended badly and no budget is left"},
		{Running, TimedOut, "its timeout or the job's deadline passed"},
		{Running, Cancelled, "cancel or kill, and its tree is gone"},
	}
}

// CanMove reports whether an element may go from one state to the other.
func CanMove(from, to ElementState) bool {
	for _, t := range Transitions() {
		if t.From == from && t.To == to {
			return true
		}
	}
	return false
}

// State is the state of a job as a whole. The numbers are stored and sent.
type State uint8

// The states of a job.
const (
	// JobPending: nothing of it has been given to a worker yet.
	JobPending State = 0
	// JobRunning: something has, and something has not ended.
	JobRunning State = 1
	// JobSucceeded: every task ended, and every failure was handled. Terminal.
	JobSucceeded State = 2
	// JobFailed: a task failed or timed out and nothing handled it. Terminal.
	JobFailed State = 3
	// JobCancelled: it was cancelled, or never started in time. Terminal.
	JobCancelled State = 4
)

// States lists every job state in order.
func States() []State {
	return []State{JobPending, JobRunning, JobSucceeded, JobFailed, JobCancelled}
}

// String returns the state's word.
func (s State) String() string {
	words := [...]string{"pending", "running", "succeeded", "failed", "cancelled"}
	if int(s) < len(words) {
		return words[s]
	}
	return fmt.Sprintf("state %d", s)
}

// Terminal reports whether the state never changes again.
func (s State) Terminal() bool { return s >= JobSucceeded }

// ParseState reads a job state's word.
func ParseState(word string) (State, error) {
	for _, s := range States() {
		if s.String() == word {
			return s, nil
		}
	}
	return 0, fmt.Errorf("state %q: want one of pending, running, succeeded, failed, cancelled", word)
}

// Counts is how many elements of a task are in each state.
type Counts [8]int64

// Total is the number of elements.
func (c Counts) Total() int64 {
	var n int64
	for _, v := range c {
		n += v
	}
	return n
}

// Ended is the number of elements in a terminal state.
func (c Counts) Ended() int64 {
	return c[Succeeded] + c[Failed] + c[TimedOut] + c[Cancelled] + c[Skipped]
}

// TaskState is the state of a task as a whole, by its elements' counts: pending
// until one was given out, running until all have ended, and then the worst
// there is: failed, timed_out, cancelled, skipped, succeeded. Skipped elements
// beside succeeded ones do not spoil a task.
func (c Counts) TaskState() ElementState {
	total, ended := c.Total(), c.Ended()
	switch {
	case total == 0:
		return Succeeded
	case ended < total && ended == 0 && c[Assigned]+c[Running] == 0:
		return Pending
	case ended < total:
		return Running
	case c[Failed] > 0:
		return Failed
	case c[TimedOut] > 0:
		return TimedOut
	case c[Cancelled] > 0:
		return Cancelled
	case c[Succeeded] > 0:
		return Succeeded
	}
	return Skipped
}
