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

// Reservations answers ReservationService. Reservations are the whole cluster's, as workers are.
type Reservations struct{ Engine }

// List returns the reservations that are not over.
func (s Reservations) List(ctx context.Context, _ *connect.Request[reevev1.ReservationServiceListRequest]) (*connect.Response[reevev1.ReservationServiceListResponse], error) {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return nil, err
	}
	out := &reevev1.ReservationServiceListResponse{}
	err := s.View(ctx, func(state *core.State) {
		for _, v := range state.Reservations() {
			out.Reservations = append(out.Reservations, wire.Reservation(&v))
		}
	})
	return connect.NewResponse(out), err
}

// Set makes or changes a reservation.
func (s Reservations) Set(ctx context.Context, req *connect.Request[reevev1.ReservationServiceSetRequest]) (*connect.Response[reevev1.ReservationServiceSetResponse], error) {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return nil, err
	}
	e, err := wire.ReservationSet(req.Msg.GetReservation())
	if err != nil {
		return nil, invalid("reservation %.80s: %s", e.Name, err)
	}
	reply, err := s.Do(ctx, core.PutReservation{ReservationSet: e})
	if err != nil {
		return nil, err
	}
	view := reply.(core.ReservationView)
	return connect.NewResponse(&reevev1.ReservationServiceSetResponse{Reservation: wire.Reservation(&view)}), nil
}

// Remove ends a reservation.
func (s Reservations) Remove(ctx context.Context, req *connect.Request[reevev1.ReservationServiceRemoveRequest]) (*connect.Response[reevev1.ReservationServiceRemoveResponse], error) {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return nil, err
	}
	_, err := s.Do(ctx, core.RemoveReservation{Name: req.Msg.GetName()})
	return connect.NewResponse(&reevev1.ReservationServiceRemoveResponse{}), err
}
