package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bench is where steps run one after the other, as the agent would let them.
type bench struct {
	t    *testing.T
	dir  string
	root string
}

// run does a step; from names the steps whose artifacts it fetches.
func (b *bench) run(name string, index, count int, from ...string) (outputs map[string]string, printed string, err error) {
	b.t.Helper()
	place := filepath.Join(b.dir, name)
	if count > 0 {
		place = filepath.Join(place, string(rune('0'+index)))
	}
	inputs := filepath.Join(b.t.TempDir(), "in [puts]*")
	for _, task := range from {
		if err := os.MkdirAll(inputs, 0o700); err != nil {
			b.t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(b.dir, task), filepath.Join(inputs, task)); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := os.MkdirAll(place, 0o700); err != nil {
		b.t.Fatal(err)
	}
	var out bytes.Buffer
	p := Place{Inputs: inputs, Artifacts: place, Output: filepath.Join(b.t.TempDir(), "output"), Index: index, Count: count, Out: &out}
	args := []string{name}
	if name == "list" || name == "count" || name == "single" {
		args = append(args, b.root)
	}
	err = Step(b.t.Context(), p, args)
	outputs = map[string]string{}
	text, readErr := os.ReadFile(p.Output)
	if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
		b.t.Fatal(readErr)
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		outputs[key] = value
	}
	return outputs, out.String(), err
}

func (b *bench) must(name string, index, count int, from ...string) (outputs map[string]string, printed string) {
	b.t.Helper()
	outputs, printed, err := b.run(name, index, count, from...)
	if err != nil {
		b.t.Fatalf("%s: %v", name, err)
	}
	return outputs, printed
}

// TestSteps does the whole job without a scheduler: the two counts agree, and if one
// of them is falsified they do not.
func TestSteps(t *testing.T) {
	b := &bench{t, t.TempDir(), tree(t, map[string]string{
		"a.go": "package a\nvar x, y = 1, x\n", "b/c d.go": "package b\nfunc f() { x() }\n", "b/\xff.go": "no Go: x", "readme.md": "x",
	})}
	outputs, _ := b.must("list", 0, 0)
	if diff := cmp.Diff(map[string]string{"files": "3", "bytes": "61"}, outputs); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	const shards = 5 // more than files: some are empty
	for i := range shards {
		b.must("count", i, shards, "list")
	}
	want := map[string]string{"identifiers": "10", "different": "7", "shards": "5"}
	if outputs, _ = b.must("merge", 0, 0, "count"); cmp.Diff(want, outputs) != "" {
		t.Errorf("merge: %v, want %v", outputs, want)
	}
	delete(want, "shards")
	if outputs, _ = b.must("single", 0, 0, "list"); cmp.Diff(want, outputs) != "" {
		t.Errorf("single: %v, want %v", outputs, want)
	}
	if outputs, _ = b.must("compare", 0, 0, "merge", "single"); outputs["agree"] != "true" {
		t.Errorf("compare: %v", outputs)
	}
	if _, printed := b.must("report", 0, 0, "merge"); !strings.HasPrefix(printed, "   1  x ") {
		t.Errorf("report prints\n%s", printed)
	}
	if err := (tally{"x": 1}).write(filepath.Join(b.dir, "single", countsName)); err != nil {
		t.Fatal(err)
	}
	if outputs, _, err := b.run("compare", 0, 0, "merge", "single"); err == nil || !strings.Contains(err.Error(), "the two counts differ: 7 of the identifiers") || outputs["agree"] != "" {
		t.Errorf("compare of what differs: %v, %v", outputs, err)
	}
	if err := os.RemoveAll(filepath.Join(b.dir, "count")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.run("merge", 0, 0, "count"); err == nil || !strings.Contains(err.Error(), "no counts to merge") {
		t.Errorf("merge of nothing: %v", err)
	}
}

func TestStepArguments(t *testing.T) {
	for _, args := range [][]string{nil, {"list"}, {"merge", "x"}, {"steal", "x"}, {"list", "x", "y"}} {
		if err := Step(t.Context(), Place{}, args); err == nil || !strings.Contains(err.Error(), "want list DIR") {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := Step(t.Context(), Place{}, []string{"count", "x"}); err == nil || !strings.Contains(err.Error(), "REEVE_ARRAY_COUNT") {
		t.Errorf("count outside an array: %v", err)
	}
}

func TestPlaceOf(t *testing.T) {
	base := map[string]string{"REEVE_ARTIFACTS": "/a", "REEVE_OUTPUT": "/o", "REEVE_INPUTS": "/i"}
	for _, test := range []struct {
		name         string
		more         map[string]string
		index, count int
		err          string
	}{
		{"alone", nil, 0, 0, ""},
		{"an element", map[string]string{"REEVE_ARRAY_INDEX": "12", "REEVE_ARRAY_MIN": "10", "REEVE_ARRAY_COUNT": "5"}, 2, 5, ""},
		{"outside", map[string]string{"REEVE_ARRAY_INDEX": "15", "REEVE_ARRAY_MIN": "10", "REEVE_ARRAY_COUNT": "5"}, 0, 0, "REEVE_ARRAY_INDEX 15"},
		{"no number", map[string]string{"REEVE_ARRAY_INDEX": "x", "REEVE_ARRAY_MIN": "10", "REEVE_ARRAY_COUNT": "5"}, 0, 0, "REEVE_ARRAY_INDEX: want a number"},
		{"no task", map[string]string{"REEVE_OUTPUT": ""}, 0, 0, "see reeve demo"},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := func(k string) string {
				if v, ok := test.more[k]; ok {
					return v
				}
				return base[k]
			}
			p, err := PlaceOf(env, nil)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("error %v, want one with %q", err, test.err)
			}
			if err == nil && (p.Index != test.index || p.Count != test.count || p.Inputs != "/i") {
				t.Errorf("%+v", p)
			}
		})
	}
}

// TestAtLeast: a shard takes its time, and no more of it than it is given.
func TestAtLeast(t *testing.T) {
	dir := t.TempDir()
	in := tree(t, map[string]string{"list/" + filesName: ""})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := Place{Inputs: in, Artifacts: dir, Output: filepath.Join(dir, "o"), Count: 1, AtLeast: time.Hour, Out: &bytes.Buffer{}}
		if err := Step(t.Context(), p, []string{"count", dir}); err != nil || time.Since(began) != time.Hour {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := Step(ctx, p, []string{"count", dir}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stopped: %v", err)
		}
	})
}
