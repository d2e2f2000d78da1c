package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// reserve is a reservation of the worker of the refusals' lab, changed.
func reserve(change func(e *ReservationSet)) PutReservation {
	e := ReservationSet{Name: "night", Pool: DefaultName, From: began + 60_000, Until: began + 120_000}
	change(&e)
	return PutReservation{e}
}

func (sc *scenario) runReserve(what, name string, opts map[string]string) (any, error) {
	if what == "unreserve" {
		return sc.turn(RemoveReservation{Name: name})
	}
	ms := func(key string, or time.Duration) int64 {
		if text := opts[key]; text != "" {
			var err error
			if or, err = time.ParseDuration(text); err != nil {
				sc.fail("%s: %v", key, err)
			}
		}
		return or.Milliseconds()
	}
	e := ReservationSet{Name: name, Pool: opts["pool"], From: sc.now + ms("from", 0), Lead: ms("lead", time.Hour), Queue: opts["queue"]}
	e.Until = e.From + ms("for", time.Hour)
	if e.Queue != "" {
		e.Namespace = DefaultName
	}
	if opts["workers"] != "" {
		e.Workers = strings.Split(opts["workers"], ",")
	}
	if opts["where"] != "" {
		e.Where = strings.Split(opts["where"], ",")
	}
	reply, err := sc.turn(PutReservation{e})
	if v, ok := reply.(ReservationView); ok {
		fmt.Fprintf(&sc.out, "it sets aside %s\n", strings.Join(v.Reserves, ", "))
	}
	return nil, err
}

// reserved holds an assignment against the reservations, as the documents say.
func (g *judge) reserved(l *lab, w *worker, e AttemptAssigned) {
	q := l.s.jobs.get(e.Job).queue
	for _, v := range l.s.Reservations() {
		if !slices.Contains(v.Reserves, w.hello.Name) || v.Namespace == q.space.name && (v.Queue == "" || v.Queue == q.name) || e.At >= v.Until {
			continue
		}
		length := l.s.length(l.s.jobs.get(e.Job), e.Task)
		if e.At >= v.From || length == 0 && e.At >= v.From-v.Lead {
			l.fail("%d of queue %s, which takes %dms, is assigned to worker %s, reserved by %+v", e.Fence, q.name, length, w.hello.Name, v)
		}
	}
}

// reserveSome makes or ends a reservation, which an older format has no place for.
func (m *machine) reserveSome(t *rapid.T) {
	name := rapid.SampledFrom([]string{"night", "repair"}).Draw(t, "reservation")
	if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
		if _, err := m.turn(RemoveReservation{Name: name}); err != nil && job.CodeOf(err) != job.NotFound {
			t.Fatal(err)
		}
		return
	}
	e := ReservationSet{Name: name, Pool: DefaultName, From: m.now + rapid.Int64Range(0, 90_000).Draw(t, "from"), Lead: rapid.Int64Range(0, 30_000).Draw(t, "lead")}
	e.Until = e.From + rapid.Int64Range(1, 60_000).Draw(t, "for")
	if n := len(m.s.workerIDs); n > 0 && rapid.Bool().Draw(t, "one") {
		e.Pool, e.Workers = "", []string{m.s.workers[rapid.SampledFrom(m.s.workerIDs).Draw(t, "worker")].hello.Name}
	}
	if rapid.Bool().Draw(t, "for somebody") {
		e.Namespace = rapid.SampledFrom(m.s.spaceNames).Draw(t, "namespace")
	}
	if _, err := m.turn(PutReservation{e}); err != nil && (job.CodeOf(err) != job.Refused || m.s.Format() >= FormatReservations) {
		t.Fatal(err)
	}
}

// TestReservationsAreBounded: no more than so many are taken, and one that is there may be changed.
func TestReservationsAreBounded(t *testing.T) {
	l := newLab(t.Fatalf)
	l.s.Apply(FormatRaised{Format: FormatReservations})
	put := func(name string, until int64) error {
		_, err := l.turn(PutReservation{ReservationSet{Name: name, Pool: "p", From: l.now, Until: until}})
		return err
	}
	for i := range MaxReservations {
		if err := put(fmt.Sprint("r", i), l.now+1000); err != nil {
			t.Fatal(err)
		}
	}
	if err := put("more", l.now+1000); job.CodeOf(err) != job.Refused || !strings.Contains(err.Error(), "there are 100 reservations") {
		t.Errorf("one more: %v", err)
	}
	l.now += 90_000
	l.advance(0)
	if n := len(l.s.Reservations()); n != 0 {
		t.Errorf("%d reservations are left after their time", n)
	}
	if err := put("r0", l.now+1000); err != nil {
		t.Error(err)
	}
	from := l.now
	l.now += 70_000
	if _, err := l.turn(PutReservation{ReservationSet{Name: "r1", Pool: "p", From: from, Until: l.now + 1000}}); job.CodeOf(err) != job.Invalid {
		t.Errorf("one that begins in the past: %v", err)
	}
}
