package workspace

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/jobfile/expr"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// dirs is where things are in an attempt's directory.
type dirs struct {
	root, files, temp, inputs, output, artifacts, script, stdin string
}

func dirsOf(root string) dirs {
	return dirs{
		root: root, files: root + "/work", temp: root + "/tmp", inputs: root + "/inputs", output: root + "/output",
		artifacts: root + "/artifacts", script: root + "/script", stdin: root + "/stdin",
	}
}

// builder turns one assignment into a task for an executor.
type builder struct {
	worker string
	// base is what every attempt's environment begins with.
	base map[string]string
	w    *link.Assignment
	task *job.Task
	// item is the element's, nil if the array has none.
	item  *string
	scope *expr.Scope
}

func newBuilder(worker string, base map[string]string, w *link.Assignment) *builder {
	b := &builder{worker: worker, base: base, w: w, task: &w.Spec.Tasks[w.Task]}
	switch a := b.task.Array; {
	case w.HasItem:
		b.item = &w.Item
	case a != nil && w.Position >= 0 && w.Position < int64(len(a.Items)):
		b.item = &a.Items[w.Position]
	}
	return b
}

func failure(kind job.CauseKind, format string, args ...any) job.Cause {
	return job.Cause{Kind: kind, Detail: fmt.Sprintf(format, args...)}.Trim()
}

// expand replaces the expressions of a text, which most have none of.
func (b *builder) expand(where, text string) (string, job.Cause) {
	if !strings.Contains(text, "${{") {
		return text, job.Cause{}
	}
	if b.scope == nil {
		s, err := b.newScope()
		if err != nil {
			return "", failure(job.CauseExpression, "%v", err)
		}
		b.scope = s
	}
	value, err := expr.Expand(text, b.scope)
	if err != nil {
		return "", failure(job.CauseExpression, "%s: %v", where, err)
	}
	return value, job.Cause{}
}

func (b *builder) newScope() (*expr.Scope, error) {
	s := &expr.Scope{
		JobID: b.w.Job, JobName: b.w.Spec.Name, Index: b.w.Index, Item: b.item,
		Outputs: map[string]map[string]string{},
	}
	if len(b.w.Params) > 0 {
		p, err := jobfile.DecodeParams(b.w.Params)
		if err != nil {
			return nil, fmt.Errorf("parameters: %w", err)
		}
		s.Params = p
	}
	for _, o := range b.w.Outputs {
		values := map[string]string{}
		if len(o.Outputs) > 0 {
			if err := json.Unmarshal(o.Outputs, &values); err != nil {
				return nil, fmt.Errorf("outputs of task %s: %w", o.Task, err)
			}
		}
		s.Outputs[o.Task] = values
	}
	return s, nil
}

// common is the parts of a task that every executor gets.
func (b *builder) common(key string) executor.Task {
	return executor.Task{
		Key: key, Ref: b.w.Ref(), LogLimit: max(b.task.LogLimit, 64<<10),
		Grace: time.Duration(b.task.Grace), Timeout: time.Duration(b.task.Timeout),
	}
}

// function makes a task for the function executor. Its environment is what a process
// would have of Reeve and of the user, without the machine's.
func (b *builder) function(key, dir string, wall func() int64) (executor.Task, job.Cause) {
	t := b.common(key)
	t.Dir, t.Function, t.Payload = dir, b.task.Function, b.w.Payload
	if t.Payload == nil {
		t.Payload = b.task.Input
	}
	if t.Payload == nil && b.item != nil {
		p, err := json.Marshal(*b.item)
		if err != nil {
			return t, failure(job.CauseRejected, "item: %v", err)
		}
		t.Payload = p
	}
	t.Fence, t.Proof = uint64(b.w.Fence), b.w.Proof
	var vars map[string]string
	if len(b.w.Spec.Env)+len(b.task.Env) > 0 {
		vars = map[string]string{}
		if c := b.userEnv(vars); c.Kind != job.CauseNone {
			return t, c
		}
	}
	end := b.deadline(wall)
	t.Environ = func() []string {
		env := newEnvList(len(vars))
		for _, k := range slices.Sorted(maps.Keys(vars)) {
			env.add(k, vars[k])
		}
		b.reeveEnv(env.add, end)
		if len(b.w.Params) > len("{}") {
			env.add("REEVE_PARAMS", string(b.w.Params))
		}
		return env.list()
	}
	return t, job.Cause{}
}

// envList collects variables in one piece of memory, since functions are many and
// short.
type envList struct {
	text []byte
	ends []int
}

func newEnvList(more int) *envList {
	return &envList{text: make([]byte, 0, 512), ends: make([]int, 0, 24+more)}
}

func (l *envList) add(k, v string) {
	l.text = append(append(append(l.text, k...), '='), v...)
	l.ends = append(l.ends, len(l.text))
}

func (l *envList) list() []string {
	all, at := string(l.text), 0
	out := make([]string, len(l.ends), len(l.ends)+4)
	for i, end := range l.ends {
		out[i], at = all[at:end], end
	}
	return out
}

// process makes a task for the process executor, whose directory is d.
func (b *builder) process(key string, d dirs, wall func() int64) (executor.Task, job.Cause) {
	t := b.common(key)
	t.Dir, t.Work = d.root, d.files
	if b.task.Workdir != "" {
		t.Work = b.task.Workdir
		if !strings.HasPrefix(t.Work, "/") {
			t.Work = d.files + "/" + t.Work
		}
	}
	if b.task.Stdin != "" {
		t.Stdin = d.stdin
	}
	if b.task.Run != "" {
		t.Argv = append(slices.Clone(b.task.Shell), d.script)
	}
	for i, arg := range b.task.Command {
		v, c := b.expand("command["+strconv.Itoa(i)+"]", arg)
		if c.Kind != job.CauseNone {
			return t, c
		}
		t.Argv = append(t.Argv, v)
	}
	vars := make(map[string]string, 40)
	maps.Copy(vars, b.base)
	vars["TMPDIR"] = d.temp
	if c := b.userEnv(vars); c.Kind != job.CauseNone {
		return t, c
	}
	b.reeveEnv(func(k, v string) { vars[k] = v }, b.deadline(wall))
	vars["REEVE_WORK_DIR"], vars["REEVE_FILES"] = t.Work, d.files
	vars["REEVE_OUTPUT"], vars["REEVE_ARTIFACTS"], vars["REEVE_INPUTS"] = d.output, d.artifacts, d.inputs
	t.Env = flat(vars)
	for _, s := range slices.Concat(t.Argv, t.Env) {
		if strings.ContainsRune(s, 0) {
			return t, failure(job.CauseStart, "%.40q has a zero byte, which no process can be given", s)
		}
	}
	return t, job.Cause{}
}

// userEnv adds the job's and the task's variables.
func (b *builder) userEnv(vars map[string]string) job.Cause {
	for _, env := range []map[string]string{b.w.Spec.Env, b.task.Env} {
		for _, k := range slices.Sorted(maps.Keys(env)) {
			v, c := b.expand("env."+k, env[k])
			if c.Kind != job.CauseNone {
				return c
			}
			vars[k] = v
		}
	}
	return job.Cause{}
}

// reeveEnv adds what Reeve says of the attempt; nothing of the user's stands before it.
func (b *builder) reeveEnv(add func(k, v string), end int64) {
	w := b.w
	number := func(k string, n int64) { add(k, strconv.FormatInt(n, 10)) }
	add("REEVE_JOB_ID", w.Job.String())
	add("REEVE_JOB_NAME", w.Spec.Name)
	add("REEVE_NAMESPACE", w.Namespace)
	add("REEVE_TASK", b.task.Name)
	add("REEVE_WORKER", b.worker)
	add("REEVE_FENCE", strconv.FormatUint(uint64(w.Fence), 10))
	number("REEVE_ATTEMPT", int64(w.Attempt))
	number("REEVE_RETRY", int64(max(w.Attempt-1, 0)))
	number("REEVE_MAX_ATTEMPTS", int64(b.task.Retry.MaxAttempts))
	given := w.Resources()
	add("REEVE_CPUS", job.FormatCPU(given.CPU))
	if m := given.Memory; m > 0 {
		number("REEVE_MEMORY", m)
	}
	b.resourceEnv(add, given.Other)
	if b.task.Nodes > 0 {
		number("REEVE_RANK", w.Position)
		number("REEVE_NODES", b.task.Nodes)
		add("REEVE_HOSTS", strings.Join(w.Hosts, ","))
	} else if b.task.Array != nil {
		number("REEVE_ARRAY_INDEX", w.Index)
		number("REEVE_ARRAY_MIN", w.First)
		number("REEVE_ARRAY_MAX", w.Last)
		number("REEVE_ARRAY_COUNT", w.Count)
	}
	if b.item != nil {
		add("REEVE_ITEM", *b.item)
	}
	if end > 0 {
		add("REEVE_DEADLINE", time.UnixMilli(end).UTC().Format(time.RFC3339))
	}
}

// resourceEnv adds what an attempt was given beside processors and memory. GPUs are named as
// their vendor's tools want it, too.
func (b *builder) resourceEnv(add func(k, v string), given job.Amounts) {
	for name, n := range given.All {
		variable, amount := "REEVE_RESOURCE_"+variableOf(name), strconv.FormatInt(n, 10)
		if job.Divisible(name) {
			variable = "REEVE_" + variableOf(name)
		}
		add(variable, amount)
	}
	for name, ids := range b.w.Devices.All {
		list := strings.Join(ids, ",")
		if name != job.GPU {
			add("REEVE_DEVICES_"+variableOf(name), list)
			continue
		}
		for _, variable := range []string{"REEVE_GPUS", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"} {
			add(variable, list)
		}
	}
}

// variableOf is a resource's name as a part of a variable's.
func variableOf(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// deadline is when an attempt that starts now must be over, in Unix milliseconds; 0 for
// never.
func (b *builder) deadline(wall func() int64) int64 {
	end := b.w.JobDeadline
	if b.task.Timeout > 0 {
		if at := wall() + time.Duration(b.task.Timeout).Milliseconds(); end == 0 || at < end {
			end = at
		}
	}
	return end
}

// flat spells variables as a process gets them, sorted.
func flat(vars map[string]string) []string {
	list := make([]string, 0, len(vars))
	for k, v := range vars {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list
}

// BaseEnv is the little of the agent's own environment that attempts get: the rest
// may hold secrets, and would make an attempt depend on how its worker was started.
func BaseEnv(pass []string) map[string]string {
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
	for _, k := range slices.Concat([]string{"PATH", "HOME", "LANG", "TZ", "USER"}, pass) {
		if v, ok := os.LookupEnv(k); ok {
			env[k] = v
		}
	}
	return env
}
