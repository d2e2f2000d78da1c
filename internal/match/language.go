package match

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
)

const (
	// MaxSource bounds the bytes of an expression.
	MaxSource = 1024
	// maxNodes and maxDepth bound its tree, maxPattern the program of a regular expression.
	maxNodes, maxDepth, maxPattern = 256, 32, 500
	// maxCost bounds what one evaluation may cost, in CEL's units of about a comparison.
	maxCost = 500
)

// What the names of an expression's variables are.
const (
	labelsVar = "labels"
	nameVar   = "name"
	poolVar   = "pool"
)

// poolLabel is the label that says which pool a worker is in.
const poolLabel = "pool"

// Language is what expressions may say. It is made anew where it is needed, which costs less than
// reading one expression.
type Language struct{ env *cel.Env }

// New returns the language.
func New() (*Language, error) {
	known := env.NewLibrarySubset().AddIncludedMacros(operators.Has)
	for _, f := range functions() {
		known.AddIncludedFunctions(env.NewFunction(f))
	}
	e, err := cel.NewCustomEnv(
		cel.StdLib(cel.StdLibSubset(known)),
		cel.Variable(labelsVar, cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable(nameVar, cel.StringType),
		cel.Variable(poolVar, cel.StringType),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(MaxSource),
		cel.ParserRecursionLimit(maxDepth),
		cel.ExpressionNodeLimit(maxNodes),
		cel.RegexProgramSizeLimit(maxPattern),
	)
	if err != nil {
		return nil, fmt.Errorf("expressions of where: %w", err)
	}
	return &Language{e}, nil
}

// functions are those of the standard library that need neither a clock nor a zone. None goes
// through a list or a map again and again, so that an evaluation looks at each node once, and at
// labels in no order.
func functions() []string {
	return []string{
		operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional,
		operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate,
		operators.Index, operators.In,
		"size", "contains", "startsWith", "endsWith", "matches", "int", "double", "string", "bool",
	}
}

// IsLabel reports whether an entry is a label, key or key=value, and no expression.
func IsLabel(entry string) bool {
	key, value, _ := strings.Cut(entry, "=")
	return IsKey(key) && !strings.HasPrefix(value, "=")
}

// IsKey reports whether a text is a label's key: small letters and digits, and between them dots,
// dashes, underscores and slashes.
func IsKey(s string) bool {
	for i := range len(s) {
		c := s[i]
		word := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !word && (i == 0 || i == len(s)-1 || strings.IndexByte("._-/", c) < 0) {
			return false
		}
	}
	return s != "" && len(s) <= MaxKey
}

// MaxKey bounds the bytes of a label's key.
const MaxKey = 63

// Reader checks the expressions of a job file, each once. Its zero value has read none.
type Reader struct {
	language *Language
	seen     map[read]error
}

// read is an expression, and whether it may be a number.
type read struct {
	text   string
	number bool
}

// MaxExpressions bounds the different expressions in a job: each is read by every server and asked of
// all workers.
const MaxExpressions = 64

// Condition reports what is wrong with an expression that is to be true or false, in one line.
func (r *Reader) Condition(text string) error { return r.check(read{text, false}) }

// Measure reports what is wrong with an expression that is to be true or false, or a number.
func (r *Reader) Measure(text string) error { return r.check(read{text, true}) }

func (r *Reader) check(x read) error {
	if r.language == nil {
		language, err := New()
		if err != nil {
			return err
		}
		r.language, r.seen = language, map[read]error{}
	}
	err, known := r.seen[x]
	if known {
		return err
	}
	if len(r.seen) == MaxExpressions {
		return fmt.Errorf("is one more than %d different expressions over workers in a job; say several in one with && or ||, or write several jobs", MaxExpressions)
	}
	_, err = r.language.compile(x.text, x.number)
	r.seen[x] = err
	return err
}

// compile reads an expression.
func (l *Language) compile(text string, number bool) (*expression, error) {
	switch {
	case len(text) > MaxSource:
		return nil, fmt.Errorf("has %d bytes; an expression has at most %d", len(text), MaxSource)
	case strings.ContainsFunc(text, unicode.IsControl):
		return nil, errors.New("want an expression on one line; in YAML, >- before it makes one line of several")
	}
	tree, issues := l.env.Compile(text)
	if issues.Err() != nil {
		return nil, describe(text, issues)
	}
	switch kind := tree.OutputType(); {
	case kind.IsExactType(cel.BoolType):
	case number && (kind.IsExactType(cel.IntType) || kind.IsExactType(cel.DoubleType)):
	case number:
		return nil, fmt.Errorf("comes to a value of type %s; want a number or a yes or no, such as -double(labels.price) or labels.spot == \"true\"", kind)
	default:
		return nil, fmt.Errorf("comes to a value of type %s; want a yes or no, such as labels.zone == \"eu\"", kind)
	}
	program, err := l.env.Program(tree, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return nil, fmt.Errorf("is no expression: %s", oneLine(err.Error()))
	}
	e := &expression{program: program, yesNo: tree.OutputType().IsExactType(cel.BoolType)}
	e.uses(tree.NativeRep().Expr())
	return e, nil
}

// describe is the first of CEL's messages, and what to do about it.
func describe(source string, issues *cel.Issues) error {
	first := issues.Errors()[0]
	message := oneLine(first.Message)
	if syntax, ok := strings.CutPrefix(first.Message, "Syntax error: "); ok {
		message = oneLine(plain(syntax))
	}
	at := first.Location.Column()
	if at >= 0 {
		message += fmt.Sprintf(" (at its character %d)", at+1)
	}
	name, undeclared := strings.CutPrefix(first.Message, "undeclared reference to '")
	name, _, _ = strings.Cut(name, "'")
	called := false
	if runes := []rune(source); at >= 0 && at < len(runes) {
		called = runes[at] == '('
	}
	hint := `want a label such as gpu or zone=b, or an expression in CEL such as labels.zone in ["eu-1", "eu-2"]`
	switch {
	case undeclared && called:
		hint = "there are has, size, contains, startsWith, endsWith, matches, int, double, string and bool"
	case undeclared && IsKey(name):
		hint = fmt.Sprintf("there are labels, name and pool: want labels.%s for a label, %q for a text", name, name)
	case undeclared:
		hint = "there are labels, name and pool"
	case strings.Contains(first.Message, "token recognition error at: '= '"):
		hint = "values are compared with =="
	case strings.Contains(first.Message, "no matching overload"):
		hint = "labels are texts: want int(labels.x) or double(labels.x) for a number"
	}
	return fmt.Errorf("is no expression: %s; %s", message, hint)
}

// plain says what a parser's message says without its list of all that it knows.
func plain(message string) string {
	said, _, _ := strings.Cut(message, " expecting ")
	for _, lead := range [...]string{"mismatched input ", "extraneous input ", "no viable alternative at input "} {
		switch input, ok := strings.CutPrefix(said, lead); {
		case !ok:
		case strings.HasSuffix(input, "<EOF>'"):
			return "it ends too early"
		default:
			return input + " is not expected"
		}
	}
	if said, ok := strings.CutPrefix(said, "missing "); ok {
		what, _, _ := strings.Cut(said, " at ")
		return what + " is missing"
	}
	return message
}

// oneLine is a message without what follows its first line, cut where it is long.
func oneLine(message string) string {
	const most = 200
	message, _, _ = strings.Cut(message, "\n")
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "…"
	}
	return cmp.Or(message, "CEL does not say why")
}
