package jobfile

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/foreign"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

// resources reads what each attempt is given for itself. Every name is a resource: what
// Reeve has a unit for, and what else workers are told that they have. What is not said is as in r.
func (p *parser) resources(n *tree.Node, r job.Resources) job.Resources {
	if n.Kind != tree.Mapping {
		p.Bad(n, "want a mapping such as {cpu: 2, memory: 512Mi, gpu: 1}")
		return r
	}
	for i, key := range n.Keys {
		value := n.Items[i]
		switch {
		case key.Kind != tree.Scalar: // which has been said
		case key.Text == "cpu":
			r.CPU = p.processors(value)
		case key.Text == "memory":
			r.Memory = p.size(value, 0, maxMemory)
		case foreign.Resource(key.Text) != "":
			p.Fail(key, "unknown resource; want %s", foreign.Resource(key.Text))
		case job.CheckResource(key.Text) != nil:
			p.checkName(key, key.Text)
		default:
			r.Other = r.Other.Set(key.Text, p.amount(value, key.Text))
		}
	}
	if others := r.Other.Len(); others > job.MaxResources {
		p.Fail(n, "has %d resources beside cpu and memory; at most %d are allowed", others, job.MaxResources)
	}
	return r
}

// either reads the alternatives of what each attempt is given; what one does not say is common to
// all.
func (p *parser) either(n *tree.Node, common job.Resources) []job.Resources {
	const want = "a list of alternatives such as [{gpu: 1}, {cpu: 16}]"
	var all []job.Resources
	p.each(n, want, func(n *tree.Node) {
		one := p.resources(n, common)
		if at := slices.Index(all, one); at >= 0 && len(all) < job.MaxEither {
			p.Fail(n, "is the same as alternative %d", at+1)
		}
		all = append(all, one)
	})
	switch {
	case n.Kind != tree.Sequence:
	case len(all) < 2:
		p.Fail(n, "want at least two alternatives; what every attempt takes stands under resources")
	case len(all) > job.MaxEither:
		p.Fail(n, "has %d alternatives; at most %d are allowed", len(all), job.MaxEither)
	}
	return all
}

// common is what alternatives have in common, so that it means the same where it is read again:
// they have been told all that was said for all of them, and may say that they need none of it.
func common(all []job.Resources, said job.Resources) job.Resources {
	if len(all) == 0 {
		return said
	}
	r := all[0]
	for _, o := range all[1:] {
		r.Memory = min(r.Memory, o.Memory)
		for name, n := range r.Other.All {
			if o.Other.Get(name) != n {
				r.Other = r.Other.Set(name, 0)
			}
		}
	}
	return r
}

func (p *parser) processors(n *tree.Node) int64 {
	cpu, err := job.ParseCPU(n.Text)
	if n.Kind != tree.Scalar || err != nil {
		p.Bad(n, "want processors such as 2, 0.5 or 500m, at most %d", job.MaxCPU/1000)
	}
	return cpu
}

// amount reads how much of a resource that is neither cpu nor memory.
func (p *parser) amount(n *tree.Node, name string) int64 {
	text := n.Text
	if n.Kind != tree.Scalar {
		text = ""
	}
	amount, err := job.ParseAmount(name, text)
	if err != nil {
		p.Bad(n, "%s", err)
	}
	return amount
}

// checkGrowth refuses a bound of what is asked for again that is less than what is asked for first.
func (p *parser) checkGrowth(t *job.Task, retry *tree.Node) {
	for way := range t.Ways() {
		if first := t.Takes(uint8(way)).Memory; t.Retry.MaxMemory > 0 && first > t.Retry.MaxMemory {
			p.Bad(retry.Get("max_memory"), "is less than the memory that the task asks for first (%s)", job.FormatSize(first))
			return
		}
	}
}
