package wire

import (
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// defaultLead is how long before a reservation nothing of unknown length starts.
const defaultLead = time.Hour

// Reservation writes a reservation and the workers that it sets aside.
func Reservation(v *core.ReservationView) *reevev1.Reservation {
	return &reevev1.Reservation{
		Name: v.Name, Pool: v.Pool, Workers: v.Workers, Where: v.Where, From: Time(v.From), Until: Time(v.Until),
		Lead: job.FormatDuration(time.Duration(v.Lead) * time.Millisecond), Namespace: v.Namespace, Queue: v.Queue, Reserves: v.Reserves,
	}
}

// ReservationSet reads a reservation that is asked for.
func ReservationSet(m *reevev1.Reservation) (core.ReservationSet, error) {
	out := core.ReservationSet{
		Name: m.GetName(), Pool: m.GetPool(), Workers: m.GetWorkers(), Where: m.GetWhere(), From: Millis(m.GetFrom()), Until: Millis(m.GetUntil()),
		Lead: defaultLead.Milliseconds(), Namespace: m.GetNamespace(), Queue: m.GetQueue(),
	}
	if m.GetUntil() == nil {
		return out, fmt.Errorf("until: say when it is over")
	}
	if m.GetLead() != "" {
		d, err := job.ParseDuration(m.GetLead())
		if err != nil {
			return out, fmt.Errorf("lead: %w", err)
		}
		out.Lead = d.Milliseconds()
	}
	if out.Queue != "" && out.Namespace == "" {
		out.Namespace = core.DefaultName
	}
	return out, nil
}
