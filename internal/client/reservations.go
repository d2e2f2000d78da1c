package client

import (
	"context"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// Reservations returns the reservations that are not over, by name.
func (c *Client) Reservations(ctx context.Context) ([]*Reservation, error) {
	a, err := call(ctx, c, c.reservations.List, &reevev1.ReservationServiceListRequest{})
	return a.GetReservations(), err
}

// Reserve makes a reservation, or changes the one of that name, and returns it as it is then.
func (c *Client) Reserve(ctx context.Context, r *Reservation) (*Reservation, error) {
	a, err := call(ctx, c, c.reservations.Set, &reevev1.ReservationServiceSetRequest{Reservation: r})
	return a.GetReservation(), err
}

// Unreserve ends a reservation.
func (c *Client) Unreserve(ctx context.Context, name string) error {
	_, err := call(ctx, c, c.reservations.Remove, &reevev1.ReservationServiceRemoveRequest{Name: name})
	return err
}
