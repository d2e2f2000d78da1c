package plan

import (
	"encoding/binary"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
)

// profile is the workers that are of the same kinds. They differ in amounts only,
// and are reserved for the same, so that one tree serves every shape; a label that no task asks for splits
// nothing.
type profile struct {
	kinds    []*kind
	calendar *calendar
	// workers is by leaf number, which all trees share.
	workers []*worker
	slots   tournament.Slots
	// all has every worker, gained those that may have gained room since there was
	// nothing more to place; gains is whether the index lists it for that.
	all, gained rooms
	gains       bool
	// sizes ranks all that accept attempts by what they would have if they were empty.
	sizes *tournament.Tree
	// charts are those of the labels that companies look at.
	charts []*charted
	// rankings are by the preferences of its kinds that are followed; width is that of all trees.
	rankings []*ranking
	width    int
	// scales are by those preferences of its kinds that somebody patient has.
	scales []*scale
}

// rooms ranks workers by free places: open all, empty only those that do nothing.
type rooms struct{ open, empty *tournament.Tree }

func (r *rooms) tree(f form) *tournament.Tree {
	if f == exclusive {
		return r.empty
	}
	return r.open
}

// serves reports whether the workers of a profile are of a kind.
func (p *profile) serves(k *kind) bool { return slices.Contains(p.kinds, k) }

func profileKey(kinds []*kind, c *calendar) string {
	b := make([]byte, 0, 4*len(kinds))
	for _, k := range kinds {
		b = binary.BigEndian.AppendUint32(b, k.id)
	}
	if c != nil {
		b = append(binary.BigEndian.AppendUint32(b, c.id), 'c')
	}
	return string(b)
}

func (p *profile) reset(width int) {
	p.all, p.gained = rooms{tournament.New(width), tournament.New(width)}, rooms{tournament.New(width), tournament.New(width)}
	p.sizes = tournament.New(width)
	p.width = width
	for _, r := range p.rankings {
		r.reset(width)
	}
	for _, s := range p.scales {
		s.able = tournament.New(width)
	}
}

func (p *profile) enter(w *worker) {
	w.leaf = p.slots.Take()
	p.workers = put(p.workers, uint32(w.leaf), w)
	w.profile = p
	for _, r := range p.rankings {
		r.enter(w)
	}
	for _, c := range p.charts {
		c.enter(w)
	}
	for _, s := range p.scales {
		s.enter(w)
	}
}

func (p *profile) leave(w *worker) {
	for _, t := range [...]*tournament.Tree{p.all.open, p.all.empty, p.gained.open, p.gained.empty, p.sizes} {
		t.Clear(w.leaf)
	}
	for _, r := range p.rankings {
		r.clear(w.leaf)
	}
	for _, s := range p.scales {
		s.able.Clear(w.leaf)
	}
	p.workers[w.leaf] = nil
	p.slots.Give(w.leaf)
	w.profile = nil
}

// addKind splits the profiles of which only some workers are of a new kind.
func (x *Index) addKind(k *kind) {
	for _, p := range slices.Clone(x.profileList) {
		var in, out []*worker
		for _, w := range p.workers {
			switch {
			case w == nil:
			case k.match(&w.Worker) == matched:
				in = append(in, w)
			default:
				out = append(out, w)
			}
		}
		kinds, more := p.kinds, append(slices.Clone(p.kinds), k)
		switch {
		case len(in) == 0:
		case len(in) < len(out):
			x.transfer(in, x.internProfile(more, p.calendar))
		default: // the fewer go
			delete(x.profiles, profileKey(kinds, p.calendar))
			p.kinds = more
			x.profiles[profileKey(more, p.calendar)] = p
			k.profiles = append(k.profiles, p)
			p.follow()
			if len(out) > 0 {
				x.transfer(out, x.internProfile(kinds, p.calendar))
			}
		}
	}
}

// transfer moves workers to another profile, not all of one.
func (x *Index) transfer(list []*worker, to *profile) {
	for _, w := range list {
		w.profile.leave(w)
		to.enter(w)
		x.refresh(w)
	}
}

func (x *Index) internProfile(kinds []*kind, c *calendar) *profile {
	key := profileKey(kinds, c)
	if p := x.profiles[key]; p != nil {
		return p
	}
	p := &profile{kinds: kinds, calendar: c}
	x.keepCalendar(c, 1)
	p.reset(x.width)
	p.follow()
	for _, c := range x.charts {
		p.drawOn(c)
	}
	x.profiles[key] = p
	x.profileList = append(x.profileList, p)
	for _, k := range kinds {
		k.profiles = append(k.profiles, p)
	}
	return p
}

func (x *Index) enroll(w *worker) {
	var kinds []*kind
	for _, k := range x.kindList {
		if k.match(&w.Worker) == matched {
			kinds = append(kinds, k)
		}
	}
	x.internProfile(kinds, x.internCalendar(w.Reserved)).enter(w)
	for i := range w.holdings {
		h := &w.holdings[i]
		h.matches = h.shape.kind.match(&w.Worker) == matched
	}
}

func (x *Index) dismiss(w *worker) {
	p := w.profile
	p.leave(w)
	if p.slots.Len() > 0 {
		return
	}
	delete(x.profiles, profileKey(p.kinds, p.calendar))
	x.keepCalendar(p.calendar, -1)
	same := func(q *profile) bool { return q == p }
	x.profileList = slices.DeleteFunc(x.profileList, same)
	for _, k := range p.kinds {
		k.profiles = slices.DeleteFunc(k.profiles, same)
	}
}

// reprofile sorts all workers into profiles anew, after kinds were forgotten.
func (x *Index) reprofile() {
	x.profiles, x.profileList, x.gaining, x.calendars = map[string]*profile{}, nil, nil, nil
	for _, k := range x.kindList {
		k.profiles = nil
	}
	for _, w := range x.workerList {
		x.enroll(w)
		x.refresh(w)
	}
}
