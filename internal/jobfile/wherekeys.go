package jobfile

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/expr"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
	"github.com/reeve-scheduler/reeve/internal/match"
)

const (
	maxWhere  = 64
	maxWeight = 1000
)

// where reads what a worker must be: [gpu, zone=b, labels.generation == "3"] or {zone: b}.
func (p *parser) where(n *tree.Node) []string {
	const (
		want  = `a worker's label such as gpu or zone=b, or an expression such as 'labels.zone in ["eu-1", "eu-2"]' (in quotes)`
		wants = `a list of worker labels and expressions such as [gpu, zone=b, 'int(labels.generation) >= 3']`
	)
	var out []string
	one := func(n *tree.Node) {
		if text := p.entry(n, want, p.conditions.Condition); text != "" {
			out = append(out, text)
		}
	}
	switch n.Kind {
	case tree.Scalar:
		one(n)
	case tree.Mapping:
		p.pairs(n, wants, func(key, value *tree.Node) {
			text := key.Text + "=" + p.filled(value, "a label's value", maxLabelValue)
			p.labelled(key, text)
			out = append(out, text)
		})
	default:
		p.each(n, wants, one)
	}
	if len(out) > maxWhere {
		p.Fail(n, "has %d entries; at most %d are allowed", len(out), maxWhere)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	p.oneValueEach(n, out)
	return out
}

// entry reads a label, or an expression over workers; it is empty if that has been refused.
func (p *parser) entry(n *tree.Node, want string, check func(string) error) string {
	text := p.filled(n, want, match.MaxSource)
	if !match.IsLabel(text) {
		text = strings.TrimSpace(text)
	}
	switch {
	case text == "" || len(text) > match.MaxSource || strings.Contains(text, expr.Open):
		return ""
	case match.IsLabel(text):
		p.labelled(n, text)
	default:
		if err := check(text); err != nil {
			p.Bad(n, "%s", err.Error())
		}
	}
	return text
}

// prefer reads which workers a task would rather have: an entry, or a list of entries and of
// mappings such as {when: spot=true, weight: 3}.
func (p *parser) prefer(n *tree.Node) (out []job.Preference) {
	const (
		want  = `an expression such as 'labels.spot == "true"' or -double(labels.price), a worker's label, or cheapest`
		wants = `what makes a worker better than others: ` + want + `; or a list of up to 8 of these, each by itself or as {when: gpu, weight: 2}`
	)
	one := func(n *tree.Node) {
		f := job.Preference{Weight: 1}
		read := func(n *tree.Node) { f.When = p.entry(n, want, p.conditions.Measure) }
		if n.Kind != tree.Mapping {
			read(n)
		} else {
			p.fields(n, []field{{"when", read}, {"weight", func(n *tree.Node) { f.Weight = p.number(n, -maxWeight, maxWeight) }}}, nil)
			if n.Get("when") == nil {
				p.Fail(n, "says nothing to prefer; want {when: gpu, weight: 2}")
			}
		}
		out = append(out, f)
	}
	switch n.Kind {
	case tree.Scalar, tree.Mapping:
		one(n)
	default:
		p.each(n, wants, one)
		if len(n.Items) == 0 {
			p.Bad(n, "want %s", wants)
		}
	}
	if len(out) > match.MaxEntries {
		p.Fail(n, "has %d entries; at most %d are allowed", len(out), match.MaxEntries)
	}
	return out
}

// labelled checks an entry that is a label.
func (p *parser) labelled(n *tree.Node, text string) {
	key, value, _ := strings.Cut(text, "=")
	if of, ok := strings.CutPrefix(key, "labels."); ok { // who writes that has an expression in mind
		p.Bad(n, "is spelled like a label; want %s for whoever has that label, or a comparison such as labels.%s == \"b\"", of, of)
		return
	}
	if !match.IsLabel(text) || len(value) > maxLabelValue || strings.ContainsFunc(value, unicode.IsControl) {
		p.Bad(n, "want a worker's label such as gpu or zone=b")
	}
}

// oneValueEach refuses sorted entries that ask for two values of a label.
func (p *parser) oneValueEach(n *tree.Node, entries []string) {
	last := ""
	for _, entry := range entries {
		if !match.IsLabel(entry) || !strings.Contains(entry, "=") {
			continue
		}
		if key, _, _ := strings.Cut(entry, "="); strings.HasPrefix(last, key+"=") {
			p.Fail(n, "asks for %s and %s, and a worker has one value of a label; want 'labels[\"%s\"] in [...]' where either will do", last, entry, key)
		}
		last = entry
	}
}

// inPool makes of the pool that a task names the label that its workers have.
func (p *parser) inPool(t *job.Task, n *tree.Node) {
	at := n.Get("pool")
	if at == nil || job.CheckName(at.Text) != nil { // which has been said
		return
	}
	label := poolLabel + "=" + at.Text
	for _, other := range t.Where {
		if match.IsLabel(other) && strings.HasPrefix(other, poolLabel+"=") && other != label {
			p.Bad(at, "where asks for %s, and a worker is in one pool; leave one of them out", other)
			return
		}
	}
	t.Where = append(t.Where, label)
	slices.Sort(t.Where)
	if t.Where = slices.Compact(t.Where); len(t.Where) > maxWhere {
		p.Fail(n.Get("where"), "has %d labels with the pool; at most %d are allowed", len(t.Where), maxWhere)
	}
}

// poolLabel is the label that says which pool a worker is in.
const poolLabel = "pool"

// share reads what elements may have in common, zone, or {by: zone, key: web} for all elements of a key.
func (p *parser) share(n *tree.Node) (s job.Share) {
	const long = "{by: worker, key: heavy-disk}"
	if n.Kind != tree.Mapping {
		s.By = p.shared(n)
		return s
	}
	p.fields(n, []field{
		{"by", func(n *tree.Node) { s.By = p.shared(n) }},
		{"key", func(n *tree.Node) {
			if s.Key = p.filled(n, "a key such as heavy-disk", job.MaxName); s.Key != "" && len(s.Key) <= job.MaxName && !strings.Contains(s.Key, expr.Open) {
				p.checkName(n, s.Key)
			}
		}},
	}, nil)
	switch {
	case n.Get("by") == nil:
		p.Fail(n, "does not say by what; want %s", long)
	case n.Get("key") == nil:
		p.Fail(n, "has no key; want %s, or %s alone for the elements of this task", long, cmp.Or(s.By, job.AtWorker))
	}
	return s
}

// shared reads the worker, or a label.
func (p *parser) shared(n *tree.Node) string {
	text := p.filled(n, "worker, or the key of a worker's label such as zone", match.MaxKey)
	if text != "" && !match.IsKey(text) {
		p.Bad(n, "want worker, or the key of a worker's label such as zone")
	}
	return text
}

// near reads which tasks a task would rather run where they did.
func (p *parser) near(n *tree.Node) []string {
	names := p.taskNames(n, "tasks that come before, to run where they ran")
	if len(names) > job.MaxNear {
		p.Fail(n, "has %d tasks; at most %d are allowed", len(names), job.MaxNear)
	}
	return names
}

// checkNear sees that a task is near those that have run before it.
func (g *graph) checkNear() {
	for i := range g.p.spec.Tasks {
		t, at := &g.p.spec.Tasks[i], g.p.tasks[i].node
		if len(t.Near) > 0 && t.Nodes > 0 {
			g.p.Fail(at.Get("near"), "does not go with nodes, which start on several workers at once; leave it out")
		}
		for k, name := range t.Near {
			switch u, ok := g.index[name]; {
			case name == "": // which has been said
			case !ok:
				g.p.Bad(nameNode(at, "near", k), "no task has this name; %s", tree.Suggest(name, g.names()))
			case !g.needsTask(i, u):
				g.p.Bad(nameNode(at, "near", k), "need not have run before %s; want a task that it needs, directly or through others", t.Name)
			}
		}
	}
}

// checkCompany refuses apart and spread where there is nothing to look at that starts one by one.
func (p *parser) checkCompany(t *job.Task, n *tree.Node) {
	for _, key := range [...]string{"apart", "spread"} {
		switch at := n.Get(key); {
		case at == nil:
		case t.Nodes > 0:
			p.Fail(at, "does not go with nodes, each of which is on a worker of its own; leave it out")
		case t.Array == nil && at.Kind != tree.Mapping:
			p.Fail(at, "is for arrays, and this task has one element; want a mapping such as {by: worker, key: heavy-disk} for all tasks with that key")
		}
	}
}
