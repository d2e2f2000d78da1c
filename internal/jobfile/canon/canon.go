// Package canon is the one text of a checked job, which is hashed and recorded.
package canon

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

// Write writes the canonical JSON of a spec and its SHA-256. It is itself a
// job file that means the same: keys are sorted, everything that has a default
// other than nothing is written out, and equal specs have equal bytes. The error
// is job.Invalid if it is longer than job.MaxSpec.
func Write(spec *job.Spec) (text []byte, hash [32]byte, err error) {
	w := &writer{b: make([]byte, 0, 512)}
	w.spec(spec)
	if len(w.b) > job.MaxSpec {
		return nil, hash, &job.Error{Code: job.Invalid, Message: fmt.Sprintf(
			"the job has %d bytes as canonical JSON; at most %d are allowed: put large data into a blob or a shared directory", len(w.b), job.MaxSpec)}
	}
	return w.b, sha256.Sum256(w.b), nil
}

// Read reads what Write wrote, without checking the job again. An
// error means that the bytes are damaged or of a later version.
func Read(text []byte) (*job.Spec, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	spec := &job.Spec{}
	if err := decoder.Decode(spec); err != nil {
		return nil, fmt.Errorf("recorded spec: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("recorded spec: more text after its end")
	}
	for i := range spec.Tasks {
		if t := &spec.Tasks[i]; t.Nodes > 0 {
			t.Array = job.Ranks(t.Nodes)
		}
	}
	return spec, nil
}

// writer appends JSON. Every method writes the keys of its value in sorted order.
type writer struct {
	b []byte
	// first: no pair has been written in the open object.
	first bool
}

func (w *writer) open() { w.b, w.first = append(w.b, '{'), true }

func (w *writer) close() { w.b, w.first = append(w.b, '}'), false }

func (w *writer) key(key string) {
	if !w.first {
		w.b = append(w.b, ',')
	}
	w.first = false
	w.b = append(tree.AppendString(w.b, key), ':')
}

func (w *writer) text(key, value string) {
	w.key(key)
	w.b = tree.AppendString(w.b, value)
}

// some writes a text unless it is empty.
func (w *writer) some(key, value string) {
	if value != "" {
		w.text(key, value)
	}
}

func (w *writer) number(key string, value int64) {
	w.key(key)
	w.b = strconv.AppendInt(w.b, value, 10)
}

func (w *writer) yes(key string, value bool) {
	if value {
		w.key(key)
		w.b = append(w.b, "true"...)
	}
}

func (w *writer) texts(key string, values []string) {
	if len(values) == 0 {
		return
	}
	w.key(key)
	list(w, values, func(s string) { w.b = tree.AppendString(w.b, s) })
}

func list[T any](w *writer, values []T, write func(T)) {
	w.b = append(w.b, '[')
	for i, v := range values {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		write(v)
	}
	w.b, w.first = append(w.b, ']'), false
}

// object writes a map with sorted keys, unless it is empty.
func object[V any](w *writer, key string, values map[string]V, write func(key string, value V)) {
	if len(values) == 0 {
		return
	}
	w.key(key)
	members(w, values, write)
}

// members writes an object without its key.
func members[V any](w *writer, values map[string]V, write func(key string, value V)) {
	w.open()
	for _, k := range slices.Sorted(maps.Keys(values)) {
		write(k, values[k])
	}
	w.close()
}

// marshaler is a value that knows its word.
type marshaler interface{ MarshalText() ([]byte, error) }

// word writes a value that is one word of text; none of ours fails.
func (w *writer) word(key string, value marshaler) {
	text, err := value.MarshalText()
	if err != nil {
		text = nil
	}
	w.text(key, string(text))
}

func (w *writer) spec(s *job.Spec) {
	w.open()
	if len(s.After) > 0 {
		w.key("after")
		list(w, s.After, func(a job.After) {
			w.open()
			w.word("condition", a.Condition)
			w.text("job", a.Job.String())
			w.close()
		})
	}
	w.concurrency(s.Concurrency)
	w.moment("deadline", s.Deadline)
	object(w, "env", s.Env, w.text)
	object(w, "files", s.Files, w.file)
	w.some("idempotency_key", s.IdempotencyKey)
	object(w, "labels", s.Labels, w.text)
	w.some("name", s.Name)
	object(w, "params", s.Params, w.param)
	if s.Priority != 0 {
		w.number("priority", int64(s.Priority))
	}
	w.some("queue", s.Queue)
	w.duration("retention", s.Retention)
	w.moment("start_after", s.StartAfter)
	w.moment("start_before", s.StartBefore)
	w.key("tasks")
	w.b = append(w.b, '[')
	for i := range s.Tasks {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.task(&s.Tasks[i])
	}
	w.b = append(w.b, ']')
	w.close()
}

func (w *writer) moment(key string, m *job.Moment) {
	if m != nil {
		w.word(key, m)
	}
}

// duration writes a duration unless it is zero.
func (w *writer) duration(key string, d job.Duration) {
	if d != 0 {
		w.word(key, d)
	}
}

func (w *writer) file(name string, f job.File) {
	w.key(name)
	w.open()
	if len(f.Base64) > 0 {
		w.text("base64", base64.StdEncoding.EncodeToString(f.Base64))
	} else {
		w.text("content", f.Content)
	}
	if f.Mode != 0 {
		w.text("mode", job.FormatMode(f.Mode))
	}
	w.close()
}

func (w *writer) param(name string, p job.Param) {
	w.key(name)
	w.open()
	if p.Default != nil {
		w.raw("default", p.Default)
	}
	w.some("description", p.Description)
	w.texts("enum", p.Enum)
	w.text("type", p.Type)
	w.close()
}

func (w *writer) raw(key string, value json.RawMessage) {
	w.key(key)
	w.b = append(w.b, value...)
}

func (w *writer) task(t *job.Task) {
	w.open()
	w.some("apart", t.Apart)
	if t.Array != nil && t.Nodes == 0 {
		w.array(t.Array)
	}
	w.yes("at_most_once", t.AtMostOnce)
	w.texts("command", t.Command)
	w.concurrency(t.Concurrency)
	if len(t.Either) > 0 {
		w.key("either")
		list(w, t.Either, func(r job.Resources) { members(w, r.Words(), w.text) })
	}
	object(w, "env", t.Env, w.text)
	w.texts("fetch", t.Fetch)
	object(w, "files", t.Files, w.file)
	w.some("function", t.Function)
	w.word("grace", t.Grace)
	if t.Input != nil {
		w.raw("input", t.Input)
	}
	w.number("log_limit", t.LogLimit)
	if t.LostAfter != nil {
		w.word("lost_after", t.LostAfter)
	}
	if t.MaxFails != nil {
		w.maxFails(t.MaxFails)
	}
	w.text("name", t.Name)
	if len(t.Needs) > 0 {
		w.key("needs")
		list(w, t.Needs, func(n job.Need) {
			w.open()
			w.word("condition", n.Condition)
			w.yes("each", n.Each)
			w.text("task", n.Task)
			w.close()
		})
	}
	if t.Nodes > 0 {
		w.number("nodes", t.Nodes)
	}
	if len(t.Prefer) > 0 {
		w.key("prefer")
		list(w, t.Prefer, func(p job.Preference) {
			w.open()
			w.number("weight", p.Weight)
			w.text("when", p.When)
			w.close()
		})
	}
	w.resources(t.Resources)
	w.retry(&t.Retry)
	w.some("run", t.Run)
	w.texts("shell", t.Shell)
	w.some("spread", t.Spread)
	w.some("stdin", t.Stdin)
	w.duration("timeout", t.Timeout)
	w.texts("where", t.Where)
	w.some("workdir", t.Workdir)
	w.close()
}

func (w *writer) array(a *job.Array) {
	w.key("array")
	w.open()
	w.some("blob", a.Blob)
	if a.Blob != "" {
		w.number("count", a.Count)
	}
	w.some("each", a.From)
	w.texts("each", a.Items)
	w.some("indexes", job.FormatRanges(a.Ranges))
	if a.Throttle > 0 {
		w.number("throttle", a.Throttle)
	}
	w.close()
}

func (w *writer) concurrency(c *job.Concurrency) {
	if c == nil {
		return
	}
	w.key("concurrency")
	w.open()
	w.word("conflict", c.Conflict)
	w.text("key", c.Key)
	if c.Limit > 0 {
		w.number("limit", c.Limit)
	}
	if c.Rate != nil {
		w.key("rate")
		w.open()
		w.number("burst", c.Rate.Burst)
		w.number("count", c.Rate.Count)
		w.word("per", c.Rate.Per)
		w.close()
	}
	w.close()
}

func (w *writer) maxFails(m *job.MaxFails) {
	w.key("max_fails")
	w.open()
	if m.Percent == 0 {
		w.number("count", m.Count)
	}
	w.text("pending", m.Pending)
	if m.Percent > 0 {
		w.number("percent", m.Percent)
	}
	w.text("running", m.Running)
	w.close()
}

func (w *writer) resources(r job.Resources) {
	object(w, "resources", r.Words(), w.text)
}

func (w *writer) retry(r *job.Retry) {
	w.key("retry")
	w.open()
	w.word("delay", r.Delay)
	w.codes("exit_codes", r.ExitCodes)
	w.key("factor")
	w.b = append(w.b, job.FormatFactor(r.Factor)...)
	w.number("max_attempts", int64(r.MaxAttempts))
	w.word("max_delay", r.MaxDelay)
	if r.MaxMemory > 0 {
		w.number("max_memory", r.MaxMemory)
	}
	w.codes("not_exit_codes", r.NotExitCodes)
	w.number("on_lost", int64(r.OnLost))
	if r.OnMemory != nil {
		w.number("on_memory", int64(*r.OnMemory))
	}
	if r.OnTimeout != nil {
		w.number("on_timeout", int64(*r.OnTimeout))
	}
	w.close()
}

func (w *writer) codes(key string, codes []int) {
	if len(codes) > 0 {
		w.key(key)
		list(w, codes, func(c int) { w.b = strconv.AppendInt(w.b, int64(c), 10) })
	}
}
