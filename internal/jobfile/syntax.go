package jobfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// MaxText bounds a job file in bytes.
const MaxText = job.MaxSpec

// read turns the file's text into a tree, nil if it can't.
func (p *parser) read(text []byte) *node {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	top := &node{line: 1, column: 1}
	if len(text) > MaxText {
		p.fail(top, "the file has %d bytes; at most %d are allowed: put large data into a blob or a shared directory", len(text), MaxText)
		return nil
	}
	if at := invalidUTF8(text); at >= 0 {
		n := &node{}
		n.line, n.column = position(text, at)
		p.fail(n, "the file is not UTF-8; put binary data into files as base64")
		return nil
	}
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		tree, err := readJSON(p, text)
		var syntax *jsonError
		if !errors.As(err, &syntax) {
			return tree
		}
		if strings.HasSuffix(p.file, ".json") || p.file == "" {
			n := &node{}
			n.line, n.column = position(text, syntax.offset)
			p.fail(n, "not JSON: %s", syntax.message)
			return nil
		}
	}
	return p.readYAML(text)
}

// invalidUTF8 is the offset of the first byte that is not UTF-8, -1 if all are.
func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// position turns an offset into a line and a column in characters, from 1.
func position(text []byte, offset int) (line, column int) {
	offset = max(0, min(offset, len(text)))
	before := text[:offset]
	line = 1 + bytes.Count(before, []byte("\n"))
	return line, 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
}

// jsonError is text that is not JSON.
type jsonError struct {
	offset  int
	message string
}

func (e *jsonError) Error() string { return e.message }

// jsonReader reads JSON token by token and knows where each begins.
type jsonReader struct {
	p       *parser
	text    []byte
	decoder *json.Decoder
	// counted is the offset up to which line and column are known.
	counted, line, column int
}

// readJSON reads JSON into a tree. It is there beside YAML, which would refuse
// some JSON (surrogate pairs, tabs, long keys).
func readJSON(p *parser, text []byte) (*node, error) {
	r := &jsonReader{p: p, text: text, decoder: json.NewDecoder(bytes.NewReader(text)), line: 1, column: 1}
	r.decoder.UseNumber()
	n, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := r.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, &jsonError{offset: int(r.decoder.InputOffset()), message: "more text after the end of the object"}
	}
	return n, nil
}

// here makes a node at the beginning of the next token.
func (r *jsonReader) here() *node {
	offset := int(r.decoder.InputOffset())
	for offset < len(r.text) && strings.IndexByte(" \t\r\n,:", r.text[offset]) >= 0 {
		offset++
	}
	for r.counted < offset {
		c, size := utf8.DecodeRune(r.text[r.counted:])
		r.counted += size
		r.column++
		if c == '\n' {
			r.line, r.column = r.line+1, 1
		}
	}
	return &node{line: r.line, column: r.column}
}

func (r *jsonReader) token() (json.Token, error) {
	token, err := r.decoder.Token()
	if err == nil {
		return token, nil
	}
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, &jsonError{offset: max(0, int(syntax.Offset)-1), message: syntax.Error()}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &jsonError{offset: len(r.text), message: "the text ends in the middle"}
	}
	return nil, &jsonError{offset: int(r.decoder.InputOffset()), message: err.Error()}
}

func (r *jsonReader) value(depth int) (*node, error) {
	n := r.here()
	if depth > maxDepth {
		r.p.fail(n, "is nested more than %d deep", maxDepth)
		return nil, errTooDeep
	}
	token, err := r.token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		n.kind = mapping
		if v == '[' {
			n.kind = sequence
		}
		if err := r.fill(n, depth); err != nil {
			return nil, err
		}
	case string:
		n.text, n.quoted = v, true
	case json.Number:
		n.text = v.String()
	case bool:
		n.text = fmt.Sprint(v)
	case nil:
		n.text = "null"
	}
	return n, nil
}

// fill reads what is between the brackets.
func (r *jsonReader) fill(n *node, depth int) error {
	for r.decoder.More() {
		var key *node
		if n.kind == mapping {
			var err error
			if key, err = r.value(depth); err != nil {
				return err
			}
		}
		value, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.add(key, value)
	}
	if _, err := r.token(); err != nil {
		return err
	}
	return nil
}

// errTooDeep ends reading; the parser has the message.
var errTooDeep = errors.New("nested too deep")

func (p *parser) readYAML(text []byte) *node {
	top := &node{line: 1, column: 1}
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		p.fail(top, "not YAML: %v", err)
		return nil
	}
	var document yaml.Node
	if err := loader.Load(&document); errors.Is(err, io.EOF) {
		p.fail(top, "the file is empty; want a job such as: run: echo hello")
		return nil
	} else if err != nil {
		p.yamlError(text, err)
		return nil
	}
	if len(document.Content) != 1 {
		p.fail(top, "the file is empty; want a job such as: run: echo hello")
		return nil
	}
	var second yaml.Node
	if err := loader.Load(&second); err == nil {
		n := &node{line: second.Line, column: second.Column}
		p.fail(n, "a second document begins; put one job into one file")
		return nil
	} else if !errors.Is(err, io.EOF) {
		p.yamlError(text, err)
		return nil
	}
	return p.convert(document.Content[0], 0)
}

// convert turns the library's tree into ours and refuses what the grammar has no
// use for. It returns nil after an error that makes the rest meaningless.
func (p *parser) convert(y *yaml.Node, depth int) *node {
	n := &node{line: y.Line, column: y.Column, text: y.Value}
	if depth > maxDepth {
		p.fail(n, "is nested more than %d deep", maxDepth)
		return nil
	}
	switch {
	case y.Kind == yaml.AliasNode:
		p.fail(n, "*%s is an alias, which job files don't have; %s", y.Value, starHint)
		return nil
	case y.Anchor != "":
		p.fail(n, "&%s is an anchor, which job files don't have; put a value that begins with & in quotes", y.Anchor)
		return nil
	case y.Style&yaml.TaggedStyle != 0:
		p.fail(n, "%s is a tag, which job files don't have; put a value that begins with ! in quotes", y.Tag)
		return nil
	}
	switch y.Kind {
	case yaml.ScalarNode:
		n.quoted = y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	case yaml.SequenceNode:
		n.kind = sequence
		for _, item := range y.Content {
			value := p.convert(item, depth+1)
			if value == nil {
				return nil
			}
			n.add(nil, value)
		}
	case yaml.MappingNode:
		n.kind = mapping
		for i := 0; i+1 < len(y.Content); i += 2 {
			key, value := p.convert(y.Content[i], depth+1), p.convert(y.Content[i+1], depth+1)
			if key == nil || value == nil {
				return nil
			}
			n.add(key, value)
		}
	default:
		p.fail(n, "is not a value")
		return nil
	}
	return n
}

const starHint = `put a value that begins with * in quotes, such as "*/5 * * * *"`

// yamlError reports the library's error at its place, with a hint where the line
// shows a common slip.
func (p *parser) yamlError(text []byte, err error) {
	n := &node{line: 1, column: 1}
	var loadError *yaml.LoadError
	if !errors.As(err, &loadError) {
		p.fail(n, "not YAML: %v", err)
		return
	}
	n.line, n.column = loadError.Mark.Line, loadError.Mark.Column
	if n.line == 0 {
		n.line, n.column = position(text, loadError.Mark.Index)
	}
	lines := bytes.Split(text, []byte("\n"))
	line := ""
	if n.line <= len(lines) {
		line = string(lines[n.line-1])
	}
	message := "not YAML: " + loadError.Message
	if hint := yamlHint(line, n.column, loadError.Message); hint != "" {
		message += "; " + hint
	}
	p.fail(n, "%s", message)
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
	case strings.HasPrefix(rest, "*"):
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
