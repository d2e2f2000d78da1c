package jobfile

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// MaxErrors bounds how many errors of one file are reported.
const MaxErrors = 20

// Error is one thing that is wrong with a job file.
type Error struct {
	// File is the name given to Parse; empty if positions mean nothing to the
	// user, as for JSON that a program made.
	File string
	// Line and Column count from 1; the column counts characters.
	Line, Column int
	// Path leads to the value: tasks.extract.timeout.
	Path string
	// Value is the offending value as the file has it, cut; empty if showing it
	// would not help.
	Value string
	// Message says what is allowed, or what to do.
	Message string
}

// Error is one line: job.yaml:12:7: tasks.extract.timeout: "ten": want a duration.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	if e.Value != "" {
		b.WriteString(strconv.Quote(e.Value) + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Errors is everything that is wrong with a file, in the order of its lines, at
// most MaxErrors of them. It is never empty.
type Errors []*Error

// Error is one line for each.
func (e Errors) Error() string {
	var b strings.Builder
	for i, one := range e {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(one.Error())
	}
	return b.String()
}

// Unwrap makes job.CodeOf answer job.Invalid.
func (e Errors) Unwrap() error { return &job.Error{Code: job.Invalid, Message: e.Error()} }

// maxShown is how many characters of a value a message repeats.
const maxShown = 60

func shown(text string) string {
	count := 0
	for i := range text {
		if count++; count > maxShown {
			return text[:i] + "…"
		}
	}
	return text
}

// fail reports an error at n that is not about its text.
func (p *parser) fail(n *node, format string, args ...any) {
	p.report(&Error{Line: n.line, Column: n.column, Path: n.path(), Message: fmt.Sprintf(format, args...)})
}

// bad reports that n's value is not what it should be.
func (p *parser) bad(n *node, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	e := &Error{Line: n.line, Column: n.column, Path: n.path(), Message: message}
	switch {
	case n.kind != scalar:
		e.Message = "is " + n.kind.String() + "; " + message
	case n.null():
		e.Message = "has no value; " + message
	case n.text == "":
		e.Message = "is empty; " + message
	default:
		e.Value = shown(n.text)
	}
	p.report(e)
}

func (p *parser) report(e *Error) {
	if len(p.errs) <= MaxErrors*10 {
		e.File = p.file
		p.errs = append(p.errs, e)
	}
}

// failed returns what was reported as one error, nil if nothing was.
func (p *parser) failed() error {
	if len(p.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(p.errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if more := len(p.errs) - MaxErrors; more > 0 {
		p.errs = p.errs[:MaxErrors]
		last := *p.errs[MaxErrors-1]
		last.Message += fmt.Sprintf(" (and %d more errors)", more)
		p.errs[MaxErrors-1] = &last
	}
	return p.errs
}

// suggest returns a hint that names the known word nearest to a mistaken one, or
// lists what is known if none is near.
func suggest(word string, known []string) string {
	best, distance := "", 1+max(1, len(word)/3)
	for _, k := range known {
		if d := editDistance(strings.ToLower(word), k, distance); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	const most = 40
	if len(known) == 0 {
		return "there are none"
	}
	if len(known) > most {
		return "known are " + strings.Join(known[:most], ", ") + " and others"
	}
	return "known are " + strings.Join(known, ", ")
}

// editDistance counts insertions, deletions, changes and swaps of neighbours
// (optimal string alignment) that turn a into b; anything from limit up is limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(a) > job.MaxName {
		return limit
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return min(last[len(b)], limit)
}
