package forecast

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
)

// Change is one that would let a group start now.
type Change struct {
	// Resource is what it asks less of, From and To how much.
	Resource string
	From, To int64
	// Label is one that it does not ask for, if set.
	Label string
	// Length is the time limit that it would have to keep, in milliseconds, if set.
	Length int64
	// Limit is one that would have to be higher, To instead of From of Resource, if its namespace
	// is set.
	Limit why.AtLimit
	// With is what it asks for in the way that it is about, if it can be served in several.
	With string
}

// String is the change in words: would start now with 6Gi of memory instead of 8Gi.
func (c Change) String() string {
	if c.With != "" {
		with := c.With
		c.With = ""
		return "with " + with + ": " + c.String()
	}
	switch {
	case c.Limit.Namespace != "":
		return "would start now if " + c.Limit.Raised(c.To)
	case c.Label != "":
		return "would start now without where: " + c.Label
	case c.Length > 0:
		return "would start now with timeout: " + job.FormatDuration(time.Duration(c.Length)*time.Millisecond)
	case c.Resource == "memory" || c.Resource == job.Disk:
		return fmt.Sprintf("would start now with %s of %s instead of %s", c.amount(c.To), c.Resource, c.amount(c.From))
	}
	return fmt.Sprintf("would start now with %s %s instead of %s", c.amount(c.To), c.Resource, c.amount(c.From))
}

// Amounts writes From and To as job files do.
func (c Change) Amounts() (from, to string) {
	if c.Resource == "" && c.Limit.Namespace == "" {
		return "", ""
	}
	return c.amount(c.From), c.amount(c.To)
}

func (c Change) amount(n int64) string { return why.Amount(c.Resource, n) }

// Changes says what would let a waiting group start now, each alone: less of a resource, one
// label fewer, a time limit that ends it before its place is needed for another, or a higher
// limit of its queue or namespace. Where it was learned how long it runs no time limit is
// proposed: it would not keep it.
func (m *Moment) Changes(id plan.GroupID, learned bool) []Change {
	w := m.e.groups[id]
	if w == nil || w.N <= 0 {
		return nil
	}
	ways := m.e.ways[id]
	if len(ways) == 0 {
		return m.changes(w.Group, w.N, learned)
	}
	var out []Change
	for _, g := range append([]plan.Group{w.Group}, ways...) {
		for _, c := range m.changes(g, w.N, learned) {
			c.With = job.FormatResources(g.Shape.Resources)
			out = append(out, c)
		}
	}
	return out
}

// changes is Changes of one way in which n elements can be served.
func (m *Moment) changes(g plan.Group, n int64, learned bool) []Change {
	var out []Change
	starts := func(to plan.Group) bool { return m.starts(to, g, n) }
	need := g.Shape.Resources
	for _, r := range amounts(need) {
		for _, less := range m.lesser(&g, r) {
			to := g
			to.Shape.Resources = with(need, r, less)
			if starts(to) {
				out = append(out, Change{Resource: r, From: amountOf(need, r), To: less})
				break
			}
		}
	}
	for label := range strings.SplitSeq(g.Shape.Where, "\n") {
		to := g
		to.Shape.Where = without(g.Shape.Where, label)
		if label != "" && starts(to) {
			out = append(out, Change{Label: label})
		}
	}
	if !learned {
		for _, length := range m.gaps(&g) {
			to := g
			if to.Length = length; starts(to) {
				out = append(out, Change{Length: length})
				break
			}
		}
	}
	return append(out, m.raises(g)...)
}

// starts reports whether one of n elements would start at once if their group were another than it is. It
// leaves the moment as it was.
func (m *Moment) starts(to, is plan.Group, n int64) bool {
	m.e.x.SetGroup(to, n)
	ok := m.next(to.ID)
	m.e.x.SetGroup(is, n)
	m.next(to.ID)
	return ok
}

// next reports whether an element of a group is the next to start. What would start before it
// does so only since the group asks for something else, and comes later in order.
func (m *Moment) next(id plan.GroupID) bool {
	p, ok := m.e.x.Next(m.e.now)
	return ok && p.Group == id
}

// raises finds limits that keep a group from starting, each alone.
func (m *Moment) raises(g plan.Group) []Change {
	limits := m.Why(g.ID).Limits
	if len(limits) != 1 {
		return nil // no single one would do
	}
	l := limits[0]
	c := Change{Limit: l, Resource: l.Resource, From: l.Most, To: l.Used + l.Need}
	raised := func(of job.Limit) job.Limit {
		if l.Resource == "" {
			of.Running = c.To
		} else {
			of.Resources = with(of.Resources, l.Resource, c.To)
		}
		return of
	}
	ok := false
	if l.Queue == "" {
		for _, n := range m.c.Namespaces {
			if n.Name == l.Namespace {
				to := n.Policy
				to.Limit = raised(to.Limit)
				m.e.x.SetNamespace(n.Name, to)
				ok = m.next(g.ID)
				m.e.x.SetNamespace(n.Name, n.Policy)
			}
		}
	} else if q := m.c.queue(l.Namespace, l.Queue); q != nil {
		to := q.Policy
		to.Limit = raised(to.Limit)
		m.e.x.SetQueue(q.Namespace, q.Name, to)
		ok = m.next(g.ID)
		m.e.x.SetQueue(q.Namespace, q.Name, q.Policy)
	}
	m.next(g.ID)
	if !ok {
		return nil
	}
	return []Change{c}
}

// maxTries bounds the amounts that are tried of one resource.
const maxTries = 3

// lesser is amounts of a resource that some worker has free, less than a group asks for, most
// first.
func (m *Moment) lesser(g *plan.Group, resource string) []int64 {
	var out []int64
	need := g.Shape.Resources
	for i := range m.c.Workers {
		w := &m.c.Workers[i]
		if !m.e.x.Fit(g.ID, w.ID).Kind {
			continue
		}
		used, _, _ := m.e.x.Usage(w.ID)
		left := w.Capacity.Minus(used)
		n := min(amountOf(left, resource), amountOf(need, resource))
		if n > 0 && with(need, resource, n).Fits(left) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	if g.Nodes > len(out) {
		return nil
	}
	out = out[max(g.Nodes-1, 0):] // what so many have
	out = slices.Compact(slices.DeleteFunc(out, func(n int64) bool { return n == amountOf(need, resource) }))
	for i, n := range out {
		out[i] = rounded(resource, n)
	}
	return out[:min(len(out), maxTries)]
}

// rounded is an amount as somebody would write it: whole megabytes.
func rounded(resource string, n int64) int64 {
	const mega = 1 << 20
	if (resource == "memory" || resource == job.Disk) && n > mega {
		return n / mega * mega
	}
	return n
}

// gaps is how long something may last so that it ends before a place is needed that is kept, or before workers
// are reserved that it could have, for what is longer; with some time to say so and submit it.
func (m *Moment) gaps(g *plan.Group) []int64 {
	var out []int64
	add := func(at int64) {
		const least, most = 1000, 60_000
		gap := at - m.c.Now
		gap -= min(max(gap/20, least), most)
		if gap >= 1000 && (g.Length == 0 || gap < g.Length) {
			out = append(out, gap/1000*1000)
		}
	}
	for _, k := range m.kept {
		if k.Known() && k.Group != g.ID {
			add(k.From)
		}
	}
	for i := range m.c.Workers {
		w := &m.c.Workers[i]
		if len(w.Reserved) == 0 || !m.e.x.Fit(g.ID, w.ID).Could {
			continue
		}
		for _, r := range w.Reserved {
			add(r.From)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	slices.Reverse(out)
	return out[:min(len(out), maxTries)]
}

func amounts(r job.Resources) []string {
	names := []string{"cpu", "memory"}
	for name := range r.Other.All {
		names = append(names, name)
	}
	return names
}

func amountOf(r job.Resources, name string) int64 {
	switch name {
	case "cpu":
		return r.CPU
	case "memory":
		return r.Memory
	}
	return r.Other.Get(name)
}

func with(r job.Resources, name string, n int64) job.Resources {
	switch name {
	case "cpu":
		r.CPU = n
	case "memory":
		r.Memory = n
	default:
		r.Other = r.Other.Set(name, n)
	}
	return r
}

func without(where, label string) string {
	all := strings.Split(where, "\n")
	return strings.Join(slices.DeleteFunc(all, func(l string) bool { return l == label }), "\n")
}
