package plan

import (
	"math"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/match"
	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
)

// A patient class waits for the workers that are worth the most to it: it takes only those that are
// worth as much as the best of all that could run it if they did nothing else. The others are to it as
// if they were not there: no place is kept for it on them, and none is made. When its patience ends is
// the caller's to say.

// waitingForms are the forms that wait on boards of their own: what is patient, so that workers which
// nothing patient takes are not held against it.
var waitingForms = [...]form{plain, patient, exclusive}

// noFloor is the floor of a class that takes whatever it can have.
const noFloor = math.MinInt64

// scale is the workers of a profile that accept attempts by what they are worth to somebody patient,
// with what they would have if they were empty.
type scale struct {
	by *preference
	// worth is by leaf.
	worth []int64
	able  *tournament.Tree
}

// scale finds what the workers of a profile are worth by a preference that somebody patient has.
func (p *profile) scale(f *preference) *scale {
	for _, s := range p.scales {
		if s.by == f {
			return s
		}
	}
	return nil
}

// weigh makes the scale of a preference.
func (p *profile) weigh(f *preference) {
	s := &scale{by: f, able: tournament.New(p.width)}
	p.scales = append(p.scales, s)
	for _, w := range p.workers {
		if w != nil {
			s.enter(w)
			s.refresh(w)
		}
	}
}

func (s *scale) enter(w *worker) {
	for int(w.leaf) >= len(s.worth) {
		s.worth = append(s.worth, 0)
	}
	s.worth[w.leaf] = s.by.worth(w)
}

// refresh brings a worker's leaf up to date.
func (s *scale) refresh(w *worker) {
	var rank tournament.Rank
	if w.Accepts && w.Slots > 0 {
		rank = tournament.Rank{Score: s.worth[w.leaf] + positive, ID: w.ID}
	}
	s.able.Set(w.leaf, rank, w.capacity)
}

// addPatient notes that a class is new, which may be patient.
func (x *Index) addPatient(c *class) {
	if c.form != patient {
		return
	}
	x.patients = append(x.patients, c)
	f := c.prefer
	if f.patient++; f.patient == 1 {
		f.least = math.MaxInt64
		x.patientPrefs = append(x.patientPrefs, f)
		for _, p := range x.profileList {
			p.follow()
		}
	}
	f.least = min(f.least, x.floorOf(c))
}

// removePatient notes that a class is forgotten, which may have been patient.
func (x *Index) removePatient(c *class) {
	if c.form != patient {
		return
	}
	f := c.prefer
	if f.patient--; f.patient > 0 {
		return
	}
	x.patientPrefs = slices.DeleteFunc(x.patientPrefs, func(o *preference) bool { return o == f })
	for _, p := range x.profileList {
		p.scales = slices.DeleteFunc(p.scales, func(s *scale) bool { return s.by == f })
	}
}

// floorOf is what a worker must be worth at least for a class to take it.
func (x *Index) floorOf(c *class) int64 {
	if c.form != patient {
		return noFloor
	}
	if c.floorAt != x.fleet {
		was := c.floor
		c.floor, c.floorAt = x.worthOfBest(c), x.fleet
		c.eased = c.eased || c.floor < was
	}
	return c.floor
}

// worthOfBest is what the best worker is worth that could run a class if it did nothing else, of a gang
// the last of as many as it needs. It is noFloor where there are too few, and where nobody knows what the
// best is worth, since no worker has a price, say.
func (x *Index) worthOfBest(c *class) int64 {
	var last *tournament.Rank
	for range c.nodes {
		var next *tournament.Rank
		for _, p := range c.shape.kind.profiles {
			able := p.scale(c.prefer).able
			if i := able.After(c.shape.need, last); i != tournament.None && (next == nil || able.RankOf(i).Before(next)) {
				next = able.RankOf(i)
			}
		}
		if next == nil {
			return noFloor
		}
		last = next
	}
	if worth := last.Score - positive; match.Valued(worth) {
		return worth
	}
	return noFloor
}

// belowFloor reports whether a class waits for a better worker than one of its kind.
func (x *Index) belowFloor(c *class, w *worker) bool {
	floor := x.floorOf(c)
	return floor > noFloor && w.profile.scale(c.prefer).worth[w.leaf] < floor
}

// roomForPatient reports whether any worker with room of a profile, of those alone that gained some if asked, may
// be worth enough to anything patient.
func (x *Index) roomForPatient(p *profile, gained bool) bool {
	return slices.ContainsFunc(x.patientPrefs, func(f *preference) bool {
		r := p.ranking(f)
		if r == nil { // it is not followed, or nobody of these kinds has it
			return p.scale(f) != nil
		}
		rooms := r.open
		if gained {
			rooms = r.gained
		}
		i, _ := rooms.Top()
		return i != tournament.None && rooms.RankOf(i).Score-positive >= f.least
	})
}

// worthPatience reports whether a worker may be worth enough to anything patient.
func (x *Index) worthPatience(w *worker) bool {
	return slices.ContainsFunc(x.patientPrefs, func(f *preference) bool {
		s := w.profile.scale(f)
		return s != nil && s.worth[w.leaf] >= f.least
	})
}

// worthy is the best worker with a free place for a patient class whose preference is not followed: all
// that have one are asked.
func (x *Index) worthy(c *class, group uint32) (found *worker) {
	most := int64(noFloor)
	for _, p := range c.shape.kind.profiles {
		if !x.admits(c, group, p) {
			continue
		}
		scale := p.scale(c.prefer)
		p.all.open.Each(c.shape.need, func(i int32) bool {
			if w := p.workers[i]; scale.worth[i] >= c.floor && (found == nil || scale.worth[i] > most || scale.worth[i] == most && w.before(found)) {
				found, most = w, scale.worth[i]
			}
			return true
		})
	}
	return found
}

// before reports whether a worker has more free places than another, or as many and the lower number.
func (w *worker) before(o *worker) bool {
	return w.places() > o.places() || w.places() == o.places() && w.ID < o.ID
}

// sized visits workers of a profile that could run a class if they were empty until visit says false: for
// a patient one the best alone.
func (x *Index) sized(c *class, p *profile, visit func(w *worker) bool) {
	floor := x.floorOf(c)
	if floor == noFloor {
		p.sizes.Each(c.shape.need, func(i int32) bool { return visit(p.workers[i]) })
		return
	}
	able := p.scale(c.prefer).able
	for i := able.Find(c.shape.need); i != tournament.None && able.RankOf(i).Score-positive >= floor && visit(p.workers[i]); {
		i = able.After(c.shape.need, able.RankOf(i))
	}
}

// fleetChanged notes that workers came, went or changed, so that others may be the best.
func (x *Index) fleetChanged() {
	x.fleet++
	if len(x.patients) > 0 {
		x.unsure, x.changed = true, true
	}
}

// retryEased lets patient classes be tried anew that take more workers than before: those gained no room.
func (x *Index) retryEased() {
	if !x.unsure {
		return
	}
	x.unsure = false
	for _, f := range x.patientPrefs {
		f.least = math.MaxInt64
	}
	for _, c := range x.patients {
		c.prefer.least = min(c.prefer.least, x.floorOf(c))
		if c.eased && c.waits() {
			x.move(c, active)
		}
		c.eased = false
	}
}

// room is how many workers could run attempts of a shape, and how many at the same time, as it was when at
// workers had come, gone or changed.
type room struct {
	workers, places int64
	at              uint64
}

// Room says how many workers could run attempts of a shape if nothing else ran, and how many of them
// at the same time. Its cost grows with the number of workers, once for each change of these.
func (x *Index) Room(name Shape) (workers, places int64) {
	s := x.shapes[name]
	if s == nil { // it is not kept for who may never wait
		s = &shape{Shape: name, kind: &kind{name: kindName{name.Executor, name.Function, name.Where}, where: x.conditions(name.Where)}}
		x.measure(s)
	}
	if s.room.at != x.fleet {
		s.room = room{at: x.fleet}
		for _, w := range x.workerList {
			if n := w.holds(s); n > 0 && s.kind.match(&w.Worker) == matched {
				s.room.workers++
				s.room.places += n
			}
		}
	}
	return s.room.workers, s.room.places
}

// holds is how many attempts of a shape a worker could run if it did nothing else, whatever kind it is of.
func (w *worker) holds(s *shape) int64 {
	if !w.Accepts || s.short != "" {
		return 0
	}
	n := int64(w.Slots)
	for i, need := range s.need {
		if need > 0 {
			n = min(n, w.capacity[i]/need)
		}
	}
	return max(n, 0)
}
