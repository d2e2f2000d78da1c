package jobfile

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/canon"
	"github.com/reeve-scheduler/reeve/internal/jobfile/tree"
)

var update = flag.Bool("update", false, "rewrite golden files")

// corpus returns the files of a folder by name.
func corpus(t testing.TB, folder string, endings ...string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		for _, ending := range endings {
			if strings.HasSuffix(e.Name(), ending) {
				text, err := os.ReadFile(filepath.Join(folder, e.Name()))
				if err != nil {
					t.Fatal(err)
				}
				files[e.Name()] = text
			}
		}
	}
	if len(files) == 0 {
		t.Fatalf("%s has no files", folder)
	}
	return files
}

// golden compares got with a file, or rewrites the file with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update to make it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-file +now; -update rewrites it):\n%s", path, diff)
	}
}

func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("job.schema.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("job.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// validate asks the schema; readable is false if the text is no tree at all, which
// no schema sees.
func validate(t testing.TB, schema *jsonschema.Schema, name string, text []byte) (readable bool, err error) {
	t.Helper()
	reports := &tree.Reports{File: name}
	root := tree.Read(text, reports)
	if reports.Err() != nil {
		return false, nil //nolint:nilerr // the answer is that it can't be read
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(root.AppendJSON(nil)))
	if err != nil {
		t.Fatalf("%s: the tree is not written as JSON: %v", name, err)
	}
	return true, schema.Validate(value)
}

// TestGood reads every good file, compares its canonical form with the golden
// one, and sees that the schema accepts both.
func TestGood(t *testing.T) {
	schema := compiledSchema(t)
	for name, text := range corpus(t, "testdata/good", ".yaml", ".json") {
		t.Run(name, func(t *testing.T) {
			result, err := Parse(name, text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := validate(t, schema, name, text); err != nil {
				t.Errorf("the schema refuses it: %v", err)
			}
			if _, err := validate(t, schema, name, result.Canonical); err != nil {
				t.Errorf("the schema refuses its canonical form: %v", err)
			}
			golden(t, filepath.Join("testdata/good", name+".canonical"), string(result.Canonical)+"\n")
			checkRoundTrip(t, result)
		})
	}
}

// checkRoundTrip sees that the canonical form is a fixed point of every reader.
func checkRoundTrip(t testing.TB, result *Result) {
	t.Helper()
	again, err := Parse("", result.Canonical)
	if err != nil {
		t.Fatalf("its canonical form is refused: %v\n%s", err, result.Canonical)
	}
	if diff := cmp.Diff(string(result.Canonical), string(again.Canonical)); diff != "" {
		t.Errorf("canonical form changes when read again:\n%s", diff)
	}
	if again.Hash != result.Hash {
		t.Errorf("hash changes when read again")
	}
	recorded, err := canon.Read(result.Canonical)
	if err != nil {
		t.Fatalf("canon.Read: %v\n%s", err, result.Canonical)
	}
	if diff := cmp.Diff(result.Spec, recorded); diff != "" {
		t.Errorf("canon.Read gives another spec (-parsed +recorded):\n%s", diff)
	}
}

// beyondSchema is the bad files that a schema can't refuse, with the reason.
func beyondSchema() map[string]string {
	const (
		graph  = "a schema can't follow names"
		refs   = "a schema does not read expressions"
		values = "a schema can't calculate with values"
		cel    = "a schema does not read expressions over workers"
	)
	return map[string]string{
		"cycle.yaml": graph, "cycle-self.yaml": graph, "unknown-need.yaml": graph, "each-not-array.yaml": graph, "each-unequal.yaml": graph,
		"fetch-not-needed.yaml": graph, "need-twice.yaml": graph, "after-twice.yaml": graph, "duplicate-task-list.yaml": graph,
		"expression-open.yaml": refs, "expression-math.yaml": refs, "expression-unknown.yaml": refs, "expression-param.yaml": refs, "expression-dash.yaml": refs,
		"expression-not-needed.yaml": refs, "expression-no-task.yaml": refs, "expression-array-output.yaml": refs, "expression-index.yaml": refs,
		"expression-item.yaml": refs, "expression-job-env.yaml": refs, "expression-array-self.yaml": refs, "sh-c-expression.yaml": refs,
		"timeout-huge.yaml": values, "grace-long.yaml": values, "exit-codes-both.yaml": values, "moments.yaml": values, "array-backwards.yaml": values, "array-overlap.yaml": values,
		"array-huge.yaml": values, "array-two-throttles.yaml": values, "files-collide.yaml": values, "at-most-once.yaml": values, "lost-after-short.yaml": values,
		"log-limit.yaml": values, "concurrency-rate.yaml": values, "concurrency-expression.yaml": refs, "files-mode.yaml": values, "array-step.yaml": values, "expression-input.yaml": refs,
		"python-c-expression.yaml": refs, "perl-e-expression.yaml": refs, "each-unequal-expressions.yaml": graph, "array-blob.yaml": "users do not write it", "where-two-values.yaml": values, "pool-twice.yaml": values,
		"resources-huge.yaml": values, "nodes-each.yaml": graph, "nodes-index.yaml": refs, "either-same.yaml": values, "max-memory.yaml": values, "on-memory-once.yaml": values,
		"where.yaml": cel, "prefer-text.yaml": cel, "prefer-unknown.yaml": cel, "prefer-unit.yaml": cel, "where-equals.yaml": cel, "where-syntax.yaml": cel, "where-open.yaml": cel, "where-unknown.yaml": cel, "where-type.yaml": cel, "where-text.yaml": cel, "where-number.yaml": cel, "where-overload.yaml": cel,
		"where-function.yaml": cel, "where-labels.yaml": cel, "where-macro.yaml": cel, "where-regexp.yaml": cel, "where-deep.yaml": cel, "where-large.yaml": cel, "where-many.yaml": cel, "where-brackets.yaml": cel,
	}
}

// TestBad reads every bad file, compares the messages with the golden ones, and
// sees that the schema refuses it too, or why it can't.
func TestBad(t *testing.T) {
	schema, beyond := compiledSchema(t), beyondSchema()
	files := corpus(t, "testdata/bad", ".yaml", ".json")
	for name := range beyond {
		if files[name] == nil {
			t.Errorf("%s is excused from the schema but does not exist", name)
		}
	}
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(name, text)
			if err == nil {
				t.Fatal("it is accepted")
			}
			var errs Errors
			ok := errors.As(err, &errs)
			if !ok || len(errs) == 0 || len(errs) > tree.MaxErrors {
				t.Fatalf("the error is %T of %d, want Errors of 1 to %d", err, len(errs), tree.MaxErrors)
			}
			if job.CodeOf(err) != job.Invalid {
				t.Errorf("the code is %v, want Invalid", job.CodeOf(err))
			}
			golden(t, filepath.Join("testdata/bad", name+".golden"), err.Error()+"\n")
			readable, refused := validate(t, schema, name, text)
			switch excused := beyond[name] != ""; {
			case readable && refused == nil && !excused:
				t.Error("the schema accepts it")
			case readable && refused != nil && excused:
				t.Error("the schema refuses it, so it needs no excuse")
			}
		})
	}
}
