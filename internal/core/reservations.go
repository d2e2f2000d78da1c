package core

import (
	"cmp"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// A reservation sets whole workers aside for a while (cf. Slurm's advance reservations): for the
// jobs of a namespace, for those of one queue of it, or for nobody. What runs when it begins stays.

// FormatReservations is the format from which on workers may be reserved.
const FormatReservations = 3

const (
	// MaxReservations bounds the reservations that there are at a time.
	MaxReservations = 100
	// MaxReserved bounds the workers and labels that one names.
	MaxReserved = 1_000
	// maxWindow bounds how long one lasts, and how far ahead it begins, in milliseconds.
	maxWindow = 366 * 24 * 3600 * 1000
	// maxPast is how long ago one may begin when it is made, in milliseconds.
	maxPast = 60 * 1000
)

// ReservationView is a reservation and the workers that it sets aside now, by name.
type ReservationView struct {
	ReservationSet
	Reserves []string
}

func (s *State) decideReserve(in Input, c PutReservation) (d Decision, err error) {
	e := c.ReservationSet
	if e.From == 0 {
		e.From = in.Now
	}
	if err := s.checkReservation(&e, in.Now); err != nil {
		return d, err
	}
	e.Workers, e.Where = sortedNames(e.Workers), sortedNames(e.Where)
	if old := s.reservations[e.Name]; old == nil || !e.equal(old) {
		d.Events = append(d.Events, e)
	}
	view := ReservationView{ReservationSet: e}
	for _, id := range s.workerIDs {
		if w := s.workers[id]; e.matches(w) {
			view.Reserves = append(view.Reserves, w.hello.Name)
		}
	}
	slices.Sort(view.Reserves)
	d.Reply = view
	return d, nil
}

func sortedNames(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return slices.Compact(out)
}

func (e *ReservationSet) equal(o *ReservationSet) bool {
	return e.Name == o.Name && e.Pool == o.Pool && slices.Equal(e.Workers, o.Workers) && slices.Equal(e.Where, o.Where) &&
		e.From == o.From && e.Until == o.Until && e.Lead == o.Lead && e.Namespace == o.Namespace && e.Queue == o.Queue
}

// checkReservation refuses a reservation that is wrong, or that there is no place for.
func (s *State) checkReservation(e *ReservationSet, now int64) error {
	if err := job.CheckName(e.Name); err != nil {
		return refuse(job.Invalid, "reservation: %s", err)
	}
	wrong := func(format string, args ...any) error {
		return refuse(job.Invalid, "reservation "+e.Name+": "+format, args...)
	}
	if err := s.checkReserved(e, wrong); err != nil {
		return err
	}
	old := s.reservations[e.Name]
	switch {
	case e.Until <= e.From:
		return wrong("it is over at %s, and begins at %s: until must come after from", job.FormatClock(e.Until, now), job.FormatClock(e.From, now))
	case e.Until <= now:
		return wrong("it is over at %s, which has passed", job.FormatClock(e.Until, now))
	case e.From < now-maxPast && (old == nil || old.From != e.From):
		return wrong("it begins at %s, which has passed; the earliest is now", job.FormatClock(e.From, now))
	case e.From > now+maxWindow:
		return wrong("it begins at %s; that may be 366 days from now at most", job.FormatClock(e.From, now))
	case e.Until-e.From > maxWindow:
		const day = 24 * 3600 * 1000
		return wrong("it lasts %d days; 366 are the most", (e.Until-e.From+day-1)/day)
	case e.Lead < 0 || e.Lead > maxWindow:
		return wrong("lead: want a duration from 0 to 366 days")
	}
	if e.Namespace != "" {
		n, err := s.space(e.Namespace)
		if err != nil {
			return err
		}
		if _, err := n.queue(e.Queue); e.Queue != "" && err != nil {
			return err
		}
	} else if e.Queue != "" {
		return wrong("queue %s: name its namespace too", e.Queue)
	}
	if old == nil && len(s.reservations) >= MaxReservations {
		return refuse(job.Refused, "there are %d reservations; no more are allowed: reeve unreserve NAME removes one", len(s.reservations))
	}
	return s.checkFormat(FormatReservations, "reservation "+e.Name)
}

// checkReserved refuses what does not say in one way which workers are meant.
func (s *State) checkReserved(e *ReservationSet, wrong func(string, ...any) error) error {
	ways := 0
	for _, said := range [...]bool{e.Pool != "", len(e.Workers) > 0, len(e.Where) > 0} {
		if said {
			ways++
		}
	}
	if ways != 1 {
		return wrong("say which workers by a pool, by their names, or by labels: by one of these")
	}
	if len(e.Workers)+len(e.Where) > MaxReserved {
		return wrong("it names %d workers or labels; %d are the most", len(e.Workers)+len(e.Where), MaxReserved)
	}
	if e.Pool != "" {
		if err := job.CheckName(e.Pool); err != nil {
			return wrong("pool: %s", err)
		}
	}
	for _, label := range e.Where {
		if key, _, _ := strings.Cut(label, "="); key == "" {
			return wrong("where %q: want key=value, or key alone for any value", label)
		}
	}
	for _, name := range e.Workers {
		if !slices.ContainsFunc(s.workerIDs, func(id uint64) bool { return s.workers[id].hello.Name == name }) {
			return refuse(job.NotFound, "reservation %s: worker %q does not exist", e.Name, name)
		}
	}
	return nil
}

func (s *State) decideUnreserve(c RemoveReservation) (d Decision, err error) {
	if s.reservations[c.Name] == nil {
		if s.reservationNames == nil {
			return d, refuse(job.NotFound, "reservation %q does not exist; there is none", c.Name)
		}
		return d, refuse(job.NotFound, "reservation %q does not exist; known: %s", c.Name, known(s.reservationNames))
	}
	return Decision{Events: []Event{ReservationRemoved(c)}}, nil
}

// passed removes the reservations that are over.
func (s *State) passed(d *Decision, now int64) {
	for _, name := range s.reservationNames {
		if s.reservations[name].Until <= now {
			d.Events = append(d.Events, ReservationRemoved{Name: name})
		}
	}
}

// reservedNext is when a reservation is next over, or what was sent ahead to its workers is to be
// asked back; 0 for never.
func (s *State) reservedNext() (over, next int64) {
	for _, name := range s.reservationNames {
		e := s.reservations[name]
		if over == 0 || e.Until < over {
			over = e.Until
		}
		if at := max(e.From-e.Lead, 1); !s.cleared[name] && (next == 0 || at < next) {
			next = at
		}
	}
	if next == 0 || over < next {
		next = over
	}
	return over, next
}

func (s *State) applyReservation(e ReservationSet) {
	s.reservations[e.Name] = &e
	s.reservationNames = insert(s.reservationNames, e.Name)
	s.reserved(e.Name)
}

func (s *State) applyUnreserved(name string) {
	delete(s.reservations, name)
	s.reservationNames = slices.DeleteFunc(s.reservationNames, func(o string) bool { return o == name })
	if len(s.reservationNames) == 0 {
		s.reservationNames = nil
	}
	s.reserved(name)
}

// reserved tells the plan of the workers that a reservation had, or has now.
func (s *State) reserved(name string) {
	delete(s.cleared, name)
	e := s.reservations[name]
	for _, id := range s.workerIDs {
		w := s.workers[id]
		if e != nil && e.matches(w) || slices.ContainsFunc(w.windows, func(v plan.Window) bool { return v.Name == name }) {
			s.present(w)
		}
	}
	s.flush.object(objectKey{KindReservation, name})
}

// matches reports whether a reservation is of a worker.
func (e *ReservationSet) matches(w *worker) bool {
	switch {
	case e.Pool != "":
		return w.pool() == e.Pool
	case len(e.Workers) > 0:
		return slices.Contains(e.Workers, w.hello.Name)
	}
	labels := w.labels()
	for _, want := range e.Where {
		if !slices.ContainsFunc(labels, func(l string) bool { return l == want || strings.HasPrefix(l, want+"=") }) {
			return false
		}
	}
	return true
}

// windowsOf is what a worker is reserved for, in order.
func (s *State) windowsOf(w *worker) (out []plan.Window) {
	for _, name := range s.reservationNames {
		if e := s.reservations[name]; e.matches(w) {
			out = append(out, plan.Window{Name: name, From: e.From, Until: e.Until, Lead: e.Lead, Namespace: e.Namespace, Queue: e.Queue})
			delete(s.cleared, name) // it may have come with something that was sent ahead
		}
	}
	slices.SortStableFunc(out, func(a, b plan.Window) int { return cmp.Compare(a.From, b.From) })
	return out
}

// against reports whether a worker is reserved for others when something of a queue would start there
// that lasts so long, 0 for unknown.
func (w *worker) against(q *queue, length, now int64) bool {
	for _, v := range w.windows {
		if v.Namespace == q.space.name && (v.Queue == "" || v.Queue == q.name) || now >= v.Until {
			continue
		}
		end := now + length
		if length == 0 {
			end = now + v.Lead + 1
		}
		if end > v.From {
			return true
		}
	}
	return false
}

// clear asks what was sent ahead to workers back before they are reserved for others: they would
// begin it by themselves.
func (s *State) clear(d *Decision, now int64, most int) {
	for _, name := range s.reservationNames {
		e := s.reservations[name]
		if s.cleared[name] || now < e.From-e.Lead {
			continue
		}
		for _, id := range s.workerIDs {
			if len(d.Events) >= most {
				return
			}
			if w := s.workers[id]; w.held > 0 && e.matches(w) {
				s.clearWorker(d, w, now)
			}
		}
		s.cleared[name] = true
	}
}

func (s *State) clearWorker(d *Decision, w *worker, now int64) {
	var fences []link.Fence
	for a := w.first; a != nil; a = a.next {
		if a.prefetched && !a.recalled && a.stop.Kind == job.CauseNone && w.against(a.job.queue, 0, now) {
			fences = append(fences, a.fence)
		}
	}
	for _, f := range fences {
		ev := AttemptRecalled{Fence: f}
		s.Apply(ev)
		d.Events = append(d.Events, ev)
	}
	if fences != nil {
		d.Sends = append(d.Sends, Send{Worker: w.id, Msg: link.ToWorker{Recall: fences}})
	}
}

// Reservations returns the reservations by name.
func (s *State) Reservations() []ReservationView {
	out := make([]ReservationView, 0, len(s.reservationNames))
	for _, name := range s.reservationNames {
		v := ReservationView{ReservationSet: *s.reservations[name]}
		for _, id := range s.workerIDs {
			if w := s.workers[id]; v.matches(w) {
				v.Reserves = append(v.Reserves, w.hello.Name)
			}
		}
		slices.Sort(v.Reserves)
		out = append(out, v)
	}
	return out
}
