package jobfile

import (
	"encoding/base64"
	"path"
	"strings"
	"time"
	"unicode"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/expr"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
	"github.com/reeve-scheduler/reeve/internal/match"
)

// Limits of small texts, in bytes.
const (
	maxLabelKey   = match.MaxKey
	maxLabelValue = 256
	maxKey        = 256
	maxPath       = 255
	// maxAfter bounds the jobs that one job waits for.
	maxAfter = 1000
)

// job reads the whole file.
func (p *parser) job(root *tree.Node) {
	if root.Kind != tree.Mapping {
		p.Bad(root, "a job file is a mapping of keys, such as run: echo hello")
		return
	}
	known := p.jobFields()
	actions := 0
	for _, key := range []string{"run", "command", "function"} {
		if root.Get(key) != nil {
			actions++
		}
	}
	switch {
	case root.Get("tasks") != nil:
		p.fields(root, append(known, field{"env", func(n *tree.Node) { p.spec.Env = p.env(n) }},
			field{"files", func(n *tree.Node) { p.spec.Files = p.files(n) }}, field{"tasks", p.taskList}), p.misplaced)
	case actions > 0:
		p.spec.Tasks = make([]job.Task, 1)
		p.tasks = []place{{node: root}}
		task := &p.spec.Tasks[0]
		task.Name = "main"
		p.fields(root, append(known, p.taskFields(task, &p.tasks[0])...), p.needsTasks)
		p.finishTask(task, root)
	default:
		known = append(known, field{"tasks", func(*tree.Node) {}}) // it may be what is misspelt
		p.fields(root, append(known, p.taskFields(&job.Task{}, &place{node: root})...), p.needsTasks)
		p.Fail(root, "the job has nothing to do; want run, command or function, or tasks")
	}
}

// concurrency reads a key: its text, or a mapping of key, limit, conflict and rate. A task's
// attempts can only wait for one another.
func (p *parser) concurrency(n *tree.Node, whole bool) *job.Concurrency {
	c := &job.Concurrency{Limit: 1}
	switch n.Kind {
	case tree.Scalar:
		c.Key = p.concurrencyKey(n)
		return c
	case tree.Sequence:
		p.Bad(n, "want a key such as deploy, or a mapping of key, limit, conflict and rate")
		return c
	}
	if n.Get("rate") != nil && n.Get("limit") == nil {
		c.Limit = 0
	}
	p.fields(n, []field{
		{"key", func(n *tree.Node) { c.Key = p.concurrencyKey(n) }},
		{"limit", func(n *tree.Node) { c.Limit = p.number(n, 1, job.MaxSlots) }},
		{"conflict", func(n *tree.Node) {
			if !whole && n.Kind == tree.Scalar && (n.Text == "cancel" || n.Text == "refuse") {
				p.Bad(n, "attempts of a task wait for one another; put concurrency at the top of the file, and the whole job does that")
				return
			}
			if err := c.Conflict.UnmarshalText([]byte(p.word(n, "queue", "cancel", "refuse"))); err != nil {
				c.Conflict = job.ConflictQueue
			}
		}},
		{"rate", func(n *tree.Node) { c.Rate = p.rate(n) }},
	}, nil)
	switch {
	case n.Get("key") == nil:
		p.Fail(n, "want a key: what shares it does not run at the same time")
	case c.Limit == 0 && c.Conflict != job.ConflictQueue:
		p.Fail(n.Get("conflict"), "goes with a limit; a rate makes wait only")
	}
	return c
}

func (p *parser) concurrencyKey(n *tree.Node) string {
	text, ok := p.text(n, "a key such as deploy or customer-${{ params.customer }}")
	if !ok || strings.Contains(text, expr.Open) {
		return text // what it comes to is known when the job is submitted
	}
	if err := job.CheckKey(text); err != nil {
		p.Bad(n, "%s", err.Error())
	}
	return text
}

// rate reads 10/s, or a mapping of count, per and burst.
func (p *parser) rate(n *tree.Node) *job.Rate {
	r := job.Rate{Burst: 1}
	var err error
	switch n.Kind {
	case tree.Sequence:
		p.Bad(n, "want a number in a time such as 10/s or 3/10m, or a mapping of count, per and burst")
		return &r
	case tree.Scalar:
		if r, err = job.ParseRate(n.Text); err != nil || r.Count == 0 {
			p.Bad(n, "want a number in a time such as 10/s, 100/h or 3/10m")
		}
		return &r
	}
	p.fields(n, []field{
		{"count", func(n *tree.Node) { r.Count = p.number(n, 1, job.MaxRateCount) }},
		{"per", func(n *tree.Node) { r.Per = p.duration(n, time.Millisecond) }},
		{"burst", func(n *tree.Node) { r.Burst = p.number(n, 1, job.MaxRateCount) }},
	}, nil)
	sound := r.Count >= 1 && r.Count <= job.MaxRateCount && time.Duration(r.Per) <= longest && r.Burst <= job.MaxRateCount // else it was told of
	if n.Get("count") == nil || n.Get("per") == nil {
		p.Fail(n, "want count and per, such as {count: 10, per: 1s}")
	} else if err = r.Check(); err != nil && sound {
		p.Fail(n, "%s", strings.TrimPrefix(err.Error(), "rate: "))
	}
	return &r
}

// misplaced explains a task's key beside tasks.
func (p *parser) misplaced(key string) string {
	for _, f := range p.taskFields(&job.Task{}, &place{}) {
		if f.key == key {
			return "is a key of a task; put it under tasks.NAME"
		}
	}
	return ""
}

// needsTasks explains keys that make sense between tasks only.
func (p *parser) needsTasks(key string) string {
	switch key {
	case "needs", "fetch", "near":
		return "this job has one task, which can't need another; put it under tasks.NAME, or use after to wait for a job"
	}
	return ""
}

// jobFields are the keys of a job that are not also a task's.
func (p *parser) jobFields() []field {
	s := p.spec
	return []field{
		{"name", func(n *tree.Node) { s.Name = p.name(n) }},
		{"namespace", func(n *tree.Node) { p.namespace = p.name(n) }},
		{"queue", func(n *tree.Node) { s.Queue = p.name(n) }},
		{"labels", func(n *tree.Node) { s.Labels = p.labels(n) }},
		{"priority", func(n *tree.Node) { s.Priority = p.priority(n) }},
		{"params", func(n *tree.Node) { s.Params = p.params(n) }},
		{"after", func(n *tree.Node) { s.After = p.after(n) }},
		{"deadline", func(n *tree.Node) { s.Deadline = p.moment(n, time.Millisecond) }},
		{"start_after", func(n *tree.Node) { s.StartAfter = p.moment(n, 0) }},
		{"start_before", func(n *tree.Node) { s.StartBefore = p.moment(n, time.Millisecond) }},
		{"concurrency", func(n *tree.Node) { s.Concurrency = p.concurrency(n, true) }},
		{"retention", func(n *tree.Node) { s.Retention = p.duration(n, time.Millisecond) }},
		{"idempotency_key", func(n *tree.Node) { s.IdempotencyKey = p.filled(n, "a key that repeats with the same submit", maxKey) }},
	}
}

func (p *parser) priority(n *tree.Node) int32 {
	const low, high = job.PriorityBackground, job.PriorityCritical
	if n.Kind == tree.Scalar {
		if class, ok := job.PriorityOf(n.Text); ok {
			return class
		}
	}
	value, ok := wholeNumber(n)
	if !ok || value < low || value > high {
		p.Bad(n, "want critical, high, normal, low, background or a whole number from %d to %d; higher runs first", low, high)
		return 0
	}
	return int32(value)
}

func (p *parser) labels(n *tree.Node) map[string]string {
	labels := map[string]string{}
	p.pairs(n, "a mapping of labels such as team: data", func(key, value *tree.Node) {
		if !match.IsKey(key.Text) {
			p.Bad(key, "want a label of small letters, digits, dots, dashes, underscores and slashes, at most %d", maxLabelKey)
		}
		labels[key.Text] = p.labelValue(value)
	})
	if len(labels) > job.MaxLabels {
		p.Fail(n, "has %d labels; at most %d are allowed", len(labels), job.MaxLabels)
	}
	return orNil(labels)
}

// orNil returns nil for an empty map, so that equal specs are equal values.
func orNil[V any](m map[string]V) map[string]V {
	if len(m) == 0 {
		return nil
	}
	return m
}

func (p *parser) labelValue(n *tree.Node) string {
	text, ok := p.anyText(n, "a label's value")
	switch {
	case !ok:
	case len(text) > maxLabelValue || strings.IndexFunc(text, unicode.IsControl) >= 0:
		p.Bad(n, "want a label's value: one line of at most %d bytes", maxLabelValue)
	case strings.Contains(text, expr.Open):
		p.Bad(n, "expressions are not evaluated in labels")
	}
	return text
}

// after reads the jobs to wait for: 4217, [4217, 4218] or {4217: done}.
func (p *parser) after(n *tree.Node) []job.After {
	const want = "a job id such as 4217, a list of ids, or a mapping of ids to conditions"
	var out []job.After
	seen := map[job.ID]bool{}
	add := func(at, condition *tree.Node) {
		a := job.After{}
		id, err := job.ID(0), error(nil)
		if at.Kind == tree.Scalar {
			id, err = job.ParseID(at.Text)
		}
		if at.Kind != tree.Scalar || err != nil {
			p.Bad(at, "want %s", want)
			return
		}
		if a.Job = id; condition != nil {
			a.Condition = p.condition(condition)
		}
		if seen[id] {
			p.Bad(at, "this job stands there twice")
		}
		seen[id] = true
		out = append(out, a)
	}
	item := func(n *tree.Node) {
		if n.Kind != tree.Mapping {
			add(n, nil)
			return
		}
		if id := n.Get("job"); id != nil {
			p.fields(n, []field{{"job", func(*tree.Node) {}}, {"condition", func(*tree.Node) {}}}, nil)
			add(id, n.Get("condition"))
			return
		}
		p.pairs(n, want, add)
	}
	if n.Kind == tree.Sequence {
		p.each(n, want, item)
	} else {
		item(n)
	}
	if len(out) > maxAfter {
		p.Fail(n, "has %d jobs; at most %d are allowed", len(out), maxAfter)
	}
	return out
}

// condition reads what a dependency waits for.
func (p *parser) condition(n *tree.Node) job.Condition {
	c, err := job.OnSucceeded, error(nil)
	if n.Kind == tree.Scalar {
		c, err = job.ParseCondition(n.Text)
	}
	if n.Kind != tree.Scalar || err != nil {
		p.Bad(n, "want a condition: succeeded, failed, done or any")
	}
	return c
}

// env reads environment variables; expressions in them are checked later.
func (p *parser) env(n *tree.Node) map[string]string {
	env := map[string]string{}
	p.pairs(n, "a mapping of variables such as LEVEL: debug", func(key, value *tree.Node) {
		switch {
		case !envName(key.Text):
			p.Bad(key, "want a variable's name of letters, digits and underscores that does not begin with a digit")
		case strings.HasPrefix(key.Text, "REEVE_"):
			p.Bad(key, "names that begin with REEVE_ are set by Reeve; choose another")
		}
		env[key.Text], _ = p.anyText(value, "a variable's value")
	})
	return orNil(env)
}

func envName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// files reads small files that travel with the job.
func (p *parser) files(n *tree.Node) map[string]job.File {
	files := map[string]job.File{}
	p.pairs(n, "a mapping of paths to texts such as config.ini: |", func(key, value *tree.Node) {
		name := key.Text
		if name == "" || len(name) > maxPath || strings.ContainsAny(name, "\x00\\") || path.IsAbs(name) ||
			path.Clean(name) != name || name == "." || name == ".." || strings.HasPrefix(name, "../") {
			p.Bad(key, "want a relative path without . and .. such as conf/app.ini, at most %d bytes", maxPath)
		}
		files[name] = p.fileOf(value)
	})
	return orNil(files)
}

func (p *parser) fileOf(n *tree.Node) job.File {
	const want = "the file's text, or a mapping of content (or base64) and mode"
	f := job.File{Mode: 0o644}
	if n.Kind == tree.Scalar {
		f.Content = p.content(n, want)
		return f
	}
	if n.Kind != tree.Mapping {
		p.Bad(n, "want %s", want)
		return f
	}
	p.fields(n, []field{
		{"content", func(n *tree.Node) { f.Content = p.content(n, "the file's text") }},
		{"base64", func(n *tree.Node) {
			data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Text), ""))
			if n.Kind != tree.Scalar || err != nil || len(data) == 0 {
				p.Bad(n, "want base64 of the file's bytes")
			}
			f.Base64 = data
		}},
		{"mode", func(n *tree.Node) {
			mode, err := job.ParseMode(n.Text)
			if n.Kind != tree.Scalar || err != nil {
				p.Bad(n, "want octal permission bits such as 0644 or 0755")
			}
			f.Mode = mode
		}},
	}, nil)
	if (n.Get("content") == nil) == (n.Get("base64") == nil) {
		p.Fail(n, "want either content or base64")
	}
	return f
}

// content reads a file's text, which may hold anything, NUL and expressions too.
func (p *parser) content(n *tree.Node, want string) string {
	if n.Kind != tree.Scalar || n.Null() {
		p.Bad(n, "want %s; an empty file is \"\"", want)
	}
	return n.Text
}
