package reeve

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Job is a job to submit: what a job file says, as a value. Zero fields mean the
// defaults that docs/jobfile.md names.
type Job struct {
	// Name is what lists call the job: small letters, digits and dashes.
	Name string
	// Namespace is the tenant to submit to; default the client's.
	Namespace string
	// Queue is where the job waits; default "default".
	Queue  string
	Labels map[string]string
	// Priority is -1000 to 1000; higher runs first.
	Priority int
	// Params declares parameters, which WithParams and Item.Params set.
	Params map[string]Param
	// Env is for every task; a task's own wins.
	Env   map[string]string
	Files map[string]File
	// After names other jobs to wait for, by id.
	After map[string]Condition
	// StartAfter and StartBefore bound when the first task may start; at Deadline what
	// still runs is stopped and the job fails.
	StartAfter, StartBefore, Deadline Moment
	// Retention is how long the finished job is kept.
	Retention time.Duration
	// Tasks in any order. A single one needs no name and is called "main".
	Tasks []Task
}

// Preference is what makes a worker better or worse than others for a task.
type Preference struct {
	// When is a label or an expression as in Task.Where, "cheapest", or an expression that comes to
	// a number, such as -double(labels.price).
	When string
	// Weight is what it counts where it is true, and what its number is multiplied by; 0 is 1. What is
	// to be avoided has one below 0.
	Weight int
}

// Task is one node of a job's graph. Exactly one of Run, Command and Function says what
// it does.
type Task struct {
	Name string
	// Run is a script for Shell (default its first line's #!, else /bin/sh -e).
	Run   string
	Shell []string
	// Command is a program and its arguments, without a shell.
	Command []string
	// Function is a handler's name; Input is its payload, anything that encoding/json
	// writes. An Item's payload takes its place.
	Function string
	Input    any

	Needs []Need
	// Fetch names needed tasks whose artifacts and outputs are fetched before the start.
	Fetch []string
	Array *Array
	// Nodes starts the task on so many workers at once, or not at all; 0 for one that is no gang.
	Nodes int

	Env   map[string]string
	Stdin string
	Files map[string]File
	// Workdir is where a process runs, an absolute path; default a fresh directory.
	Workdir string
	// Where is labels that a worker must have; an empty value means any value. A key that is no
	// label's but an expression such as labels.zone in ["eu-1", "eu-2"] must be true of the worker,
	// and has no value.
	Where map[string]string
	// Pool is whose workers alone may run it; default all that Where admits.
	Pool string
	// Prefer is which of these workers the task would rather have: those for which the sum is highest.
	Prefer []Preference
	// Apart is what no two elements that run may have in common, Spread what as few as possible have: a
	// label of their workers, or "worker" for the worker itself.
	Apart, Spread string

	Resources Resources
	// Either, where given, is what an attempt is given instead: the first of these that is to be had.
	// What one does not say is as in Resources.
	Either []Resources
	// Timeout bounds one attempt, Grace the time between being asked to end and being
	// killed.
	Timeout, Grace time.Duration
	// LostAfter is when an attempt counts as lost after its worker falls silent;
	// negative for never.
	LostAfter time.Duration
	Retry     Retry
	// AtMostOnce: never tried a second time, whatever happens.
	AtMostOnce bool
	MaxFails   *MaxFails
	// LogLimit is how many bytes of output are kept per attempt.
	LogLimit int64
}

// Function is a job of one task that calls a function.
func Function(name string, input any) Job {
	return Job{Tasks: []Task{{Function: name, Input: input}}}
}

// Condition says which end of another task or job is waited for.
type Condition string

// The conditions.
const (
	// OnSucceeded is the default.
	OnSucceeded Condition = "succeeded"
	// OnFailed makes a handler of failures: it runs if the other failed or timed out.
	OnFailed Condition = "failed"
	// OnDone waits for the other to run to an end, well or badly.
	OnDone Condition = "done"
	// OnAny waits for an end of whatever kind, even cancelled or skipped.
	OnAny Condition = "any"
)

// Need is a task to wait for.
type Need struct {
	Task string
	On   Condition
	// Each waits element by element, between arrays of the same indexes.
	Each bool
}

// Needs is a list of tasks that must have succeeded.
func Needs(tasks ...string) []Need {
	out := make([]Need, 0, len(tasks))
	for _, t := range tasks {
		out = append(out, Need{Task: t})
	}
	return out
}

// Array makes a task many elements: Indexes such as "0-31" or "1-7:2,9", or one for each
// of Items, or what the expression From yields. Of the three give one.
type Array struct {
	Indexes string
	Items   []string
	From    string
	// Throttle is how many run at a time, at most; 0 for no limit.
	Throttle int64

	blob  string
	count int64
}

// Resources is what each attempt is given for itself.
type Resources struct {
	// CPU is processors, to a thousandth; default 1.
	CPU float64
	// Memory is bytes, Disk bytes of scratch space.
	Memory, Disk int64
	// GPU is a number of devices. Which ones an attempt got it finds in the variable
	// REEVE_GPUS, by their ids.
	GPU int
	// Other is amounts of anything else by name: "bandwidth" in bits per second, and what
	// workers were told that they have, such as "licence".
	Other map[string]int64
}

// object is what a job file says, but for zeros.
func (r *Resources) object() (object, error) {
	o := object{}
	if milli := math.Round(r.CPU * 1000); milli != 0 {
		o["cpu"] = fmt.Sprintf("%dm", int64(milli))
	}
	put(o, "memory", r.Memory)
	put(o, job.Disk, r.Disk)
	put(o, job.GPU, r.GPU)
	for name, n := range r.Other {
		if _, twice := o[name]; twice || name == "cpu" || name == "memory" {
			return nil, fmt.Errorf("resources: Other has %q, which has a field of its own", name)
		}
		put(o, name, n)
	}
	return o, nil
}

// Retry is how often to try. Zero fields mean the defaults: one attempt, three more
// after lost workers, and waits of up to a second, doubled each time up to five minutes.
type Retry struct {
	// MaxAttempts counts the attempts that may end by exit code, signal or error.
	MaxAttempts int
	// OnTimeout, OnMemory and OnLost are more attempts after a timeout, after one that ran out of
	// memory, and after a lost worker. The first two count as failures unless they are set; negative
	// means none.
	OnTimeout, OnMemory, OnLost int
	// MaxMemory is the most, in bytes, that is asked for after an attempt ran out of memory; 0 means
	// four times what the task asks for.
	MaxMemory int64
	// ExitCodes, when given, are the only ones that are retried; NotExitCodes never are.
	ExitCodes, NotExitCodes []int
	Delay, MaxDelay         time.Duration
	// Factor is how much longer each further wait may be, 1 to 100.
	Factor float64
}

// MaxFails ends an array once more elements have failed than it says.
type MaxFails struct {
	// Count, or Percent if it is not 0.
	Count, Percent int
	// CancelRunning stops what runs then; otherwise it is let finish.
	CancelRunning bool
	// RunPending runs what waits all the same; otherwise it is skipped.
	RunPending bool
}

// Param declares a parameter.
type Param struct {
	// Type is string, int, number, bool or list; default string.
	Type string
	// Default is the value when none is given; without one a value must be given.
	Default     any
	Enum        []string
	Description string
}

// File travels with the job into each attempt's work directory.
type File struct {
	Content []byte
	// Mode is permission bits; default 0644.
	Mode uint32
}

// Moment is a point in time: a time, or a duration after the submit. Make it with At or
// In; the zero value is none.
type Moment struct {
	at time.Time
	in time.Duration
}

// At is the moment t.
func At(t time.Time) Moment { return Moment{at: t} }

// In is the moment that is d after the submit.
func In(d time.Duration) Moment { return Moment{in: d} }

// object collects the keys of a job file that are not at their default.
type object map[string]any

// put sets a key unless the value is the zero of its type.
func put[T comparable](o object, key string, v T) {
	var zero T
	if v != zero {
		o[key] = v
	}
}

func putMap[V any](o object, key string, m map[string]V) {
	if len(m) > 0 {
		o[key] = m
	}
}

func putList[V any](o object, key string, l []V) {
	if len(l) > 0 {
		o[key] = l
	}
}

// putDuration spells a duration as the job file does. What is finer than a millisecond
// is refused rather than cut.
func (o object) putDuration(key string, d time.Duration) error {
	if d == 0 {
		return nil
	}
	if d < 0 || d%time.Millisecond != 0 {
		return fmt.Errorf("%s: %v: want a whole number of milliseconds, more than 0", key, d)
	}
	o[key] = job.FormatDuration(d)
	return nil
}

// MarshalJSON writes the job as a job file in JSON, which SubmitFile and the command
// line take too.
func (j Job) MarshalJSON() ([]byte, error) {
	o := object{}
	put(o, "name", j.Name)
	put(o, "namespace", j.Namespace)
	put(o, "queue", j.Queue)
	putMap(o, "labels", j.Labels)
	put(o, "priority", j.Priority)
	putMap(o, "params", j.Params)
	putMap(o, "env", j.Env)
	putMap(o, "files", j.Files)
	if len(j.After) > 0 {
		after := object{}
		for id, c := range j.After {
			if c == "" {
				c = OnSucceeded
			}
			after[id] = c
		}
		o["after"] = after
	}
	for key, m := range map[string]Moment{"start_after": j.StartAfter, "start_before": j.StartBefore, "deadline": j.Deadline} {
		switch {
		case !m.at.IsZero():
			o[key] = m.at.Format(time.RFC3339Nano)
		default:
			if err := o.putDuration(key, m.in); err != nil {
				return nil, err
			}
		}
	}
	if err := o.putDuration("retention", j.Retention); err != nil {
		return nil, err
	}
	tasks := make([]object, 0, len(j.Tasks))
	for i := range j.Tasks {
		t, err := j.Tasks[i].object()
		if err != nil {
			return nil, fmt.Errorf("task %q: %w", j.Tasks[i].Name, err)
		}
		if len(j.Tasks) == 1 && j.Tasks[i].Name == "" {
			t["name"] = "main"
		}
		tasks = append(tasks, t)
	}
	o["tasks"] = tasks
	return json.Marshal(o)
}

func (t *Task) object() (object, error) {
	o := object{}
	put(o, "name", t.Name)
	put(o, "run", t.Run)
	putList(o, "shell", t.Shell)
	putList(o, "command", t.Command)
	put(o, "function", t.Function)
	if t.Input != nil {
		o["input"] = t.Input
	}
	needs := make([]object, 0, len(t.Needs))
	for _, n := range t.Needs {
		need := object{"task": n.Task}
		put(need, "condition", n.On)
		put(need, "each", n.Each)
		needs = append(needs, need)
	}
	putList(o, "needs", needs)
	putList(o, "fetch", t.Fetch)
	if t.Array != nil {
		o["array"] = t.Array.object()
	}
	put(o, "nodes", t.Nodes)
	putMap(o, "env", t.Env)
	put(o, "stdin", t.Stdin)
	putMap(o, "files", t.Files)
	put(o, "workdir", t.Workdir)
	o.putWhere(t.Where)
	put(o, "pool", t.Pool)
	o.putPrefer(t.Prefer)
	r, err := t.Resources.object()
	if err != nil {
		return nil, err
	}
	put(o, "apart", t.Apart)
	put(o, "spread", t.Spread)
	putMap(o, "resources", r)
	var either []object
	for i := range t.Either {
		r, err := t.Either[i].object()
		if err != nil {
			return nil, err
		}
		either = append(either, r)
	}
	putList(o, "either", either)
	put(o, "at_most_once", t.AtMostOnce)
	put(o, "log_limit", t.LogLimit)
	if t.MaxFails != nil {
		o["max_fails"] = t.MaxFails.object()
	}
	return o, t.times(o)
}

// putWhere writes labels; one of any value is its bare key.
func (o object) putWhere(where map[string]string) {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(where)) {
		if v := where[k]; v != "" {
			k += "=" + v
		}
		list = append(list, k)
	}
	putList(o, "where", list)
}

// putPrefer writes preferences.
func (o object) putPrefer(list []Preference) {
	var out []object
	for _, p := range list {
		e := object{"when": p.When}
		put(e, "weight", p.Weight)
		out = append(out, e)
	}
	putList(o, "prefer", out)
}

// times writes what is about time, and the retry rule.
func (t *Task) times(o object) error {
	for key, d := range map[string]time.Duration{"timeout": t.Timeout, "grace": t.Grace} {
		if err := o.putDuration(key, d); err != nil {
			return err
		}
	}
	if t.LostAfter < 0 {
		o["lost_after"] = "never"
	} else if err := o.putDuration("lost_after", t.LostAfter); err != nil {
		return err
	}
	r := object{}
	put(r, "max_attempts", t.Retry.MaxAttempts)
	for key, n := range map[string]int{"on_timeout": t.Retry.OnTimeout, "on_memory": t.Retry.OnMemory, "on_lost": t.Retry.OnLost} {
		if n != 0 {
			r[key] = max(n, 0)
		}
	}
	put(r, "max_memory", t.Retry.MaxMemory)
	putList(r, "exit_codes", t.Retry.ExitCodes)
	putList(r, "not_exit_codes", t.Retry.NotExitCodes)
	put(r, "factor", t.Retry.Factor)
	for key, d := range map[string]time.Duration{"delay": t.Retry.Delay, "max_delay": t.Retry.MaxDelay} {
		if err := r.putDuration(key, d); err != nil {
			return fmt.Errorf("retry: %w", err)
		}
	}
	if len(r) > 0 {
		o["retry"] = r
	}
	return nil
}

func (a *Array) object() object {
	o := object{}
	put(o, "indexes", a.Indexes)
	put(o, "throttle", a.Throttle)
	put(o, "blob", a.blob)
	put(o, "count", a.count)
	switch {
	case a.Items != nil:
		o["each"] = a.Items
	case a.From != "":
		o["each"] = a.From
	}
	return o
}

func (m *MaxFails) object() object {
	o := object{"running": "finish", "pending": "skip"}
	if m.Percent != 0 {
		o["percent"] = m.Percent
	} else {
		o["count"] = m.Count
	}
	if m.CancelRunning {
		o["running"] = "cancel"
	}
	if m.RunPending {
		o["pending"] = "run"
	}
	return o
}

// MarshalJSON writes the parameter as a job file does.
func (p Param) MarshalJSON() ([]byte, error) {
	o := object{"type": "string"}
	put(o, "type", p.Type)
	if p.Default != nil {
		o["default"] = p.Default
	}
	putList(o, "enum", p.Enum)
	put(o, "description", p.Description)
	return json.Marshal(o)
}

// MarshalJSON writes the file as a job file does.
func (f File) MarshalJSON() ([]byte, error) {
	o := object{"content": string(f.Content)}
	if !utf8.Valid(f.Content) {
		o = object{"base64": f.Content}
	}
	if f.Mode != 0 {
		o["mode"] = job.FormatMode(f.Mode)
	}
	return json.Marshal(o)
}
