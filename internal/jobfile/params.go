package jobfile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/expr"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

// maxParam bounds one parameter's value in bytes.
const maxParam = 64 << 10

// paramTypes are the types of parameters.
var paramTypes = [...]string{"string", "int", "number", "bool", "list"}

// sortedKeys is how maps are walked: in one order always.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// params reads the declared parameters.
func (p *parser) params(n *tree.Node) map[string]job.Param {
	params := map[string]job.Param{}
	p.pairs(n, "a mapping of parameters such as day: \"2026-01-01\"", func(key, value *tree.Node) {
		if !expr.OutputKey(key.Text) {
			p.Bad(key, "want a parameter's name of small letters, digits and underscores, such as first_day")
		}
		params[key.Text] = p.param(value)
	})
	return orNil(params)
}

func (p *parser) param(n *tree.Node) job.Param {
	declared := job.Param{Type: "string"}
	var given *tree.Node
	switch n.Kind {
	case tree.Scalar:
		if !n.Null() {
			given = n
		}
	case tree.Sequence:
		declared.Type, given = "list", n
	case tree.Mapping:
		p.fields(n, []field{
			{"type", func(n *tree.Node) { declared.Type = p.word(n, paramTypes[:]...) }},
			{"default", func(n *tree.Node) { given = n }},
			{"enum", func(n *tree.Node) {
				p.each(n, "a list of allowed values", func(item *tree.Node) {
					text, _ := p.anyText(item, "an allowed value")
					declared.Enum = append(declared.Enum, text)
				})
			}},
			{"description", func(n *tree.Node) { declared.Description, _ = p.text(n, "a description") }},
		}, nil)
		p.checkEnum(n, &declared)
	}
	if given == nil || declared.Type == "" {
		return declared
	}
	value, err := bindNode(&declared, given)
	switch {
	case err != nil:
		p.Bad(given, "%s", err.Error())
	case strings.Contains(string(value), expr.Open):
		p.Bad(given, "expressions are not evaluated in parameters")
	}
	declared.Default = value
	return declared
}

func (p *parser) checkEnum(n *tree.Node, declared *job.Param) {
	at := n.Get("enum")
	if at == nil {
		return
	}
	if declared.Type == "list" {
		p.Fail(at, "is not for lists")
		return
	}
	if at.Kind == tree.Sequence && len(at.Items) == 0 {
		p.Bad(at, "want at least one allowed value")
	}
	plain := job.Param{Type: declared.Type}
	for i, text := range declared.Enum {
		if _, err := bindText(&plain, text); err != nil && declared.Type != "" {
			p.Bad(at.Items[i], "%s", err.Error())
		}
	}
}

// bindNode reads a default.
func bindNode(declared *job.Param, n *tree.Node) (json.RawMessage, error) {
	switch {
	case n.Kind == tree.Mapping, n.Kind == tree.Sequence && declared.Type != "list":
		return nil, fmt.Errorf("want %s", paramWant(declared))
	case n.Kind == tree.Scalar && n.Null():
		return nil, fmt.Errorf("want %s; leave default out if a value must be given", paramWant(declared))
	case n.Kind == tree.Scalar:
		return bindText(declared, n.Text)
	}
	items := make([]string, len(n.Items))
	for i, item := range n.Items {
		if item.Kind != tree.Scalar || item.Null() {
			return nil, fmt.Errorf("want %s", paramWant(declared))
		}
		items[i] = item.Text
	}
	return bindList(items)
}

func paramWant(declared *job.Param) string {
	switch declared.Type {
	case "int":
		return "a whole number"
	case "number":
		return "a number such as 3 or 0.5"
	case "bool":
		return "true or false"
	case "list":
		return `a list such as ["a","b"]`
	}
	return "a text"
}

// bindText reads a value from text by the declared type.
func bindText(declared *job.Param, text string) (json.RawMessage, error) {
	want := fmt.Errorf("want %s", paramWant(declared))
	var out json.RawMessage
	switch declared.Type {
	case "int":
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, want
		}
		out = strconv.AppendInt(nil, value, 10)
	case "number":
		if !tree.IsNumber(text) {
			return nil, want
		}
		out = json.RawMessage(text)
	case "bool":
		if text != "true" && text != "false" {
			return nil, want
		}
		out = json.RawMessage(text)
	case "list":
		if strings.HasPrefix(text, "[") {
			items, err := expr.StringList(text)
			if err != nil {
				return nil, want
			}
			return bindList(items)
		}
		if text == "" {
			return bindList(nil)
		}
		return bindList(strings.Split(text, ","))
	default:
		if strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text) {
			return nil, fmt.Errorf("want UTF-8 text without NUL characters")
		}
		out = tree.AppendString(nil, text)
	}
	if len(out) > maxParam {
		return nil, fmt.Errorf("has %d bytes; at most %d are allowed", len(out), maxParam)
	}
	if len(declared.Enum) > 0 && !slices.Contains(declared.Enum, text) {
		return nil, fmt.Errorf("want one of %s", strings.Join(declared.Enum, ", "))
	}
	return out, nil
}

func bindList(items []string) (json.RawMessage, error) {
	out := json.RawMessage{'['}
	for i, item := range items {
		if i > 0 {
			out = append(out, ',')
		}
		if strings.IndexByte(item, 0) >= 0 || !utf8.ValidString(item) {
			return nil, fmt.Errorf("want items of UTF-8 text without NUL characters")
		}
		out = tree.AppendString(out, item)
	}
	if out = append(out, ']'); len(out) > maxParam {
		return nil, fmt.Errorf("has %d bytes; at most %d are allowed", len(out), maxParam)
	}
	return out, nil
}

// BindParams checks given values against the spec's parameters and returns all of
// them, defaults included, as one JSON object with sorted keys. A value may have
// its declared type or be text that spells it, as a command line gives it: "5",
// "true", "a,b". Errors are job.Invalid.
func BindParams(spec *job.Spec, given map[string]json.RawMessage) ([]byte, error) {
	fail := func(format string, args ...any) ([]byte, error) {
		return nil, &job.Error{Code: job.Invalid, Message: fmt.Sprintf(format, args...)}
	}
	known := sortedKeys(spec.Params)
	for _, name := range sortedKeys(given) {
		if _, ok := spec.Params[name]; !ok {
			if len(known) == 0 {
				return fail("parameter %s is unknown: the job has no parameters", name)
			}
			return fail("parameter %s is unknown; %s", name, tree.Suggest(name, known))
		}
	}
	out := []byte{'{'}
	for i, name := range known {
		declared := spec.Params[name]
		value := declared.Default
		if raw, ok := given[name]; ok {
			var err error
			if value, err = bindJSON(&declared, raw); err != nil {
				return fail("parameter %s: %s: %s", name, strconv.Quote(tree.Excerpt(asGiven(raw))), err.Error())
			}
		}
		if value == nil {
			return fail("parameter %s needs a value: %s", name, paramWant(&declared))
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(tree.AppendString(out, name), ':'), value...)
	}
	if out = append(out, '}'); len(out) > job.MaxPayload {
		return fail("the parameters have %d bytes; at most %d are allowed", len(out), job.MaxPayload)
	}
	return out, nil
}

// bindJSON reads a given JSON value by the declared type.
func bindJSON(declared *job.Param, raw json.RawMessage) (json.RawMessage, error) {
	text := strings.TrimSpace(string(raw))
	switch {
	case strings.HasPrefix(text, `"`):
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, fmt.Errorf("want %s", paramWant(declared))
		}
		return bindText(declared, s)
	case strings.HasPrefix(text, "["):
		if declared.Type != "list" {
			return nil, fmt.Errorf("want %s", paramWant(declared))
		}
		return bindText(declared, text)
	case text == "true", text == "false", tree.IsNumber(text):
		return bindText(declared, text)
	}
	return nil, fmt.Errorf("want %s", paramWant(declared))
}

// asGiven is a value as the user wrote it: a text without JSON's own quotes.
func asGiven(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// DecodeParams reads what BindParams wrote, for expr.Scope.
func DecodeParams(bound []byte) (map[string]json.RawMessage, error) {
	params := map[string]json.RawMessage{}
	if len(bound) == 0 {
		return params, nil
	}
	if err := json.Unmarshal(bound, &params); err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	return params, nil
}
