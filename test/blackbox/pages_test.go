package blackbox

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testsBelow is the text of all files of tests in a directory and below.
func testsBelow(t *testing.T, dir string) string {
	t.Helper()
	var source strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		source.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return source.String()
}

// TestReliabilityPage holds the page's references to tests against those that exist.
func TestReliabilityPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	source := testsBelow(t, "../..")
	names := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(page), -1)
	for _, m := range names {
		if !strings.Contains(source, "func "+m[1]+"(") {
			t.Errorf("docs/reliability.md names %s, which does not exist", m[1])
		}
	}
	// A test of another room is named behind that room.
	for _, m := range regexp.MustCompile("`(internal/[a-z/]+)`: ((?:`Test[A-Za-z]+`(?:, )?)+)").FindAllStringSubmatch(string(page), -1) {
		room := testsBelow(t, filepath.Join("../..", m[1]))
		for _, name := range regexp.MustCompile("Test[A-Za-z]+").FindAllString(m[2], -1) {
			if !strings.Contains(room, "func "+name+"(") {
				t.Errorf("docs/reliability.md names %s as one of %s, which it is not", name, m[1])
			}
		}
	}
	for _, m := range regexp.MustCompile("`(internal/[a-z/]+)`").FindAllStringSubmatch(string(page), -1) {
		tests := 0
		err := filepath.WalkDir(filepath.Join("../..", m[1]), func(path string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(path, "_test.go") {
				tests++
			}
			return err
		})
		if err != nil || tests == 0 && !strings.HasSuffix(m[1], "test") {
			t.Errorf("docs/reliability.md names %s: %d files of tests, %v", m[1], tests, err)
		}
	}
	if len(names) < 20 {
		t.Errorf("only %d tests are named", len(names))
	}
}
