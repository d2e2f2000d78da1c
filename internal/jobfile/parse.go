package jobfile

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/canon"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

// Error is one thing that is wrong with a job file, with its position.
type Error = tree.Error

// Errors is everything that is wrong with a job file, at most tree.MaxErrors.
type Errors = tree.Errors //nolint:errname // it is a list

// Result is a job file that was read without error.
type Result struct {
	// Spec is the checked job, with every default filled in. It is read-only once
	// shared.
	Spec *job.Spec
	// Namespace is what the file names, or empty.
	Namespace string
	// Canonical is the canonical JSON of Spec, Hash its SHA-256.
	Canonical []byte
	Hash      [32]byte
	// Notes are remarks for the user that are not errors, one line each.
	Notes []string
}

// Parse reads a job file, YAML or JSON. name is what messages call the file; empty
// leaves positions out of them. Every error is of type Errors, which job.CodeOf
// calls Invalid.
func Parse(name string, text []byte) (*Result, error) {
	r, err := Read(name, text, nil)
	if err != nil {
		return nil, err
	}
	if r.Canonical, r.Hash, err = canon.Write(r.Spec); err != nil {
		return nil, Errors{{File: name, Line: 1, Column: 1, Message: err.Error()}}
	}
	return r, nil
}

// Given is an array that stands outside the job file, as on a command line. It
// replaces the task's own, whose throttle it takes over if it has none.
type Given struct {
	// Task is whose array it is; empty means the job's only task.
	Task string
	// Array is nil while it is not known: then all is checked but what depends on it.
	Array *job.Array
}

// Read is Parse without the canonical form, which it leaves to the caller: given, if
// not nil, is put in, and items may be too many for a job to carry.
func Read(name string, text []byte, given *Given) (*Result, error) {
	p := newParser(name)
	p.given = given
	root := tree.Read(text, p.Reports)
	if root != nil {
		p.job(root)
		p.checkGiven(root)
		p.check(root)
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	return &Result{Spec: p.spec, Namespace: p.namespace, Notes: p.notes}, nil
}

// takeGiven gives a task the array that is given for it, if one is.
func (p *parser) takeGiven(t *job.Task) {
	g := p.given
	if g == nil || g.Task != t.Name && (g.Task != "" || len(p.spec.Tasks) != 1) {
		return
	}
	array := job.Array{Items: []string{""}}
	if g.Array != nil {
		array = *g.Array
	}
	if array.Throttle == 0 && t.Array != nil {
		array.Throttle = t.Array.Throttle
	}
	t.Array, p.taken = &array, true
}

// checkGiven sees that the array that is given was some task's.
func (p *parser) checkGiven(root *tree.Node) {
	if p.given == nil || p.taken || len(p.spec.Tasks) == 0 {
		return
	}
	names := make([]string, len(p.spec.Tasks))
	for i := range p.spec.Tasks {
		names[i] = p.spec.Tasks[i].Name
	}
	if p.given.Task == "" {
		p.Fail(root, "the job has %d tasks; say for which one the items are: %s", len(names), strings.Join(names, ", "))
		return
	}
	p.Fail(root, "the items are for a task %q, which the job does not have; %s", p.given.Task, tree.Suggest(p.given.Task, names))
}

//go:embed job.schema.json
var schema []byte

// Schema is the published JSON Schema (draft 2020-12) of job files.
func Schema() []byte { return slices.Clone(schema) }
