package job

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Spec is a job as it was asked for, checked and with every default that does not
// depend on the cluster filled in. Its JSON form is canonical: fields are spelled
// as in the job file, keys are sorted, absent means default. Package jobfile makes
// and reads it; everywhere else it is read-only and may be shared.
type Spec struct {
	Name        string            `json:"name,omitempty"`
	Queue       string            `json:"queue,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Priority    int32             `json:"priority,omitempty"`
	Params      map[string]Param  `json:"params,omitempty"`
	Env         map[string]string `json:"env,omitempty"`
	Files       map[string]File   `json:"files,omitempty"`
	After       []After           `json:"after,omitempty"`
	Deadline    *Moment           `json:"deadline,omitempty"`
	StartAfter  *Moment           `json:"start_after,omitempty"`
	StartBefore *Moment           `json:"start_before,omitempty"`
	Retention   Duration          `json:"retention,omitempty"`
	// Concurrency is the key of the job as a whole, nil for none.
	Concurrency *Concurrency `json:"concurrency,omitempty"`
	// IdempotencyKey makes repeated submits of the same body one job.
	IdempotencyKey string `json:"idempotency_key,omitempty"`
	// Tasks is in the file's order; needs point anywhere in it, without cycles.
	Tasks []Task `json:"tasks"`
}

// Limits of a spec, checked by jobfile.
const (
	// MaxSpec bounds the canonical JSON in bytes.
	MaxSpec = 4 << 20
	// MaxTasks bounds the tasks of one job.
	MaxTasks = 10_000
	// MaxElements bounds an array.
	MaxElements = 10_000_000
	// MaxNodes bounds a gang.
	MaxNodes = 1000
	// MaxEither bounds the alternatives of a task's resources.
	MaxEither = 8
	// MaxFiles bounds the bytes of all files of a job together.
	MaxFiles = 1 << 20
	// MaxOutput bounds a task's outputs in bytes.
	MaxOutput = 64 << 10
	// MaxPayload bounds an item's payload in bytes.
	MaxPayload = 256 << 10
	// MaxLabels bounds the labels of a job.
	MaxLabels = 64
)

// Priority classes in the words of the job file; higher runs first. Any number
// from -1000 to 1000 may be used.
const (
	PriorityCritical   = 1000
	PriorityHigh       = 500
	PriorityNormal     = 0
	PriorityLow        = -500
	PriorityBackground = -1000
)

// PriorityOf is the number of a priority class.
func PriorityOf(class string) (priority int32, ok bool) {
	switch class {
	case "critical":
		return PriorityCritical, true
	case "high":
		return PriorityHigh, true
	case "normal":
		return PriorityNormal, true
	case "low":
		return PriorityLow, true
	case "background":
		return PriorityBackground, true
	}
	return 0, false
}

// ParsePriority reads a priority class or number.
func ParsePriority(s string) (int32, error) {
	if p, ok := PriorityOf(s); ok {
		return p, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		n = math.MaxInt32
	}
	if err := CheckPriority(int32(n)); err != nil {
		return 0, fmt.Errorf("priority %q: want critical, high, normal, low, background or a whole number from %d to %d; higher runs first",
			s, PriorityBackground, PriorityCritical)
	}
	return int32(n), nil
}

// CheckPriority reports a priority that there is not.
func CheckPriority(n int32) error {
	if n < PriorityBackground || n > PriorityCritical {
		return fmt.Errorf("priority %d: want a whole number from %d to %d; higher runs first", n, PriorityBackground, PriorityCritical)
	}
	return nil
}

// Param is a declared parameter. Its value is a string, integer, number, boolean
// or list of strings by Type.
type Param struct {
	// Type is one of string, int, number, bool, list.
	Type string `json:"type"`
	// Default is the JSON value used when none is given; nil makes it required.
	Default     json.RawMessage `json:"default,omitempty"`
	Enum        []string        `json:"enum,omitempty"`
	Description string          `json:"description,omitempty"`
}

// File travels with the job and is put into each attempt's work directory.
type File struct {
	// Content is the text; Base64 is set instead for what is not UTF-8.
	Content string `json:"content,omitempty"`
	Base64  []byte `json:"base64,omitempty"`
	// Mode is the permission bits; jobfile fills in 0644.
	Mode uint32 `json:"mode,omitempty"`
}

// After is a dependency on another job.
type After struct {
	Job       ID        `json:"job,string"`
	Condition Condition `json:"condition"`
}

// Moment is a point in time: At, or In after the submit. Exactly one is set.
type Moment struct {
	At time.Time `json:"at,omitzero"`
	In Duration  `json:"in,omitempty"`
}

// Resolve returns the moment in Unix milliseconds for a job submitted at the
// given one.
func (m *Moment) Resolve(submitted int64) int64 {
	if m == nil {
		return 0
	}
	if !m.At.IsZero() {
		return m.At.UnixMilli()
	}
	return submitted + time.Duration(m.In).Milliseconds()
}

// Duration is a time.Duration that JSON spells as the job file does: "1h30m".
type Duration time.Duration

// MarshalText writes the duration's words.
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(FormatDuration(time.Duration(d))), nil
}

// UnmarshalText reads the duration's words.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// MarshalText writes the condition's word.
func (c Condition) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the condition's word.
func (c *Condition) UnmarshalText(b []byte) error {
	v, err := ParseCondition(string(b))
	*c = v
	return err
}

// Task is one node of the graph.
type Task struct {
	Name  string `json:"name"`
	Needs []Need `json:"needs,omitempty"`
	Array *Array `json:"array,omitempty"`
	// Nodes makes the task a gang: so many elements, which start together, each on a worker of
	// its own, and end together. Array then is the indexes from 0, the ranks; 0 is no gang.
	Nodes int64 `json:"nodes,omitempty"`

	// Exactly one of Run, Command and Function is set.
	Run      string   `json:"run,omitempty"`
	Command  []string `json:"command,omitempty"`
	Function string   `json:"function,omitempty"`
	// Shell runs a Run script: its argv with the script's path appended. It is
	// always set beside Run, from the script's #! line if need be.
	Shell []string `json:"shell,omitempty"`
	// Input is a function's payload, any JSON value.
	Input json.RawMessage `json:"input,omitempty"`

	Env   map[string]string `json:"env,omitempty"`
	Stdin string            `json:"stdin,omitempty"`
	Files map[string]File   `json:"files,omitempty"`
	// Workdir is the directory to run in; empty means a fresh one per attempt.
	Workdir string `json:"workdir,omitempty"`
	// Fetch names needed tasks whose artifacts and outputs are put under
	// REEVE_INPUTS/<task> before the attempt starts.
	Fetch []string `json:"fetch,omitempty"`
	// Where is what a worker must be: labels that it has, "key" or "key=value", and expressions
	// over it in CEL that are true.
	Where []string `json:"where,omitempty"`
	// Prefer is which of these workers it would rather have: those for which the sum is highest.
	Prefer []Preference `json:"prefer,omitempty"`

	// Apart keeps elements that run from having something in common; Spread lets as few as possible
	// have that in common.
	Apart  Share `json:"apart,omitzero"`
	Spread Share `json:"spread,omitzero"`

	// Near names tasks that come before; it runs where the first of them did last for which that
	// worker has room now, if any has.
	Near []string `json:"near,omitempty"`

	Resources Resources `json:"resources"`
	// Either, where given, is what each attempt takes instead: one of these, the first that is
	// to be had.
	Either     []Resources `json:"either,omitempty"`
	Timeout    Duration    `json:"timeout,omitempty"`
	Grace      Duration    `json:"grace"`
	LostAfter  *Lost       `json:"lost_after,omitempty"`
	Retry      Retry       `json:"retry"`
	AtMostOnce bool        `json:"at_most_once,omitempty"`
	MaxFails   *MaxFails   `json:"max_fails,omitempty"`
	// Concurrency is the key of each of its attempts, nil for none; what is in conflict
	// waits.
	Concurrency *Concurrency `json:"concurrency,omitempty"`
	// LogLimit is the most bytes of output kept per attempt.
	LogLimit int64 `json:"log_limit"`
}

// Preference is what makes a worker better or worse than others for a task.
type Preference struct {
	// When is an entry as in Where, "cheapest", or an expression that comes to a number.
	When string `json:"when"`
	// Weight is what it counts where it is true, and what its number is multiplied by.
	Weight int64 `json:"weight"`
}

// Executor names the kind of executor that the task needs: process or function.
func (t *Task) Executor() string {
	if t.Function != "" {
		return "function"
	}
	return "process"
}

// MaxNear bounds the tasks that one is near.
const MaxNear = 8

// Share is what elements may have in common. Its zero value is nothing.
type Share struct {
	// By is a label of their workers, or AtWorker for the worker itself.
	By string
	// Key makes it a matter of all elements that run in the namespace and whose task says the same key and
	// By; without it, it is one of the elements of the task.
	Key string
}

// AtWorker stands for the worker itself where a label may be named.
const AtWorker = "worker"

// Ways is how many alternatives there are of what an attempt takes.
func (t *Task) Ways() int { return max(len(t.Either), 1) }

// Takes is what an attempt takes by one of the ways, from 0 on; the last of them if there are
// fewer.
func (t *Task) Takes(way uint8) Resources {
	if len(t.Either) == 0 {
		return t.Resources
	}
	return t.Either[min(int(way), len(t.Either)-1)]
}

// Asks is what an attempt takes by one of the ways, with no less memory than so many bytes: it may
// have run out of what the task asks for.
func (t *Task) Asks(way uint8, memory int64) Resources {
	r := t.Takes(way)
	r.Memory = max(r.Memory, memory)
	return r
}

// Defaults of a task, filled in by jobfile.
const (
	DefaultGrace    = 30 * time.Second
	DefaultLogLimit = 16 << 20
	DefaultCPU      = 1000
)

// CleanUp reports whether the task runs after a cancel as well: all of its needs
// say any.
func (t *Task) CleanUp() bool {
	for _, n := range t.Needs {
		if n.Condition != OnAny {
			return false
		}
	}
	return len(t.Needs) > 0
}

// Need is a dependency on another task of the job.
type Need struct {
	Task      string    `json:"task"`
	Condition Condition `json:"condition"`
	// Each makes it element-wise: element i waits for element i. Both tasks are
	// arrays of the same indexes.
	Each bool `json:"each,omitempty"`
}

// Array says which elements a task has. Exactly one of Ranges, Items, Blob and
// From is set.
type Array struct {
	// Ranges is the indexes, rising and not overlapping: 0-31, 1,3,5, 1-7:2.
	Ranges []Range `json:"ranges,omitempty"`
	// Items is one string per element; the indexes are 0 to len-1.
	Items []string `json:"items,omitempty"`
	// Blob is the key of a blob of JSON strings, one a line, and Count their number.
	Blob  string `json:"blob,omitempty"`
	Count int64  `json:"count,omitempty"`
	// From is an expression that yields a number of elements, or a list of items,
	// when the task becomes ready.
	From string `json:"from,omitempty"`
	// Throttle is how many elements run at the same time, 0 for no bound.
	Throttle int64 `json:"throttle,omitempty"`
}

// Range is the indexes First, First+Step, … up to Last.
type Range struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	Step  int64 `json:"step"`
}

// Ranks is the elements of a gang of n.
func Ranks(n int64) *Array { return &Array{Ranges: []Range{{Last: n - 1, Step: 1}}} }

// Len is the number of indexes of the range.
func (r Range) Len() int64 { return (r.Last-r.First)/r.Step + 1 }

// Len is the number of elements, or -1 while an expression has not been worked
// out.
func (a *Array) Len() int64 {
	switch {
	case a == nil:
		return 1
	case a.From != "":
		return -1
	case a.Blob != "":
		return a.Count
	case a.Ranges != nil:
		var n int64
		for _, r := range a.Ranges {
			n += r.Len()
		}
		return n
	}
	return int64(len(a.Items))
}

// Index returns the array index of the element at a position, counted from 0.
// A task that is not an array has NoIndex.
func (a *Array) Index(position int64) int64 {
	if a == nil {
		return NoIndex
	}
	for _, r := range a.Ranges {
		if n := r.Len(); position >= n {
			position -= n
			continue
		}
		return r.First + position*r.Step
	}
	return position
}

// Position is the inverse of Index; false if the array has no such index.
func (a *Array) Position(index int64) (int64, bool) {
	if a == nil {
		return 0, index == NoIndex
	}
	if a.Ranges == nil {
		n := a.Len()
		return index, index >= 0 && (n < 0 || index < n)
	}
	var before int64
	for _, r := range a.Ranges {
		if index >= r.First && index <= r.Last {
			return before + (index-r.First)/r.Step, (index-r.First)%r.Step == 0
		}
		before += r.Len()
	}
	return 0, false
}

// Bounds returns the least and the greatest index; for an array of n elements
// without ranges that is 0 and n-1.
func (a *Array) Bounds(n int64) (first, last int64) {
	if a == nil {
		return NoIndex, NoIndex
	}
	if len(a.Ranges) > 0 {
		return a.Ranges[0].First, a.Ranges[len(a.Ranges)-1].Last
	}
	return 0, n - 1
}

// Lost says when an attempt counts as lost after its worker falls silent.
type Lost struct {
	// Never: the attempt is not given up by itself.
	Never bool     `json:"never,omitempty"`
	After Duration `json:"after,omitempty"`
}

// MaxFails ends an array early.
type MaxFails struct {
	// Exactly one: more than Count failed elements, or more than Percent of all.
	Count   int64 `json:"count,omitempty"`
	Percent int64 `json:"percent,omitempty"`
	// Running says what happens to elements that run: finish or cancel.
	Running string `json:"running,omitempty"`
	// Pending says what happens to elements that wait: skip or run. Run makes
	// max_fails decide only how the task ends.
	Pending string `json:"pending,omitempty"`
}

// Reached reports whether failed elements of total are too many.
func (m *MaxFails) Reached(failed, total int64) bool {
	if m == nil {
		return false
	}
	if m.Percent > 0 {
		return failed*100 > m.Percent*total
	}
	return failed > m.Count
}
