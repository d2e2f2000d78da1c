package forecast

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
)

// Moment is a cluster after all has started that can start now: what questions about now are
// asked of. It is not safe for concurrent use.
type Moment struct {
	c    *Cluster
	e    *engine
	kept []plan.Kept
}

// Moment lets start what can start now.
func (c *Cluster) Moment() *Moment {
	e := c.engine(false)
	e.settle()
	return &Moment{c, e, slices.Clone(e.x.Kept())}
}

// Waits reports whether elements of a group wait at the moment.
func (m *Moment) Waits(id plan.GroupID) bool {
	w := m.e.groups[id]
	return w != nil && w.N > 0
}

// Why says what a group that waits waits for, but for what Kept says.
func (m *Moment) Why(id plan.GroupID) why.Why {
	y := m.e.x.Explain(id, m.c.Now)
	y.Patience, y.Now = m.e.patience[first(id)], m.c.Now
	if m.c.More && y.Ahead > 0 {
		y.AheadMore, y.FirstMore = true, true
	}
	return y
}

// maxKept bounds the places of which it is said that they are kept for others.
const maxKept = 3

// Kept says for whom places are kept that a group could have, or that one is kept for it, and
// that it is about to start if that is so.
func (m *Moment) Kept(id plan.GroupID) []why.Reason {
	w := m.e.groups[id]
	if w == nil {
		return nil
	}
	if s := m.e.course.Starts[id]; w.N == 0 && s.Started > 0 {
		return []why.Reason{{Kind: "settling", Text: "it is about to start, on worker " + m.c.WorkerName(s.Worker)}}
	}
	var out []why.Reason
	add := func(format string, args ...any) {
		out = append(out, why.Reason{Kind: "kept", Text: fmt.Sprintf(format, args...)})
	}
	others, own := 0, 0
	for _, k := range m.kept {
		switch {
		case k.Group == id && own == maxKept:
			add("and others are kept for it")
			own++
		case k.Group == id && own > maxKept:
		case k.Group == id:
			own++
			add("a place is kept for it on worker %s, which %s", m.c.WorkerName(k.Worker), m.until(k, "is to be free at about ", "is free nobody knows when"))
		case !m.e.x.Fit(id, k.Worker).Now:
		case others < maxKept:
			add("worker %s has room and is kept for %s, which comes first, %s", m.c.WorkerName(k.Worker), whose(k.Group, id),
				m.until(k, "until about ", "nobody knows until when"))
			others++
		default:
			others++
		}
	}
	if more := others - maxKept; more > 0 {
		add("and %d more are kept for others", more)
	}
	if k := m.e.x.RoomKept(id, m.c.Now); k != nil && len(m.Why(id).Limits) == 0 {
		add("%s", k)
	}
	q := m.c.queue(w.Group.Namespace, w.Group.Queue)
	if y := m.Why(id); q != nil && q.Policy.Backfill == job.BackfillNone && y.Open > 0 && (y.Ahead > 0 || len(y.Turns) > 0) {
		add("queue %s starts nothing before what comes first in it (backfill: none)", q.Name)
	}
	return out
}

// whose says for whom a place is kept.
func whose(of, asked plan.GroupID) string {
	if of.Job == asked.Job {
		return "another task of the job"
	}
	return "job " + of.Job.String()
}

func (m *Moment) until(k plan.Kept, known, unknown string) string {
	if !k.Known() {
		return unknown
	}
	return known + job.FormatClock(k.From, m.c.Now)
}

// endless is how many attempts run, where a group could, of which nobody knows the end.
func (m *Moment) endless(id plan.GroupID) int {
	n, worker, could := 0, uint64(0), false
	for _, r := range m.c.Runs {
		if r.Attempt.Prefetch || r.Attempt.Ends > m.c.Now || r.Attempt.Limit > m.c.Now {
			continue
		}
		if r.Worker != worker {
			worker, could = r.Worker, m.e.x.Fit(id, r.Worker).Could
		}
		if could {
			n++
		}
	}
	return n
}

// WorkerName names a worker by its id.
func (c *Cluster) WorkerName(id uint64) string {
	at, ok := slices.BinarySearchFunc(c.Workers, id, func(w plan.Worker, id uint64) int { return cmp.Compare(w.ID, id) })
	if !ok {
		return fmt.Sprintf("worker-%d", id)
	}
	return c.Workers[at].Name
}

// queue finds how a queue is served.
func (c *Cluster) queue(namespace, name string) *Queue {
	for i := range c.Queues {
		if q := &c.Queues[i]; q.Namespace == namespace && q.Name == name {
			return q
		}
	}
	return nil
}
