package jobfile

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/expr"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

const (
	maxScript   = 1 << 20
	maxArgs     = 10_000
	maxFunction = 256
	minLogLimit = 64 << 10
	maxLogLimit = 1 << 40
	maxMemory   = 1 << 50
	maxGrace    = 24 * time.Hour
)

// taskList reads tasks: a mapping of names to tasks, or a list of tasks with
// names.
func (p *parser) taskList(n *tree.Node) {
	count := len(n.Items)
	switch {
	case n.Kind == tree.Scalar || count == 0:
		p.Bad(n, "want a mapping of names to tasks, with at least one task")
		return
	case count > job.MaxTasks:
		p.Fail(n, "has %d tasks; at most %d are allowed", count, job.MaxTasks)
		return
	}
	p.spec.Tasks, p.tasks = make([]job.Task, count), make([]place, count)
	seen := make(map[string]bool, count)
	for i, item := range n.Items {
		task, at := &p.spec.Tasks[i], &p.tasks[i]
		at.node = item
		known := p.taskFields(task, at)
		known = append(known, field{"needs", func(n *tree.Node) { task.Needs, at.needs = p.needs(n) }},
			field{"fetch", func(n *tree.Node) {
				task.Fetch = p.taskNames(n, "needed tasks whose artifacts and outputs are fetched")
			}},
			field{"near", func(n *tree.Node) { task.Near = p.near(n) }})
		hint := p.jobsKey
		if n.Kind == tree.Mapping {
			task.Name = n.Keys[i].Text
			p.checkName(n.Keys[i], task.Name)
		} else {
			known = append(known, field{"name", func(n *tree.Node) { task.Name = p.name(n) }})
		}
		if item.Kind != tree.Mapping {
			p.Bad(item, "a task is a mapping of keys, such as run: echo hello")
			continue
		}
		p.fields(item, known, hint)
		if n.Kind == tree.Sequence {
			if item.Get("name") == nil {
				p.Fail(item, "a task in a list needs a name")
			} else if seen[task.Name] {
				p.Bad(item.Get("name"), "two tasks have this name")
			}
			seen[task.Name] = true
		}
		p.finishTask(task, item)
	}
}

// jobsKey explains a job's key inside a task.
func (p *parser) jobsKey(key string) string {
	for _, f := range p.jobFields() {
		if f.key == key && key != "name" {
			return "is a key of the job; put it at the top of the file"
		}
	}
	if key == "name" {
		return "the task's name is the key above; leave name out"
	}
	return ""
}

// taskFields are the keys of a task, but for those that only make sense between
// tasks.
func (p *parser) taskFields(t *job.Task, at *place) []field {
	return []field{
		{"array", func(n *tree.Node) { t.Array = p.array(n) }},
		{"nodes", func(n *tree.Node) { t.Nodes = p.number(n, 1, job.MaxNodes) }},
		{"run", func(n *tree.Node) { t.Run = p.run(n) }},
		{"command", func(n *tree.Node) { t.Command = p.command(n) }},
		{"function", func(n *tree.Node) { t.Function = p.filled(n, "a function's name", maxFunction) }},
		{"input", func(n *tree.Node) { t.Input = p.input(n) }},
		{"shell", func(n *tree.Node) { t.Shell = p.shell(n) }},
		{"env", func(n *tree.Node) { t.Env = p.env(n) }},
		{"stdin", func(n *tree.Node) { t.Stdin = p.stdin(n) }},
		{"files", func(n *tree.Node) { t.Files = p.files(n) }},
		{"workdir", func(n *tree.Node) { t.Workdir = p.workdir(n) }},
		{"where", func(n *tree.Node) { t.Where = p.where(n) }},
		{"pool", func(n *tree.Node) { p.name(n) }},
		{"prefer", func(n *tree.Node) { t.Prefer = p.prefer(n) }},
		{"apart", func(n *tree.Node) { t.Apart = p.share(n) }},
		{"spread", func(n *tree.Node) { t.Spread = p.share(n) }},
		{"resources", func(n *tree.Node) { t.Resources = p.resources(n, job.Resources{CPU: job.DefaultCPU}) }},
		{"either", func(*tree.Node) {}}, // read once resources are known
		{"timeout", func(n *tree.Node) { t.Timeout = p.duration(n, time.Millisecond) }},
		{"grace", func(n *tree.Node) {
			if t.Grace = p.duration(n, 0); time.Duration(t.Grace) > maxGrace && time.Duration(t.Grace) <= longest {
				p.Bad(n, "want a duration of at most %s", job.FormatDuration(maxGrace))
			}
		}},
		{"lost_after", func(n *tree.Node) { t.LostAfter = p.lost(n) }},
		{"retry", func(n *tree.Node) { t.Retry = p.retry(n, at.node) }},
		{"at_most_once", func(n *tree.Node) { t.AtMostOnce = p.boolean(n) }},
		{"max_fails", func(n *tree.Node) { t.MaxFails = p.maxFails(n) }},
		{"concurrency", func(n *tree.Node) { t.Concurrency = p.concurrency(n, false) }},
		{"log_limit", func(n *tree.Node) { t.LogLimit = p.size(n, minLogLimit, maxLogLimit) }},
	}
}

// finishTask fills in defaults and checks what keys say together.
func (p *parser) finishTask(t *job.Task, n *tree.Node) {
	if n.Get("resources") == nil {
		t.Resources.CPU = job.DefaultCPU
	}
	if either := n.Get("either"); either != nil {
		t.Either = p.either(either, t.Resources)
		t.Resources = common(t.Either, t.Resources)
	}
	if n.Get("grace") == nil {
		t.Grace = job.Duration(job.DefaultGrace)
	}
	if n.Get("log_limit") == nil {
		t.LogLimit = job.DefaultLogLimit
	}
	if n.Get("retry") == nil {
		t.Retry = defaultRetry()
	}
	p.inPool(t, n)
	p.checkAction(n)
	if t.Run != "" && n.Get("shell") == nil {
		t.Shell = shellOf(t.Run)
	}
	p.checkGrowth(t, n.Get("retry"))
	p.takeGiven(t)
	p.gang(t, n)
	p.checkCompany(t, n)
	if m := n.Get("max_fails"); m != nil && t.Array == nil {
		p.Fail(m, "is for arrays; this task has one element, whose failure is the task's")
	}
}

// gang makes the elements of a task that takes several workers at once, which are its ranks.
func (p *parser) gang(t *job.Task, n *tree.Node) {
	if t.Nodes == 0 {
		return
	}
	at := n.Get("nodes")
	switch {
	case n.Get("array") != nil:
		p.Fail(at, "stands beside array; want one of the two: an array's elements start one by one, nodes all at once")
	case t.Array != nil:
		p.Fail(at, "the items are for an array, whose elements start one by one, and nodes start all at once; submit a job for each item")
	}
	if m := n.Get("max_fails"); m != nil {
		p.Fail(m, "does not go with nodes, which succeed or fail together; leave it out")
	}
	if t.Concurrency != nil {
		p.Fail(n.Get("concurrency"), "is for single attempts, and nodes start together; put the key at the top of the file, for the job")
	}
	t.Array = job.Ranks(t.Nodes)
}

// checkAction sees that a task does one thing, and has only keys that go with it.
func (p *parser) checkAction(n *tree.Node) {
	var actions []*tree.Node
	for _, key := range []string{"run", "command", "function"} {
		if a := n.Get(key); a != nil {
			actions = append(actions, a)
		}
	}
	switch len(actions) {
	case 0:
		p.Fail(n, "has nothing to do; want one of run, command and function")
	case 1:
	default:
		p.Fail(actions[1], "stands beside %s; want only one of run, command and function", actions[0].Place())
	}
	if shell := n.Get("shell"); shell != nil && n.Get("run") == nil {
		p.Fail(shell, "goes with run only")
	}
	if input := n.Get("input"); input != nil && n.Get("function") == nil {
		p.Fail(input, "goes with function only; a process reads stdin, files or env")
	}
	if n.Get("function") != nil {
		for _, key := range []string{"stdin", "files", "workdir"} {
			if k := n.Get(key); k != nil {
				p.Fail(k, "goes with run and command only; a function gets input")
			}
		}
	}
}

func (p *parser) run(n *tree.Node) string {
	text, ok := p.text(n, "a shell script")
	switch {
	case !ok:
	case strings.TrimSpace(text) == "":
		p.Bad(n, "want a shell script")
	case len(text) > maxScript:
		p.Fail(n, "has %d bytes; at most %d are allowed", len(text), maxScript)
	case strings.Contains(text, expr.Open):
		p.exprInScript(n, text)
	}
	return text
}

// shellOf is how a script runs that does not say so: by its #! line, or by a
// shell that stops at the first command that fails.
func shellOf(script string) []string {
	if first, ok := strings.CutPrefix(script, "#!"); ok {
		first, _, _ = strings.Cut(first, "\n")
		if argv := strings.Fields(first); len(argv) > 0 {
			return argv
		}
	}
	return []string{"/bin/sh", "-e"}
}

func (p *parser) command(n *tree.Node) []string {
	if n.Kind == tree.Scalar && !n.Null() {
		p.Bad(n, "want a list such as [python3, main.py]; a line for a shell goes into run")
		return nil
	}
	if n.Kind != tree.Sequence || len(n.Items) == 0 {
		p.Bad(n, "want a list of a program and its arguments, such as [python3, main.py]")
		return nil
	}
	if len(n.Items) > maxArgs {
		p.Fail(n, "has %d arguments; at most %d are allowed", len(n.Items), maxArgs)
		return nil
	}
	args := make([]string, len(n.Items))
	for i, item := range n.Items {
		args[i], _ = p.anyText(item, "an argument")
	}
	if args[0] == "" && n.Items[0].Kind == tree.Scalar && n.Items[0].Quoted {
		p.Bad(n.Items[0], "want a program")
	}
	return args
}

func (p *parser) input(n *tree.Node) []byte {
	b := n.AppendJSON(nil)
	if len(b) > job.MaxPayload {
		p.Fail(n, "has %d bytes as JSON; at most %d are allowed", len(b), job.MaxPayload)
	}
	p.inputExpr(n)
	return b
}

// inputExpr refuses expressions, so that nobody waits for them to be evaluated.
func (p *parser) inputExpr(n *tree.Node) {
	for _, item := range n.Items {
		p.inputExpr(item)
	}
	if n.Kind == tree.Scalar && strings.Contains(n.Text, expr.Open) {
		p.Bad(n, "expressions are not evaluated in input; put them into env")
	}
}

func (p *parser) shell(n *tree.Node) []string {
	const want = "a shell and its options, such as bash or [bash, -eu]; the script's path is appended"
	var argv []string
	switch n.Kind {
	case tree.Sequence:
		for _, item := range n.Items {
			argv = append(argv, p.filled(item, "a shell or an option", maxPath))
		}
	case tree.Scalar:
		argv = strings.Fields(p.filled(n, want, maxPath))
	}
	if n.Kind == tree.Mapping || n.Kind == tree.Sequence && len(argv) == 0 {
		p.Bad(n, "want %s", want)
	}
	return argv
}

func (p *parser) stdin(n *tree.Node) string {
	if n.Kind != tree.Scalar || n.Null() {
		p.Bad(n, "want the text that the process reads from its standard input")
	}
	if len(n.Text) > job.MaxFiles {
		p.Fail(n, "has %d bytes; at most %d are allowed", len(n.Text), job.MaxFiles)
	}
	if strings.Contains(n.Text, expr.Open) {
		p.Bad(n, "expressions are not evaluated in stdin; put them into env and let the process read that")
	}
	return n.Text
}

func (p *parser) workdir(n *tree.Node) string {
	dir := p.filled(n, "an absolute path such as /data/work", 4096)
	if n.Kind == tree.Scalar && dir != "" && (!path.IsAbs(dir) || path.Clean(dir) != dir) {
		p.Bad(n, "want an absolute path without . and .. such as /data/work; leave workdir out for a fresh directory")
	}
	return dir
}

func (p *parser) lost(n *tree.Node) *job.Lost {
	if n.Kind == tree.Scalar && n.Text == "never" {
		return &job.Lost{Never: true}
	}
	if _, err := job.ParseDuration(n.Text); n.Kind != tree.Scalar || err != nil {
		p.Bad(n, "want a duration such as 60s, or never")
		return nil
	}
	return &job.Lost{After: p.duration(n, time.Second)}
}

// defaultRetry is the rule of a task that says nothing.
func defaultRetry() job.Retry {
	return job.Retry{MaxAttempts: job.DefaultMaxAttempts, OnLost: job.DefaultOnLost, Delay: job.Duration(job.DefaultDelay),
		Factor: job.DefaultFactor, MaxDelay: job.Duration(job.DefaultMaxDelay)}
}

func (p *parser) retry(n, task *tree.Node) job.Retry {
	r := defaultRetry()
	attempts := func(n *tree.Node) { r.MaxAttempts = int(p.number(n, 1, job.MaxAttemptsLimit)) }
	switch n.Kind {
	case tree.Sequence:
		p.Bad(n, "want a number of attempts, or a mapping such as {max_attempts: 3, delay: 10s}")
	case tree.Scalar:
		attempts(n)
	case tree.Mapping:
		p.fields(n, []field{
			{"max_attempts", attempts},
			{"on_timeout", func(n *tree.Node) {
				more := int(p.number(n, 0, job.MaxAttemptsLimit))
				r.OnTimeout = &more
			}},
			{"on_memory", func(n *tree.Node) {
				more := int(p.number(n, 0, job.MaxAttemptsLimit))
				r.OnMemory = &more
			}},
			{"max_memory", func(n *tree.Node) { r.MaxMemory = p.size(n, 1, maxMemory) }},
			{"on_lost", func(n *tree.Node) { r.OnLost = int(p.number(n, 0, job.MaxAttemptsLimit)) }},
			{"exit_codes", func(n *tree.Node) { r.ExitCodes = p.exitCodes(n) }},
			{"not_exit_codes", func(n *tree.Node) { r.NotExitCodes = p.exitCodes(n) }},
			{"delay", func(n *tree.Node) { r.Delay = p.duration(n, 0) }},
			{"factor", func(n *tree.Node) {
				factor, err := job.ParseFactor(n.Text)
				if n.Kind != tree.Scalar || err != nil {
					p.Bad(n, "want a number from 1 to 100 with at most two decimals, such as 2 or 1.5")
				}
				r.Factor = factor
			}},
			{"max_delay", func(n *tree.Node) { r.MaxDelay = p.duration(n, 0) }},
		}, nil)
		for _, code := range r.NotExitCodes {
			if slices.Contains(r.ExitCodes, code) {
				p.Bad(n.Get("not_exit_codes"), "%d is in exit_codes too: say once whether it is retried", code)
			}
		}
		if at := n.Get("max_delay"); at != nil && r.MaxDelay < r.Delay {
			p.Bad(at, "is shorter than delay (%s)", job.FormatDuration(time.Duration(r.Delay)))
		}
		if n.Get("max_delay") == nil {
			r.MaxDelay = max(r.MaxDelay, r.Delay)
		}
	}
	// on_lost stays allowed: it also counts workers that refused the attempt, which
	// thus never ran.
	if once := task.Get("at_most_once"); once != nil && (r.MaxAttempts > 1 || more(r.OnTimeout) || more(r.OnMemory)) {
		if value, _ := once.Bool(); value {
			p.Fail(n, "contradicts at_most_once, by which the task is never tried again; leave one of them out")
		}
	}
	return r
}

// more reports whether a budget of its own allows anything.
func more(budget *int) bool { return budget != nil && *budget > 0 }

func (p *parser) exitCodes(n *tree.Node) []int {
	var codes []int
	one := func(n *tree.Node) { codes = append(codes, int(p.number(n, 1, 255))) }
	if n.Kind == tree.Scalar {
		one(n)
	} else {
		p.each(n, "a list of exit codes such as [75, 137]", one)
		if n.Kind == tree.Sequence && len(codes) == 0 {
			p.Bad(n, "want at least one exit code")
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// maxFails reads 3, 5% or {percent: 5, running: cancel}.
func (p *parser) maxFails(n *tree.Node) *job.MaxFails {
	m := &job.MaxFails{Running: "finish", Pending: "skip"}
	percent := func(n *tree.Node, text string) {
		value, ok := wholeNumber(n.With(text))
		if !ok || value < 0 || value > 100 {
			p.Bad(n, "want a share from 0%% to 100%%")
		}
		m.Percent = value
	}
	count := func(n *tree.Node) {
		if text, ok := strings.CutSuffix(n.Text, "%"); ok && n.Kind == tree.Scalar {
			percent(n, text)
			return
		}
		m.Count = p.number(n, 0, job.MaxElements)
	}
	switch n.Kind {
	case tree.Scalar:
		if _, ok := wholeNumber(n); !ok && !strings.HasSuffix(n.Text, "%") {
			p.Bad(n, "want a number of elements such as 3, a share such as 5%%, or a mapping of count or percent, running and pending")
			break
		}
		count(n)
	case tree.Sequence:
		p.Bad(n, "want a number of elements such as 3, a share such as 5%%, or a mapping of count or percent, running and pending")
	case tree.Mapping:
		p.fields(n, []field{
			{"count", func(n *tree.Node) { m.Count = p.number(n, 0, job.MaxElements) }},
			{"percent", func(n *tree.Node) { percent(n, strings.TrimSuffix(n.Text, "%")) }},
			{"running", func(n *tree.Node) { m.Running = p.word(n, "finish", "cancel") }},
			{"pending", func(n *tree.Node) { m.Pending = p.word(n, "skip", "run") }},
		}, nil)
		if (n.Get("count") == nil) == (n.Get("percent") == nil) {
			p.Fail(n, "want either count or percent")
		}
	}
	return m
}

// needs reads the tasks to wait for, with one node for each.
func (p *parser) needs(n *tree.Node) (needs []job.Need, at []*tree.Node) {
	const want = "a task's name, a list of names, or a mapping of names to conditions"
	seen := map[string]bool{}
	add := func(name, rule *tree.Node) {
		text, ok := p.text(name, "a task's name")
		if !ok {
			return
		}
		need := job.Need{Task: text}
		if rule != nil {
			p.needRule(rule, &need)
		}
		if seen[text] {
			p.Bad(name, "this task is needed twice")
		}
		seen[text] = true
		needs, at = append(needs, need), append(at, name)
	}
	switch n.Kind {
	case tree.Scalar:
		add(n, nil)
	case tree.Mapping:
		p.pairs(n, want, add)
	case tree.Sequence:
		for _, item := range n.Items {
			switch {
			case item.Kind == tree.Mapping && item.Get("task") != nil:
				add(item.Get("task"), item)
			case item.Kind == tree.Mapping:
				p.Fail(item, "want a task's name, or a mapping of task, condition and each")
			default:
				add(item, nil)
			}
		}
	}
	return needs, at
}

// needRule reads succeeded, {each: succeeded}, {condition: done, each: true}.
func (p *parser) needRule(n *tree.Node, need *job.Need) {
	if n.Kind == tree.Scalar {
		need.Condition = p.condition(n)
		return
	}
	if n.Kind == tree.Sequence {
		p.Bad(n, "want a condition, or a mapping of condition and each")
		return
	}
	p.fields(n, []field{
		{"task", func(*tree.Node) {}},
		{"condition", func(n *tree.Node) { need.Condition = p.condition(n) }},
		{"each", func(each *tree.Node) {
			if value, ok := each.Bool(); ok {
				need.Each = value
				return
			}
			need.Each = true
			if n.Get("condition") != nil {
				p.Bad(each, "want true or false beside condition")
				return
			}
			need.Condition = p.condition(each)
		}},
	}, nil)
}

// taskNames reads the names of tasks, none of them twice.
func (p *parser) taskNames(n *tree.Node, of string) []string {
	var names []string
	one := func(n *tree.Node) {
		name, ok := p.text(n, "the name of a task")
		if ok && slices.Contains(names, name) {
			p.Bad(n, "this task stands there twice")
		}
		names = append(names, name)
	}
	if n.Kind == tree.Scalar {
		one(n)
	} else {
		p.each(n, "a list of "+of, one)
	}
	return names
}

// nameNode is the node of the i-th of the names that a key of a task has.
func nameNode(task *tree.Node, key string, i int) *tree.Node {
	n := task.Get(key)
	return cmp.Or(itemOf(n, i), n)
}

func itemOf(n *tree.Node, i int) *tree.Node {
	if n != nil && n.Kind == tree.Sequence && i < len(n.Items) {
		return n.Items[i]
	}
	return nil
}
