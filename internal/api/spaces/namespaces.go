package spaces

import (
	"context"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// Namespaces answers NamespaceService.
type Namespaces struct{ Engine }

// put has a namespace changed. What others are kept from, or get less by, is for whoever
// administers all of them.
func (s Namespaces) put(ctx context.Context, c core.PutNamespace) (*reevev1.Namespace, error) {
	where := auth.ClusterWide
	if c.Paused != nil {
		where = c.Name
	}
	if err := guard.Allow(ctx, where); err != nil {
		return nil, err
	}
	reply, err := s.Do(ctx, c)
	if err != nil {
		return nil, err
	}
	view := reply.(core.NamespaceView)
	return wire.Namespace(&view), nil
}

// change is put with a policy.
func (s Namespaces) change(ctx context.Context, c core.PutNamespace, policy *reevev1.NamespacePolicy) (*reevev1.Namespace, error) {
	var err error
	if c.Change, err = wire.NamespaceChange(policy); err != nil {
		return nil, invalid("namespace %.80s: %s", c.Name, err)
	}
	return s.put(ctx, c)
}

// Create makes a namespace.
func (s Namespaces) Create(ctx context.Context, req *connect.Request[reevev1.NamespaceServiceCreateRequest]) (*connect.Response[reevev1.NamespaceServiceCreateResponse], error) {
	n, err := s.change(ctx, core.PutNamespace{Name: req.Msg.GetName(), Create: true}, req.Msg.GetPolicy())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&reevev1.NamespaceServiceCreateResponse{Namespace: n}), nil
}

// Update changes how a namespace is served.
func (s Namespaces) Update(ctx context.Context, req *connect.Request[reevev1.NamespaceServiceUpdateRequest]) (*connect.Response[reevev1.NamespaceServiceUpdateResponse], error) {
	n, err := s.change(ctx, core.PutNamespace{Name: req.Msg.GetName()}, req.Msg.GetPolicy())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&reevev1.NamespaceServiceUpdateResponse{Namespace: n}), nil
}

// List returns the namespaces that the caller may see.
func (s Namespaces) List(ctx context.Context, _ *connect.Request[reevev1.NamespaceServiceListRequest]) (*connect.Response[reevev1.NamespaceServiceListResponse], error) {
	out := &reevev1.NamespaceServiceListResponse{}
	err := s.View(ctx, func(state *core.State) {
		for _, v := range state.Namespaces() {
			if guard.Reaches(ctx, v.Name) {
				out.Namespaces = append(out.Namespaces, wire.Namespace(&v))
			}
		}
	})
	return connect.NewResponse(out), err
}

// Pause keeps what waits in a namespace from starting.
func (s Namespaces) Pause(ctx context.Context, req *connect.Request[reevev1.NamespaceServicePauseRequest]) (*connect.Response[reevev1.NamespaceServicePauseResponse], error) {
	_, err := s.put(ctx, core.PutNamespace{Name: req.Msg.GetName(), Paused: new(true)})
	return connect.NewResponse(&reevev1.NamespaceServicePauseResponse{}), err
}

// Resume ends a pause.
func (s Namespaces) Resume(ctx context.Context, req *connect.Request[reevev1.NamespaceServiceResumeRequest]) (*connect.Response[reevev1.NamespaceServiceResumeResponse], error) {
	_, err := s.put(ctx, core.PutNamespace{Name: req.Msg.GetName(), Paused: new(false)})
	return connect.NewResponse(&reevev1.NamespaceServiceResumeResponse{}), err
}
