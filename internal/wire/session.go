// Package wire translates between the domain's words and the generated API: the
// only room where both are known. Nothing here decides anything.
package wire

import (
	"fmt"
	"math"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// FromWorker reads a worker's message.
func FromWorker(m *reevev1.SessionRequest) (link.FromWorker, error) {
	switch m := m.GetMessage().(type) {
	case *reevev1.SessionRequest_Hello:
		h, err := hello(m.Hello)
		return link.FromWorker{Hello: h}, err
	case *reevev1.SessionRequest_Beat:
		h, err := held(m.Beat.GetHeld())
		return link.FromWorker{Beat: &link.Beat{Number: m.Beat.GetNumber(), Held: h}}, err
	case *reevev1.SessionRequest_Report:
		r, err := report(m.Report)
		return link.FromWorker{Report: r}, err
	case *reevev1.SessionRequest_Leaving:
		return link.FromWorker{Leaving: true}, nil
	}
	return link.FromWorker{}, fmt.Errorf("a worker's message of a kind that this version does not know")
}

// FromWorkerMessage writes a worker's message.
func FromWorkerMessage(m link.FromWorker) *reevev1.SessionRequest {
	switch {
	case m.Hello != nil:
		return &reevev1.SessionRequest{Message: &reevev1.SessionRequest_Hello{Hello: helloMessage(m.Hello)}}
	case m.Beat != nil:
		return &reevev1.SessionRequest{Message: &reevev1.SessionRequest_Beat{Beat: &reevev1.Beat{
			Number: m.Beat.Number, Held: heldMessages(m.Beat.Held),
		}}}
	case m.Report != nil:
		return &reevev1.SessionRequest{Message: &reevev1.SessionRequest_Report{Report: reportMessage(m.Report)}}
	}
	return &reevev1.SessionRequest{Message: &reevev1.SessionRequest_Leaving{Leaving: &reevev1.Leaving{}}}
}

func hello(m *reevev1.Hello) (*link.Hello, error) {
	h, err := held(m.GetHeld())
	if err != nil {
		return nil, err
	}
	other, devices, err := resources(m.GetResources(), m.GetDevices())
	return &link.Hello{
		Protocol: m.GetProtocol(), Name: m.GetName(), Instance: m.GetInstance(), Incarnation: m.GetIncarnation(), Labels: m.GetLabels(),
		Capacity: job.Resources{CPU: m.GetCpuMilli(), Memory: m.GetMemoryBytes(), Other: other}, Devices: devices, Pool: m.GetPool(), Slots: int(m.GetSlots()), Prefetch: int(m.GetPrefetch()),
		Executors: m.GetExecutors(), Functions: m.GetFunctions(), Version: m.GetVersion(), Host: m.GetHost(), About: m.GetAbout(), Place: m.GetPlace(),
		Greeting: m.GetGreeting(),
		Held:     h, Unfit: m.GetUnfit(), Generation: m.GetGeneration(), Seq: m.GetSequence(),
	}, err
}

func helloMessage(h *link.Hello) *reevev1.Hello {
	return &reevev1.Hello{
		Protocol: h.Protocol, Name: h.Name, Instance: h.Instance, Incarnation: h.Incarnation, Labels: h.Labels,
		CpuMilli: h.Capacity.CPU, MemoryBytes: h.Capacity.Memory, Resources: amountMap(h.Capacity.Other), Devices: deviceMap(h.Devices), Pool: h.Pool,
		Slots: int32(h.Slots), Prefetch: int32(h.Prefetch),
		Executors: h.Executors, Functions: h.Functions, Version: h.Version, Host: h.Host, About: h.About, Place: h.Place,
		Greeting: h.Greeting,
		Held:     heldMessages(h.Held), Unfit: h.Unfit, Generation: h.Generation, Sequence: h.Seq,
	}
}

// held reads what a worker holds. What it holds in a phase that this version does
// not know can be neither compared nor ignored.
func held(ms []*reevev1.Held) ([]link.Held, error) {
	out := make([]link.Held, 0, len(ms))
	for _, m := range ms {
		h := link.Held{Fence: link.Fence(m.GetFence()), Phase: link.Phase(m.GetPhase())}
		if h.Phase < link.Waiting || h.Phase > link.Ended {
			return nil, fmt.Errorf("a worker holds fence %d in phase %d, which this version does not know; install the same version", h.Fence, m.GetPhase())
		}
		out = append(out, h)
	}
	return out, nil
}

// cause reads a cause of the job's words.
func cause(kind uint32, code int32, detail string) (job.Cause, error) {
	if kind > uint32(job.LastCause) {
		return job.Cause{}, fmt.Errorf("cause %d is one that this version does not know; install the same version", kind)
	}
	return job.Cause{Kind: job.CauseKind(kind), Code: code, Detail: detail}, nil
}

// duration reads milliseconds; what is longer than a duration can be is the longest.
func duration(ms int64) time.Duration {
	const most = int64(math.MaxInt64 / time.Millisecond)
	return time.Duration(min(max(ms, -most), most)) * time.Millisecond
}

func heldMessages(hs []link.Held) []*reevev1.Held {
	out := make([]*reevev1.Held, 0, len(hs))
	for _, h := range hs {
		out = append(out, &reevev1.Held{Fence: uint64(h.Fence), Phase: reevev1.HeldPhase(h.Phase)})
	}
	return out
}

func report(m *reevev1.Report) (*link.Report, error) {
	r := &link.Report{Returned: fences(m.GetReturned())}
	if m != nil {
		r.Unfit = m.Unfit
	}
	for _, s := range m.GetStarted() {
		r.Started = append(r.Started, link.Started{Fence: link.Fence(s.GetFence()), At: s.GetAtMs()})
	}
	for _, e := range m.GetEnded() {
		c, err := cause(e.GetCause(), e.GetCode(), e.GetDetail())
		if err != nil {
			return nil, err
		}
		r.Ended = append(r.Ended, link.Result{
			Fence: link.Fence(e.GetFence()), Cause: c, Usage: job.Usage{CPU: duration(e.GetCpuMs()), Memory: e.GetMemoryBytes()},
			Started: e.GetStartedMs(), Ended: e.GetEndedMs(), Outputs: e.GetOutputs(), LogSize: e.GetLogSize(),
		})
	}
	return r, nil
}

func reportMessage(r *link.Report) *reevev1.Report {
	m := &reevev1.Report{Returned: fenceNumbers(r.Returned), Unfit: r.Unfit}
	for _, s := range r.Started {
		m.Started = append(m.Started, &reevev1.Started{Fence: uint64(s.Fence), AtMs: s.At})
	}
	for i := range r.Ended {
		e := &r.Ended[i]
		m.Ended = append(m.Ended, &reevev1.Ended{
			Fence: uint64(e.Fence), Cause: uint32(e.Cause.Kind), Code: e.Cause.Code, Detail: e.Cause.Detail,
			StartedMs: e.Started, EndedMs: e.Ended, CpuMs: e.Usage.CPU.Milliseconds(), MemoryBytes: e.Usage.Memory,
			Outputs: e.Outputs, LogSize: e.LogSize,
		})
	}
	return m
}

func fences(ns []uint64) []link.Fence {
	if ns == nil {
		return nil
	}
	out := make([]link.Fence, len(ns))
	for i, n := range ns {
		out[i] = link.Fence(n)
	}
	return out
}

func fenceNumbers(fs []link.Fence) []uint64 {
	if fs == nil {
		return nil
	}
	out := make([]uint64, len(fs))
	for i, f := range fs {
		out[i] = uint64(f)
	}
	return out
}

// ToWorker reads a server's message. Assignments come without their spec.
func ToWorker(m *reevev1.SessionResponse) (link.ToWorker, error) {
	switch m := m.GetMessage().(type) {
	case *reevev1.SessionResponse_Welcome:
		w := m.Welcome
		return link.ToWorker{Welcome: &link.Welcome{
			WorkerID: w.GetWorkerId(), Generation: w.GetGeneration(), Seq: w.GetSequence(),
			Beat: duration(w.GetBeatMs()), Lease: duration(w.GetLeaseMs()), Note: w.GetNote(),
		}}, nil
	case *reevev1.SessionResponse_Beat:
		return link.ToWorker{Beat: &link.BeatAnswer{Number: m.Beat.GetNumber(), Generation: m.Beat.GetGeneration(), Seq: m.Beat.GetSequence()}}, nil
	case *reevev1.SessionResponse_Assign:
		return assign(m.Assign)
	case *reevev1.SessionResponse_Stop:
		s := m.Stop
		c, err := cause(s.GetCause(), s.GetCode(), s.GetDetail())
		return link.ToWorker{Stop: &link.Stop{
			Fence: link.Fence(s.GetFence()), Grace: duration(s.GetGraceMs()), Forget: s.GetForget(), Cause: c,
		}}, err
	case *reevev1.SessionResponse_Recall:
		return link.ToWorker{Recall: fences(m.Recall.GetFences())}, nil
	case *reevev1.SessionResponse_Ack:
		return link.ToWorker{Ack: fences(m.Ack.GetFences())}, nil
	case *reevev1.SessionResponse_Goodbye:
		return link.ToWorker{Goodbye: m.Goodbye.GetReason()}, nil
	}
	return link.ToWorker{}, fmt.Errorf("a server's message of a kind that this version does not know")
}

// ToWorkerMessage writes a server's message.
func ToWorkerMessage(m link.ToWorker) *reevev1.SessionResponse {
	switch {
	case m.Welcome != nil:
		w := m.Welcome
		return &reevev1.SessionResponse{Message: &reevev1.SessionResponse_Welcome{Welcome: &reevev1.Welcome{
			WorkerId: w.WorkerID, Generation: w.Generation, Sequence: w.Seq, BeatMs: w.Beat.Milliseconds(), LeaseMs: w.Lease.Milliseconds(), Note: w.Note,
		}}}
	case m.Beat != nil:
		return &reevev1.SessionResponse{Message: &reevev1.SessionResponse_Beat{Beat: &reevev1.BeatAnswer{
			Number: m.Beat.Number, Generation: m.Beat.Generation, Sequence: m.Beat.Seq,
		}}}
	case m.Assign != nil:
		return &reevev1.SessionResponse{Message: &reevev1.SessionResponse_Assign{Assign: assignMessage(m.Assign)}}
	case m.Stop != nil:
		s := m.Stop
		return &reevev1.SessionResponse{Message: &reevev1.SessionResponse_Stop{Stop: &reevev1.Stop{
			Fence: uint64(s.Fence), GraceMs: s.Grace.Milliseconds(), Forget: s.Forget,
			Cause: uint32(s.Cause.Kind), Code: s.Cause.Code, Detail: s.Cause.Detail,
		}}}
	case m.Recall != nil:
		return &reevev1.SessionResponse{Message: &reevev1.SessionResponse_Recall{Recall: &reevev1.Recall{Fences: fenceNumbers(m.Recall)}}}
	case m.Ack != nil:
		return &reevev1.SessionResponse{Message: &reevev1.SessionResponse_Ack{Ack: &reevev1.Ack{Fences: fenceNumbers(m.Ack)}}}
	}
	return &reevev1.SessionResponse{Message: &reevev1.SessionResponse_Goodbye{Goodbye: &reevev1.Goodbye{Reason: m.Goodbye}}}
}

func assign(m *reevev1.Assign) (link.ToWorker, error) {
	a := &link.Assign{Attempts: make([]link.Assignment, 0, len(m.GetAttempts()))}
	for _, s := range m.GetSpecs() {
		h, err := specHash(s.GetHash())
		if err != nil {
			return link.ToWorker{}, err
		}
		a.Specs = append(a.Specs, link.SpecText{Hash: h, Canonical: s.GetCanonical()})
	}
	for _, at := range m.GetAttempts() {
		h, err := specHash(at.GetSpecHash())
		if err != nil {
			return link.ToWorker{}, err
		}
		one := link.Assignment{
			Fence: link.Fence(at.GetFence()), Job: job.ID(at.GetJob()), JobUID: at.GetJobUid(), Namespace: at.GetNamespace(),
			Task: at.GetTask(), Position: at.GetPosition(), Index: at.GetIndex(), Attempt: int(at.GetAttempt()), SpecHash: h,
			Params: at.GetParams(), Payload: at.GetPayload(), Item: at.GetItem(), HasItem: at.GetHasItem(),
			Count: at.GetArrayCount(), First: at.GetArrayFirst(), Last: at.GetArrayLast(),
			Lease: duration(at.GetLeaseMs()), JobDeadline: at.GetJobDeadlineMs(), Prefetched: at.GetPrefetched(), Hosts: at.GetHosts(), Way: uint8(min(at.GetWay(), job.MaxEither-1)), Memory: at.GetMemoryBytes(),
		}
		copy(one.Proof[:], at.GetProof()) // what is not one proves nothing
		if _, one.Devices, err = resources(nil, at.GetDevices()); err != nil {
			return link.ToWorker{}, err
		}
		if one.Offers, err = offers(at.GetOffers()); err != nil {
			return link.ToWorker{}, err
		}
		for _, o := range at.GetOutputs() {
			one.Outputs = append(one.Outputs, link.TaskOutputs{Task: o.GetTask(), Outputs: o.GetOutputs()})
		}
		a.Attempts = append(a.Attempts, one)
	}
	return link.ToWorker{Assign: a}, nil
}

func specHash(b []byte) ([32]byte, error) {
	if len(b) != 32 {
		return [32]byte{}, fmt.Errorf("a spec's hash has %d bytes; want 32", len(b))
	}
	return [32]byte(b), nil
}

func assignMessage(a *link.Assign) *reevev1.Assign {
	m := &reevev1.Assign{Attempts: make([]*reevev1.Assignment, 0, len(a.Attempts))}
	for i := range a.Specs {
		m.Specs = append(m.Specs, &reevev1.SpecText{Hash: a.Specs[i].Hash[:], Canonical: a.Specs[i].Canonical})
	}
	for i := range a.Attempts {
		at := &a.Attempts[i]
		one := &reevev1.Assignment{
			Fence: uint64(at.Fence), Job: uint64(at.Job), JobUid: at.JobUID, Namespace: at.Namespace, Task: at.Task,
			Position: at.Position, Index: at.Index, Attempt: uint32(at.Attempt), SpecHash: at.SpecHash[:],
			Params: at.Params, Payload: at.Payload, Item: at.Item, HasItem: at.HasItem,
			ArrayCount: at.Count, ArrayFirst: at.First, ArrayLast: at.Last,
			LeaseMs: at.Lease.Milliseconds(), JobDeadlineMs: at.JobDeadline, Prefetched: at.Prefetched, Proof: at.Proof[:],
			Devices: deviceMap(at.Devices), Hosts: at.Hosts, Offers: offersOf(at.Offers), Way: uint32(at.Way), MemoryBytes: at.Memory,
		}
		for _, o := range at.Outputs {
			one.Outputs = append(one.Outputs, &reevev1.TaskOutputs{Task: o.Task, Outputs: o.Outputs})
		}
		m.Attempts = append(m.Attempts, one)
	}
	return m
}
