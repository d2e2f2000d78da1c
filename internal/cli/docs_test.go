package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite golden files")

// referenceMark stands in docs/cli.md where the generated part begins.
const referenceMark = "<!-- The rest is written by: go test ./internal/cli -run TestReference -update -->\n"

// commands returns the commands that people type, in the order of their names.
func commands(c *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if !sub.Hidden && sub.Name() != "help" {
			out = append(out, commands(sub)...)
		}
	}
	return out
}

func testRoot(t *testing.T) *cobra.Command {
	t.Helper()
	t.Setenv("REEVE_FAILURE_CODE", "")
	root := newEnv("test", strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}).root()
	root.InitDefaultCompletionCmd()
	return root
}

// TestReference compares the reference in docs/cli.md with what the commands say of
// themselves.
func TestReference(t *testing.T) {
	const path = "../../docs/cli.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	people, old, ok := strings.Cut(string(text), referenceMark)
	if !ok {
		t.Fatalf("%s has no line %q", path, referenceMark)
	}
	var b strings.Builder
	b.WriteString("\n## Reference\n")
	for _, c := range commands(testRoot(t)) {
		if c.HasParent() && c.Parent().Name() == "completion" {
			continue // one is like the other
		}
		reference(&b, c)
	}
	if *update {
		if err := os.WriteFile(path, []byte(people+referenceMark+b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(old, b.String()); diff != "" {
		t.Errorf("%s differs from the commands (-file +now; go test ./internal/cli -run TestReference -update rewrites it):\n%s", path, diff)
	}
}

func reference(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, "\n### %s\n\n%s.\n\n", c.CommandPath(), c.Short)
	fmt.Fprintf(b, "```\n%s\n```\n", c.UseLine())
	if c.Long != "" && c.Name() != "reeve" {
		fmt.Fprintf(b, "\n%s\n", strings.TrimSpace(c.Long))
	}
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, "\nAlso: `%s`.\n", strings.Join(c.Aliases, "`, `"))
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\n```\n%s\n```\n", strings.Trim(dedent(c.Example), "\n"))
	}
	flags := c.LocalFlags()
	if !c.HasParent() {
		flags = c.PersistentFlags()
		b.WriteString("\nFlags of every command:\n")
	}
	head := "\n| flag | meaning |\n|---|---|\n"
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, meaning := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		if plain := f.DefValue; plain != "" && plain != "false" && plain != "0" && plain != "[]" {
			meaning += " (default " + plain + ")"
		}
		fmt.Fprintf(b, "%s| `%s` | %s |\n", head, name, strings.ReplaceAll(meaning, "|", "\\|"))
		head = ""
	})
}

func dedent(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

// TestWords: every command and flag says what it is, in the house's way.
func TestWords(t *testing.T) {
	for _, c := range commands(testRoot(t)) {
		if strings.HasPrefix(c.CommandPath(), "reeve completion") {
			continue // the library's words
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || strings.ToUpper(c.Short[:1]) != c.Short[:1] {
			t.Errorf("%s: its short text is %q; want one sentence with a capital and no full stop", c.CommandPath(), c.Short)
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			value, usage := pflag.UnquoteUsage(f)
			if usage == "" || strings.HasSuffix(usage, ".") {
				t.Errorf("%s --%s: its text is %q", c.CommandPath(), f.Name, usage)
			}
			if value == "string" || value == "stringArray" || value == "int64" || value == "int" || value == "strings" {
				t.Errorf("%s --%s: it is called %s, a word of programs; name it in its text in back quotes", c.CommandPath(), f.Name, value)
			}
		})
	}
}
