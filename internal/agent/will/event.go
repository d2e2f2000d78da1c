package will

import (
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Now is the moment of a step.
type Now struct {
	// Boot is the boot clock that deadlines are on.
	Boot executor.Deadline
	// Wall is Unix milliseconds.
	Wall int64
}

// Event is something that happened to the agent. The types below are all there
// are. Events that name an attempt or session the machine does not know are
// ignored: they are late.
type Event interface{ event() }

type (
	// Begin is the first event, with what earlier processes of this worker left.
	Begin struct{ Adopted []Adopted }
	// Connected: the session asked for by Connect is open.
	Connected struct{ Session uint64 }
	// Disconnected: the session is over, or could not be opened.
	Disconnected struct {
		Session uint64
		Why     string
	}
	// Received: the server sent a message.
	Received struct {
		Session uint64
		Message link.ToWorker
	}
	// Sent: the last Send is out of our hands, and the next may follow.
	Sent struct{ Session uint64 }
	// Prepared: a Prepare ended, well if Cause is job.CauseNone.
	Prepared struct {
		Fence link.Fence
		Cause job.Cause
	}
	// Recorded: a Record ended; Err is empty if the record is safely on disk.
	Recorded struct {
		Fence link.Fence
		Err   string
	}
	// Refused: a Start failed, and nothing runs.
	Refused struct {
		Fence link.Fence
		Cause job.Cause
	}
	// Started: the attempt really runs since At, in Unix milliseconds.
	Started struct {
		Fence link.Fence
		At    int64
	}
	// Wrote: a running attempt whose log is not followed has one.
	Wrote struct{ Fence link.Fence }
	// Ended: the attempt's whole tree is gone.
	Ended struct {
		Fence link.Fence
		Exit  Exit
	}
	// Collected: a Collect ended. A Cause other than job.CauseNone says why what
	// the attempt left can't be kept.
	Collected struct {
		Fence   link.Fence
		Outputs []byte
		Cause   job.Cause
	}
	// Kept: a KeepResult ended; Err is empty if the result is safely on disk.
	Kept struct {
		Fence link.Fence
		Err   string
	}
	// Shipped: nothing more of the attempt's log will be sent; Err says why if it
	// is not complete.
	Shipped struct {
		Fence link.Fence
		Err   string
	}
	// Tick: the time of SetTimer has come. Early or spurious ticks do no harm.
	Tick struct{}
	// Leave: the program was asked to end. A second one ends it at once.
	Leave struct{}
)

// Level is how much something that is said matters; the numbers are log/slog's.
type Level int8

// The levels.
const (
	Debug Level = -4
	Info  Level = 0
	Warn  Level = 4
	Error Level = 8
)

// Exit is how an attempt ended, in the machine's words.
type Exit struct {
	Cause job.Cause
	Usage job.Usage
	// Started and Ended are Unix milliseconds.
	Started, Ended int64
	LogSize        int64
	// Outputs is a function's outputs as a JSON object of strings, or nil.
	Outputs []byte
}

// Adopted is an attempt left by an earlier process of this worker.
type Adopted struct {
	Fence link.Fence
	Ref   job.Ref
	// Key and Executor are set if an executor holds it.
	Key      string
	Executor string
	// What its assignment said.
	Lease      time.Duration
	Proof      link.Proof
	Resources  job.Resources
	Devices    job.Devices
	Where      []string
	AtMostOnce bool
	// Started is Unix milliseconds.
	Started int64
	// Exit is set if it has ended and what it left is not collected.
	Exit *Exit
	// Result is set if it was kept on disk and not acknowledged.
	Result *link.Result
	// Foreign: the executor holds it, but what the assignment said is unknown, so
	// that it can only be ended.
	Foreign bool
}

func (Begin) event()        {}
func (Connected) event()    {}
func (Disconnected) event() {}
func (Received) event()     {}
func (Sent) event()         {}
func (Prepared) event()     {}
func (Recorded) event()     {}
func (Refused) event()      {}
func (Started) event()      {}
func (Wrote) event()        {}
func (Ended) event()        {}
func (Collected) event()    {}
func (Kept) event()         {}
func (Shipped) event()      {}
func (Tick) event()         {}
func (Leave) event()        {}

// Action is something for the shell to do, in order. The types below are all there
// are. Unless its comment says so, an action is not answered by an event.
type Action interface{ action() }

type (
	// Connect opens a session; Connected or Disconnected answers.
	Connect struct{ Session uint64 }
	// Disconnect closes the session. No event of it counts any more.
	Disconnect struct{ Session uint64 }
	// Send sends one message; Sent or Disconnected answers. There is never more
	// than one on its way, so that what happens meanwhile shares the next.
	Send struct {
		Session uint64
		Message link.FromWorker
	}
	// Prepare makes the attempt's directory with all that is in it; Prepared
	// answers, always.
	Prepare struct {
		Key  string
		Work *link.Assignment
	}
	// Unprepare hurries a Prepare to its end.
	Unprepare struct{ Fence link.Fence }
	// Record writes down that an at_most_once attempt is about to start and syncs
	// it; Recorded answers.
	Record struct {
		Key  string
		Work *link.Assignment
	}
	// Start starts the attempt; Refused answers if that fails, Ended otherwise.
	Start struct {
		Key      string
		Work     *link.Assignment
		Deadline executor.Deadline
	}
	// SetDeadlines moves kill deadlines.
	SetDeadlines struct {
		Executor string
		Keys     []string
		Deadline executor.Deadline
	}
	// StopRun asks a started attempt to end.
	StopRun struct {
		Executor string
		Key      string
		Grace    time.Duration
		Cause    job.Cause
	}
	// Collect reads the outputs that an ended attempt left and uploads its
	// artifacts; Collected answers.
	Collect struct {
		link.Claim
		Key string
	}
	// KeepResult writes a result to disk and syncs it; Kept answers.
	KeepResult struct {
		link.Claim
		Result link.Result
	}
	// FollowLog ships an attempt's log as it grows.
	FollowLog struct {
		link.Claim
		Key string
	}
	// SealLog says how long the log has become; Shipped answers, once.
	SealLog struct {
		Fence link.Fence
		Size  int64
	}
	// DropLog stops shipping an attempt's log.
	DropLog struct{ Fence link.Fence }
	// Forget removes all that is left of an attempt: its directory, through the
	// executor if that held it (Executor is not empty), and with OnDisk its records.
	Forget struct {
		Fence    link.Fence
		Key      string
		Executor string
		// Dir: there may be a directory that no executor holds.
		Dir    bool
		OnDisk bool
	}
	// SetTimer asks for a Tick at a moment; it replaces the one before. Zero means none.
	SetTimer struct{ At executor.Deadline }
	// Say writes to the program's log.
	Say struct {
		Level Level
		Text  string
	}
	// Quit ends the agent. It is the last action.
	Quit struct{}
)

func (Connect) action()      {}
func (Disconnect) action()   {}
func (Send) action()         {}
func (Prepare) action()      {}
func (Unprepare) action()    {}
func (Record) action()       {}
func (Start) action()        {}
func (SetDeadlines) action() {}
func (StopRun) action()      {}
func (Collect) action()      {}
func (KeepResult) action()   {}
func (FollowLog) action()    {}
func (SealLog) action()      {}
func (DropLog) action()      {}
func (Forget) action()       {}
func (SetTimer) action()     {}
func (Say) action()          {}
func (Quit) action()         {}
