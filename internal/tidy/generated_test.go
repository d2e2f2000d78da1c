package tidy

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGenerated generates gen/ again, elsewhere, and compares.
func TestGenerated(t *testing.T) {
	if _, err := os.Stat(filepath.Join(root, "proto")); os.IsNotExist(err) {
		t.Skip("there is no proto folder")
	}
	buf, err := filepath.Abs(filepath.Join(root, "tools/node_modules/.bin/buf"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(buf); err != nil {
		missingf(t, "buf is not installed: run \"make deps\" (%v)", err)
	}
	out := t.TempDir()
	cmd := exec.CommandContext(t.Context(), buf, "generate", "--output", out)
	cmd.Dir = root
	// The race detector's settings are for this test, not for the plugins it builds.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("buf generate: %v\n%s", err, text)
	}
	want, got := folder(t, filepath.Join(out, "gen")), folder(t, filepath.Join(root, "gen"))
	for _, name := range sortedKeys(want) {
		if got[name] == "" {
			t.Errorf("gen/%s is missing", name)
		} else if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Errorf("gen/%s differs (-generated +committed):\n%s", name, diff)
		}
	}
	for _, name := range sortedKeys(got) {
		if want[name] == "" {
			t.Errorf("gen/%s comes from no proto file", name)
		}
	}
	if t.Failed() {
		t.Error("why: what is compiled must be what proto/ says. Run \"make generate\"")
	}
}

// folder reads all files below dir by their slash path.
func folder(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		files[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
