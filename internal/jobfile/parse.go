package jobfile

import (
	_ "embed"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
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
	p := newParser(name)
	root := tree.Read(text, p.Reports)
	if root != nil {
		p.job(root)
		p.check(root)
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	canonical, hash, err := Canonical(p.spec)
	if err != nil {
		p.Fail(root, "%s", err.Error())
		return nil, p.Err()
	}
	return &Result{Spec: p.spec, Namespace: p.namespace, Canonical: canonical, Hash: hash, Notes: p.notes}, nil
}

//go:embed job.schema.json
var schema []byte

// Schema is the published JSON Schema (draft 2020-12) of job files.
func Schema() []byte { return slices.Clone(schema) }
