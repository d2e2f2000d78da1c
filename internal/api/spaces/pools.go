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

// Pools answers PoolService. Pools are the whole cluster's, as workers are.
type Pools struct{ Engine }

// List returns the pools that have workers or a policy.
func (s Pools) List(ctx context.Context, _ *connect.Request[reevev1.PoolServiceListRequest]) (*connect.Response[reevev1.PoolServiceListResponse], error) {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return nil, err
	}
	out := &reevev1.PoolServiceListResponse{}
	err := s.View(ctx, func(state *core.State) {
		for _, v := range state.Pools() {
			out.Pools = append(out.Pools, wire.Pool(&v))
		}
	})
	return connect.NewResponse(out), err
}

// Update changes how a pool is given away.
func (s Pools) Update(ctx context.Context, req *connect.Request[reevev1.PoolServiceUpdateRequest]) (*connect.Response[reevev1.PoolServiceUpdateResponse], error) {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return nil, err
	}
	c := core.PutPool{Name: req.Msg.GetName(), Known: req.Msg.GetKnown()}
	var err error
	if c.Change, err = wire.PoolChange(req.Msg.GetPolicy()); err != nil {
		return nil, invalid("pool %.80s: %s", c.Name, err)
	}
	reply, err := s.Do(ctx, c)
	if err != nil {
		return nil, err
	}
	view := reply.(core.PoolView)
	return connect.NewResponse(&reevev1.PoolServiceUpdateResponse{Pool: wire.Pool(&view)}), nil
}
