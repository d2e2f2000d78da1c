package expr

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
)

func testScope() *Scope {
	item := "b c"
	return &Scope{
		JobID: 4217, JobName: "nightly", Index: 3, Item: &item,
		Params: map[string]json.RawMessage{
			"day": json.RawMessage(`"2026-01-01 \"x\""`), "n": json.RawMessage("5"), "fast": json.RawMessage("true"),
			"shards": json.RawMessage(`["a","b"]`), "none": json.RawMessage(`[]`), "many": json.RawMessage("10000001"), "big": json.RawMessage("99999999999999999999"),
		},
		Outputs: map[string]map[string]string{
			"extract": {"rows": "17", "files": `["x", 2, true, "\u00e9"]`, "nested": `[["a"]]`, "nul": "a\x00b", "text": "hello", "empty": "", "negative": "-1"},
			"my-task": {"x": "${{ params.day }}"},
		},
	}
}

func TestExpand(t *testing.T) {
	for _, c := range []struct{ text, want, err string }{
		{"", "", ""},
		{"plain $HOME {{ }} }}", "plain $HOME {{ }} }}", ""},
		{"${{ params.day }}", `2026-01-01 "x"`, ""},
		{"${{params.n}}-${{ params.fast }}", "5-true", ""},
		{"${{ params.shards }}", `["a","b"]`, ""},
		{`${{ params["n"] }} ${{ params['n'] }}`, "5 5", ""},
		{"a${{ tasks.extract.outputs.rows }}b", "a17b", ""},
		{`${{ tasks["my-task"].outputs.x }}`, "${{ params.day }}", ""},
		{"${{ array.index }}:${{ array.item }}", "3:b c", ""},
		{"${{ job.id }} ${{ job.name }}", "4217 nightly", ""},
		{"$${{ params.n }} ${{ params.n }}", "${{ params.n }} 5", ""},
		{"$$${{ params.n }}", "$${{ params.n }}", ""},
		{"${{ params.missing }}", "", "params.missing: the job has no such parameter"},
		{"${{ tasks.extract.outputs.cols }}", "", "tasks.extract.outputs.cols: task extract wrote no such output"},
		{"${{ tasks.extract.outputs.nul }}", "", "NUL"},
		{"${{ tasks.load.outputs.rows }}", "", "tasks.load.outputs.rows"},
		{"${{ params.n", "", "is not closed"},
		{"${{ }}", "", "a name is missing"},
		{"${{ params }}", "", "want a path"},
		{"${{ params.a.b }}", "", "want a path"},
		{"${{ array.size }}", "", "want a path"},
		{"${{ tasks.a.status.x }}", "", "want a path"},
		{"${{ tasks.a.outputs.X }}", "", "small letters"},
		{"${{ tasks.A.outputs.x }}", "", "small letters"},
		{"${{ tasks.a-b.outputs.x }}", "", `tasks["my-task"]`},
		{"${{ params.n * 2 }}", "", "calculations"},
		{`${{ params["n }}`, "", "quotes within brackets"},
		{"${{ params[0] }}", "", "quotes within brackets"},
		{"${{ params." + strings.Repeat("n", 300) + " }}", "", "at most 256"},
	} {
		got, err := Expand(c.text, testScope())
		switch {
		case c.err == "" && (err != nil || got != c.want):
			t.Errorf("Expand(%q) = %q, %v, want %q", c.text, got, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "\n")):
			t.Errorf("Expand(%q) fails with %v, want one line with %q", c.text, err, c.err)
		}
	}
}

func TestExpandOutsideArrays(t *testing.T) {
	scope := &Scope{Index: job.NoIndex}
	for text, want := range map[string]string{"${{ array.index }}": "not an array", "${{ array.item }}": "no items"} {
		if _, err := Expand(text, scope); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Expand(%q) fails with %v, want %q", text, err, want)
		}
	}
}

func TestExpandIsBounded(t *testing.T) {
	scope := &Scope{Outputs: map[string]map[string]string{"a": {"x": strings.Repeat("x", job.MaxOutput)}}}
	text := strings.Repeat("${{ tasks.a.outputs.x }}", 5)
	if _, err := Expand(text, scope); err == nil || !strings.Contains(err.Error(), "artifacts") {
		t.Errorf("expanding to %d bytes fails with %v, want a hint at artifacts", 5*job.MaxOutput, err)
	}
}

func TestArray(t *testing.T) {
	for _, c := range []struct {
		from  string
		count int64
		items []string
		err   string
	}{
		{"${{ params.n }}", 5, nil, ""},
		{"${{ tasks.extract.outputs.rows }}", 17, nil, ""},
		{"${{ params.shards }}", 2, []string{"a", "b"}, ""},
		{"${{ params.none }}", 0, []string{}, ""},
		{" ${{ tasks.extract.outputs.files }} ", 4, []string{"x", "2", "true", "é"}, ""},
		{"${{ tasks.extract.outputs.nested }}", 0, nil, "want a number of elements, or a JSON list"},
		{"${{ tasks.extract.outputs.text }}", 0, nil, `"hello": want a number`},
		{"${{ tasks.extract.outputs.empty }}", 0, nil, "want a number"},
		{"${{ tasks.extract.outputs.negative }}", 0, nil, "-1 elements"},
		{"${{ params.many }}", 0, nil, "want a number from 0 to 10000000"},
		{"${{ params.big }}", 0, nil, "want a number"},
		{"${{ tasks.load.outputs.x }}", 0, nil, "wrote no such output"},
		{"5", 0, nil, "one whole expression"},
		{"a${{ params.n }}", 0, nil, "one whole expression"},
	} {
		count, items, err := Array(c.from, testScope())
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("Array(%q) fails with %v, want %q", c.from, err, c.err)
			}
			continue
		}
		if err != nil || count != c.count || !cmp.Equal(items, c.items) {
			t.Errorf("Array(%q) = %d, %q, %v, want %d, %q", c.from, count, items, err, c.count, c.items)
		}
	}
}

func TestUses(t *testing.T) {
	spec := &job.Spec{Env: map[string]string{"DAY": "${{ job.id }}"}, Tasks: []job.Task{{
		Name: "work", Array: &job.Array{From: "${{ tasks.list.outputs.count }}"},
		Command: []string{"x", `${{ tasks["a-b"].outputs.x }}`, "${{ tasks.list.outputs.y }}"},
		Env:     map[string]string{"A": `${{ tasks["a-b"].outputs.z }}`, "B": "$${{ tasks.c.outputs.x }}"},
	}, {Name: "list", Command: []string{"true"}}}}
	if diff := cmp.Diff([]string{"a-b", "list"}, Uses(spec, &spec.Tasks[0])); diff != "" {
		t.Errorf("uses (-want +got):\n%s", diff)
	}
	if got := Uses(spec, &spec.Tasks[1]); len(got) != 0 {
		t.Errorf("a task without expressions uses %q", got)
	}
}

func TestKey(t *testing.T) {
	params := map[string]json.RawMessage{"customer": json.RawMessage(`"acme"`), "n": json.RawMessage(`7`), "empty": json.RawMessage(`""`), "lines": json.RawMessage(`"a\nb"`),
		"long": json.RawMessage(`"` + strings.Repeat("x", job.MaxKey+1) + `"`)}
	for text, want := range map[string]string{
		"deploy": "deploy", "bill-${{ params.customer }}-${{params.n}}": "bill-acme-7", "${{ job.name }}": "night", "$${{ params.n }}": "${{ params.n }}",
	} {
		if got, err := Key(&job.Concurrency{Key: text}, "night", params); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"${{ params.empty }}": `concurrency key "": want one line of text`,
		"${{ params.lines }}": `concurrency key "a\nb": has characters that can't be shown`,
		"${{ params.long }}":  "has 257 bytes; at most 256 are allowed",
		"${{ params.none }}":  "params.none: the job has no such parameter",
		"${{ job.name }}":     `concurrency key "": want one line of text`,
	} {
		if got, err := Key(&job.Concurrency{Key: text}, "", params); err == nil || !strings.Contains(err.Error(), want) || got != "" {
			t.Errorf("%s is %q, %v; want an error with %q", text, got, err, want)
		}
	}
}

// FuzzExpand: expressions neither panic nor grow without bound, and a text
// without any is left alone.
func FuzzExpand(f *testing.F) {
	for _, text := range []string{"", "${{ params.n }}", "$${{ x }}", "a${{ tasks.extract.outputs.rows }}", `${{ tasks["my-task"].outputs.x }}`, "${{ array.index }}}}", "${{${{", "${{ params['n'] }}"} {
		f.Add(text)
	}
	scope := testScope()
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Expand(text, scope)
		if err == nil && len(got) > MaxExpanded {
			t.Fatalf("grew to %d bytes", len(got))
		}
		if err == nil && !strings.Contains(text, Open) && got != text {
			t.Fatalf("%q became %q", text, got)
		}
		if e, ok := Whole(text); ok {
			again, ok := Whole(e.Wrapped())
			if !ok || again != e {
				t.Fatalf("%q is spelled %q, which reads as %v", text, e.Wrapped(), again)
			}
		}
		if _, _, err := Array(text, scope); err == nil && !strings.Contains(text, Open) {
			t.Fatalf("%q makes an array", text)
		}
	})
}
