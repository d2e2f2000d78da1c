package expr

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

// MaxExpanded bounds a text after its expressions were replaced, in bytes.
const MaxExpanded = job.MaxPayload

// Scope is what expressions can refer to. It is read-only while in use.
type Scope struct {
	JobID   job.ID
	JobName string
	// Params is what BindParams bound, by way of DecodeParams.
	Params map[string]json.RawMessage
	// Outputs is the outputs of upstream tasks: task, key, value. Uses says which
	// tasks must be there.
	Outputs map[string]map[string]string
	// Index is the element's array index, or job.NoIndex.
	Index int64
	// Item is the element's item; nil if the array has none.
	Item *string
}

// Expand replaces every expression in text by its value. An error says which
// expression has no value and why; it becomes a job.CauseExpression.
func Expand(text string, scope *Scope) (string, error) {
	segments, err := Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, s := range segments {
		value := s.Literal
		if s.IsPath {
			if value, err = scope.text(s.Path); err != nil {
				return "", err
			}
		}
		if b.Len()+len(value) > MaxExpanded {
			return "", fmt.Errorf("a text has more than %d bytes once its expressions are replaced; pass large data by artifacts", MaxExpanded)
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// Key works out a concurrency key of a job that is submitted.
func Key(c *job.Concurrency, name string, params map[string]json.RawMessage) (string, error) {
	key, err := Expand(c.Key, &Scope{JobName: name, Params: params, Index: job.NoIndex})
	if err == nil {
		err = job.CheckKey(key)
	}
	if err != nil {
		return "", fmt.Errorf("concurrency key %q: %w", tree.Excerpt(key), err)
	}
	return key, nil
}

// text is an expression's value as text: lists are compact JSON.
func (s *Scope) text(e Path) (string, error) {
	fail := func(format string, args ...any) (string, error) {
		return "", fmt.Errorf("%s: %s", e, fmt.Sprintf(format, args...))
	}
	switch e.Root {
	case Param:
		raw, ok := s.Params[e.Key]
		if !ok {
			return fail("the job has no such parameter")
		}
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		return text, nil
	case Output:
		value, ok := s.Outputs[e.Task][e.Key]
		if !ok {
			return fail("task %s wrote no such output; it has to write %s=VALUE to the file $REEVE_OUTPUT", e.Task, e.Key)
		}
		if strings.IndexByte(value, 0) >= 0 {
			return fail("the output has a NUL character, which no process can be given")
		}
		return value, nil
	case Index:
		if s.Index == job.NoIndex {
			return fail("the task is not an array")
		}
		return strconv.FormatInt(s.Index, 10), nil
	case Item:
		if s.Item == nil {
			return fail("the array has indexes but no items")
		}
		return *s.Item, nil
	case JobID:
		return s.JobID.String(), nil
	}
	return s.JobName, nil
}

// Array works out an array's From. A number is a count of elements without
// items; a list, given or as JSON text in an output, is the items, and count is
// their number. Both may be zero.
func Array(from string, scope *Scope) (count int64, items []string, err error) {
	e, ok := Whole(strings.TrimSpace(from))
	if !ok {
		return 0, nil, fmt.Errorf("array %q: want one whole expression", tree.Excerpt(from))
	}
	text, err := scope.text(e)
	if err != nil {
		return 0, nil, err
	}
	trimmed := strings.TrimSpace(text)
	if count, err := strconv.ParseInt(trimmed, 10, 64); err == nil {
		if count < 0 || count > job.MaxElements {
			return 0, nil, fmt.Errorf("%s: %d elements; want a number from 0 to %d", e, count, job.MaxElements)
		}
		return count, nil, nil
	}
	if items, err = StringList(trimmed); err != nil {
		return 0, nil, fmt.Errorf(`%s: %q: want a number of elements, or a JSON list such as ["a","b"]`, e, tree.Excerpt(text))
	}
	if len(items) > job.MaxElements {
		return 0, nil, fmt.Errorf("%s: a list of %d items; at most %d are allowed", e, len(items), job.MaxElements)
	}
	return int64(len(items)), items, nil
}

// StringList reads a JSON list of strings and numbers as strings. It is never nil
// without an error.
func StringList(text string) ([]string, error) {
	var raw []json.RawMessage
	if !strings.HasPrefix(text, "[") {
		return nil, strconv.ErrSyntax
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, err
	}
	items := make([]string, len(raw))
	for i, r := range raw {
		if items[i] = string(r); r[0] == '"' {
			if err := json.Unmarshal(r, &items[i]); err != nil {
				return nil, err
			}
		} else if !tree.IsNumber(items[i]) && items[i] != "true" && items[i] != "false" {
			return nil, strconv.ErrSyntax
		}
		if strings.IndexByte(items[i], 0) >= 0 {
			return nil, strconv.ErrSyntax
		}
	}
	return items, nil
}

// Uses names the tasks whose outputs the expressions of task refer to, sorted:
// what Scope.Outputs must hold to run it or to work out its array.
func Uses(spec *job.Spec, task *job.Task) []string {
	var out []string
	add := func(text string) {
		if !strings.Contains(text, Open) {
			return
		}
		segments, err := Parse(text)
		if err != nil {
			return
		}
		for _, s := range segments {
			if s.IsPath && s.Path.Root == Output {
				out = append(out, s.Path.Task)
			}
		}
	}
	for _, env := range []map[string]string{spec.Env, task.Env} {
		for _, key := range slices.Sorted(maps.Keys(env)) {
			add(env[key])
		}
	}
	for _, arg := range task.Command {
		add(arg)
	}
	if task.Array != nil {
		add(task.Array.From)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
