// Package tree reads YAML and JSON into one tree of values with their positions,
// and gathers what is wrong with them. It knows nothing of what a job file means.
package tree

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// MaxText bounds a job file in bytes.
const MaxText = job.MaxSpec

// Read turns a file's text into a tree. What is wrong goes to r; the result is nil
// if nothing can be made of the text. Values are nested at most maxDepth deep, no
// key stands twice in a mapping, and there are no aliases.
func Read(text []byte, r *Reports) *Node {
	n := r.read(text)
	if n != nil {
		r.checkKeys(n)
	}
	return n
}

func (r *Reports) read(text []byte) *Node {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	top := &Node{Line: 1, Column: 1}
	if len(text) > MaxText {
		r.Fail(top, "the file has %d bytes; at most %d are allowed: put large data into a blob or a shared directory", len(text), MaxText)
		return nil
	}
	if at := invalidUTF8(text); at >= 0 {
		n := &Node{}
		n.Line, n.Column = position(text, at)
		r.Fail(n, "the file is not UTF-8; put binary data into files as base64")
		return nil
	}
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		tree, err := readJSON(r, text)
		var syntax *jsonError
		if !errors.As(err, &syntax) {
			return tree
		}
		if strings.HasSuffix(r.File, ".json") || r.File == "" {
			n := &Node{}
			n.Line, n.Column = position(text, syntax.offset)
			r.Fail(n, "not JSON: %s", syntax.message)
			return nil
		}
	}
	return r.readYAML(text)
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
