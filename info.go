package reeve

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// State is how far a job, a task, an element or an attempt is.
type State string

// The states. Assigned, TimedOut and Skipped are not of jobs. A state that Ended reports
// true of never changes.
const (
	Pending   State = "pending"
	Assigned  State = "assigned"
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	TimedOut  State = "timed_out"
	Cancelled State = "cancelled"
	Skipped   State = "skipped"
)

// Ended reports whether the state is final.
func (s State) Ended() bool {
	switch s {
	case Succeeded, Failed, TimedOut, Cancelled, Skipped:
		return true
	}
	return false
}

// JobInfo is a job as the server knows it. Times are zero until they have come.
type JobInfo struct {
	ID, Namespace, Queue, Name string
	State                      State
	// Cause is why it ended as it did, in words; empty if it succeeded.
	Cause    string
	Labels   map[string]string
	Priority int
	// FrontAt is when it was put before all others of its queue, zero if it was not.
	FrontAt time.Time

	Submitted, Started, Ended time.Time
	// KeepUntil is until when the finished job is kept.
	KeepUntil time.Time

	Held, CancelRequested bool
	SubmittedBy           string
	// RetryOf is the job that this one retries.
	RetryOf string
	// ExitCode is what the command line exits with that waits for the job: its processes'
	// highest, 128+n on a signal, 124 after a timeout, 130 if cancelled.
	ExitCode int
	// Counts are all tasks' elements together. List sets them and leaves Tasks out, Get
	// the other way round.
	Counts Counts
	Tasks  []TaskInfo
}

// Err is nil if the job has succeeded, else an error that says how it stands.
func (j *JobInfo) Err() error {
	if j.State == Succeeded {
		return nil
	}
	text := fmt.Sprintf("job %s %s", j.ID, stands(j.State))
	if j.Cause != "" {
		text += ": " + j.Cause
	}
	return &JobError{Job: j, text: text}
}

func stands(s State) string {
	switch s {
	case Failed:
		return "failed"
	case Cancelled:
		return "was cancelled"
	}
	return "is " + string(s)
}

// JobError is what JobInfo.Err returns for a job that has not succeeded.
type JobError struct {
	Job *JobInfo

	text string
}

// Error says how the job stands and why.
func (e *JobError) Error() string { return e.text }

// Task returns the task of that name, nil if there is none.
func (j *JobInfo) Task(name string) *TaskInfo {
	for i := range j.Tasks {
		if j.Tasks[i].Name == name {
			return &j.Tasks[i]
		}
	}
	return nil
}

// Result reads what the function of the job's only task returned into v. For a job of
// many tasks use Task(name).Result.
func (j *JobInfo) Result(v any) error {
	if len(j.Tasks) != 1 {
		return invalid(fmt.Sprintf("job %s has %d tasks; ask one of them for its result", j.ID, len(j.Tasks)))
	}
	return j.Tasks[0].Result(v)
}

// TaskInfo is one task of a job.
type TaskInfo struct {
	Name  string
	State State
	Cause string
	Array bool
	Held  bool
	Needs []string
	// Resources is what each attempt is given for itself, by name, as the job file spells it.
	Resources      map[string]string
	Started, Ended time.Time
	Counts         Counts
	// Outputs and Element are of a task that is not an array.
	Outputs map[string]string
	Element *ElementInfo
}

// resultKey is the output that holds what a typed handler returned.
const resultKey = "result"

// Result reads what the task's function returned into v. Of an array ask
// Client.Outputs.
func (t *TaskInfo) Result(v any) error {
	return readResult(t.Outputs, fmt.Sprintf("task %s, which is %s,", t.Name, t.State), v)
}

func readResult(outputs map[string]string, what string, v any) error {
	text, ok := outputs[resultKey]
	if !ok {
		return &Error{Code: CodeNotFound, Message: what + " has no result"}
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return &Error{Code: CodeInvalid, Message: fmt.Sprintf("the result of %s: %v", strings.TrimSuffix(what, ","), err), cause: err}
	}
	return nil
}

// Counts is how many elements are in each state.
type Counts struct {
	Total, Pending, Assigned, Running, Succeeded, Failed, TimedOut, Cancelled, Skipped int64
}

// ElementInfo is one element of a task.
type ElementInfo struct {
	// ID is the reference, such as 4217.transform.3.
	ID string
	// Index is -1 for a task that is not an array.
	Index    int64
	State    State
	Cause    string
	Attempts int
	ExitCode int
	Worker   string

	Started, Ended time.Time
	// RetryAt is when the next attempt may start.
	RetryAt         time.Time
	CancelRequested bool
	// CarriedFrom is the job that this element was carried over from.
	CarriedFrom string
}

// AttemptInfo is one try of an element.
type AttemptInfo struct {
	// ID is the reference, such as 4217.transform.3@2.
	ID     string
	Number int
	State  State
	Cause  string
	Worker string

	Assigned, Started, Ended time.Time
	// CPU and Memory, in bytes, are what it used, of processes.
	CPU    time.Duration
	Memory int64
	// Resources is what it was given, by name, as the job file spells it: of a task with
	// alternatives the one that it took.
	Resources map[string]string
	// Devices is the ids of those that it has, by the name of their resource, until it has
	// ended.
	Devices map[string][]string
}

// Explanation says why something waits.
type Explanation struct {
	// Summary is one line on the job as a whole.
	Summary string
	Tasks   []TaskReasons
}

// TaskReasons is all that one task waits for.
type TaskReasons struct {
	Task    string
	State   State
	Reasons []Reason
}

// Reason is one thing that is waited for.
type Reason struct {
	// Kind is a stable word: dependency, after, start_after, hold, queue_paused,
	// namespace_paused, throttle, backoff, alone, no_worker, no_room, patience, turn, cancel, ended,
	// running.
	Kind string
	Text string
}

// when reads a message's time, which may be absent.
func when(t interface {
	IsValid() bool
	AsTime() time.Time
}) time.Time {
	if !t.IsValid() {
		return time.Time{}
	}
	return t.AsTime()
}

func jobInfo(m *client.Job) *JobInfo {
	j := &JobInfo{
		ID: m.GetId(), Namespace: m.GetNamespace(), Queue: m.GetQueue(), Name: m.GetName(), State: State(m.GetState()), Cause: m.GetCause(),
		Labels: m.GetLabels(), Priority: int(m.GetPriority()), FrontAt: when(m.GetFrontAt()),
		Submitted: when(m.GetSubmittedAt()), Started: when(m.GetStartedAt()), Ended: when(m.GetEndedAt()), KeepUntil: when(m.GetKeepUntil()),
		Held: m.GetHeld(), CancelRequested: m.GetCancelRequested(), SubmittedBy: m.GetSubmittedBy(), RetryOf: m.GetRetryOf(),
		ExitCode: int(m.GetExitCode()), Counts: counts(m.GetCounts()),
	}
	for _, t := range m.GetTasks() {
		info := TaskInfo{
			Name: t.GetName(), State: State(t.GetState()), Cause: t.GetCause(), Array: t.GetArray(), Held: t.GetHeld(), Needs: t.GetNeeds(), Resources: t.GetResources(),
			Started: when(t.GetStartedAt()), Ended: when(t.GetEndedAt()), Counts: counts(t.GetCounts()), Outputs: t.GetOutputs(),
		}
		if e := t.GetElement(); e != nil {
			one := elementInfo(e)
			info.Element = &one
		}
		j.Tasks = append(j.Tasks, info)
	}
	return j
}

func counts(m *client.Counts) Counts {
	return Counts{
		Total: m.GetTotal(), Pending: m.GetPending(), Assigned: m.GetAssigned(), Running: m.GetRunning(), Succeeded: m.GetSucceeded(),
		Failed: m.GetFailed(), TimedOut: m.GetTimedOut(), Cancelled: m.GetCancelled(), Skipped: m.GetSkipped(),
	}
}

func elementInfo(m *client.Element) ElementInfo {
	return ElementInfo{
		ID: m.GetId(), Index: m.GetIndex(), State: State(m.GetState()), Cause: m.GetCause(), Attempts: int(m.GetAttempts()),
		ExitCode: int(m.GetExitCode()), Worker: m.GetWorker(), Started: when(m.GetStartedAt()), Ended: when(m.GetEndedAt()),
		RetryAt: when(m.GetRetryAt()), CancelRequested: m.GetCancelRequested(), CarriedFrom: m.GetCarriedFrom(),
	}
}

func attemptInfo(m *client.Attempt) AttemptInfo {
	var devices map[string][]string
	for name, ids := range m.GetDevices() {
		if devices == nil {
			devices = map[string][]string{}
		}
		devices[name] = strings.Split(ids, ",")
	}
	return AttemptInfo{
		Devices: devices, Resources: m.GetResources(),
		ID: m.GetId(), Number: int(m.GetNumber()), State: State(m.GetState()), Cause: m.GetCause(), Worker: m.GetWorker(),
		Assigned: when(m.GetAssignedAt()), Started: when(m.GetStartedAt()), Ended: when(m.GetEndedAt()),
		CPU: time.Duration(m.GetCpuMs()) * time.Millisecond, Memory: m.GetMemoryBytes(),
	}
}
