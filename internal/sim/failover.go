package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/member"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// gap is what a store has lost that failed over to a standby which lagged: the zero value is
// nothing.
type gap struct {
	at time.Duration
	// generation is the one in which it was lost. In a later one no number is given out that
	// had been given out before: job and fence are the last ones.
	generation uint64
	job        job.ID
	fence      link.Fence
	// jobs and fences were given out in what is lost.
	jobs   map[job.ID]bool
	fences map[link.Fence]bool
	// twice was given out again before anybody knew.
	twice map[link.Fence]bool
	// only is the lost batch if there was no other: who has sent it may not know that it was
	// there, and send it again.
	only store.Mark
}

// maxTail bounds how many batches a failover loses.
const maxTail = 40

// failOver has the store stand still for a while, and lose the end of its history. Perhaps
// all servers end with it.
func (w *world) failOver() {
	if w.away > w.now || w.past.gap.at != 0 {
		return
	}
	w.trace("the store fails over")
	d := w.between(100*time.Millisecond, 5*time.Second)
	w.away = w.now + d
	if w.oneIn(3) {
		w.count("everything ends beside a failover")
		for _, s := range w.servers {
			if s.up {
				s.crash("beside the failover")
			}
		}
	}
	w.after(d/2, w.lose)
}

// lose takes the end of the history from the store, and of the tables perhaps more than that.
func (w *world) lose() {
	_, last, err := w.disk.Journal().Bounds(w.ctx())
	least := w.disk.Kept()
	if last > maxTail {
		least = max(least, last-maxTail)
	}
	if w.healed || err != nil || last <= least {
		return
	}
	cut := least + uint64(w.rnd.Int64N(int64(last-least)))
	rows := cut
	if w.oneIn(2) {
		rows = uint64(w.rnd.Int64N(int64(cut) + 1))
	}
	w.count("failover loses history")
	w.trace("what comes after batch %d is lost, up to %d, and flushes after %d", cut, last, rows)
	w.disk.GoBack(cut, rows)
	w.past.goBack(cut)
}

// goBack makes the history what it was after a batch.
func (h *history) goBack(cut uint64) {
	w, old := h.w, *h
	*h = *newHistory(w)
	h.again = true
	for _, x := range old.entries[:cut] {
		h.enter(x)
	}
	h.again, h.latest = false, old.latest
	h.gap = gap{at: w.now, generation: old.generation, job: old.last, fence: old.fence, jobs: map[job.ID]bool{}, fences: map[link.Fence]bool{}, twice: map[link.Fence]bool{}}
	if lost := old.entries[cut:]; len(lost) == 1 {
		h.gap.only = lost[0].mark
	}
	for id := range old.jobs {
		if h.jobs[id] == nil {
			h.gap.jobs[id] = true
		}
	}
	for f := range old.attempts {
		if h.attempts[f] == nil {
			h.gap.fences[f] = true
		}
	}
	for _, s := range w.servers {
		s.knows = s.mayKnow(cut)
		if s.ready && s.durable > cut {
			s.astray = s.life
		}
	}
	w.users.goBack(cut)
	w.truth.goBack(h.gap.fences)
	for _, x := range w.watchers {
		x.astray = true
	}
}

// restored notes that what was lost is there again.
func (h *history) restored() {
	h.w.count("what was lost is sent again")
	h.gap = gap{at: h.gap.at}
	for _, s := range h.w.servers {
		s.knows = false
	}
}

// mayKnow reports whether a server has seen what comes after a batch.
func (s *server) mayKnow(cut uint64) bool {
	seen := s.saved
	if s.up {
		for _, more := range []member.Seen{s.part.seen, {Mark: s.part.copy.Last}} {
			if more.Seq > seen.Seq {
				seen = more
			}
		}
		if s.ready && s.durable > seen.Seq {
			seen.Seq = s.durable
		}
	}
	return seen.Seq > cut
}

// judgeKnown wants a server that has seen what is lost to begin no term in the generation in
// which it was.
func (h *history) judgeKnown(e core.EpochStarted) {
	by := h.by
	if h.again || by == nil || h.gap.at == 0 || e.Generation > h.gap.generation || !by.knows {
		return
	}
	h.fail(Leapt, "%s has seen what is lost, and leads on in generation %d", by.name, e.Generation)
}

// judgeNew wants numbers that nobody has been given before, in a generation that begins since
// history was lost.
func (h *history) judgeNew(what string, n, last uint64) {
	if h.gap.at == 0 || h.again || n > last {
		return
	}
	if h.generation > h.gap.generation {
		h.fail(Leapt, "%s %d is given out in generation %d; up to %d they were given out before", what, n, h.generation, last)
	}
	h.count(what + " is given again before anybody knew")
	if what == "attempt" {
		h.gap.twice[link.Fence(n)] = true
	}
}

// judgeLeapt wants another generation, at the end, where somebody has missed what is lost.
func (w *world) judgeLeapt() {
	h := w.past
	missed := w.tally["server misses what it has seen"]+w.tally["worker is believed"] > 0
	knows := slices.ContainsFunc(w.servers, func(s *server) bool { return s.knows })
	if h.gap.at != 0 && (missed || knows) && h.generation <= h.gap.generation {
		w.fail(Leapt, "history was lost, somebody has seen it, and generation %d goes on", h.generation)
	}
}

// goBack forgets what users were told of what is lost.
func (u *users) goBack(cut uint64) {
	h := u.w.past
	u.era++
	u.acked = slices.DeleteFunc(u.acked, func(id job.ID) bool {
		if h.jobs[id] == nil {
			u.w.count("acknowledged job is lost")
			return true
		}
		return false
	})
	maps.DeleteFunc(u.told, func(id job.ID, _ core.JobImage) bool { return u.toldAt[id] > cut })
	for _, k := range u.keys {
		if k.id != 0 && h.jobs[k.id] == nil {
			k.id = 0
		}
	}
}

// goBack sets processes apart that are of attempts which nobody has given out any more.
func (l *ledger) goBack(fences map[link.Fence]bool) {
	for f, list := range l.byFence {
		for _, p := range list {
			p.before = true
			if !fences[f] {
				continue
			}
			p.orphan = true
			l.forget(p)
		}
		if fences[f] {
			delete(l.byFence, f)
		}
	}
}

// forget takes a process off what runs.
func (l *ledger) forget(p *process) {
	if l.alive[p.place] == p {
		delete(l.alive, p.place)
	}
	if l.running[p.n][p] {
		delete(l.running[p.n], p)
		l.arrays[taskAt{p.place.job, p.place.task}]--
	}
}

// cutServer keeps a server from the store for a while.
func (w *world) cutServer() {
	s := w.mostly()
	d := w.between(50*time.Millisecond, 4*w.faults.term)
	w.count("server is cut off from the store")
	w.trace("%s is cut off from the store for %v", s.name, d)
	s.cut = max(s.cut, w.now+d)
}

// breakStore keeps every server from the store for a while.
func (w *world) breakStore() {
	d := w.between(50*time.Millisecond, 4*w.faults.term)
	w.count("store is away")
	w.trace("the store is away for %v", d)
	w.away = max(w.away, w.now+d)
}

// part keeps a worker and a server from each other for a while.
func (w *world) part() {
	n, s := w.nodes[w.rnd.IntN(len(w.nodes))], w.mostly()
	d := w.between(100*time.Millisecond, 2*w.faults.lease)
	w.count("worker and server are parted")
	w.trace("%s and %s are parted for %v", n.name, s.name, d)
	n.apart[s] = max(n.apart[s], w.now+d)
}
