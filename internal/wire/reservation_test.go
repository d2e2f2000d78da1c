package wire

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/core"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

func TestReservationsTravel(t *testing.T) {
	for _, e := range []core.ReservationSet{
		{Name: "repair", Pool: "gpu", From: 1000, Until: 2000},
		{Name: "night", Workers: []string{"w1", "w2"}, From: 1000, Until: 2000, Lead: 90_000, Namespace: "team", Queue: "night"},
		{Name: "labels", Where: []string{"disk=ssd", "rack"}, Until: 2000, Lead: 1, Namespace: "team"},
	} {
		m := Reservation(&core.ReservationView{ReservationSet: e, Reserves: []string{"w1"}})
		if got, err := ReservationSet(m); err != nil || !cmp.Equal(e, got) || len(m.GetReserves()) != 1 {
			t.Errorf("%v (-want +got):\n%s", err, cmp.Diff(e, got))
		}
	}
	got, err := ReservationSet(&reevev1.Reservation{Name: "a", Until: Time(1), Queue: "night"})
	if err != nil || got.Lead != 3600_000 || got.Namespace != core.DefaultName {
		t.Errorf("what is left out is read as %+v, %v", got, err)
	}
	for want, m := range map[string]*reevev1.Reservation{
		"until: say when": {Name: "a"}, "lead: ": {Name: "a", Until: Time(1), Lead: "soon"},
	} {
		if _, err := ReservationSet(m); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v; want %s", m, err, want)
		}
	}
}
