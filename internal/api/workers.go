package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
}

// Send writes a message.
func (w workerStream) Send(m link.ToWorker) error { return w.BidiStream.Send(wire.ToWorkerMessage(m)) }

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
			checkOutputs(&from.Report.Ended[i])
		}
	}
	return from, nil
}

// checkOutputs fails a result whose outputs nobody could read afterwards. It is not
// refused, because the worker would repeat it for ever.
func checkOutputs(r *link.Result) {
	if r.Outputs == nil {
		return
	}
	var outputs map[string]string
	var why string
	switch {
	case len(r.Outputs) > job.MaxOutput:
		why = fmt.Sprintf("the worker sent %d bytes of outputs; at most %d are kept", len(r.Outputs), job.MaxOutput)
	case json.Unmarshal(r.Outputs, &outputs) != nil:
		why = "the worker sent outputs that are not a JSON object of texts"
	default:
		return
	}
	r.Outputs = nil
	if r.Cause.Kind == job.CauseNone {
		r.Cause = job.Cause{Kind: job.CauseOutput, Detail: why}
	}
}

// Session serves a worker until its stream ends.
func (s *workers) Session(ctx context.Context, stream *connect.BidiStream[reevev1.SessionRequest, reevev1.SessionResponse]) error {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return err
	}
	err := s.Sessions.Serve(ctx, s.Engine, workerStream{stream})
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

// attemptOf returns what a worker's call about an attempt may touch. A fence that is
// no longer current is refused: the attempt was superseded.
func (s *server) attemptOf(ctx context.Context, fence uint64, ref string) (uid string, ok bool, err error) {
	err = s.Engine.View(ctx, func(state *core.State) {
		current, u, live := state.AttemptAt(fence)
		uid, ok = u.String(), live && current.String() == ref
	})
	return uid, ok, err
}

func fenceText(fence uint64) string { return strconv.FormatUint(fence, 10) }
