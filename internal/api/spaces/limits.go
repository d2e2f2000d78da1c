package spaces

import (
	"context"
	"encoding/base64"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// Limits answers LimitService.
type Limits struct{ Engine }

const (
	defaultPage = 100
	maxPage     = 1000
)

// List returns a page of the concurrency keys of a namespace.
func (s Limits) List(ctx context.Context, req *connect.Request[reevev1.LimitServiceListRequest]) (*connect.Response[reevev1.LimitServiceListResponse], error) {
	m := req.Msg
	namespace := orDefault(m.GetNamespace())
	if err := guard.Allow(ctx, namespace); err != nil {
		return nil, err
	}
	most := int(m.GetPageSize())
	if most == 0 {
		most = defaultPage
	}
	if most < 1 || most > maxPage {
		return nil, invalid("page_size %d: want 1 to %d", most, maxPage)
	}
	after, err := base64.RawURLEncoding.DecodeString(m.GetPageToken())
	if err != nil {
		return nil, invalid("page_token: want the next_page_token of the page before")
	}
	var views []core.KeyView
	if viewErr := s.View(ctx, func(state *core.State) {
		views, err = state.Keys(namespace, m.GetKey(), string(after), most)
	}); viewErr != nil {
		return nil, viewErr
	}
	out := &reevev1.LimitServiceListResponse{}
	for i := range views {
		out.Keys = append(out.Keys, wire.ConcurrencyKey(namespace, &views[i]))
	}
	if len(views) == most && m.GetKey() == "" {
		out.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(views[most-1].Row))
	}
	return connect.NewResponse(out), err
}

// Release takes a slot from its holder.
func (s Limits) Release(ctx context.Context, req *connect.Request[reevev1.LimitServiceReleaseRequest]) (*connect.Response[reevev1.LimitServiceReleaseResponse], error) {
	m := req.Msg
	c := core.ReleaseSlot{Namespace: orDefault(m.GetNamespace()), Key: m.GetKey(), By: guard.Caller(ctx)}
	if err := guard.Allow(ctx, c.Namespace); err != nil {
		return nil, err
	}
	var err error
	if c.Holder, err = job.ParseRef(m.GetHolder()); err != nil {
		return nil, invalid("holder: %s", err)
	}
	_, err = s.Do(ctx, c)
	return connect.NewResponse(&reevev1.LimitServiceReleaseResponse{}), err
}
