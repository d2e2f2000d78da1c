package tree

import (
	"slices"
	"strconv"
	"strings"
)

// Kind is the shape of a node.
type Kind uint8

// The shapes: one value, keys with values, a list of values.
const (
	Scalar Kind = iota
	Mapping
	Sequence
)

// String says the shape in a user's words.
func (k Kind) String() string { return [...]string{"a single value", "a mapping", "a list"}[k] }

// Node is a value of the file with its position.
type Node struct {
	Kind Kind
	// Text is a scalar's source text, without its quotes.
	Text string
	// Quoted: the scalar is text, whatever it looks like.
	Quoted bool
	// Line and Column count from 1, the column in characters.
	Line, Column int
	// Keys of a mapping; Items are its values, or the items of a list.
	Keys, Items []*Node
	parent      *Node
	// place is the key or index under which parent has the node.
	place string
}

// maxDepth bounds how deep values are nested; it is far above what the grammar
// needs and is there for a function's input.
const maxDepth = 64

// Place is the key or the index under which the node stands.
func (n *Node) Place() string { return n.place }

// With returns a node at the same place with other text, for a message about a
// part of it.
func (n *Node) With(text string) *Node {
	return &Node{Kind: n.Kind, Text: text, Line: n.Line, Column: n.Column, parent: n.parent, place: n.place}
}

// add appends an item to a list, or a pair to a mapping (key not nil).
func (n *Node) add(key, value *Node) {
	value.parent = n
	if key == nil {
		value.place = strconv.Itoa(len(n.Items))
	} else {
		value.place = key.Text
		key.parent, key.place = n, key.Text
		n.Keys = append(n.Keys, key)
	}
	n.Items = append(n.Items, value)
}

// Get returns the value of a mapping's key; nil if it has none, or is no mapping.
func (n *Node) Get(key string) *Node {
	if n.Kind == Mapping {
		for i, k := range n.Keys {
			if k.Text == key {
				return n.Items[i]
			}
		}
	}
	return nil
}

// Null reports that nothing was written, or one of YAML's words for nothing
// without quotes.
func (n *Node) Null() bool {
	if n.Kind != Scalar || n.Quoted {
		return false
	}
	switch n.Text {
	case "", "~", "null", "Null", "NULL":
		return true
	}
	return false
}

// Bool reads true or false without quotes.
func (n *Node) Bool() (value, ok bool) {
	if n.Kind != Scalar || n.Quoted {
		return false, false
	}
	switch n.Text {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

// Path is the way to the node from the top: tasks.extract.needs[0].
func (n *Node) Path() string {
	var parts []string
	for at := n; at.parent != nil; at = at.parent {
		switch {
		case at.parent.Kind == Sequence:
			parts = append(parts, "["+at.place+"]")
		case plainKey(at.place):
			parts = append(parts, "."+at.place)
		default:
			parts = append(parts, "["+strconv.Quote(Excerpt(at.place))+"]")
		}
	}
	slices.Reverse(parts)
	return strings.TrimPrefix(strings.Join(parts, ""), ".")
}

func plainKey(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != "" && len(s) <= maxShown
}

// AppendJSON writes the node as compact JSON with sorted keys. Unquoted scalars
// that JSON would read as a number, a boolean or null are that; the rest is text,
// so 010 and 2026-01-01 stay as they are written.
func (n *Node) AppendJSON(b []byte) []byte {
	switch n.Kind {
	case Sequence:
		b = append(b, '[')
		for i, item := range n.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.AppendJSON(b)
		}
		return append(b, ']')
	case Mapping:
		order := make([]int, len(n.Keys))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(x, y int) int { return strings.Compare(n.Keys[x].Text, n.Keys[y].Text) })
		b = append(b, '{')
		for i, at := range order {
			if i > 0 {
				b = append(b, ',')
			}
			b = AppendString(b, n.Keys[at].Text)
			b = append(b, ':')
			b = n.Items[at].AppendJSON(b)
		}
		return append(b, '}')
	}
	value, isBool := n.Bool()
	switch {
	case n.Null():
		return append(b, "null"...)
	case isBool:
		return strconv.AppendBool(b, value)
	case !n.Quoted && IsNumber(n.Text):
		return append(b, n.Text...)
	}
	return AppendString(b, n.Text)
}
