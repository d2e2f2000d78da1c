package tree

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// describe writes a tree as one line per value: position, path, text.
func describe(n *Node) string {
	var b strings.Builder
	var walk func(n *Node)
	walk = func(n *Node) {
		fmt.Fprintf(&b, "%d:%d %s", n.Line, n.Column, n.Path())
		if n.Kind == Scalar {
			fmt.Fprintf(&b, " %q", n.Text)
			if n.Quoted {
				b.WriteString(" quoted")
			}
		} else {
			fmt.Fprintf(&b, " %s of %d", n.Kind, len(n.Items))
		}
		b.WriteString("\n")
		for _, item := range n.Items {
			walk(item)
		}
	}
	walk(n)
	return b.String()
}

func TestReadPositions(t *testing.T) {
	yamlText := "a: é # c\nb:\n  - 'x y'\n  - {c: 010, \"d.e\": }\n  - |\n    text\n"
	jsonText := "{\n\t\"a\": \"é\", \"f\": 1.10,\n  \"b\": [ true ,null,{\"c\\n\":[]}]}\n"
	for _, c := range []struct{ name, text, want string }{
		{"YAML", yamlText, `1:1  a mapping of 2
1:4 a "é"
3:3 b a list of 3
3:5 b[0] "x y" quoted
4:5 b[1] a mapping of 2
4:9 b[1].c "010"
4:21 b[1]["d.e"] ""
5:5 b[2] "text\n" quoted
`},
		{"JSON", jsonText, `1:1  a mapping of 3
2:7 a "é" quoted
2:17 f "1.10"
3:8 b a list of 3
3:10 b[0] "true"
3:16 b[1] "null"
3:21 b[2] a mapping of 1
3:28 b[2]["c\n"] a list of 0
`},
	} {
		reports := &Reports{File: c.name}
		root := Read([]byte(c.text), reports)
		if err := reports.Err(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.want, describe(root)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestReadRefuses: what a tree never is, whatever the grammar above it.
func TestReadRefuses(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "f:1:1: the file is empty"},
		{"large", "a: " + strings.Repeat("x", MaxText), "at most 4194304 are allowed"},
		{"aliases", bomb, "&a is an anchor"},
		{"deep YAML", "a: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), "more than 64 deep"},
		{"deep JSON", `{"a": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", "more than 64 deep"},
		{"very deep JSON", `{"a": ` + strings.Repeat("[", 1_000_000), "more than 64 deep"},
		{"very deep YAML", strings.Repeat("[", 1_000_000), "f:1:"},
		{"twice below a list", "a:\n- {b: 1, b: 2}\n", "f:2:10: a[0].b: is given twice"},
		{"twice in JSON", "{\"a\": {\"b\": 1,\n\"b\": 2}}", "f:2:1: a.b: is given twice, first in line 1"},
		{"documents", "a: 1\n--- \nb: 1\n", "f:2:1: a second document"},
		{"broken second document", "a: 1\n--- \nb: [\n", "not YAML"},
		{"lone byte", "a: \xff", "f:1:4: the file is not UTF-8"},
		{"control", "a:\n- \x02", "f:2:3: not YAML: control characters"},
		{"JSON that ends", "{\"a\": ", "not YAML"},
	} {
		reports := &Reports{File: "f"}
		Read([]byte(c.text), reports)
		err := reports.Err()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: fails with %.200v, want %q", c.name, err, c.want)
		}
		if err != nil && job.CodeOf(err) != job.Invalid {
			t.Errorf("%s: the code is %v, want Invalid", c.name, job.CodeOf(err))
		}
	}
}

func TestJSONErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": 1,}`:        "x.json:1:",
		`{"a": 1} {}`:      "more text after the end",
		`{"a": `:           "ends in the middle",
		"{\"a\":\n tru }":  "x.json:2:",
		`{"a": "\ud83d"}`:  "",
		"{\"a\": \"\t\"}":  "not JSON",
		`{"a": 01}`:        "not JSON",
		`{1: 2}`:           "not JSON",
		`{"a": [1 2]}`:     "not JSON",
		`{"a": nan, "b":1`: "not JSON",
	} {
		reports := &Reports{File: "x.json"}
		root := Read([]byte(text), reports)
		err := reports.Err()
		if want == "" && (err != nil || root == nil) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: fails with %v, want %q", text, err, want)
		}
	}
}

func TestAppendJSON(t *testing.T) {
	text := `
b: [1, -0.5e3, 010, 1., .5, +1, 0x10, 1_000, 2026-01-01, "5", 'true', true, False, null, ~, Null, , no, .inf, é"\]
a: {z: "\t\n\r\u0001\u2028", a: }
`
	text = strings.Replace(text, ", ,", ",", 1)
	reports := &Reports{File: "f"}
	root := Read([]byte(text), reports)
	if err := reports.Err(); err != nil {
		t.Fatal(err)
	}
	got := string(root.AppendJSON(nil))
	want := `{"a":{"a":null,"z":"\t\n\r\u0001` + "\u2028" + `"},"b":[1,-0.5e3,"010","1.",".5","+1","0x10","1_000","2026-01-01","5","true",true,false,null,null,null,"no",".inf","é\"\\"]}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !json.Valid([]byte(got)) {
		t.Error("not JSON")
	}
}

// FuzzIsNumber holds our reading of numbers against the standard library's.
func FuzzIsNumber(f *testing.F) {
	for _, s := range []string{"0", "-0", "01", "1.", ".1", "1e5", "1E+5", "1e", "-", "", "+1", "1.5e-10", "0x1", "1 ", "00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var n json.Number
		want := len(s) > 0 && (s[0] == '-' || '0' <= s[0] && s[0] <= '9') && strings.TrimSpace(s) == s && json.Unmarshal([]byte(s), &n) == nil
		if got := IsNumber(s); got != want {
			t.Errorf("IsNumber(%q) = %v, encoding/json says %v", s, got, want)
		}
	})
}

// FuzzAppendString holds our writing of strings against the standard library's
// reading.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\", "\x00\x1f\x7f", "é😀\u2028", "\xff", "<&>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := json.Unmarshal(AppendString(nil, s), &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") && !strings.Contains(back, "\ufffd") {
			t.Errorf("%q is written as %s, read as %q, %v", s, AppendString(nil, s), back, err)
		}
	})
}

func TestSuggest(t *testing.T) {
	known := []string{"timeout", "retry", "max_attempts", "run"}
	for word, want := range map[string]string{
		"timeuot": "did you mean timeout?", "Timeout": "did you mean timeout?", "rnu": "did you mean run?", "retrys": "did you mean retry?",
		"attempts": "did you mean max_attempts?", "xyz": "known are timeout, retry, max_attempts, run", strings.Repeat("x", 1000): "known are timeout, retry, max_attempts, run",
		"": "known are timeout, retry, max_attempts, run",
	} {
		if got := Suggest(word, known); got != want {
			t.Errorf("Suggest(%.20q) = %q, want %q", word, got, want)
		}
	}
	if got := Suggest("x", nil); got != "there are none" {
		t.Errorf("Suggest of nothing = %q", got)
	}
	if got := Suggest("zzzz", make([]string, 100)); !strings.HasSuffix(got, "and others") {
		t.Errorf("Suggest of many = %q", got)
	}
}

// TestErrorsAreBounded: at most MaxErrors, in the order of the lines, the rest
// counted.
func TestErrorsAreBounded(t *testing.T) {
	reports := &Reports{File: "f"}
	for i := range 1000 {
		reports.Fail(&Node{Line: 1000 - i, Column: 1}, "wrong")
	}
	var errs Errors
	ok := errors.As(reports.Err(), &errs)
	if !ok || len(errs) != MaxErrors {
		t.Fatalf("%d errors, want %d", len(errs), MaxErrors)
	}
	for i, e := range errs[1:] {
		if e.Line < errs[i].Line {
			t.Errorf("line %d stands after line %d", e.Line, errs[i].Line)
		}
	}
	if last := errs[MaxErrors-1].Message; !strings.Contains(last, "more errors") {
		t.Errorf("the last message is %q, want the number of the others", last)
	}
}

func TestErrorWithoutFile(t *testing.T) {
	reports := &Reports{}
	reports.Bad(&Node{Text: strings.Repeat("é", 100), Line: 3, Column: 4}, "want less")
	want := `"` + strings.Repeat("é", maxShown) + `…": want less`
	if got := reports.Err().Error(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
