package reeve_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTour: every piece of Go in docs/sdk.md stands, line by line, in an example that is
// run, or in the program that TestChecksums runs.
func TestTour(t *testing.T) {
	text := must[[]byte](t)(os.ReadFile("docs/sdk.md"))
	sources := map[string]string{}
	for _, name := range []string{"example_test.go", "examples/go/checksums/main.go"} {
		sources[name] = dedented(string(must[[]byte](t)(os.ReadFile(name))))
	}
	pieces := 0
	var piece []string
	inside := false
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case line == "```go":
			inside, piece = true, nil
		case line == "```" && inside:
			inside = false
			pieces++
			want := "\n" + dedented(strings.Join(piece, "\n")) + "\n"
			found := false
			for _, source := range sources {
				found = found || strings.Contains(source, want)
			}
			if !found {
				t.Errorf("docs/sdk.md: the piece of Go that ends in line %d is in no example:%s", i+1, want)
			}
		case inside:
			piece = append(piece, line)
		}
	}
	if pieces < 8 {
		t.Errorf("docs/sdk.md has %d pieces of Go; has their mark changed?", pieces)
	}
}

// dedented is a text without its indentation.
func dedented(text string) string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		out = append(out, strings.TrimLeft(line, "\t "))
	}
	return strings.Join(out, "\n")
}

// TestChecksums compiles the example program, and compares what it says with the truth:
// alone, and with a second worker beside it.
func TestChecksums(t *testing.T) {
	program := filepath.Join(t.TempDir(), "checksums")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./examples/go/checksums").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	dir := t.TempDir()
	var want strings.Builder
	for i := range 40 {
		path := filepath.Join(dir, fmt.Sprintf("file %02d ü", i))
		content := strings.Repeat(path, i)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "%x  %s\n", sha256.Sum256([]byte(content)), path)
	}
	ctx := withPatience(t)
	second := exec.CommandContext(ctx, program, "-work")
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		cmd := exec.CommandContext(ctx, program, dir)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if out, err := cmd.Output(); err != nil || string(out) != want.String() {
			t.Fatalf("checksums: %v\n%s\n%s", err, out, errs.String())
		}
	}
	if err := second.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := second.Wait(); err != nil {
		t.Error("the second worker:", err)
	}
	for _, wrong := range [][]string{{}, {filepath.Join(dir, "none")}, {t.TempDir()}} {
		if out, err := exec.CommandContext(ctx, program, wrong...).CombinedOutput(); err == nil || !bytes.Contains(out, []byte("checksums: ")) {
			t.Errorf("checksums %q: %v\n%s", wrong, err, out)
		}
	}
}
