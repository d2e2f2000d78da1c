package render

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFile: a file is touched only by what comes for it, and what is not complete goes.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("the file holds %q, %v; want %q", got, err, want)
		}
	}
	if err := NewFile(path).Remove(); err != nil {
		t.Error(err)
	}
	read("precious")
	f := NewFile(path)
	for _, part := range []string{"a", "bc"} {
		if _, err := f.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	read("abc")
	if err := NewFile(path).Close(); err != nil { // an artifact without a byte
		t.Fatal(err)
	}
	read("")
	f = NewFile(path)
	if _, err := f.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not complete is still there: %v", err)
	}
	if _, err := NewFile(filepath.Join(dir, "none", "out")).Write([]byte("x")); err == nil || !strings.HasSuffix(err.Error(), "out: no such file or directory") {
		t.Errorf("no directory: %v", err)
	}
}
