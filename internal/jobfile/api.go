package jobfile

import (
	"encoding/json"
	"errors"

	"github.com/reeve-scheduler/reeve/internal/job"
)

var errTODO = errors.New("not yet")

// Result is a job file that was read without error.
type Result struct {
	// Spec is the checked job, with every default filled in.
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
// leaves positions out. Every error is of type Errors.
func Parse(name string, text []byte) (*Result, error) { return nil, errTODO }

// Canonical writes the canonical JSON of a spec and its SHA-256.
func Canonical(spec *job.Spec) ([]byte, [32]byte, error) { return nil, [32]byte{}, errTODO }

// ParseCanonical reads what Canonical wrote, without checking it again.
func ParseCanonical(text []byte) (*job.Spec, error) { return nil, errTODO }

// BindParams checks given values against the spec's parameters and returns all of
// them, defaults included, as a canonical JSON object.
func BindParams(spec *job.Spec, given map[string]json.RawMessage) ([]byte, error) {
	return nil, errTODO
}

// DecodeParams reads what BindParams wrote, for Scope.
func DecodeParams(bound []byte) (map[string]json.RawMessage, error) { return nil, errTODO }

// Scope is what expressions can refer to.
type Scope struct {
	JobID   job.ID
	JobName string
	// Params is what BindParams bound.
	Params map[string]json.RawMessage
	// Outputs is the outputs of upstream tasks: task, key, value.
	Outputs map[string]map[string]string
	// Index is the element's array index, or job.NoIndex.
	Index int64
	// Item is the element's item; nil if the array has none.
	Item *string
}

// Expand replaces every expression in text by its value.
func Expand(text string, scope *Scope) (string, error) { return "", errTODO }

// EvalArray works out an array's From: a number of elements, or (when the value is
// a list) its items, in which case count is their number.
func EvalArray(from string, scope *Scope) (count int64, items []string, err error) {
	return 0, nil, errTODO
}

// Uses names the tasks whose outputs the expressions of task refer to, sorted:
// what Scope.Outputs must hold to run it or to work out its array.
func Uses(spec *job.Spec, task *job.Task) []string { return nil }

// Schema is the published JSON Schema (draft 2020-12) of job files.
func Schema() []byte { return nil }
