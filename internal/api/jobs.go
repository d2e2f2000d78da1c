package api

import (
	"context"
	"crypto/rand"
	"encoding/binary"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/api/intake"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/canon"
	"github.com/reeve-scheduler/reeve/internal/session"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// jobs answers JobService.
type jobs struct{ *server }

// Submit checks a job file and has its jobs made.
func (s *jobs) Submit(ctx context.Context, req *connect.Request[reevev1.SubmitRequest]) (*connect.Response[reevev1.SubmitResponse], error) {
	if s.Full != nil {
		if err := s.Full(); err != nil {
			return nil, err
		}
	}
	c, err := read(ctx, req.Msg)
	if err != nil {
		return nil, err
	}
	done, err := s.submit(ctx, c)
	if err != nil {
		return nil, err
	}
	out := &reevev1.SubmitResponse{}
	for _, d := range done {
		out.Jobs = append(out.Jobs, &reevev1.SubmittedJob{Id: d.ID.String(), Existed: d.Existed})
	}
	return connect.NewResponse(out), nil
}

// read makes the command of a submit that the caller may make.
func read(ctx context.Context, m *reevev1.SubmitRequest) (core.Submit, error) {
	c, err := intake.Read(m, guard.Caller(ctx))
	if err != nil {
		return c, err
	}
	return c, guard.Allow(ctx, c.Namespace)
}

// submit looks up what the command needs to know and has it decided; facts that
// turn out to be outdated are looked up again.
func (s *server) submit(ctx context.Context, c core.Submit) ([]core.Submitted, error) {
	const tries = 5
	for try := 1; ; try++ {
		if err := s.facts(ctx, &c); err != nil {
			return nil, err
		}
		reply, err := s.Engine.Do(ctx, c)
		if err == nil {
			return reply.([]core.Submitted), nil
		}
		if job.CodeOf(err) != job.Stale || try == tries {
			return nil, err
		}
	}
}

// Get returns a job.
func (s *jobs) Get(ctx context.Context, req *connect.Request[reevev1.GetRequest]) (*connect.Response[reevev1.GetResponse], error) {
	id, err := job.ParseID(req.Msg.GetId())
	if err != nil {
		return nil, invalid("%s", err)
	}
	found, err := s.find(ctx, id)
	if err != nil {
		return nil, err
	}
	out := wire.Job(&found.image)
	if err := wire.Tasks(out, &found.image, found.spec, found.worker); err != nil {
		return nil, err
	}
	if out.Params, err = wire.Object(found.image.Params); err != nil {
		return nil, err
	}
	if err := s.Engine.View(ctx, func(state *core.State) {
		for i, t := range out.GetTasks() {
			t.Forecast = wire.Forecast(state.Predict(&found.image, found.spec, uint32(i)))
		}
	}); err != nil {
		return nil, err
	}
	s.expect(ctx, []*reevev1.Job{out}, []core.JobImage{found.image})
	if req.Msg.GetSpec() {
		canonical, _, err := canon.Write(found.spec)
		if err != nil {
			return nil, err
		}
		if out.Spec, err = wire.Object(canonical); err != nil {
			return nil, err
		}
	}
	return connect.NewResponse(&reevev1.GetResponse{Job: out}), nil
}

// target reads what a cancel, hold, release or update names.
func (s *jobs) target(ctx context.Context, id, name string) (*found, uint32, error) {
	jid, err := job.ParseID(id)
	if err != nil {
		return nil, 0, invalid("%s", err)
	}
	f, err := s.find(ctx, jid)
	if err != nil {
		return nil, 0, err
	}
	if name == "" {
		return f, core.NoTask, nil
	}
	ti, err := f.task(name)
	return f, ti, err
}

// Cancel stops a job, a task or elements.
func (s *jobs) Cancel(ctx context.Context, req *connect.Request[reevev1.CancelRequest]) (*connect.Response[reevev1.CancelResponse], error) {
	m := req.Msg
	f, ti, err := s.target(ctx, m.GetId(), m.GetTask())
	if err != nil {
		return nil, err
	}
	var spans []element.Span
	if m.GetElements() != "" {
		if ti == core.NoTask {
			return nil, invalid("elements %q: name the task as well", m.GetElements())
		}
		if spans, err = f.positions(ti, m.GetElements()); err != nil {
			return nil, err
		}
	}
	if f.image.State.Terminal() {
		return connect.NewResponse(&reevev1.CancelResponse{AlreadyEnded: true}), nil
	}
	reply, err := s.Engine.Do(ctx, core.Cancel{Job: f.image.ID, Task: ti, Spans: spans, Kill: m.GetKill(), By: guard.Caller(ctx), Reason: m.GetReason()})
	if err != nil {
		return nil, err
	}
	c := reply.(core.Cancelled)
	return connect.NewResponse(&reevev1.CancelResponse{Stopping: c.Stopping, Cancelled: c.Cancelled, AlreadyEnded: c.AlreadyEnded}), nil
}

// Hold keeps what has not started from starting.
func (s *jobs) Hold(ctx context.Context, req *connect.Request[reevev1.HoldRequest]) (*connect.Response[reevev1.HoldResponse], error) {
	if err := s.hold(ctx, req.Msg.GetId(), req.Msg.GetTask(), true); err != nil {
		return nil, err
	}
	return connect.NewResponse(&reevev1.HoldResponse{}), nil
}

// Release ends a hold.
func (s *jobs) Release(ctx context.Context, req *connect.Request[reevev1.ReleaseRequest]) (*connect.Response[reevev1.ReleaseResponse], error) {
	if err := s.hold(ctx, req.Msg.GetId(), req.Msg.GetTask(), false); err != nil {
		return nil, err
	}
	return connect.NewResponse(&reevev1.ReleaseResponse{}), nil
}

func (s *jobs) hold(ctx context.Context, id, task string, held bool) error {
	f, ti, err := s.target(ctx, id, task)
	if err != nil {
		return err
	}
	if f.image.State.Terminal() {
		return &job.Error{Code: job.Refused, Message: "job " + id + " has ended; only what waits can be held or released"}
	}
	_, err = s.Engine.Do(ctx, core.Hold{Job: f.image.ID, Task: ti, Held: held})
	return err
}

// Update changes where a job stands.
func (s *jobs) Update(ctx context.Context, req *connect.Request[reevev1.UpdateRequest]) (*connect.Response[reevev1.UpdateResponse], error) {
	m := req.Msg
	if m.Priority == nil && m.Queue == nil && m.Front == nil {
		return nil, invalid("nothing is to be changed: name a priority, a queue, or front")
	}
	f, _, err := s.target(ctx, m.GetId(), "")
	if err != nil {
		return nil, err
	}
	if f.image.State.Terminal() {
		return nil, &job.Error{Code: job.Refused, Message: "job " + m.GetId() + " has ended; only what has not can be changed"}
	}
	reply, err := s.Engine.Do(ctx, core.Update{Job: f.image.ID, Priority: m.Priority, Queue: m.Queue, Front: m.Front, By: guard.Caller(ctx)})
	if err != nil {
		return nil, err
	}
	now := reply.(core.Standing)
	return connect.NewResponse(&reevev1.UpdateResponse{Queue: now.Queue, Priority: now.Priority, FrontAt: wire.Time(now.Front)}), nil
}

// Retry submits a finished job again.
func (s *jobs) Retry(ctx context.Context, req *connect.Request[reevev1.RetryRequest]) (*connect.Response[reevev1.RetryResponse], error) {
	m := req.Msg
	id, err := job.ParseID(m.GetId())
	if err != nil {
		return nil, invalid("%s", err)
	}
	f, err := s.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if !f.image.State.Terminal() {
		return nil, &job.Error{Code: job.Refused, Message: "job " + m.GetId() + " has not ended; only what has ended can be retried"}
	}
	if err := intake.CheckKey(m.GetIdempotencyKey()); err != nil {
		return nil, err
	}
	spec := *f.spec
	spec.After, spec.StartAfter, spec.StartBefore = nil, nil, nil // they were met, or missed for good
	canonical, hash, err := canon.Write(&spec)
	if err != nil {
		return nil, err
	}
	item := core.Item{Params: f.image.Params, Key: m.GetIdempotencyKey(), RetryOf: id}
	item.Payload, err = session.PayloadOf(ctx, s.History, &f.image)
	_, _ = rand.Read(item.UID[:]) // never fails: crypto/rand ends the program instead
	item.Body = intake.BodyHash(hash[:], item.Params, item.Payload, binary.BigEndian.AppendUint64(nil, uint64(id)), intake.Flag(m.GetAll()))
	if err == nil && !m.GetAll() {
		item.Carry, err = s.carry(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	done, err := s.submit(ctx, core.Submit{
		Namespace: f.image.Namespace, Spec: &spec, Hash: hash, Canonical: canonical, Items: []core.Item{item}, By: guard.Caller(ctx),
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&reevev1.RetryResponse{Id: done[0].ID.String(), Existed: done[0].Existed}), nil
}
