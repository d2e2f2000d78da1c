package api

import (
	"context"
	"errors"
	"io"
	"strconv"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// workers answers WorkerService.
type workers struct{ *server }

// workerStream is a worker's connection in the domain's words.
type workerStream struct {
	*connect.BidiStream[reevev1.SessionRequest, reevev1.SessionResponse]
	prover *auth.Prover
}

// Send writes a message; attempts get their proofs here.
func (w workerStream) Send(m link.ToWorker) error {
	if m.Assign != nil {
		for i := range m.Assign.Attempts {
			a := &m.Assign.Attempts[i]
			a.Proof = w.prover.Proof(auth.Assigned{
				Fence: uint64(a.Fence), Job: uint64(a.Job), Task: a.Task, Position: a.Position, Number: a.Attempt,
			})
		}
	}
	return w.BidiStream.Send(wire.ToWorkerMessage(m))
}

// Receive reads a message.
func (w workerStream) Receive() (link.FromWorker, error) {
	m, err := w.BidiStream.Receive()
	if err != nil {
		return link.FromWorker{}, err
	}
	from, err := wire.FromWorker(m)
	if err != nil {
		return link.FromWorker{}, invalid("%s", err)
	}
	if from.Report != nil {
		for i := range from.Report.Ended {
			from.Report.Ended[i].CheckOutputs()
		}
	}
	return from, nil
}

// Session serves a worker until its stream ends.
func (s *workers) Session(ctx context.Context, stream *connect.BidiStream[reevev1.SessionRequest, reevev1.SessionResponse]) error {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return err
	}
	err := s.Sessions.Serve(ctx, s.Leader, s.History, workerStream{stream, auth.NewProver(s.ProofKey)})
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	if known, ok := errors.AsType[*connect.Error](err); ok {
		return known
	}
	if job.CodeOf(err) != job.Internal {
		return err
	}
	return connect.NewError(connect.CodeUnavailable, err)
}

// List returns the workers.
func (s *workers) List(ctx context.Context, _ *connect.Request[reevev1.WorkerServiceListRequest]) (*connect.Response[reevev1.WorkerServiceListResponse], error) {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return nil, err
	}
	out := &reevev1.WorkerServiceListResponse{}
	err := s.Engine.View(ctx, func(state *core.State) {
		views := state.Workers()
		for i := range views {
			out.Workers = append(out.Workers, wire.Worker(&views[i], s.Sessions.Connected(views[i].ID)))
		}
	})
	return connect.NewResponse(out), err
}

// Drain keeps new work from a worker.
func (s *workers) Drain(ctx context.Context, req *connect.Request[reevev1.DrainRequest]) (*connect.Response[reevev1.DrainResponse], error) {
	held, err := s.drain(ctx, core.Drain{Worker: req.Msg.GetWorker(), Draining: true, Stop: req.Msg.GetStop(), By: guard.Caller(ctx)})
	return connect.NewResponse(&reevev1.DrainResponse{Running: int32(held)}), err
}

// Undrain ends a drain.
func (s *workers) Undrain(ctx context.Context, req *connect.Request[reevev1.UndrainRequest]) (*connect.Response[reevev1.UndrainResponse], error) {
	_, err := s.drain(ctx, core.Drain{Worker: req.Msg.GetWorker(), By: guard.Caller(ctx)})
	return connect.NewResponse(&reevev1.UndrainResponse{}), err
}

func (s *workers) drain(ctx context.Context, c core.Drain) (int, error) {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return 0, err
	}
	reply, err := s.Engine.Do(ctx, c)
	if err != nil {
		return 0, err
	}
	return reply.(int), nil
}

// sender is an attempt, and its fence, as a worker names them.
type sender struct {
	fence uint64
	ref   job.Ref
}

// assigned is what a sender's proof is of.
func (f sender) assigned(task uint32, position int64) auth.Assigned {
	return auth.Assigned{Fence: f.fence, Job: uint64(f.ref.Job), Task: task, Position: position, Number: f.ref.Attempt}
}

// current returns the live attempt that a worker means. One whose fence is another's, or
// no longer current, is none.
func (s *server) current(ctx context.Context, from sender) (a core.LiveAttempt, live bool, err error) {
	err = s.Engine.View(ctx, func(state *core.State) {
		a, live = state.AttemptAt(from.fence)
		live = live && a.Ref == from.ref
	})
	return a, live, err
}

func fenceText(fence uint64) string { return strconv.FormatUint(fence, 10) }
