package sim

import (
	"maps"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// pastLimits is what queues, as namespace/queue, and namespaces may have.
type pastLimits struct {
	most map[string]job.Limit
	// pending is how many elements may wait in a namespace, 0 for any number.
	pending map[string]int64
	// changed is the last batch in which one was.
	changed map[string]uint64
}

func newPastLimits() pastLimits {
	return pastLimits{most: map[string]job.Limit{}, pending: map[string]int64{}, changed: map[string]uint64{}}
}

// limit takes in what a queue or a namespace may have from now on.
func (h *history) limit(at string, most job.Limit, pending int64) {
	l := &h.limits
	l.most[at], l.pending[at], l.changed[at] = most, pending, h.batches
}

// limited reports whether anything of a job waits where there is a limit.
func (h *history) limited(j *pastJob) bool {
	l := &h.limits
	return l.most[j.space] != (job.Limit{}) || l.most[j.at] != (job.Limit{})
}

// judgeQuotas holds what was just given out against the limits of its queue and its namespace,
// by what workers hold.
func (h *history) judgeQuotas(given *pastAttempt) {
	at, j := given.place, h.jobs[given.place.job]
	for _, of := range [...]string{j.at, j.space} {
		most := h.limits.most[of]
		if most == (job.Limit{}) {
			continue
		}
		n, used := h.loadOf(of)
		if most.Running > 0 && n > most.Running || beyond(used, most.Resources, given.needs) {
			h.fail(Quotas, "with %s, %s has %d attempts with %+v; its limit is %+v", at, of, n, used, most)
		}
		if n == most.Running {
			h.count("limit is reached")
		}
	}
}

// loadOf is what workers hold of a queue or a namespace.
func (h *history) loadOf(of string) (n int64, used job.Resources) {
	for _, a := range h.held {
		if j := h.jobs[a.place.job]; a.ended == nil && (j.at == of || j.space == of) {
			n++
			used = used.Plus(a.needs)
		}
	}
	return n, used
}

// beyond reports whether an attempt that needs something has made amounts more than those of a
// limit that says something of them. Of what it does not need more may have been used before
// the limit was given.
func beyond(used, most, need job.Resources) bool {
	over := func(used, most, need int64) bool { return most > 0 && need > 0 && used > most }
	if over(used.CPU, most.CPU, need.CPU) || over(used.Memory, most.Memory, need.Memory) {
		return true
	}
	for name, n := range most.Other.All {
		if over(used.Other.Get(name), n, need.Other.Get(name)) {
			return true
		}
	}
	return false
}

// judgeWaiting holds what waits in a namespace against its quota, once a job was submitted
// to it of which something does.
func (h *history) judgeWaiting(of *pastJob) {
	most, waits := h.limits.pending[of.space], int64(0)
	if most == 0 || h.waiting(of) == 0 {
		return
	}
	for id := range h.unfinished() {
		if j := h.jobs[id]; j.space == of.space {
			waits += h.waiting(j)
		}
	}
	if waits > most {
		h.fail(Quotas, "job %d is the last of %d elements that wait in namespace %s; its quota is %d", h.last, waits, of.space, most)
	}
}

// waiting is how many elements of a job wait.
func (h *history) waiting(j *pastJob) (n int64) {
	for ti := range j.tasks {
		n += h.counts(j, uint32(ti))[job.Pending]
	}
	return n
}

// judgeLimit wants a limit to be what was answered. It may have been changed since that was asked for.
func (h *history) judgeLimit(at string, most job.Limit, pending int64) {
	if l := &h.limits; (l.most[at] != most || l.pending[at] != pending) && l.changed[at] <= h.asked {
		h.fail(Quotas, "that %s has at most %+v and %d waiting is answered, and not durable", at, most, pending)
	}
}

// judgeSums holds what each worker is given against what it has, after each event. More may be
// given to one that came back with less, or whose pool gives less away, until it has ended, and to one that says that it has
// started what was sent ahead before it says what has made room for that.
func (h *history) judgeSums() {
	for _, id := range slices.Sorted(maps.Keys(h.workers)) {
		w := h.workers[id]
		offers := h.offers(w)
		if w.used.Fits(offers) && w.running <= w.hello.Slots {
			w.short = false
		} else if !w.short {
			h.fail(Room, "worker %s is given %+v in %d places; it gives %+v and %d", w.name, w.used, w.running, offers, w.hello.Slots)
		}
	}
}

// judgeRest wants nothing held where everything has ended.
func (h *history) judgeRest(s *core.State) {
	for _, id := range slices.Sorted(maps.Keys(h.workers)) {
		if w := h.workers[id]; w.running+w.holds+w.alone != 0 || w.used != (job.Resources{}) {
			h.fail(Room, "everything has ended, and by the journal worker %s is given %+v in %d places", w.name, w.used, w.running)
		}
	}
	for _, n := range s.Namespaces() {
		if n.Pending != 0 || n.Running != 0 {
			h.fail(Quotas, "everything has ended, and namespace %s counts %d waiting and %d running", n.Name, n.Pending, n.Running)
		}
		queues, err := s.Queues(n.Name)
		for _, q := range queues {
			if q.Pending != 0 || q.Running != 0 || q.Jobs != 0 {
				h.fail(Quotas, "everything has ended, and queue %s counts %d jobs, %d waiting and %d running", q.Name, q.Jobs, q.Pending, q.Running)
			}
		}
		const most = 100
		keys, err2 := s.Keys(n.Name, "", "", most)
		if err != nil || err2 != nil || len(keys) > 0 {
			h.fail(Exclusive, "everything has ended, and of namespace %s these keys are in use: %+v (%v, %v)", n.Name, keys, err, err2)
		}
	}
}

// limitSome gives a queue or a namespace other limits, or none.
func (u *users) limitSome() {
	w := u.w
	var most job.Limit
	if !w.oneIn(2) {
		most.Running, most.Resources.CPU = pick[int64](w, 0, 1, 2, 5), pick[int64](w, 0, 2000, 5000)
	}
	name, pending := pick(w, "night", core.DefaultName), int64(0)
	c, at := core.Command(core.PutQueue{Namespace: core.DefaultName, Name: name, Change: job.QueueChange{Limit: &most}}), core.DefaultName+"/"+name
	if w.oneIn(2) {
		pending = pick[int64](w, 0, 0, 5, 30)
		c, at = core.PutNamespace{Name: core.DefaultName, Change: job.NamespaceChange{Limit: &most, Pending: &pending}}, core.DefaultName
	}
	u.ask(&call{
		what: "limit", lane: laneControl, command: func(*server) core.Command { return c }, heard: func(any, error) {},
		leaves: func(_ any, err error) {
			if err == nil {
				w.past.judgeLimit(at, most, pending)
			}
		},
	})
}

// limits reports whether a command gives limits.
func limits(c core.Command) bool {
	switch c := c.(type) {
	case core.PutQueue:
		return c.Change.Limit != nil
	case core.PutNamespace:
		return c.Change.Limit != nil
	}
	return false
}

// unlimit takes every limit away.
func (u *users) unlimit() {
	l := &u.w.past.limits
	for _, name := range []string{core.DefaultName, "night"} {
		if l.most[core.DefaultName+"/"+name] != (job.Limit{}) {
			u.until("limit", laneControl, func(*server) core.Command {
				return core.PutQueue{Namespace: core.DefaultName, Name: name, Change: job.QueueChange{Limit: new(job.Limit)}}
			})
		}
	}
	if l.most[core.DefaultName] != (job.Limit{}) || l.pending[core.DefaultName] != 0 {
		u.until("limit", laneControl, func(*server) core.Command {
			return core.PutNamespace{Name: core.DefaultName, Change: job.NamespaceChange{Limit: new(job.Limit), Pending: new(int64)}}
		})
	}
}

// refusedBy reports whether a submit was refused for a quota, which there must have been.
func (u *users) refusedBy(err error) bool {
	code := job.CodeOf(err)
	if _, known := u.w.past.limits.pending[core.DefaultName]; !known || code != job.Busy && code != job.Refused {
		return false
	}
	u.w.count("submit is refused for a quota")
	return true
}
