package plan

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/match"
	"github.com/reeve-scheduler/reeve/internal/plan/tournament"
)

// preference is an interned Prefer: what each worker is worth to whoever has it.
type preference struct {
	text    string
	entries []weighted
	// classes is how many have it, patient how many of these are.
	classes, patient int
	// least is the lowest floor of any that is patient.
	least int64
	// followed: profiles rank their workers by it. asked is when it was last asked for.
	followed bool
	asked    uint64
}

type weighted struct {
	entry  *match.Entry
	weight int64
}

const (
	// maxFollowed bounds the preferences that are followed at a time: each is one more tree for
	// every change of a worker.
	maxFollowed = 16
	// patience is how many placements one must not have been asked for, for another to be followed
	// instead.
	patience = 10_000
)

// PreferOf is what a task prefers, as a Group has it.
func PreferOf(list []job.Preference) string {
	if len(list) == 0 {
		return ""
	}
	lines := make([]string, 0, len(list))
	for _, p := range list {
		lines = append(lines, strconv.FormatInt(p.Weight, 10)+" "+p.When)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// internPreference finds or makes a preference, nil for none.
func (x *Index) internPreference(text string) *preference {
	if text == "" {
		return nil
	}
	f := x.preferences[text]
	if f == nil {
		f = &preference{text: text}
		for line := range strings.SplitSeq(text, "\n") {
			number, when, _ := strings.Cut(line, " ")
			if weight, err := strconv.ParseInt(number, 10, 64); err == nil && len(f.entries) < match.MaxEntries {
				f.entries = append(f.entries, weighted{x.book.Prefer(when), weight})
			}
		}
		x.preferences[text] = f
	}
	return f
}

// name is the text of a preference, nothing for none.
func (f *preference) name() string {
	if f == nil {
		return ""
	}
	return f.text
}

// is reports whether a preference has a text.
func (f *preference) is(text string) bool {
	if f == nil {
		return text == ""
	}
	return f.text == text
}

// wish is a preference, and how many classes of a kind have it.
type wish struct {
	by      *preference
	classes int
}

// wish says that a class is new.
func (x *Index) wish(c *class) {
	f, k := c.prefer, c.shape.kind
	if f == nil {
		return
	}
	f.classes++
	at := slices.IndexFunc(k.wishes, func(w wish) bool { return w.by == f })
	if at >= 0 {
		k.wishes[at].classes++
		return
	}
	k.wishes = append(k.wishes, wish{f, 1})
	for _, p := range k.profiles {
		p.follow()
	}
}

// unwish says that a class is forgotten.
func (x *Index) unwish(c *class) {
	f, k := c.prefer, c.shape.kind
	if f == nil {
		return
	}
	at := slices.IndexFunc(k.wishes, func(w wish) bool { return w.by == f })
	if k.wishes[at].classes--; k.wishes[at].classes == 0 {
		k.wishes = slices.Delete(k.wishes, at, at+1)
	}
	if f.classes--; f.classes == 0 {
		x.unfollow(f)
		delete(x.preferences, f.text)
	}
}

// worth is what a worker is worth, in millionths of a point.
func (f *preference) worth(w *worker) (sum int64) {
	of := match.Worker{Name: w.Name, Labels: w.Labels}
	for _, e := range f.entries {
		sum += e.entry.Points(&of, e.weight)
	}
	return sum
}

// follows reports whether workers are ranked by a preference, and sees to it if that may be. A
// caller that is told no places as if there were none.
func (x *Index) follows(f *preference) bool {
	x.asks++
	if !f.followed {
		if len(x.followed) == maxFollowed {
			least := slices.MinFunc(x.followed, func(a, b *preference) int { return cmp.Compare(a.asked, b.asked) })
			if x.asks-least.asked < patience {
				return false
			}
			x.unfollow(least)
		}
		f.followed = true
		x.followed = append(x.followed, f)
		for _, p := range x.profileList {
			p.follow()
		}
	}
	f.asked = x.asks
	return true
}

func (x *Index) unfollow(f *preference) {
	if !f.followed {
		return
	}
	f.followed = false
	x.followed = slices.DeleteFunc(x.followed, func(o *preference) bool { return o == f })
	for _, p := range x.profileList {
		p.rankings = slices.DeleteFunc(p.rankings, func(r *ranking) bool { return r.by == f })
	}
}

// ranking is the workers of a profile by what they are worth.
type ranking struct {
	by *preference
	// worth is by leaf.
	worth []int64
	// open has those with free places, gained those of them that may have gained room since there
	// was nothing more to place.
	open, gained *tournament.Tree
}

// follow makes the rankings and scales that the kinds of a profile want.
func (p *profile) follow() {
	for _, k := range p.kinds {
		for _, wish := range k.wishes {
			if wish.by.patient > 0 && p.scale(wish.by) == nil {
				p.weigh(wish.by)
			}
			if wish.by.followed && p.ranking(wish.by) == nil {
				p.rank(wish.by)
			}
		}
	}
}

// rank ranks the workers of a profile by a preference.
func (p *profile) rank(f *preference) {
	r := &ranking{by: f}
	r.reset(p.width)
	p.rankings = append(p.rankings, r)
	for _, w := range p.workers {
		if w != nil {
			r.enter(w)
			r.refresh(w, p.all.open.Has(w.leaf))
		}
	}
}

func (p *profile) ranking(f *preference) *ranking {
	for _, r := range p.rankings {
		if r.by == f {
			return r
		}
	}
	return nil
}

func (r *ranking) reset(width int) { r.open, r.gained = tournament.New(width), tournament.New(width) }

func (r *ranking) enter(w *worker) {
	for int(w.leaf) >= len(r.worth) {
		r.worth = append(r.worth, 0)
	}
	r.worth[w.leaf] = r.by.worth(w)
}

// refresh brings a worker's leaves up to date. open: it has free places that are nobody's.
func (r *ranking) refresh(w *worker, open bool) {
	var rank tournament.Rank
	if open {
		rank = r.rank(w)
	}
	r.open.Set(w.leaf, rank, w.free)
	if w.gained {
		r.gained.Set(w.leaf, rank, w.free)
	}
}

func (r *ranking) clear(leaf int32) {
	r.open.Clear(leaf)
	r.gained.Clear(leaf)
}

// positive is above what anything is worth below 0.
const positive = 1 << 62

// rank is the order in which a preference takes workers: what they are worth, then the free places,
// then the number.
func (r *ranking) rank(w *worker) tournament.Rank {
	const (
		placeBits = 20
		idBits    = 64 - placeBits
	)
	most := int64(1)<<placeBits - 1
	return tournament.Rank{
		Score: r.worth[w.leaf] + positive,
		ID:    uint64(most-min(w.places(), most))<<idBits | w.ID&(1<<idBits-1),
		Sub:   uint32(w.ID >> idBits),
	}
}

// preferred is the worker that comes first by the preference of a class for a group of it among those that have a
// place for it, or gained room, and come after a rank, which may be nil.
func (x *Index) preferred(c *class, group uint32, gained bool, after *tournament.Rank) (found *worker, rank *tournament.Rank) {
	for _, p := range c.shape.kind.profiles {
		if !x.admits(c, group, p) {
			continue
		}
		r := p.ranking(c.prefer)
		rooms := r.open
		if gained {
			rooms = r.gained
		}
		if i := rooms.After(c.shape.need, after); i != tournament.None && (rank == nil || rooms.RankOf(i).Before(rank)) {
			found, rank = p.workers[i], rooms.RankOf(i)
		}
	}
	if found != nil && x.belowFloor(c, found) {
		return nil, nil // and all that come after
	}
	return found, rank
}

// prefers reports whether a class has a preference that is followed. One that must be alone is
// glad of any worker.
func (x *Index) prefers(c *class) bool {
	return c.prefer != nil && c.form != exclusive && x.follows(c.prefer)
}
