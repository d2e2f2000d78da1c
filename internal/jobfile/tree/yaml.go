package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

func (r *Reports) readYAML(text []byte) *Node {
	top := &Node{Line: 1, Column: 1}
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		r.Fail(top, "not YAML: %v", err)
		return nil
	}
	var document yaml.Node
	if err := loader.Load(&document); errors.Is(err, io.EOF) {
		r.Fail(top, "the file is empty; want a job such as: run: echo hello")
		return nil
	} else if err != nil {
		r.yamlError(text, err)
		return nil
	}
	if len(document.Content) != 1 {
		r.Fail(top, "the file is empty; want a job such as: run: echo hello")
		return nil
	}
	var second yaml.Node
	if err := loader.Load(&second); err == nil {
		n := &Node{Line: second.Line, Column: second.Column}
		r.Fail(n, "a second document begins; put one job into one file")
		return nil
	} else if !errors.Is(err, io.EOF) {
		r.yamlError(text, err)
		return nil
	}
	return r.convert(document.Content[0], 0)
}

// convert turns the library's tree into ours and refuses what the grammar has no
// use for. It returns nil after an error that makes the rest meaningless.
func (r *Reports) convert(y *yaml.Node, depth int) *Node {
	n := &Node{Line: y.Line, Column: y.Column, Text: y.Value}
	if depth > maxDepth {
		r.Fail(n, "is nested more than %d deep", maxDepth)
		return nil
	}
	switch {
	case y.Kind == yaml.AliasNode:
		r.Fail(n, "*%s is an alias, which job files don't have; %s", y.Value, starHint)
		return nil
	case y.Anchor != "":
		r.Fail(n, "&%s is an anchor, which job files don't have; put a value that begins with & in quotes", y.Anchor)
		return nil
	case y.Style&yaml.TaggedStyle != 0:
		r.Fail(n, "%s is a tag, which job files don't have; put a value that begins with ! in quotes", y.Tag)
		return nil
	}
	switch y.Kind {
	case yaml.ScalarNode:
		n.Quoted = y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	case yaml.SequenceNode:
		n.Kind = Sequence
		for _, item := range y.Content {
			value := r.convert(item, depth+1)
			if value == nil {
				return nil
			}
			n.add(nil, value)
		}
	case yaml.MappingNode:
		n.Kind = Mapping
		for i := 0; i+1 < len(y.Content); i += 2 {
			key, value := r.convert(y.Content[i], depth+1), r.convert(y.Content[i+1], depth+1)
			if key == nil || value == nil {
				return nil
			}
			n.add(key, value)
		}
	default:
		r.Fail(n, "is not a value")
		return nil
	}
	return n
}

const starHint = `put a value that begins with * in quotes, such as "*/5 * * * *"`

// yamlError reports the library's error at its place, with a hint where the line
// shows a common slip.
func (r *Reports) yamlError(text []byte, err error) {
	n := &Node{Line: 1, Column: 1}
	var loadError *yaml.LoadError
	if !errors.As(err, &loadError) {
		r.Fail(n, "not YAML: %v", err)
		return
	}
	n.Line, n.Column = loadError.Mark.Line, loadError.Mark.Column
	if n.Line == 0 {
		n.Line, n.Column = position(text, loadError.Mark.Index)
	}
	lines := bytes.Split(text, []byte("\n"))
	line := ""
	if n.Line <= len(lines) {
		line = string(lines[n.Line-1])
	}
	message := "not YAML: " + loadError.Message
	if began := loadError.ContextMark.Line; began > 0 && began < n.Line {
		message += fmt.Sprintf(", %s that begins in line %d", loadError.ContextMsg, began)
	}
	if hint := yamlHint(line, n.Column, loadError.Message); hint != "" {
		message += "; " + hint
	}
	r.Fail(n, "%s", message)
}

// yamlHint explains the slips that the library can't know about.
func yamlHint(line string, column int, message string) string {
	rest := ""
	if runes := []rune(line); column >= 1 && column <= len(runes) {
		rest = string(runes[column-1:])
	}
	switch {
	case strings.Contains(message, "tab character") || strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		return "indent with spaces, not with tabs"
	case strings.HasPrefix(rest, "*"), strings.Contains(line, ": *"):
		return starHint
	case rest != "" && strings.ContainsAny(rest[:1], "@%`"):
		return fmt.Sprintf("put a value that begins with %s in quotes, such as %q", rest[:1], strings.TrimSpace(rest))
	case strings.Contains(line, "${{"):
		return `put an expression inside [ ] or { } in quotes, such as ["${{ params.day }}"]`
	case strings.Contains(message, "mapping values"):
		return `put a value that has ": " in it in quotes, or use a block: run: |`
	case strings.Contains(message, "escape"):
		return `use single quotes for a text with backslashes`
	}
	return ""
}
