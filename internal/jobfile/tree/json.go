package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// jsonError is text that is not JSON.
type jsonError struct {
	offset  int
	message string
}

func (e *jsonError) Error() string { return e.message }

// jsonReader reads JSON token by token and knows where each begins.
type jsonReader struct {
	reports *Reports
	text    []byte
	decoder *json.Decoder
	// counted is the offset up to which line and column are known.
	counted, line, column int
}

// readJSON reads JSON into a tree. It is there beside YAML, which would refuse
// some JSON (surrogate pairs, tabs, long keys).
func readJSON(reports *Reports, text []byte) (*Node, error) {
	r := &jsonReader{reports: reports, text: text, decoder: json.NewDecoder(bytes.NewReader(text)), line: 1, column: 1}
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
func (r *jsonReader) here() *Node {
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
	return &Node{Line: r.line, Column: r.column}
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

func (r *jsonReader) value(depth int) (*Node, error) {
	n := r.here()
	if depth > maxDepth {
		r.reports.Fail(n, "is nested more than %d deep", maxDepth)
		return nil, errTooDeep
	}
	token, err := r.token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		n.Kind = Mapping
		if v == '[' {
			n.Kind = Sequence
		}
		if err := r.fill(n, depth); err != nil {
			return nil, err
		}
	case string:
		n.Text, n.Quoted = v, true
	case json.Number:
		n.Text = v.String()
	case bool:
		n.Text = fmt.Sprint(v)
	case nil:
		n.Text = "null"
	}
	return n, nil
}

// fill reads what is between the brackets.
func (r *jsonReader) fill(n *Node, depth int) error {
	for r.decoder.More() {
		var key *Node
		if n.Kind == Mapping {
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

// errTooDeep ends reading; the reports have the message.
var errTooDeep = errors.New("nested too deep")
