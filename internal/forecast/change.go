package forecast

import (
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
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
}

// Changes says what would let a waiting group start now, each alone: less of a resource, one
// label fewer, or a time limit that ends it before its place is needed for another.
func (c *Cluster) Changes(id plan.GroupID) []Change {
	at := slices.IndexFunc(c.Waiting, func(w plan.Ready) bool { return w.Group.ID == id })
	if at < 0 {
		return nil
	}
	g := c.Waiting[at].Group
	if c.startsNow(g) {
		return nil
	}
	var out []Change
	need := g.Shape.Resources
	try := func(ch Change, to plan.Group) bool {
		ok := c.startsNow(to)
		if ok {
			out = append(out, ch)
		}
		return ok
	}
	for _, r := range amounts(need) {
		for _, less := range c.lesser(&g, r) {
			to := g
			to.Shape.Resources = with(need, r, less)
			if try(Change{Resource: r, From: amountOf(need, r), To: less}, to) {
				break
			}
		}
	}
	for label := range strings.SplitSeq(g.Shape.Where, "\n") {
		to := g
		to.Shape.Where = without(g.Shape.Where, label)
		if label != "" {
			try(Change{Label: label}, to)
		}
	}
	for _, length := range c.gaps(&g) {
		to := g
		to.Length = length
		if try(Change{Length: length}, to) {
			break
		}
	}
	return out
}

// startsNow reports whether one element of a group, changed as it is given, would start at once.
func (c *Cluster) startsNow(g plan.Group) bool {
	e := c.engine()
	w := *e.groups[g.ID]
	w.Group = g
	e.wait(w)
	for e.steps < MaxSteps {
		p, ok := e.x.Next(e.now)
		if !ok {
			return false
		}
		if p.Group == g.ID {
			return true
		}
		e.steps++
		e.start(p)
	}
	return false
}

// maxTries bounds the amounts that are tried of one resource.
const maxTries = 3

// lesser is amounts of a resource that some worker has free, less than a group asks for, most
// first.
func (c *Cluster) lesser(g *plan.Group, resource string) []int64 {
	free := make(map[uint64]job.Resources, len(c.Workers))
	for _, r := range c.Runs {
		if !r.Attempt.Prefetch {
			free[r.Worker] = free[r.Worker].Minus(r.Attempt.Shape.Resources)
		}
	}
	var out []int64
	need := g.Shape.Resources
	for i := range c.Workers {
		w := &c.Workers[i]
		left := w.Capacity.Plus(free[w.ID])
		n := amountOf(left, resource)
		if n > 0 && n < amountOf(need, resource) && with(need, resource, n).Fits(left) {
			out = append(out, rounded(resource, n))
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	slices.Reverse(out)
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

// gaps is how long it is until places are needed that are kept, for what is longer.
func (c *Cluster) gaps(g *plan.Group) []int64 {
	e := c.engine()
	e.settle()
	var out []int64
	for _, k := range e.x.Kept() {
		if gap := k.From - c.Now; k.Known() && gap >= 1000 && (g.Length == 0 || gap < g.Length) {
			out = append(out, gap/1000*1000)
		}
	}
	slices.Sort(out)
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
