package demo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree makes files below a new directory, and what is needed above them.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestGoFiles: the files of a tree in their order, and nothing that leads out of it.
func TestGoFiles(t *testing.T) {
	outside := tree(t, map[string]string{"secret.go": "package secret"})
	root := tree(t, map[string]string{"b.go": "b", "a/x.go": "", "a/é \"q\"\n.go": "abc", "a/y.txt": "no", "go": "no", "c.go/d.go": "dd"})
	for _, link := range []struct{ to, name string }{
		{filepath.Join(outside, "secret.go"), "link.go"}, {outside, "dir"}, {filepath.Join(root, "nowhere"), "dangling.go"},
	} {
		if err := os.Symlink(link.to, filepath.Join(root, link.name)); err != nil {
			t.Fatal(err)
		}
	}
	var got []file
	if err := goFiles(t.Context(), root, func(f file) error { got = append(got, f); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []file{{"a/x.go", 0}, {"a/é \"q\"\n.go", 3}, {"b.go", 1}, {"c.go/d.go", 2}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(file{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := goFiles(ended, root, func(file) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	if err := goFiles(t.Context(), filepath.Join(root, "none"), func(file) error { return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no root: %v", err)
	}
}

// TestShard: all files go somewhere, to one shard each, and the shards are about as
// large as each other.
func TestShard(t *testing.T) {
	files := []file{{"large", 1000}}
	for i := range 100 {
		files = append(files, file{string(rune('a'+i%26)) + strings.Repeat("x", i), int64(i)})
	}
	const count = 7
	seen := map[string]int{}
	least, most := int64(1<<62), int64(0)
	for i := range count {
		sum := int64(0)
		for _, f := range shard(files, i, count) {
			seen[f.path]++
			sum += f.size
		}
		least, most = min(least, sum), max(most, sum)
	}
	for _, f := range files {
		if seen[f.path] != 1 {
			t.Errorf("%s is in %d shards", f.path, seen[f.path])
		}
	}
	if most > 1000 || least < 600 { // 5,950 in all, one file has 1,000
		t.Errorf("the shards have %d to %d bytes", least, most)
	}
	if len(shard(nil, 0, 1)) != 0 {
		t.Error("there are files where there are none")
	}
}

func TestReadFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "files.txt")
	for _, test := range []struct {
		text string
		want []file
		err  string
	}{
		{"", nil, ""},
		{"12\t\"a b.go\"\n0\t\"\\n\\xff.go\"\n", []file{{"a b.go", 12}, {"\n\xff.go", 0}}, ""},
		{"12\t\"a\"\nx\t\"b\"\n", nil, ":2: want a size and a quoted path"},
		{"12\tb\n", nil, ":1: want a size and a quoted path"},
		{"12\n", nil, ":1:"},
	} {
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readFiles(path)
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%q: error %v, want one with %q", test.text, err, test.err)
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(file{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestFindSource(t *testing.T) {
	root := tree(t, map[string]string{"a/b.go": "package b"})
	resolved, err := filepath.EvalSymlinks(root)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ dir, want, err string }{
		{root, resolved, ""},
		{link, resolved, ""},
		{t.TempDir(), "", "no Go files below "},
		{filepath.Join(root, "none"), "", "the data of the demo: "},
		{filepath.Join(root, "a/b.go"), filepath.Join(resolved, "a/b.go"), ""},
	} {
		got, err := findSource(t.Context(), test.dir)
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("findSource(%s) = %q, %v; want %q, %q", test.dir, got, err, test.want, test.err)
		}
	}
}

func TestDataDir(t *testing.T) {
	used := tree(t, map[string]string{"mine.txt": "precious"})
	earlier := tree(t, map[string]string{jobFile: "run: echo"})
	fresh := filepath.Join(t.TempDir(), "a", "b")
	for given, wrong := range map[string]string{
		used: "holds something else", earlier: "", fresh: "", filepath.Join(used, "mine.txt"): "the data directory: ", t.TempDir(): "",
	} {
		got, err := dataDir(given)
		if (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) || err == nil && got != given {
			t.Errorf("dataDir(%s) = %q, %v; want an error with %q", given, got, err, wrong)
		}
	}
	temporary, err := dataDir("")
	if err != nil {
		t.Fatal(err)
	}
	if err := tidyUp(t.Context(), &Options{}, temporary, nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(temporary); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary directory is still there: %v", err)
	}
	failed := errors.New("it failed")
	kept := t.TempDir()
	if err := tidyUp(t.Context(), &Options{}, kept, failed); !errors.Is(err, failed) || !strings.Contains(err.Error(), kept) {
		t.Errorf("after a failure: %v", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("the logs of a failure are gone: %v", err)
	}
}
