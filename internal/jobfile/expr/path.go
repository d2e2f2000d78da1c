// Package expr is the expressions in the texts of a job file, such as
// ${{ params.day }}: what they may be, and their values when a task is run. It is pure.
package expr

import (
	"errors"
	"fmt"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

// An expression is a path between Open and Close: a strict subset of CEL. $${{ stands
// for ${{ itself.
const (
	Open        = "${{"
	Close       = "}}"
	literalOpen = "$${{"
	// Max bounds one expression in bytes.
	Max = 256
)

// Root is what a path begins with.
type Root uint8

const (
	// Param is a parameter of the job.
	Param Root = iota
	// Output is an output of a task before.
	Output
	// Index is the index of an element of an array.
	Index
	// Item is the item of an element of an array.
	Item
	// JobID is the number of the job.
	JobID
	// JobName is the name of the job.
	JobName
)

// Path is one path. It is a value and compares with ==.
type Path struct {
	Root Root
	// Task and Key name an output; Key alone names a parameter.
	Task, Key string
}

// String spells the path as the grammar wants it.
func (e Path) String() string {
	switch e.Root {
	case Param:
		return "params." + e.Key
	case Output:
		if strings.Contains(e.Task, "-") {
			return fmt.Sprintf("tasks[%q].outputs.%s", e.Task, e.Key)
		}
		return "tasks." + e.Task + ".outputs." + e.Key
	case Index:
		return "array.index"
	case Item:
		return "array.item"
	case JobID:
		return "job.id"
	}
	return "job.name"
}

// Wrapped is the path as an expression in a text.
func (e Path) Wrapped() string { return Open + " " + e.String() + " " + Close }

// Segment is a piece of a template: literal text, or an expression.
type Segment struct {
	Literal string
	IsPath  bool
	Path    Path
}

// Whole returns the one expression that a text consists of.
func Whole(text string) (Path, bool) {
	segments, err := Parse(text)
	if err != nil || len(segments) != 1 || !segments[0].IsPath {
		return Path{}, false
	}
	return segments[0].Path, true
}

// Parse splits a text into literals and expressions.
func Parse(text string) ([]Segment, error) {
	if !strings.Contains(text, Open) {
		return []Segment{{Literal: text}}, nil
	}
	var out []Segment
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			out = append(out, Segment{Literal: literal.String()})
			literal.Reset()
		}
	}
	for rest := text; rest != ""; {
		at := strings.Index(rest, Open)
		if at < 0 {
			literal.WriteString(rest)
			break
		}
		if at > 0 && rest[at-1] == '$' {
			literal.WriteString(rest[:at-1] + Open)
			rest = rest[at+len(Open):]
			continue
		}
		literal.WriteString(rest[:at])
		flush()
		body, tail, closed := strings.Cut(rest[at+len(Open):], Close)
		if !closed {
			return nil, fmt.Errorf("expression %q is not closed; want %s at its end, or %s for the characters %s themselves",
				tree.Excerpt(rest[at:]), Close, literalOpen, Open)
		}
		e, err := parsePath(body)
		if err != nil {
			return nil, err
		}
		out = append(out, Segment{IsPath: true, Path: e})
		rest = tail
	}
	flush()
	return out, nil
}

const wantPath = "want a path such as params.day, tasks.extract.outputs.rows, array.index, array.item, job.id or job.name"

// parsePath reads a path.
func parsePath(body string) (Path, error) {
	body = strings.TrimSpace(body)
	fail := func(format string, args ...any) (Path, error) {
		return Path{}, fmt.Errorf("expression %q: %s", tree.Excerpt(body), fmt.Sprintf(format, args...))
	}
	if len(body) > Max {
		return fail("has %d bytes; at most %d are allowed", len(body), Max)
	}
	steps, err := pathSteps(body)
	if err != nil {
		return fail("%s; %s", err.Error(), wantPath)
	}
	switch {
	case steps[0] == "params" && len(steps) == 2:
		if !OutputKey(steps[1]) {
			return fail("parameters have names of small letters, digits and underscores, such as first_day")
		}
		return Path{Root: Param, Key: steps[1]}, nil
	case steps[0] == "tasks" && len(steps) == 4 && steps[2] == "outputs":
		if err := job.CheckName(steps[1]); err != nil {
			return fail("%s", err.Error())
		}
		if !OutputKey(steps[3]) {
			return fail("outputs have names of small letters, digits and underscores, such as rows")
		}
		return Path{Root: Output, Task: steps[1], Key: steps[3]}, nil
	case len(steps) == 2:
		for _, known := range []Path{{Root: Index}, {Root: Item}, {Root: JobID}, {Root: JobName}} {
			if known.String() == steps[0]+"."+steps[1] {
				return known, nil
			}
		}
	}
	return fail("%s", wantPath)
}

// OutputKey reports whether s may name an output: [a-z_][a-z0-9_]*.
func OutputKey(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= job.MaxName
}

// pathSteps splits a.b["c"].d into its steps, at least one.
func pathSteps(s string) ([]string, error) {
	var steps []string
	for at := 0; ; {
		end := at
		for end < len(s) && (s[end] == '_' || '0' <= s[end] && s[end] <= '9' && end > at || 'a' <= s[end] && s[end] <= 'z' || 'A' <= s[end] && s[end] <= 'Z') {
			end++
		}
		if end == at {
			return nil, errors.New("a name is missing")
		}
		steps = append(steps, s[at:end])
		for end < len(s) && s[end] == '[' {
			step, size, err := bracketStep(s[end:])
			if err != nil {
				return nil, err
			}
			steps, end = append(steps, step), end+size
		}
		switch {
		case end == len(s):
			return steps, nil
		case s[end] == '.':
			at = end + 1
		case s[end] == '-' && len(steps) == 2 && steps[0] == "tasks":
			return nil, fmt.Errorf(`a name with a dash goes into brackets: tasks["my-task"].outputs.x`)
		default:
			return nil, fmt.Errorf("%q is not part of a path; calculations are not supported", tree.Excerpt(s[end:]))
		}
	}
}

// bracketStep reads ["name"] at the beginning of s.
func bracketStep(s string) (step string, size int, err error) {
	if len(s) < 2 || s[1] != '"' && s[1] != '\'' {
		return "", 0, errors.New(`want a name in quotes within brackets, such as ["my-task"]`)
	}
	end := strings.IndexByte(s[2:], s[1])
	if end < 0 || 2+end+1 >= len(s) || s[2+end+1] != ']' || strings.IndexByte(s[2:2+end], '\\') >= 0 {
		return "", 0, errors.New(`want a name in quotes within brackets, such as ["my-task"]`)
	}
	return s[2 : 2+end], 2 + end + 2, nil
}
