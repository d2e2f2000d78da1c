package match

import (
	"math"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// expression is one that was read, and what it came to where it was asked.
type expression struct {
	program cel.Program
	// yesNo: it is a condition, not a number.
	yesNo bool
	// labels are the keys that it refers to; whole: it refers to labels it does not name.
	labels []string
	whole  bool
	// named: it refers to the worker's name, of which no two have the same.
	named bool
	// known is what it came to by the values of the labels, so that workers with the same cost
	// one evaluation; there are too many of them: no two workers are alike.
	known   map[string]value
	tooMany bool
	key     []byte
}

// maxMemo bounds the values that an expression keeps.
const maxMemo = 1024

// value is what an expression comes to on a worker.
type value struct {
	kind kind
	// yes is a condition's, n a number's in millionths.
	yes bool
	n   int64
	// why is what is wrong, if it came to nothing.
	why string
}

type kind uint8

const (
	nothing kind = iota
	condition
	number
)

// of is what an expression comes to on a worker.
func (e *expression) of(w *Worker) value {
	if e.whole || e.named || e.tooMany {
		return e.evaluate(w)
	}
	e.key = e.key[:0]
	for _, key := range e.labels {
		v, ok := w.label(key)
		if ok { // no label's value has a control character
			e.key = append(append(e.key, 1), v...)
		}
		e.key = append(e.key, 0)
	}
	if v, ok := e.known[string(e.key)]; ok {
		return v
	}
	v := e.evaluate(w)
	if len(e.known) == maxMemo {
		e.known, e.tooMany = nil, true
		return v
	}
	if e.known == nil {
		e.known = map[string]value{}
	}
	e.known[string(e.key)] = v
	return v
}

func (e *expression) evaluate(w *Worker) value {
	of := make(map[string]any, 3)
	if e.named {
		of[nameVar] = w.Name
	}
	if e.whole || len(e.labels) > 0 {
		of[poolVar], _ = w.label(poolLabel)
		of[labelsVar] = e.pick(w)
	}
	out, _, err := e.program.Eval(of)
	if err != nil {
		return value{why: e.reason(w, err)}
	}
	return valueOf(out)
}

// pick is those of a worker's labels that an expression refers to.
func (e *expression) pick(w *Worker) map[string]string {
	labels := make(map[string]string, len(e.labels))
	if e.whole {
		for _, pair := range w.Labels {
			key, v, _ := strings.Cut(pair, "=")
			labels[key] = v
		}
		return labels
	}
	for _, key := range e.labels {
		if v, ok := w.label(key); ok {
			labels[key] = v
		}
	}
	return labels
}

func valueOf(out ref.Val) value {
	switch v := out.(type) {
	case types.Bool:
		return value{kind: condition, yes: bool(v)}
	case types.Int:
		return value{kind: number, n: bounded(float64(v))}
	case types.Double:
		if !math.IsNaN(float64(v)) {
			return value{kind: number, n: bounded(float64(v))}
		}
	}
	return value{why: "it comes to no number"}
}

// bounded is a number in millionths, the nearest that there is.
func bounded(v float64) int64 {
	const scale = 1_000_000
	return int64(math.Round(min(max(v*scale, -maxPoints), maxPoints)))
}

// reason says in a word why an expression has no value on a worker.
func (e *expression) reason(w *Worker, err error) string {
	message := oneLine(err.Error())
	if key, ok := strings.CutPrefix(message, "no such key: "); ok {
		if _, has := w.label(key); !has {
			return "no label " + key
		}
	}
	if strings.Contains(message, "cost limit") {
		return "it takes too long to work out"
	}
	return message
}

// uses notes what an expression refers to.
func (e *expression) uses(x ast.Expr) {
	switch x.Kind() {
	case ast.IdentKind:
		e.variable(x)
	case ast.SelectKind:
		if s := x.AsSelect(); is(s.Operand(), labelsVar) {
			e.label(s.FieldName())
		} else {
			e.uses(s.Operand())
		}
	case ast.CallKind:
		e.call(x.AsCall())
	case ast.ListKind:
		for _, item := range x.AsList().Elements() {
			e.uses(item)
		}
	case ast.MapKind:
		for _, entry := range x.AsMap().Entries() {
			e.uses(entry.AsMapEntry().Key())
			e.uses(entry.AsMapEntry().Value())
		}
	case ast.LiteralKind:
	case ast.ComprehensionKind, ast.StructKind, ast.UnspecifiedExprKind:
		e.whole, e.named = true, true // which no macro and no type makes here
	}
}

func (e *expression) call(c ast.CallExpr) {
	args := c.Args()
	switch f := c.FunctionName(); {
	case f == operators.Index && len(args) == 2 && is(args[0], labelsVar) && text(args[1]) != nil:
		e.label(*text(args[1]))
		return
	case f == operators.In && len(args) == 2 && is(args[1], labelsVar) && text(args[0]) != nil:
		e.label(*text(args[0]))
		return
	}
	if c.IsMemberFunction() {
		e.uses(c.Target())
	}
	for _, a := range args {
		e.uses(a)
	}
}

// text is the value of a literal text, else nil.
func text(x ast.Expr) *string {
	if x.Kind() != ast.LiteralKind {
		return nil
	}
	if s, ok := x.AsLiteral().(types.String); ok {
		return (*string)(&s)
	}
	return nil
}

// is reports whether an expression is a variable and nothing else.
func is(x ast.Expr, name string) bool {
	return x.Kind() == ast.IdentKind && strings.TrimPrefix(x.AsIdent(), ".") == name
}

func (e *expression) variable(x ast.Expr) {
	switch {
	case is(x, labelsVar):
		e.whole = true
	case is(x, nameVar):
		e.named = true
	case is(x, poolVar):
		e.label(poolLabel)
	}
}

func (e *expression) label(key string) {
	if !slices.Contains(e.labels, key) {
		e.labels = append(e.labels, key)
	}
}
