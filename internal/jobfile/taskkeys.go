package jobfile

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

const (
	maxScript   = 1 << 20
	maxArgs     = 10_000
	maxFunction = 256
	maxWhere    = 64
	minLogLimit = 64 << 10
	maxLogLimit = 1 << 40
	maxMemory   = 1 << 50
	maxGrace    = 24 * time.Hour
)

// taskList reads tasks: a mapping of names to tasks, or a list of tasks with
// names.
func (p *parser) taskList(n *node) {
	count := len(n.items)
	switch {
	case n.kind == scalar || count == 0:
		p.bad(n, "want a mapping of names to tasks, with at least one task")
		return
	case count > job.MaxTasks:
		p.fail(n, "has %d tasks; at most %d are allowed", count, job.MaxTasks)
		return
	}
	p.spec.Tasks, p.tasks = make([]job.Task, count), make([]place, count)
	seen := make(map[string]bool, count)
	for i, item := range n.items {
		task, at := &p.spec.Tasks[i], &p.tasks[i]
		at.node = item
		known := p.taskFields(task, at)
		known = append(known, field{"needs", func(n *node) { task.Needs, at.needs = p.needs(n) }},
			field{"fetch", func(n *node) { task.Fetch = p.fetch(n) }})
		hint := p.jobsKey
		if n.kind == mapping {
			task.Name = n.keys[i].text
			p.checkName(n.keys[i], task.Name)
		} else {
			known = append(known, field{"name", func(n *node) { task.Name = p.name(n) }})
		}
		if item.kind != mapping {
			p.bad(item, "a task is a mapping of keys, such as run: echo hello")
			continue
		}
		p.fields(item, known, hint)
		if n.kind == sequence {
			if item.get("name") == nil {
				p.fail(item, "a task in a list needs a name")
			} else if seen[task.Name] {
				p.bad(item.get("name"), "two tasks have this name")
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
		{"array", func(n *node) { t.Array = p.array(n) }},
		{"run", func(n *node) { t.Run = p.run(n) }},
		{"command", func(n *node) { t.Command = p.command(n) }},
		{"function", func(n *node) { t.Function = p.filled(n, "a function's name", maxFunction) }},
		{"input", func(n *node) { t.Input = p.input(n) }},
		{"shell", func(n *node) { t.Shell = p.shell(n) }},
		{"env", func(n *node) { t.Env = p.env(n) }},
		{"stdin", func(n *node) { t.Stdin = p.stdin(n) }},
		{"files", func(n *node) { t.Files = p.files(n) }},
		{"workdir", func(n *node) { t.Workdir = p.workdir(n) }},
		{"where", func(n *node) { t.Where = p.where(n) }},
		{"resources", func(n *node) { t.Resources = p.resources(n) }},
		{"timeout", func(n *node) { t.Timeout = p.duration(n, time.Millisecond) }},
		{"grace", func(n *node) {
			if t.Grace = p.duration(n, 0); time.Duration(t.Grace) > maxGrace && time.Duration(t.Grace) <= longest {
				p.bad(n, "want a duration of at most %s", job.FormatDuration(maxGrace))
			}
		}},
		{"lost_after", func(n *node) { t.LostAfter = p.lost(n) }},
		{"retry", func(n *node) { t.Retry = p.retry(n, at.node) }},
		{"at_most_once", func(n *node) { t.AtMostOnce = p.boolean(n) }},
		{"max_fails", func(n *node) { t.MaxFails = p.maxFails(n) }},
		{"log_limit", func(n *node) { t.LogLimit = p.size(n, minLogLimit, maxLogLimit) }},
	}
}

// finishTask fills in defaults and checks what keys say together.
func (p *parser) finishTask(t *job.Task, n *node) {
	if n.get("resources") == nil {
		t.Resources.CPU = job.DefaultCPU
	}
	if n.get("grace") == nil {
		t.Grace = job.Duration(job.DefaultGrace)
	}
	if n.get("log_limit") == nil {
		t.LogLimit = job.DefaultLogLimit
	}
	if n.get("retry") == nil {
		t.Retry = defaultRetry(n)
	}
	p.checkAction(t, n)
	if t.Run != "" && n.get("shell") == nil {
		t.Shell = shellOf(t.Run)
	}
	if m := n.get("max_fails"); m != nil && n.get("array") == nil {
		p.fail(m, "is for arrays; this task has one element, whose failure is the task's")
	}
}

// checkAction sees that a task does one thing, and has only keys that go with it.
func (p *parser) checkAction(t *job.Task, n *node) {
	var actions []*node
	for _, key := range []string{"run", "command", "function"} {
		if a := n.get(key); a != nil {
			actions = append(actions, a)
		}
	}
	switch len(actions) {
	case 0:
		p.fail(n, "has nothing to do; want one of run, command and function")
	case 1:
	default:
		p.fail(actions[1], "stands beside %s; want only one of run, command and function", actions[0].place)
	}
	if shell := n.get("shell"); shell != nil && n.get("run") == nil {
		p.fail(shell, "goes with run only")
	}
	if input := n.get("input"); input != nil && n.get("function") == nil {
		p.fail(input, "goes with function only; a process reads stdin, files or env")
	}
	if n.get("function") != nil {
		for _, key := range []string{"stdin", "files", "workdir"} {
			if k := n.get(key); k != nil {
				p.fail(k, "goes with run and command only; a function gets input")
			}
		}
	}
}

func (p *parser) run(n *node) string {
	text, ok := p.text(n, "a shell script")
	switch {
	case !ok:
	case strings.TrimSpace(text) == "":
		p.bad(n, "want a shell script")
	case len(text) > maxScript:
		p.fail(n, "has %d bytes; at most %d are allowed", len(text), maxScript)
	case strings.Contains(text, exprOpen):
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

func (p *parser) command(n *node) []string {
	if n.kind == scalar && !n.null() {
		p.bad(n, "want a list such as [python3, main.py]; a line for a shell goes into run")
		return nil
	}
	if n.kind != sequence || len(n.items) == 0 {
		p.bad(n, "want a list of a program and its arguments, such as [python3, main.py]")
		return nil
	}
	if len(n.items) > maxArgs {
		p.fail(n, "has %d arguments; at most %d are allowed", len(n.items), maxArgs)
		return nil
	}
	args := make([]string, len(n.items))
	for i, item := range n.items {
		args[i], _ = p.text(item, "an argument")
	}
	if args[0] == "" && n.items[0].kind == scalar && n.items[0].quoted {
		p.bad(n.items[0], "want a program")
	}
	return args
}

func (p *parser) input(n *node) []byte {
	b := n.appendJSON(nil)
	if len(b) > job.MaxPayload {
		p.fail(n, "has %d bytes as JSON; at most %d are allowed", len(b), job.MaxPayload)
	}
	p.inputExpr(n)
	return b
}

// inputExpr refuses expressions, so that nobody waits for them to be evaluated.
func (p *parser) inputExpr(n *node) {
	for _, item := range n.items {
		p.inputExpr(item)
	}
	if n.kind == scalar && strings.Contains(n.text, exprOpen) {
		p.bad(n, "expressions are not evaluated in input; put them into env")
	}
}

func (p *parser) shell(n *node) []string {
	const want = "a shell and its options, such as bash or [bash, -eu]; the script's path is appended"
	var argv []string
	switch n.kind {
	case sequence:
		for _, item := range n.items {
			argv = append(argv, p.filled(item, "a shell or an option", maxPath))
		}
	case scalar:
		argv = strings.Fields(p.filled(n, want, maxPath))
	}
	if n.kind == mapping || n.kind == sequence && len(argv) == 0 {
		p.bad(n, "want %s", want)
	}
	return argv
}

func (p *parser) stdin(n *node) string {
	if n.kind != scalar || n.null() {
		p.bad(n, "want the text that the process reads from its standard input")
	}
	if len(n.text) > job.MaxFiles {
		p.fail(n, "has %d bytes; at most %d are allowed", len(n.text), job.MaxFiles)
	}
	if strings.Contains(n.text, exprOpen) {
		p.bad(n, "expressions are not evaluated in stdin; put them into env and let the process read that")
	}
	return n.text
}

func (p *parser) workdir(n *node) string {
	dir := p.filled(n, "an absolute path such as /data/work", 4096)
	if n.kind == scalar && dir != "" && (!path.IsAbs(dir) || path.Clean(dir) != dir) {
		p.bad(n, "want an absolute path without . and .. such as /data/work; leave workdir out for a fresh directory")
	}
	return dir
}

// where reads labels of workers: [gpu, zone=b] or {zone: b}.
func (p *parser) where(n *node) []string {
	const want = "a list of worker labels such as [gpu, zone=b]"
	var out []string
	add := func(at *node, text string) {
		key, value, _ := strings.Cut(text, "=")
		if !labelKey(key) || len(value) > maxLabelValue {
			p.bad(at, "want a worker's label such as gpu or zone=b")
		}
		out = append(out, text)
	}
	one := func(n *node) {
		add(n, p.filled(n, "a worker's label such as gpu or zone=b", maxLabelKey+maxLabelValue+1))
	}
	switch n.kind {
	case scalar:
		one(n)
	case mapping:
		p.pairs(n, want, func(key, value *node) { add(key, key.text+"="+p.filled(value, "a label's value", maxLabelValue)) })
	default:
		p.each(n, want, one)
	}
	if len(out) > maxWhere {
		p.fail(n, "has %d labels; at most %d are allowed", len(out), maxWhere)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (p *parser) resources(n *node) job.Resources {
	r := job.Resources{CPU: job.DefaultCPU}
	if n.kind != mapping {
		p.bad(n, "want a mapping such as {cpu: 2, memory: 512Mi}")
		return r
	}
	p.fields(n, []field{
		{"cpu", func(n *node) {
			cpu, err := job.ParseCPU(n.text)
			if n.kind != scalar || err != nil {
				p.bad(n, "want processors such as 2, 0.5 or 500m, at most %d", job.MaxCPU/1000)
			}
			r.CPU = cpu
		}},
		{"memory", func(n *node) { r.Memory = p.size(n, 0, maxMemory) }},
	}, nil)
	return r
}

func (p *parser) lost(n *node) *job.Lost {
	if n.kind == scalar && n.text == "never" {
		return &job.Lost{Never: true}
	}
	if _, err := job.ParseDuration(n.text); n.kind != scalar || err != nil {
		p.bad(n, "want a duration such as 60s, or never")
		return nil
	}
	return &job.Lost{After: p.duration(n, time.Second)}
}

// defaultRetry is the rule of a task that says nothing. A task that may run once
// only has no budget for lost workers either.
func defaultRetry(task *node) job.Retry {
	r := job.Retry{MaxAttempts: job.DefaultMaxAttempts, OnLost: job.DefaultOnLost, Delay: job.Duration(job.DefaultDelay),
		Factor: job.DefaultFactor, MaxDelay: job.Duration(job.DefaultMaxDelay)}
	if once := task.get("at_most_once"); once != nil {
		if value, ok := once.boolean(); ok && value {
			r.OnLost = 0
		}
	}
	return r
}

func (p *parser) retry(n, task *node) job.Retry {
	r := defaultRetry(task)
	attempts := func(n *node) { r.MaxAttempts = int(p.number(n, 1, job.MaxAttemptsLimit)) }
	switch n.kind {
	case sequence:
		p.bad(n, "want a number of attempts, or a mapping such as {max_attempts: 3, delay: 10s}")
	case scalar:
		attempts(n)
	case mapping:
		p.fields(n, []field{
			{"max_attempts", attempts},
			{"on_timeout", func(n *node) {
				more := int(p.number(n, 0, job.MaxAttemptsLimit))
				r.OnTimeout = &more
			}},
			{"on_lost", func(n *node) { r.OnLost = int(p.number(n, 0, job.MaxAttemptsLimit)) }},
			{"exit_codes", func(n *node) { r.ExitCodes = p.exitCodes(n) }},
			{"not_exit_codes", func(n *node) { r.NotExitCodes = p.exitCodes(n) }},
			{"delay", func(n *node) { r.Delay = p.duration(n, 0) }},
			{"factor", func(n *node) {
				factor, err := job.ParseFactor(n.text)
				if n.kind != scalar || err != nil {
					p.bad(n, "want a number from 1 to 100 with at most two decimals, such as 2 or 1.5")
				}
				r.Factor = factor
			}},
			{"max_delay", func(n *node) { r.MaxDelay = p.duration(n, 0) }},
		}, nil)
		if at := n.get("max_delay"); at != nil && r.MaxDelay < r.Delay {
			p.bad(at, "is shorter than delay (%s)", job.FormatDuration(time.Duration(r.Delay)))
		}
		if n.get("max_delay") == nil {
			r.MaxDelay = max(r.MaxDelay, r.Delay)
		}
	}
	if once := task.get("at_most_once"); once != nil && (r.MaxAttempts > 1 || r.OnLost > 0 || r.OnTimeout != nil && *r.OnTimeout > 0) {
		if value, _ := once.boolean(); value {
			p.fail(n, "contradicts at_most_once, by which the task is never tried again; leave one of them out")
		}
	}
	return r
}

func (p *parser) exitCodes(n *node) []int {
	var codes []int
	one := func(n *node) { codes = append(codes, int(p.number(n, 1, 255))) }
	if n.kind == scalar {
		one(n)
	} else {
		p.each(n, "a list of exit codes such as [75, 137]", one)
		if n.kind == sequence && len(codes) == 0 {
			p.bad(n, "want at least one exit code")
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// maxFails reads 3, 5% or {percent: 5, running: cancel}.
func (p *parser) maxFails(n *node) *job.MaxFails {
	m := &job.MaxFails{Running: "finish", Pending: "skip"}
	percent := func(n *node, text string) {
		m.Percent = p.number(&node{kind: n.kind, text: text, line: n.line, column: n.column, parent: n.parent, place: n.place}, 0, 100)
	}
	count := func(n *node) {
		if text, ok := strings.CutSuffix(n.text, "%"); ok && n.kind == scalar {
			percent(n, text)
			return
		}
		m.Count = p.number(n, 0, job.MaxElements)
	}
	switch n.kind {
	case scalar:
		if _, ok := wholeNumber(n); !ok && !strings.HasSuffix(n.text, "%") {
			p.bad(n, "want a number of elements such as 3, a share such as 5%%, or a mapping of count or percent, running and pending")
			break
		}
		count(n)
	case sequence:
		p.bad(n, "want a number of elements such as 3, a share such as 5%%, or a mapping of count or percent, running and pending")
	case mapping:
		p.fields(n, []field{
			{"count", func(n *node) { m.Count = p.number(n, 0, job.MaxElements) }},
			{"percent", func(n *node) { percent(n, strings.TrimSuffix(n.text, "%")) }},
			{"running", func(n *node) { m.Running = p.word(n, "finish", "cancel") }},
			{"pending", func(n *node) { m.Pending = p.word(n, "skip", "run") }},
		}, nil)
		if (n.get("count") == nil) == (n.get("percent") == nil) {
			p.fail(n, "want either count or percent")
		}
	}
	return m
}

// needs reads the tasks to wait for, with one node for each.
func (p *parser) needs(n *node) (needs []job.Need, at []*node) {
	const want = "a task's name, a list of names, or a mapping of names to conditions"
	seen := map[string]bool{}
	add := func(name, rule *node) {
		text, ok := p.text(name, "a task's name")
		if !ok {
			return
		}
		need := job.Need{Task: text}
		if rule != nil {
			p.needRule(rule, &need)
		}
		if seen[text] {
			p.bad(name, "this task is needed twice")
		}
		seen[text] = true
		needs, at = append(needs, need), append(at, name)
	}
	switch n.kind {
	case scalar:
		add(n, nil)
	case mapping:
		p.pairs(n, want, add)
	case sequence:
		for _, item := range n.items {
			switch {
			case item.kind == mapping && item.get("task") != nil:
				add(item.get("task"), item)
			case item.kind == mapping:
				p.fail(item, "want a task's name, or a mapping of task, condition and each")
			default:
				add(item, nil)
			}
		}
	}
	return needs, at
}

// needRule reads succeeded, {each: succeeded}, {condition: done, each: true}.
func (p *parser) needRule(n *node, need *job.Need) {
	if n.kind == scalar {
		need.Condition = p.condition(n)
		return
	}
	if n.kind == sequence {
		p.bad(n, "want a condition, or a mapping of condition and each")
		return
	}
	p.fields(n, []field{
		{"task", func(*node) {}},
		{"condition", func(n *node) { need.Condition = p.condition(n) }},
		{"each", func(each *node) {
			if value, ok := each.boolean(); ok {
				need.Each = value
				return
			}
			need.Each = true
			if n.get("condition") != nil {
				p.bad(each, "want true or false beside condition")
				return
			}
			need.Condition = p.condition(each)
		}},
	}, nil)
}

func (p *parser) fetch(n *node) []string {
	var names []string
	one := func(n *node) {
		name, ok := p.text(n, "the name of a needed task")
		if ok && slices.Contains(names, name) {
			p.bad(n, "this task stands there twice")
		}
		names = append(names, name)
	}
	if n.kind == scalar {
		one(n)
	} else {
		p.each(n, "a list of needed tasks whose artifacts and outputs are fetched", one)
	}
	return names
}

// fetchNode is the node of the i-th fetched name.
func fetchNode(task *node, i int) *node {
	n := task.get("fetch")
	return cmp.Or(itemOf(n, i), n)
}

func itemOf(n *node, i int) *node {
	if n != nil && n.kind == sequence && i < len(n.items) {
		return n.items[i]
	}
	return nil
}
