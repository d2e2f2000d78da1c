package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// Time writes Unix milliseconds, absent for 0.
func Time(ms int64) *timestamppb.Timestamp {
	if ms == 0 {
		return nil
	}
	return timestamppb.New(time.UnixMilli(ms))
}

// Millis reads a time as Unix milliseconds, 0 if absent.
func Millis(t *timestamppb.Timestamp) int64 {
	if t == nil {
		return 0
	}
	return t.AsTime().UnixMilli()
}

// Job writes a job without its tasks.
func Job(m *core.JobImage) *reevev1.Job {
	out := &reevev1.Job{
		Id: m.ID.String(), Namespace: m.Namespace, Queue: m.Queue, Name: m.Name, State: m.State.String(), Cause: m.Cause.String(),
		Labels: m.Labels, Priority: m.Priority, SubmittedAt: Time(m.Submitted), StartedAt: Time(m.Started), EndedAt: Time(m.Ended),
		Deadline: Time(m.Deadline), StartAfter: Time(m.StartAfter), StartBefore: Time(m.StartBefore), KeepUntil: Time(m.KeepUntil),
		Held: m.Held, CancelRequested: m.Stop.Kind != job.CauseNone && !m.State.Terminal(), SubmittedBy: m.By, ExitCode: m.Code, FrontAt: Time(m.Front),
	}
	if !m.State.Terminal() {
		out.ExitCode = 0
	}
	if m.RetryOf != 0 {
		out.RetryOf = m.RetryOf.String()
	}
	for _, w := range m.Waits {
		out.WaitsFor = append(out.WaitsFor, w.Job.String())
	}
	return out
}

// Tasks adds a job's tasks. worker names workers by id.
func Tasks(out *reevev1.Job, m *core.JobImage, spec *job.Spec, worker func(uint64) string) error {
	for i := range m.Tasks {
		t, s := &m.Tasks[i], &spec.Tasks[i]
		one := &reevev1.Task{
			Name: s.Name, State: t.Counts.TaskState().String(), Array: s.Array != nil, Counts: Counts(t.Counts),
			StartedAt: Time(t.Started), EndedAt: Time(t.Ended), Held: t.Held, Resources: s.Resources.Words(),
			Nodes: int32(s.Nodes), //nolint:gosec // at most job.MaxNodes
		}
		for _, n := range s.Needs {
			one.Needs = append(one.Needs, n.Task)
		}
		for _, r := range s.Either {
			one.Either = append(one.Either, &reevev1.Amounts{Resources: r.Words()})
		}
		if t.Stop.Kind != job.CauseNone {
			one.Cause = t.Stop.String()
		}
		if s.Array == nil {
			v := core.ElementView{
				Index: job.NoIndex, Record: t.Record, RetryAt: t.Retry.At, Worker: worker(t.Record.Worker), Lost: t.Retry.Spent.LostRunning,
			}
			if t.Live != nil {
				v.Stopping = t.Live.Stop.Kind != job.CauseNone
			}
			one.Element = Element(m.ID, s.Name, &v, m.RetryOf)
			one.Cause = one.Element.GetCause()
		}
		if t.Outputs != nil {
			if err := json.Unmarshal(t.Outputs, &one.Outputs); err != nil {
				return fmt.Errorf("outputs of job %d task %s: %w", m.ID, s.Name, err)
			}
		}
		out.Tasks = append(out.Tasks, one)
	}
	return nil
}

// Forecast writes what is known of a task's attempts, nil for nothing.
func Forecast(p core.Prediction) *reevev1.Forecast {
	if p.Run.Run == 0 && p.Memory.Runs == 0 {
		return nil
	}
	out := &reevev1.Forecast{
		RunMs: p.Run.Run, RunLowMs: p.Run.Low, RunHighMs: p.Run.High, Runs: p.Run.Runs, RunsOfOthers: p.Run.Others, Run: p.Run.String(),
		MemoryP99Bytes: p.Memory.P99, MemoryMaxBytes: p.Memory.Max, MemoryRuns: p.Memory.Runs, MemoryOfOthers: p.Memory.Others,
	}
	if p.Advised {
		out.MemorySuggestedBytes, out.MemoryAdvice = p.Advice.Suggested, p.Advice.String()
	}
	return out
}

// Counts writes how many elements are in each state.
func Counts(c job.Counts) *reevev1.Counts {
	return &reevev1.Counts{
		Total: c.Total(), Pending: c[job.Pending], Assigned: c[job.Assigned], Running: c[job.Running], Succeeded: c[job.Succeeded],
		Failed: c[job.Failed], TimedOut: c[job.TimedOut], Cancelled: c[job.Cancelled], Skipped: c[job.Skipped],
	}
}

// Element writes an element of a task.
func Element(id job.ID, task string, v *core.ElementView, retryOf job.ID) *reevev1.Element {
	r := &v.Record
	out := &reevev1.Element{
		Id: job.Ref{Job: id, Task: task, Index: v.Index}.String(), Index: v.Index, State: r.State.String(), Cause: reason(v),
		Attempts: int32(r.Attempts), Worker: v.Worker, StartedAt: Time(r.Started), EndedAt: Time(r.Ended),
		RetryAt: Time(v.RetryAt), CancelRequested: v.Stopping,
	}
	if r.State.Terminal() {
		out.ExitCode = int32(r.Cause.ExitCode())
	}
	if r.Carried && retryOf != 0 {
		out.CarriedFrom = job.Ref{Job: retryOf, Task: task, Index: v.Index}.String()
	}
	return out
}

// reason says why an element is in its state, and that it runs alone if it must.
func reason(v *core.ElementView) string {
	text := v.Record.Cause.String()
	if spent := (job.Spent{LostRunning: v.Lost}); !spent.Isolated() || v.Record.State.Terminal() {
		return text
	}
	alone := fmt.Sprintf("runs alone: %d workers were lost while it ran", v.Lost)
	if text == "" {
		return alone
	}
	return text + "; " + alone
}

// Object writes a JSON object. A whole number that a double can't hold exactly
// becomes a text of its digits, and an object without fields is left out.
func Object(raw []byte) (*structpb.Struct, error) {
	if len(raw) == 0 {
		return nil, nil //nolint:nilnil // absent is a value here
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var fields map[string]any
	if err := d.Decode(&fields); err != nil {
		return nil, err
	}
	if len(fields) == 0 {
		return nil, nil //nolint:nilnil // nor does an empty one say anything
	}
	for name, v := range fields {
		fields[name] = plain(v)
	}
	return structpb.NewStruct(fields)
}

// plain replaces the numbers in a decoded value.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if _, whole := v.Int64(); err != nil || whole == nil && math.Abs(f) >= exact {
			return v.String()
		}
		return f
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = plain(v[key])
		}
	}
	return v
}

// exact is where doubles begin to leave out whole numbers.
const exact = 1 << 53

// Values reads a JSON object's fields. It refuses whole numbers that may not be the
// ones that were sent.
func Values(s *structpb.Struct) (map[string]json.RawMessage, error) {
	out := make(map[string]json.RawMessage, len(s.GetFields()))
	for name, v := range s.GetFields() {
		if n := v.GetNumberValue(); math.Abs(n) >= exact && n == math.Trunc(n) {
			return nil, fmt.Errorf("parameter %s: %.0f may have lost digits on the way: JSON's numbers are exact below %d; send it as a text", name, n, int64(exact))
		}
		raw, err := v.MarshalJSON()
		if err != nil {
			return nil, err
		}
		out[name] = raw
	}
	return out, nil
}

// Past writes an attempt of a task that was not the last of its element.
func Past(a *core.PastAttempt, ref job.Ref, task *job.Task) *reevev1.Attempt {
	ref.Attempt = int(a.Number)
	state := job.Failed
	if a.Cause.Kind == job.CauseTimeout {
		state = job.TimedOut
	}
	given := task.Asks(a.Way, a.Memory)
	return &reevev1.Attempt{
		Id: ref.String(), Number: int32(a.Number), State: state.String(), Cause: a.Cause.String(), Worker: a.Worker,
		AssignedAt: Time(a.Assigned), StartedAt: Time(a.Started), EndedAt: Time(a.Ended),
		CpuMs: a.Usage.CPU.Milliseconds(), MemoryBytes: a.Usage.Memory, Resources: given.Words(),
	}
}

// Last writes an element's last attempt.
func Last(v *core.ElementView, ref job.Ref) *reevev1.Attempt {
	ref.Attempt = int(v.Record.Attempts)
	var given map[string]string
	if v.Given != nil {
		given = v.Given.Words()
	}
	return &reevev1.Attempt{
		Resources: given,
		Id:        ref.String(), Number: int32(v.Record.Attempts), State: v.Record.State.String(), Cause: v.Record.Cause.String(),
		Worker: v.Worker, AssignedAt: Time(v.Assigned), StartedAt: Time(v.Record.Started), EndedAt: Time(v.Record.Ended),
		CpuMs: v.Record.Usage.CPU.Milliseconds(), MemoryBytes: v.Record.Usage.Memory, Devices: deviceMap(v.Devices),
	}
}

// Worker writes a worker.
func Worker(v *core.WorkerView, connected bool) *reevev1.Worker {
	h := &v.Hello
	state := "ready"
	switch {
	case v.Away:
		state = "away"
	case v.Draining:
		state = "draining"
	case h.Unfit != "":
		state = "unfit"
	}
	out := &reevev1.Worker{
		Id: fmt.Sprint(v.ID), Name: h.Name, State: state, Labels: h.Labels, CpuMilli: h.Capacity.CPU, MemoryBytes: h.Capacity.Memory,
		Slots: int32(h.Slots), CpuMilliUsed: v.Used.CPU, MemoryBytesUsed: v.Used.Memory, Running: int32(v.Running), Prefetched: int32(v.Prefetched),
		Executors: h.Executors, Functions: h.Functions, Version: h.Version, About: h.About, JoinedAt: Time(v.Joined), Connected: connected, Host: h.Host, Unfit: h.Unfit,
		Resources: amountMap(h.Capacity.Other), ResourcesUsed: amountMap(v.Used.Other), Devices: deviceMap(h.Devices), DevicesUsed: deviceMap(v.Taken),
		Pool: cmp.Or(h.Pool, core.DefaultName),
	}
	if v.Overcommit != (job.Factors{}) {
		out.CpuMilliOffered, out.MemoryBytesOffered, out.ResourcesOffered = v.Offers.CPU, v.Offers.Memory, amountMap(v.Offers.Other)
		out.Overcommit = job.FactorsByName(v.Overcommit)
	}
	for _, r := range v.Reserved {
		out.Reserved = append(out.Reserved, &reevev1.Reservation{
			Name: r.Name, From: Time(r.From), Until: Time(r.Until), Namespace: r.Namespace, Queue: r.Queue,
		})
	}
	return out
}

// StreamName is the word for a kind of log line.
func StreamName(k logline.Kind) string {
	switch k {
	case logline.Stdout:
		return "stdout"
	case logline.Stderr:
		return "stderr"
	case logline.Gap:
		return "gap"
	case logline.Note:
		return "note"
	}
	return "unknown"
}
