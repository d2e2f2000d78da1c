package blackbox

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReliabilityPage holds the page's references to tests against those that exist.
func TestReliabilityPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	names := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(page), -1)
	for _, m := range names {
		if !strings.Contains(source.String(), "func "+m[1]+"(t *testing.T)") {
			t.Errorf("docs/reliability.md names %s, which does not exist", m[1])
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
