package jobfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

// check sees that the parts of a job fit together.
func (p *parser) check(root *tree.Node) {
	if len(p.tasks) == 0 {
		return
	}
	index := make(map[string]int, len(p.tasks))
	for i, t := range p.spec.Tasks {
		index[t.Name] = i
	}
	g := &graph{p: p, index: index}
	g.link()
	if g.order() {
		g.checkEach()
		g.checkNear()
		p.checkExpressions(root, g)
	}
	p.checkFetch()
	p.checkFiles(root)
	p.checkMoments(root)
	for _, t := range p.spec.Tasks {
		if t.CleanUp() {
			p.notes = append(p.notes, fmt.Sprintf("task %s is a clean-up task: all its needs say any, so it also runs after a cancel", t.Name))
		}
	}
}

// graph is the tasks and their needs by position.
type graph struct {
	p     *parser
	index map[string]int
	// needs are the positions that each task needs, in the order of its needs; -1
	// for what does not exist.
	needs [][]int
	// sorted is the tasks with every task after what it needs.
	sorted []int
	// upstream is, once made, one set of bits per task: what it needs, directly or
	// not.
	upstream [][]uint64
}

// link finds the tasks that needs name.
func (g *graph) link() {
	names := g.names()
	g.needs = make([][]int, len(names))
	for i, t := range g.p.spec.Tasks {
		for k, need := range t.Needs {
			to, ok := g.index[need.Task]
			if !ok {
				to = -1
				g.p.Bad(g.p.tasks[i].needs[k], "no task has this name; %s", tree.Suggest(need.Task, names))
			}
			g.needs[i] = append(g.needs[i], to)
		}
	}
}

func (g *graph) names() []string {
	names := make([]string, len(g.p.spec.Tasks))
	for i, t := range g.p.spec.Tasks {
		names[i] = t.Name
	}
	return names
}

// order sorts the tasks and reports a cycle if there is one.
func (g *graph) order() bool {
	const unseen, open, done = 0, 1, 2
	state := make([]uint8, len(g.needs))
	var path []int
	var visit func(i int) bool
	visit = func(i int) bool {
		state[i] = open
		path = append(path, i)
		for _, to := range g.needs[i] {
			if to < 0 || state[to] == done {
				continue
			}
			if state[to] == open {
				g.reportCycle(path[slices.Index(path, to):])
				return false
			}
			if !visit(to) {
				return false
			}
		}
		path = path[:len(path)-1]
		state[i] = done
		g.sorted = append(g.sorted, i)
		return true
	}
	for i := range g.needs {
		if state[i] == unseen && !visit(i) {
			return false
		}
	}
	return true
}

// reportCycle names a cycle from the task that stands first in the file, at the
// need that closes it.
func (g *graph) reportCycle(cycle []int) {
	first := slices.Index(cycle, slices.Min(cycle))
	cycle = append(slices.Clone(cycle[first:]), cycle[:first]...)
	const most = 20
	var b strings.Builder
	for i, t := range cycle {
		if i == most && len(cycle) > most+1 {
			b.WriteString("… -> ")
			break
		}
		b.WriteString(g.p.spec.Tasks[t].Name + " -> ")
	}
	b.WriteString(g.p.spec.Tasks[cycle[0]].Name)
	at := g.p.tasks[cycle[0]].node
	next := cycle[(1)%len(cycle)]
	if k := slices.Index(g.needs[cycle[0]], next); k >= 0 {
		at = g.p.tasks[cycle[0]].needs[k]
	}
	g.p.Fail(at, "tasks need each other in a circle: %s; leave one of these needs out", b.String())
}

// checkEach sees that element-wise needs join arrays of the same indexes.
func (g *graph) checkEach() {
	if g.p.given != nil && g.p.given.Array == nil {
		return
	}
	for i := range g.p.spec.Tasks {
		t := &g.p.spec.Tasks[i]
		for k, need := range t.Needs {
			if !need.Each || g.needs[i][k] < 0 {
				continue
			}
			other := &g.p.spec.Tasks[g.needs[i][k]]
			at := g.p.tasks[i].needs[k]
			switch {
			case other.Array == nil:
				g.p.Fail(at, "each waits element by element, but %s is not an array", other.Name)
			case t.Nodes > 0 || other.Nodes > 0:
				g.p.Fail(at, "each waits element by element, and the elements of nodes start and end together; leave each out")
			case t.Array == nil:
				g.p.Fail(at, "each waits element by element, but %s is not an array; give it the array of %s", t.Name, other.Name)
			case !sameIndexes(t.Array, other.Array):
				g.p.Fail(at, "each needs equal indexes: %s has %s, %s has %s", t.Name, describe(t.Array), other.Name, describe(other.Array))
			}
		}
	}
}

func sameIndexes(a, b *job.Array) bool {
	if a.From != "" || b.From != "" {
		return a.From == b.From
	}
	return slices.Equal(spans(a), spans(b))
}

// spans is the indexes of an array that is not made by an expression.
func spans(a *job.Array) []job.Range {
	if a.Ranges != nil {
		return a.Ranges
	}
	return []job.Range{{First: 0, Last: a.Len() - 1, Step: 1}}
}

func describe(a *job.Array) string {
	if a.From != "" {
		return a.From
	}
	return tree.Excerpt(job.FormatRanges(spans(a)))
}

// above returns the set of what a task needs, directly or not.
func (g *graph) above(i int) []uint64 {
	if g.upstream == nil {
		words := (len(g.needs) + 63) / 64
		g.upstream = make([][]uint64, len(g.needs))
		for _, t := range g.sorted {
			set := make([]uint64, words)
			for _, to := range g.needs[t] {
				if to < 0 {
					continue
				}
				set[to/64] |= 1 << (to % 64)
				for w, bits := range g.upstream[to] {
					set[w] |= bits
				}
			}
			g.upstream[t] = set
		}
	}
	return g.upstream[i]
}

// needsTask reports whether task i needs task to, directly or not.
func (g *graph) needsTask(i, to int) bool {
	if slices.Contains(g.needs[i], to) {
		return true
	}
	return g.above(i)[to/64]&(1<<(to%64)) != 0
}

func (p *parser) checkFetch() {
	for i, t := range p.spec.Tasks {
		for k, name := range t.Fetch {
			needed := slices.ContainsFunc(t.Needs, func(n job.Need) bool { return n.Task == name })
			if !needed && name != "" {
				names := make([]string, len(t.Needs))
				for j, n := range t.Needs {
					names[j] = n.Task
				}
				p.Bad(nameNode(p.tasks[i].node, "fetch", k), "only tasks that stand in needs can be fetched; %s", tree.Suggest(name, names))
			}
		}
	}
}

// checkFiles bounds all files together and refuses a path that another one would
// need as a directory.
func (p *parser) checkFiles(root *tree.Node) {
	total := 0
	weigh := func(files map[string]job.File) {
		for _, name := range sortedKeys(files) {
			total += len(files[name].Content) + len(files[name].Base64)
		}
	}
	weigh(p.spec.Files)
	for _, t := range p.spec.Tasks {
		weigh(t.Files)
	}
	if total > job.MaxFiles {
		p.Fail(root, "the files have %d bytes together; at most %d are allowed: put large data into a shared directory", total, job.MaxFiles)
	}
	for i, t := range p.spec.Tasks {
		if len(t.Files) == 0 && i > 0 {
			continue
		}
		names := append(sortedKeys(t.Files), sortedKeys(p.spec.Files)...)
		slices.Sort(names)
		for k := 1; k < len(names); k++ {
			// Bytes below '/' may stand between a path and what is below it, so every
			// shorter name on the way is looked up.
			for at := 0; ; {
				next := strings.IndexByte(names[k][at:], '/')
				if next < 0 {
					break
				}
				dir := names[k][:at+next]
				// A path with an empty step was told of where it was read.
				if _, found := slices.BinarySearch(names, dir); found && dir != "" && !strings.Contains(names[k], "//") {
					files := cmp.Or(p.tasks[i].node.Get("files"), root.Get("files"), root)
					p.Fail(cmp.Or(files.Get(names[k]), files), "%s is a file, so that %s can't be below it", dir, names[k])
				}
				at += next + 1
			}
		}
	}
}

// checkMoments refuses moments that contradict each other, where that is certain.
func (p *parser) checkMoments(root *tree.Node) {
	s := p.spec
	for _, pair := range []struct {
		early, late         *job.Moment
		earlyName, lateName string
	}{
		{s.StartAfter, s.StartBefore, "start_after", "start_before"},
		{s.StartAfter, s.Deadline, "start_after", "deadline"},
	} {
		if pair.early == nil || pair.late == nil || pair.early.At.IsZero() != pair.late.At.IsZero() {
			continue
		}
		if pair.late.Resolve(0) <= pair.early.Resolve(0) && root.Get(pair.lateName) != nil {
			p.Fail(root.Get(pair.lateName), "is not after %s, so that the job could never run", pair.earlyName)
		}
	}
	var timeout time.Duration
	for i, t := range s.Tasks {
		if timeout = time.Duration(t.Timeout); s.Deadline != nil && s.Deadline.At.IsZero() && timeout > time.Duration(s.Deadline.In) {
			p.notes = append(p.notes, fmt.Sprintf("task %s: its timeout (%s) is longer than the job's deadline (%s), which ends it first",
				s.Tasks[i].Name, job.FormatDuration(timeout), job.FormatDuration(time.Duration(s.Deadline.In))))
		}
	}
}
