package blackbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestAPIDocument runs the examples of docs/api.md, section by section, against real
// servers, and holds what they answer against what stands there. Without curl it
// fails: the examples are what people copy.
func TestAPIDocument(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatalf("%v; install curl, with which the examples call the API", err)
	}
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("on this machine", func(t *testing.T) {
		c := newCluster(t)
		c.worker("w1", "--cpu", "4", "--slots", "4")
		runExamples(t, c, tour(t, string(text), "On this machine"))
	})
	t.Run("with TLS and tokens", func(t *testing.T) {
		c := plainCluster(t)
		c.serve()
		runExamples(t, c, tour(t, string(text), "With TLS and tokens"))
	})
}

// runExamples runs all sh blocks in one shell and compares each with the json block
// that follows it.
func runExamples(t *testing.T, c *cluster, blocks []block) {
	t.Helper()
	var script strings.Builder
	fmt.Fprintf(&script, "set -euo pipefail\ndata=%q\n", filepath.Join(c.dir, "data"))
	out := t.TempDir()
	for i, b := range blocks {
		if b.kind == "sh" {
			fmt.Fprintf(&script, "{\n%s} > %q\n", strings.ReplaceAll(b.text, "127.0.0.1:7420", c.listen), answersOf(out, i))
		}
	}
	cmd := exec.CommandContext(within(t), "bash", "-c", script.String())
	cmd.Dir, cmd.Env = c.dir, c.env
	if said, err := cmd.CombinedOutput(); err != nil || len(said) > 0 {
		t.Fatalf("the examples end with %v and say %q", err, said)
	}
	for i, b := range blocks {
		if b.kind == "json" {
			compareAnswers(t, blocks[i-1].text, b.text, answersOf(out, i-1))
		}
	}
}

func answersOf(dir string, i int) string { return filepath.Join(dir, fmt.Sprint(i)) }

func compareAnswers(t *testing.T, commands, want, file string) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wanted, given := values(t, want), values(t, string(got))
	if len(wanted) != len(given) {
		t.Errorf("after\n%sthere are %d answers; want %d:\n%s", commands, len(given), len(wanted), got)
		return
	}
	for i := range wanted {
		if where := differs(wanted[i], given[i]); where != "" {
			t.Errorf("after\n%sthe answer differs at %s:\n%s\nthe document has\n%s", commands, where, got, want)
		}
	}
}

// values reads JSON values one after the other.
func values(t *testing.T, text string) []any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	var out []any
	for {
		var v any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		out = append(out, v)
	}
}

// differs says where got is not what want says, empty if nowhere: objects may have
// more fields, and … stands for any text.
func differs(want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		for key := range w {
			if _, has := g[key]; !ok || !has {
				return "." + key + ", which is missing"
			}
			if where := differs(w[key], g[key]); where != "" {
				return "." + key + where
			}
		}
		if len(w) == 0 && len(g) > 0 {
			return ", which is not empty"
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf(", which has not %d items", len(w))
		}
		for i := range w {
			if where := differs(w[i], g[i]); where != "" {
				return fmt.Sprintf("[%d]%s", i, where)
			}
		}
	case string:
		g, ok := got.(string)
		prefix, rest, open := strings.Cut(w, "…")
		if !ok || !open && g != w || open && (rest != "" || !strings.HasPrefix(g, prefix) || g == prefix) {
			return fmt.Sprintf(": %q instead of %q", got, w)
		}
	default:
		if !reflect.DeepEqual(want, got) {
			return fmt.Sprintf(": %v instead of %v", got, want)
		}
	}
	return ""
}

// TestDiffers holds the comparison itself against what it must find.
func TestDiffers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		want, got string
		same      bool
	}{
		{`{"a":1}`, `{"a":1,"b":2}`, true}, {`{"a":1}`, `{"b":2}`, false}, {`{"a":1}`, `[]`, false}, {`{}`, `{"a":1}`, false},
		{`[1]`, `[1,2]`, false}, {`["…"]`, `["x"]`, true}, {`["…"]`, `[""]`, false}, {`["rv1_…"]`, `["rv2_x"]`, false}, {`"a"`, `"b"`, false},
		{`{"a":{"b":[true]}}`, `{"a":{"b":[false]}}`, false},
	} {
		if where := differs(values(t, test.want)[0], values(t, test.got)[0]); (where == "") != test.same {
			t.Errorf("%s and %s differ at %q", test.want, test.got, where)
		}
	}
}
