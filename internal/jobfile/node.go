package jobfile

import (
	"slices"
	"strconv"
	"strings"
)

// kind is the shape of a node.
type kind uint8

const (
	scalar kind = iota
	mapping
	sequence
)

func (k kind) String() string { return [...]string{"a single value", "a mapping", "a list"}[k] }

// node is a value of the file with its position. YAML and JSON are both read into
// it, so that there is one grammar.
type node struct {
	kind kind
	// text is a scalar's source text, without its quotes.
	text string
	// quoted: the scalar is text whatever it looks like.
	quoted       bool
	line, column int
	// keys of a mapping; items are its values, or the items of a list.
	keys, items []*node
	parent      *node
	// place is the key or index under which parent has the node.
	place string
}

// maxDepth bounds how deep values are nested; it is far above what the grammar
// needs and is there for a function's input.
const maxDepth = 64

// add appends an item to a list, or a pair to a mapping (key not nil).
func (n *node) add(key, value *node) {
	value.parent = n
	if key == nil {
		value.place = strconv.Itoa(len(n.items))
	} else {
		value.place = key.text
		key.parent, key.place = n, key.text
		n.keys = append(n.keys, key)
	}
	n.items = append(n.items, value)
}

// get returns the value of a mapping's key, nil if it has none.
func (n *node) get(key string) *node {
	if n.kind == mapping {
		for i, k := range n.keys {
			if k.text == key {
				return n.items[i]
			}
		}
	}
	return nil
}

// null: nothing was written, or one of YAML's words for nothing, unquoted.
func (n *node) null() bool {
	if n.kind != scalar || n.quoted {
		return false
	}
	switch n.text {
	case "", "~", "null", "Null", "NULL":
		return true
	}
	return false
}

// boolean reads an unquoted true or false.
func (n *node) boolean() (value, ok bool) {
	if n.kind != scalar || n.quoted {
		return false, false
	}
	switch n.text {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

// path is the way to the node: tasks.extract.needs[0].
func (n *node) path() string {
	var parts []string
	for at := n; at.parent != nil; at = at.parent {
		switch {
		case at.parent.kind == sequence:
			parts = append(parts, "["+at.place+"]")
		case plainKey(at.place):
			parts = append(parts, "."+at.place)
		default:
			parts = append(parts, "["+strconv.Quote(shown(at.place))+"]")
		}
	}
	slices.Reverse(parts)
	return strings.TrimPrefix(strings.Join(parts, ""), ".")
}

func plainKey(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != "" && len(s) <= maxShown
}

// checkKeys reports keys that are not text and keys that stand twice, anywhere
// below n.
func (p *parser) checkKeys(n *node) {
	for _, item := range n.items {
		if item.kind != scalar {
			p.checkKeys(item)
		}
	}
	if n.kind != mapping {
		return
	}
	seen := make(map[string]*node, len(n.keys))
	for _, k := range n.keys {
		if k.kind != scalar {
			p.fail(k, "a key is %s; want a word", k.kind)
			continue
		}
		if first := seen[k.text]; first != nil {
			p.fail(k, "is given twice, first in line %d", first.line)
			continue
		}
		seen[k.text] = k
	}
}

// jsonNumber reports whether s is a number as JSON spells them.
func jsonNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	digits := func() bool {
		n := 0
		for n < len(s) && '0' <= s[n] && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	zero := strings.HasPrefix(s, "0")
	before := len(s)
	if !digits() || zero && before-len(s) > 1 {
		return false
	}
	if strings.HasPrefix(s, ".") {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}

// appendJSON writes a node as compact JSON with sorted keys. Unquoted scalars
// that JSON would read as a number, a boolean or null are that; the rest is text,
// so 010 and 2026-01-01 stay as they are written.
func (n *node) appendJSON(b []byte) []byte {
	switch n.kind {
	case sequence:
		b = append(b, '[')
		for i, item := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendJSON(b)
		}
		return append(b, ']')
	case mapping:
		order := make([]int, len(n.keys))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(x, y int) int { return strings.Compare(n.keys[x].text, n.keys[y].text) })
		b = append(b, '{')
		for i, at := range order {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, n.keys[at].text)
			b = append(b, ':')
			b = n.items[at].appendJSON(b)
		}
		return append(b, '}')
	}
	value, isBool := n.boolean()
	switch {
	case n.null():
		return append(b, "null"...)
	case isBool:
		return strconv.AppendBool(b, value)
	case !n.quoted && jsonNumber(n.text):
		return append(b, n.text...)
	}
	return appendString(b, n.text)
}
