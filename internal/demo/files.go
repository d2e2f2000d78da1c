package demo

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a source tree.
const (
	// maxFile is the largest file that is counted, in bytes.
	maxFile = 64 << 20
	// maxFiles is how many files a tree may have.
	maxFiles = 1_000_000
)

// file is a file of the tree: its path from the root, and its size in bytes.
type file struct {
	path string
	size int64
}

// goFiles calls fn for each Go file below root in the order of their names. What
// can't be read is left out, and so are links, which could lead out of the tree.
func goFiles(ctx context.Context, root string, fn func(file) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && path == root:
			return err
		case err != nil && d.IsDir():
			return filepath.SkipDir
		case err != nil || !d.Type().IsRegular() || filepath.Ext(path) != ".go":
			return nil //nolint:nilerr // what can't be read is left out
		}
		info, err := d.Info()
		if err != nil || info.Size() > maxFile || !readable(path) {
			return nil //nolint:nilerr // what can't be read is left out
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return fn(file{rel, info.Size()})
	})
}

func readable(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// list writes down the files of the tree.
func list(ctx context.Context, p Place, root string) error {
	var files []file
	err := goFiles(ctx, root, func(f file) error {
		if len(files) == maxFiles {
			return fmt.Errorf("more than %s Go files below %s", grouped(maxFiles), root)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no Go files below %s", root)
	}
	bytes := int64(0)
	var b strings.Builder
	for _, f := range files {
		bytes += f.size
		// Quoted, since a name may hold anything.
		fmt.Fprintf(&b, "%d\t%s\n", f.size, strconv.Quote(f.path))
	}
	if err := os.WriteFile(filepath.Join(p.Artifacts, filesName), []byte(b.String()), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(p.Out, "%s Go files, %s\n", grouped(int64(len(files))), megabytes(bytes))
	if err := p.output("files", strconv.Itoa(len(files))); err != nil {
		return err
	}
	return p.output("bytes", strconv.FormatInt(bytes, 10))
}

// readFiles reads what list wrote.
func readFiles(path string) ([]file, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var files []file
	for s := bufio.NewScanner(in); ; {
		if !s.Scan() {
			return files, s.Err()
		}
		size, quoted, _ := strings.Cut(s.Text(), "\t")
		n, sizeErr := strconv.ParseInt(size, 10, 64)
		name, nameErr := strconv.Unquote(quoted)
		if err := errors.Join(sizeErr, nameErr); err != nil {
			return nil, fmt.Errorf("%s:%d: want a size and a quoted path: %w", path, len(files)+1, err)
		}
		files = append(files, file{name, n})
	}
}

// shard returns the files of shard index of count. Each file goes to the shard that
// has least so far, the largest files first, so that the shards are about as large
// as each other; every shard works it out alone, and all come to the same.
func shard(files []file, index, count int) []file {
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b file) int {
		return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.path, b.path))
	})
	load := make([]int64, count)
	var mine []file
	for _, f := range sorted {
		least := 0
		for i := range load {
			if load[i] < load[least] {
				least = i
			}
		}
		// Reading an empty file costs something too.
		load[least] += f.size + 1
		if least == index {
			mine = append(mine, f)
		}
	}
	return mine
}

// errEnough ends a walk early.
var errEnough = errors.New("enough")

// findSource returns the tree to count, absolute: dir, or, if that is empty, the
// source of this machine's Go toolchain.
func findSource(ctx context.Context, dir string) (string, error) {
	given := dir != ""
	if !given {
		dir = toolchainSource(ctx)
	}
	if dir == "" {
		return "", errors.New("no Go toolchain is found, whose source the demo would count; give a directory with Go source: reeve demo DIR")
	}
	root, err := filepath.Abs(dir)
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return "", fmt.Errorf("the data of the demo: %w", err)
	}
	err = goFiles(ctx, root, func(file) error { return errEnough })
	switch {
	case errors.Is(err, errEnough):
		return root, nil
	case err != nil:
		return "", fmt.Errorf("the data of the demo: %w", err)
	case given:
		return "", fmt.Errorf("no Go files below %s; give a directory with Go source, or none for the Go toolchain's own", root)
	}
	return "", fmt.Errorf("the Go toolchain in %s has no source; give a directory with Go source: reeve demo DIR", filepath.Dir(root))
}

// toolchainSource finds the source of the Go toolchain, "" if there is none.
func toolchainSource(ctx context.Context) string {
	var roots []string
	if goTool, err := exec.LookPath("go"); err == nil {
		if out, err := exec.CommandContext(ctx, goTool, "env", "GOROOT").Output(); err == nil {
			roots = append(roots, strings.TrimSpace(string(out)))
		}
	}
	roots = append(roots, os.Getenv("GOROOT"), "/usr/local/go", "/usr/lib/go", "/opt/homebrew/opt/go/libexec")
	for _, root := range roots {
		src := filepath.Join(root, "src")
		if info, err := os.Stat(src); root != "" && err == nil && info.IsDir() {
			return src
		}
	}
	return ""
}
