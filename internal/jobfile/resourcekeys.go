package jobfile

import (
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/foreign"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

// resources reads what each attempt is given for itself. Every name is a resource: what
// Reeve has a unit for, and what else workers are told that they have.
func (p *parser) resources(n *tree.Node) job.Resources {
	r := job.Resources{CPU: job.DefaultCPU}
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
