package spaces

import (
	"context"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// Queues answers QueueService.
type Queues struct{ Engine }

func (s Queues) put(ctx context.Context, c core.PutQueue) (*reevev1.Queue, error) {
	c.Namespace = orDefault(c.Namespace)
	if err := guard.Allow(ctx, c.Namespace); err != nil {
		return nil, err
	}
	reply, err := s.Do(ctx, c)
	if err != nil {
		return nil, err
	}
	view := reply.(core.QueueView)
	return wire.Queue(&view), nil
}

// change is put with a policy.
func (s Queues) change(ctx context.Context, c core.PutQueue, policy *reevev1.QueuePolicy) (*reevev1.Queue, error) {
	var err error
	if c.Change, err = wire.QueueChange(policy); err != nil {
		return nil, invalid("queue %.80s: %s", c.Name, err)
	}
	return s.put(ctx, c)
}

// Create makes a queue.
func (s Queues) Create(ctx context.Context, req *connect.Request[reevev1.QueueServiceCreateRequest]) (*connect.Response[reevev1.QueueServiceCreateResponse], error) {
	m := req.Msg
	q, err := s.change(ctx, core.PutQueue{Namespace: m.GetNamespace(), Name: m.GetName(), Create: true}, m.GetPolicy())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&reevev1.QueueServiceCreateResponse{Queue: q}), nil
}

// Update changes how a queue is served.
func (s Queues) Update(ctx context.Context, req *connect.Request[reevev1.QueueServiceUpdateRequest]) (*connect.Response[reevev1.QueueServiceUpdateResponse], error) {
	m := req.Msg
	q, err := s.change(ctx, core.PutQueue{Namespace: m.GetNamespace(), Name: m.GetName()}, m.GetPolicy())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&reevev1.QueueServiceUpdateResponse{Queue: q}), nil
}

// List returns the queues of a namespace.
func (s Queues) List(ctx context.Context, req *connect.Request[reevev1.QueueServiceListRequest]) (*connect.Response[reevev1.QueueServiceListResponse], error) {
	namespace := orDefault(req.Msg.GetNamespace())
	if err := guard.Allow(ctx, namespace); err != nil {
		return nil, err
	}
	out := &reevev1.QueueServiceListResponse{}
	var err error
	if viewErr := s.View(ctx, func(state *core.State) {
		var views []core.QueueView
		views, err = state.Queues(namespace)
		for i := range views {
			out.Queues = append(out.Queues, wire.Queue(&views[i]))
		}
	}); viewErr != nil {
		return nil, viewErr
	}
	return connect.NewResponse(out), err
}

// Pause keeps what waits in a queue from starting.
func (s Queues) Pause(ctx context.Context, req *connect.Request[reevev1.QueueServicePauseRequest]) (*connect.Response[reevev1.QueueServicePauseResponse], error) {
	_, err := s.put(ctx, core.PutQueue{Namespace: req.Msg.GetNamespace(), Name: req.Msg.GetName(), Paused: new(true)})
	return connect.NewResponse(&reevev1.QueueServicePauseResponse{}), err
}

// Resume ends a pause.
func (s Queues) Resume(ctx context.Context, req *connect.Request[reevev1.QueueServiceResumeRequest]) (*connect.Response[reevev1.QueueServiceResumeResponse], error) {
	_, err := s.put(ctx, core.PutQueue{Namespace: req.Msg.GetNamespace(), Name: req.Msg.GetName(), Paused: new(false)})
	return connect.NewResponse(&reevev1.QueueServiceResumeResponse{}), err
}
