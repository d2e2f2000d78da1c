package api

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/member"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// servers answers ServerService.
type servers struct{ *server }

// look returns the servers and the cluster's format.
func (s *servers) look(ctx context.Context) (all member.Peers, format uint64, err error) {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return nil, 0, err
	}
	if all, err = s.Servers(ctx); err != nil {
		return nil, 0, &job.Error{Code: job.Unavailable, Message: "the list of servers can't be read at the moment; try again", Cause: err}
	}
	err = s.Engine.View(ctx, func(state *core.State) { format = state.Format() })
	return all, format, err
}

// List returns the servers.
func (s *servers) List(ctx context.Context, _ *connect.Request[reevev1.ServerServiceListRequest]) (*connect.Response[reevev1.ServerServiceListResponse], error) {
	all, format, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	out := &reevev1.ServerServiceListResponse{Format: uint32(format), NextFormat: uint32(all.Common(format))}
	for i := range all {
		o := &all[i]
		m := &reevev1.Server{
			Address: o.Address, Role: o.Role(), Version: o.Version, NewestFormat: uint32(o.Format), Trouble: o.Trouble,
			SeenAt: wire.Time(s.Engine.Now() - o.Ago.Milliseconds()),
		}
		if behind := o.Behind.Milliseconds(); !o.Leads && o.Behind >= 0 {
			m.BehindMs = &behind
		}
		out.Servers = append(out.Servers, m)
	}
	return connect.NewResponse(out), nil
}

// Finalize raises the format. A server that comes only now, and does not know it, finds out
// by itself.
func (s *servers) Finalize(ctx context.Context, _ *connect.Request[reevev1.FinalizeRequest]) (*connect.Response[reevev1.FinalizeResponse], error) {
	all, format, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	next := all.Common(format)
	out := &reevev1.FinalizeResponse{Before: uint32(format), Format: uint32(next)}
	if next > format {
		_, err = s.Engine.Do(ctx, core.RaiseFormat{To: next, By: guard.Caller(ctx)})
		return connect.NewResponse(out), err
	}
	if held := all.HeldBack(format); held != "" {
		return nil, &job.Error{Code: job.Refused, Message: fmt.Sprintf(
			"the cluster's format is %d and can't be raised: %s; upgrade what is older, or stop it (one that was killed counts for ten minutes)", format, held)}
	}
	return connect.NewResponse(out), nil
}
