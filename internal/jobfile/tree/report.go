package tree

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

// Reports gathers what is wrong with one file. It is not for concurrent use.
type Reports struct {
	// File is what messages call the file; empty leaves positions out.
	File string
	errs Errors
}

// Fail reports an error at n that is not about its text.
func (r *Reports) Fail(n *Node, format string, args ...any) {
	r.report(&Error{Line: n.Line, Column: n.Column, Path: n.Path(), Message: fmt.Sprintf(format, args...)})
}

// Bad reports that n's value is not what it should be.
func (r *Reports) Bad(n *Node, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	e := &Error{Line: n.Line, Column: n.Column, Path: n.Path(), Message: message}
	switch {
	case n.Kind != Scalar && len(n.Items) == 0:
		e.Message = "is empty; " + message
	case n.Kind != Scalar:
		e.Message = "is " + n.Kind.String() + "; " + message
	case n.Null():
		e.Message = "has no value; " + message
	case n.Text == "":
		e.Message = "is empty; " + message
	default:
		e.Value = Excerpt(n.Text)
	}
	r.report(e)
}

func (r *Reports) report(e *Error) {
	if len(r.errs) <= MaxErrors*10 {
		e.File = r.File
		r.errs = append(r.errs, e)
	}
}

// Err returns what was reported as one error of type Errors, nil if nothing was.
func (r *Reports) Err() error {
	if len(r.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(r.errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if more := len(r.errs) - MaxErrors; more > 0 {
		r.errs = r.errs[:MaxErrors]
		last := *r.errs[MaxErrors-1]
		last.Message += fmt.Sprintf(" (and %d more errors)", more)
		r.errs[MaxErrors-1] = &last
	}
	return r.errs
}

// checkKeys reports keys that are not text and keys that stand twice, anywhere
// below n.
func (r *Reports) checkKeys(n *Node) {
	for _, item := range n.Items {
		if item.Kind != Scalar {
			r.checkKeys(item)
		}
	}
	if n.Kind != Mapping {
		return
	}
	seen := make(map[string]*Node, len(n.Keys))
	for _, k := range n.Keys {
		if k.Kind != Scalar {
			r.Fail(k, "a key is %s; want a word", k.Kind)
			continue
		}
		if first := seen[k.Text]; first != nil {
			r.Fail(k, "is given twice, first in line %d", first.Line)
			continue
		}
		seen[k.Text] = k
	}
}
