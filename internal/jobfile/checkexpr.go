package jobfile

import (
	"path"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/expr"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

// exprError reports an expression that can't be read.
func (p *parser) exprError(n *tree.Node, err error) { p.Fail(n, "%s", err.Error()) }

// exprInScript reports an expression where its value would be read as code.
func (p *parser) exprInScript(n *tree.Node, text string) {
	at := text[strings.Index(text, expr.Open):] //nolint:gocritic // the caller found it
	if end := strings.Index(at, expr.Close); end >= 0 {
		at = at[:end+len(expr.Close)]
	}
	at = tree.Excerpt(at)
	p.Fail(n, `%s is not evaluated in a script, where its value would be read as code; write env: {VALUE: "%s"} and use "$VALUE"`, at, at)
}

// exprChecker sees that the expressions of one task have something to refer to.
type exprChecker struct {
	p *parser
	g *graph
	// task is the task's position, -1 for the job's own env.
	task int
	// inArray: the expression makes the array, which thus has no elements yet.
	inArray bool
}

func (p *parser) checkExpressions(root *tree.Node, g *graph) {
	shared := exprChecker{p: p, g: g, task: -1}
	shared.env(root.Get("env"), p.spec.Env)
	shared.key(root.Get("concurrency"), p.spec.Concurrency)
	for i := range p.spec.Tasks {
		t, n := &p.spec.Tasks[i], p.tasks[i].node
		c := exprChecker{p: p, g: g, task: i}
		c.env(n.Get("env"), t.Env)
		c.command(n.Get("command"), t)
		c.key(n.Get("concurrency"), t.Concurrency)
		if t.Array != nil && t.Array.From != "" {
			at := n.Get("array")
			if each := at.Get("each"); each != nil {
				at = each
			}
			array := exprChecker{p: p, g: g, task: i, inArray: true}
			array.text(at, t.Array.From)
		}
	}
}

func (c exprChecker) env(n *tree.Node, env map[string]string) {
	if n == nil {
		return
	}
	for i, key := range n.Keys {
		if value, ok := env[key.Text]; ok && n.Items[i].Kind == tree.Scalar {
			c.text(n.Items[i], value)
		}
	}
}

// command checks arguments, and refuses expressions in an argument that a shell or
// an interpreter reads as code.
func (c exprChecker) command(n *tree.Node, t *job.Task) {
	for i, arg := range t.Command {
		if !strings.Contains(arg, expr.Open) {
			continue
		}
		at := n.Items[i]
		if i > 0 && readsCode(t.Command[0], t.Command[i-1]) {
			c.p.exprInScript(at, arg)
			continue
		}
		c.text(at, arg)
	}
}

// key checks a concurrency key, which must be known when the job is submitted.
func (c exprChecker) key(n *tree.Node, of *job.Concurrency) {
	if of == nil {
		return
	}
	if at := n.Get("key"); at != nil {
		n = at
	}
	segments, err := expr.Parse(of.Key)
	if err != nil {
		c.p.exprError(n, err)
		return
	}
	for _, s := range segments {
		switch {
		case !s.IsPath:
		case s.Path.Root == expr.Param, s.Path.Root == expr.JobName:
			c.one(n, s.Path)
		default:
			c.p.Fail(n, "%s is not known when the job is submitted, as a key must be; want params or job.name", s.Path)
		}
	}
}

// readsCode reports whether a program reads the argument after flag as code.
func readsCode(program, flag string) bool {
	switch path.Base(program) {
	case "sh", "bash", "dash", "zsh", "ksh", "ash", "fish":
		return len(flag) > 1 && flag[0] == '-' && flag[1] != '-' && strings.HasSuffix(flag, "c")
	case "python", "python3":
		return flag == "-c"
	case "perl", "ruby", "node":
		return flag == "-e"
	}
	return false
}

// text checks every expression of a text.
func (c exprChecker) text(n *tree.Node, text string) {
	segments, err := expr.Parse(text)
	if err != nil {
		c.p.exprError(n, err)
		return
	}
	for _, s := range segments {
		if s.IsPath {
			c.one(n, s.Path)
		}
	}
}

func (c exprChecker) one(n *tree.Node, e expr.Path) {
	switch e.Root {
	case expr.Param:
		if _, ok := c.p.spec.Params[e.Key]; !ok {
			c.p.Fail(n, "%s: the job has no such parameter; %s", e, tree.Suggest(e.Key, sortedKeys(c.p.spec.Params)))
		}
	case expr.Output:
		c.output(n, e)
	case expr.Index, expr.Item:
		c.element(n, e)
	}
}

func (c exprChecker) element(n *tree.Node, e expr.Path) {
	if c.task < 0 {
		c.p.Fail(n, "%s is not known to the job as a whole; put it into the env of a task that is an array", e)
		return
	}
	t := &c.p.spec.Tasks[c.task]
	switch {
	case c.inArray:
		c.p.Fail(n, "%s is not known before the array is made", e)
	case t.Nodes > 0:
		c.p.Fail(n, "%s: nodes make no array; each rank finds its own number in $REEVE_RANK", e)
	case t.Array == nil:
		c.p.Fail(n, "%s: the task is not an array; give it array, such as array: 0-31", e)
	case e.Root == expr.Item && t.Array.Ranges != nil:
		c.p.Fail(n, "%s: the array has indexes but no items; use array.index, or give it each", e)
	}
}

func (c exprChecker) output(n *tree.Node, e expr.Path) {
	if c.task < 0 {
		c.p.Fail(n, "%s is not known to the job as a whole; put it into the env of a task that needs %s", e, e.Task)
		return
	}
	to, ok := c.g.index[e.Task]
	switch {
	case !ok:
		names := make([]string, len(c.p.spec.Tasks))
		for i, t := range c.p.spec.Tasks {
			names[i] = t.Name
		}
		c.p.Fail(n, "%s: no task has this name; %s", e, tree.Suggest(e.Task, names))
	case !c.g.needsTask(c.task, to):
		c.p.Fail(n, "%s: the task does not wait for %s; add it to needs", e, e.Task)
	case c.p.spec.Tasks[to].Array != nil && c.p.spec.Tasks[to].Nodes == 0:
		c.p.Fail(n, "%s: %s is an array, whose outputs are a list of one per element; use fetch: [%s] and read $REEVE_INPUTS/%s/outputs.jsonl",
			e, e.Task, e.Task, e.Task)
	}
}
