package jobfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

// An expression is a path between ${{ and }}: a strict subset of CEL. $${{ stands
// for ${{ itself.
const (
	exprOpen    = "${{"
	exprClose   = "}}"
	exprLiteral = "$${{"
	// maxExpr bounds one expression in bytes.
	maxExpr = 256
)

// root is what a path begins with.
type root uint8

const (
	rootParam root = iota
	rootOutput
	rootIndex
	rootItem
	rootJobID
	rootJobName
)

// expr is one path. It is a value and compares with ==.
type expr struct {
	root root
	// task and key name an output; key alone names a parameter.
	task, key string
}

// String spells the path as the grammar wants it.
func (e expr) String() string {
	switch e.root {
	case rootParam:
		return "params." + e.key
	case rootOutput:
		if strings.Contains(e.task, "-") {
			return fmt.Sprintf("tasks[%q].outputs.%s", e.task, e.key)
		}
		return "tasks." + e.task + ".outputs." + e.key
	case rootIndex:
		return "array.index"
	case rootItem:
		return "array.item"
	case rootJobID:
		return "job.id"
	}
	return "job.name"
}

// wrapped is the path as an expression in a text.
func (e expr) wrapped() string { return exprOpen + " " + e.String() + " " + exprClose }

// segment is a piece of a template: literal text, or an expression.
type segment struct {
	literal string
	isExpr  bool
	expr    expr
}

// whole returns the one expression that a text consists of.
func whole(text string) (expr, bool) {
	segments, err := parseTemplate(text)
	if err != nil || len(segments) != 1 || !segments[0].isExpr {
		return expr{}, false
	}
	return segments[0].expr, true
}

// parseTemplate splits a text into literals and expressions.
func parseTemplate(text string) ([]segment, error) {
	if !strings.Contains(text, exprOpen) {
		return []segment{{literal: text}}, nil
	}
	var out []segment
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			out = append(out, segment{literal: literal.String()})
			literal.Reset()
		}
	}
	for rest := text; rest != ""; {
		at := strings.Index(rest, exprOpen)
		if at < 0 {
			literal.WriteString(rest)
			break
		}
		if at > 0 && rest[at-1] == '$' {
			literal.WriteString(rest[:at-1] + exprOpen)
			rest = rest[at+len(exprOpen):]
			continue
		}
		literal.WriteString(rest[:at])
		flush()
		body, tail, closed := strings.Cut(rest[at+len(exprOpen):], exprClose)
		if !closed {
			return nil, fmt.Errorf("expression %q is not closed; want %s at its end, or %s for the characters %s themselves",
				tree.Excerpt(rest[at:]), exprClose, exprLiteral, exprOpen)
		}
		e, err := parseExpr(body)
		if err != nil {
			return nil, err
		}
		out = append(out, segment{isExpr: true, expr: e})
		rest = tail
	}
	flush()
	return out, nil
}

const wantExpr = "want a path such as params.day, tasks.extract.outputs.rows, array.index, array.item, job.id or job.name"

// parseExpr reads a path.
func parseExpr(body string) (expr, error) {
	body = strings.TrimSpace(body)
	fail := func(format string, args ...any) (expr, error) {
		return expr{}, fmt.Errorf("expression %q: %s", tree.Excerpt(body), fmt.Sprintf(format, args...))
	}
	if len(body) > maxExpr {
		return fail("has %d bytes; at most %d are allowed", len(body), maxExpr)
	}
	steps, err := pathSteps(body)
	if err != nil {
		return fail("%s; %s", err.Error(), wantExpr)
	}
	switch {
	case steps[0] == "params" && len(steps) == 2:
		if !outputKey(steps[1]) {
			return fail("parameters have names of small letters, digits and underscores, such as first_day")
		}
		return expr{root: rootParam, key: steps[1]}, nil
	case steps[0] == "tasks" && len(steps) == 4 && steps[2] == "outputs":
		if err := job.CheckName(steps[1]); err != nil {
			return fail("%s", err.Error())
		}
		if !outputKey(steps[3]) {
			return fail("outputs have names of small letters, digits and underscores, such as rows")
		}
		return expr{root: rootOutput, task: steps[1], key: steps[3]}, nil
	case len(steps) == 2:
		for _, known := range []expr{{root: rootIndex}, {root: rootItem}, {root: rootJobID}, {root: rootJobName}} {
			if known.String() == steps[0]+"."+steps[1] {
				return known, nil
			}
		}
	}
	return fail("%s", wantExpr)
}

// outputKey reports whether s may name an output: [a-z_][a-z0-9_]*.
func outputKey(s string) bool {
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
