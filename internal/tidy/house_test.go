package tidy

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what the rules found into testdata")

const root = "../.."

// TestHouse judges the repository. Each failure ends with the reason for its rule.
func TestHouse(t *testing.T) {
	house, err := readTree(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	exceptions := readExceptions(t)
	names := map[string]bool{}
	for _, r := range rules() {
		names[r.name] = true
		t.Run(r.name, func(t *testing.T) {
			left, unneeded := excuse(r.name, r.check(house), exceptions)
			for _, f := range left {
				t.Errorf("%s: %s", f.where, f.what)
			}
			if len(left) > 0 {
				t.Errorf("why: %s", r.why)
			}
			for _, e := range unneeded {
				t.Errorf("exceptions.txt:%d: %s %s is no longer needed: delete the line", e.line, e.rule, e.subject)
			}
		})
	}
	for _, e := range exceptions {
		if !names[e.rule] {
			t.Errorf("exceptions.txt:%d: there is no rule %q", e.line, e.rule)
		}
	}
}

func readExceptions(t *testing.T) []exception {
	t.Helper()
	text, err := os.ReadFile("exceptions.txt")
	if err != nil {
		t.Fatal(err)
	}
	exceptions, err := parseExceptions(string(text))
	if err != nil {
		t.Fatalf("exceptions.txt: %v", err)
	}
	return exceptions
}

// TestRules runs every rule on small trees with known faults: a rule that can't fail proves nothing.
// A tree is a txtar file; its last part, "want", is what all rules together find in it. Run with
// -update to rewrite that part.
func TestRules(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts, want := map[string][]byte{}, ""
			for _, f := range ar.Files {
				if f.Name == "want" {
					want = string(f.Data)
				} else {
					texts[f.Name] = spread(f.Data)
				}
			}
			tree := parseTree(t.Context(), ".", texts)
			var got strings.Builder
			for _, r := range rules() {
				var lines []string
				for _, f := range r.check(tree) {
					shown[r.name] = true
					lines = append(lines, fmt.Sprintf("%s: %s: %s\n", r.name, f.where, f.what))
				}
				slices.Sort(lines)
				got.WriteString(strings.Join(lines, ""))
			}
			if *update {
				rewrite(t, name, ar, got.String())
				return
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
	for _, r := range rules() {
		if !shown[r.name] {
			t.Errorf("no tree in testdata breaks the rule %q", r.name)
		}
	}
}

// spread turns a line "//lines:N" into N empty lines, so that a long file is short in testdata.
func spread(text []byte) []byte {
	return regexp.MustCompile(`(?m)^//lines:\d+\n`).ReplaceAllFunc(text, func(m []byte) []byte {
		n, err := strconv.Atoi(string(bytes.TrimSpace(bytes.TrimPrefix(m, []byte("//lines:")))))
		if err != nil {
			panic(err) // the pattern admits digits only
		}
		return bytes.Repeat([]byte("\n"), n)
	})
}

func rewrite(t *testing.T, name string, ar *txtar.Archive, got string) {
	t.Helper()
	ar.Files = slices.DeleteFunc(ar.Files, func(f txtar.File) bool { return f.Name == "want" })
	ar.Files = append(ar.Files, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestExceptions(t *testing.T) {
	parsed, err := parseExceptions("# why\n\nsize internal/a.F: one table of the grammar\nsize internal/b: needed by nobody now\n")
	if err != nil {
		t.Fatal(err)
	}
	left, unneeded := excuse("size", []finding{{subject: "internal/a.F"}, {subject: "internal/c"}}, parsed)
	if len(left) != 1 || left[0].subject != "internal/c" {
		t.Errorf("left over: %v, want internal/c", left)
	}
	if len(unneeded) != 1 || unneeded[0].subject != "internal/b" || unneeded[0].line != 4 {
		t.Errorf("unneeded: %v, want internal/b in line 4", unneeded)
	}
	if left, unneeded := excuse("other", nil, parsed); len(left)+len(unneeded) != 0 {
		t.Errorf("exceptions of another rule were counted: %v %v", left, unneeded)
	}
	for _, bad := range []string{"size", "size internal/a", "size internal/a: because"} {
		if _, err := parseExceptions(bad); err == nil {
			t.Errorf("%q was accepted without a reason", bad)
		}
	}
}
