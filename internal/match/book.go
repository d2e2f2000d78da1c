package match

import "strings"

// Worker is what entries look at.
type Worker struct {
	Name string
	// Labels are "key=value", or a key without one; one of them is the pool.
	Labels []string
}

// label is the value of a label.
func (w *Worker) label(key string) (string, bool) {
	for _, pair := range w.Labels {
		if pair == key {
			return "", true
		}
		if len(pair) > len(key) && pair[len(key)] == '=' && pair[:len(key)] == key {
			return pair[len(key)+1:], true
		}
	}
	return "", false
}

// Book is the entries that were asked for, each read once. It is not safe for concurrent use.
type Book struct {
	language *Language
	entries  map[string]*Entry
}

// maxEntries bounds the entries of a book; a full one begins anew.
const maxEntries = 4096

// Cheapest stands for the worker of the lowest price, by the label of that name.
const Cheapest = "cheapest"

// cheapest is what that means.
const cheapest = "-double(labels.price)"

// Entry is one of a where or a prefer.
type Entry struct {
	label string
	expr  *expression
	// broken is why nothing can be made of it, which a server of another version wrote.
	broken string
}

// Where is an entry of a where.
func (b *Book) Where(text string) *Entry { return b.entry(text, text) }

// Prefer is an entry of a prefer, where one word stands for an expression.
func (b *Book) Prefer(text string) *Entry {
	if text == Cheapest {
		return b.entry(Cheapest+" ", cheapest) // what no entry of a where is
	}
	return b.entry(text, text)
}

func (b *Book) entry(name, text string) *Entry {
	if e := b.entries[name]; e != nil {
		return e
	}
	e := b.read(text)
	if len(b.entries) >= maxEntries {
		clear(b.entries)
	}
	if b.entries == nil {
		b.entries = map[string]*Entry{}
	}
	b.entries[name] = e
	return e
}

func (b *Book) read(text string) *Entry {
	if IsLabel(text) {
		return &Entry{label: text}
	}
	if b.language == nil {
		language, err := New()
		if err != nil {
			return &Entry{broken: err.Error()}
		}
		b.language = language
	}
	expr, err := b.language.compile(text, true)
	if err != nil {
		return &Entry{broken: err.Error()}
	}
	return &Entry{expr: expr}
}

// IsLabel reports whether an entry is a label.
func (e *Entry) IsLabel() bool { return e.label != "" }

// Holds reports whether an entry is true of a worker.
func (e *Entry) Holds(w *Worker) bool {
	switch {
	case e.label != "":
		key, want, pair := strings.Cut(e.label, "=")
		has, ok := w.label(key)
		return ok && (!pair || has == want)
	case e.expr == nil:
		return false
	}
	v := e.expr.of(w)
	return v.kind == condition && v.yes
}

// Reason says why an entry has no value on a worker; it is empty if it has one.
func (e *Entry) Reason(w *Worker) string {
	switch {
	case e.label != "":
		return ""
	case e.expr == nil:
		return e.broken
	}
	return e.expr.of(w).why
}

const (
	// maxPoints bounds the points of an entry on both sides of 0, in millionths.
	maxPoints = 1 << 54
	// noPoints are those of a number that a worker does not have: fewer than any, and than the sum
	// of all others.
	noPoints = -1 << 58
	// MaxEntries is how many entries' points can be added up.
	MaxEntries = 8
)

// Valued reports whether a sum of points is of numbers that a worker has.
func Valued(points int64) bool { return points > noPoints/2 }

// Points is what an entry is worth on a worker, in millionths: its weight where it is true, a
// number times its weight, and less than all others can make good for where a number has no value.
// The sum of MaxEntries of them is exact.
func (e *Entry) Points(w *Worker, weight int64) int64 {
	var v value
	if e.expr != nil {
		v = e.expr.of(w)
	} else {
		v = value{kind: condition, yes: e.Holds(w)}
	}
	switch {
	case v.kind == number:
		return times(v.n, weight)
	case v.kind == condition && v.yes:
		return times(1_000_000, weight)
	case v.kind == condition || e.expr == nil || e.expr.yesNo:
		return 0
	}
	return noPoints
}

// times is a product within maxPoints.
func times(n, weight int64) int64 {
	if weight == 0 || n == 0 {
		return 0
	}
	most := int64(maxPoints) / max(weight, -weight)
	return max(min(n, most), -most) * weight
}
