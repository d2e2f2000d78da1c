package tidy

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"unicode/utf8"
)

// module is the path that the repository's own imports begin with.
const module = "github.com/reeve-scheduler/reeve"

// tree is everything the rules look at. It is read once and not changed afterwards, but for the
// types, which are computed on first use by one goroutine.
type tree struct {
	fset *token.FileSet
	// texts holds every text file of the repository by its slash path.
	texts map[string][]byte
	// pkgs are the module's Go packages, sorted by directory.
	pkgs []*pkg
	// broken says which Go files do not parse.
	broken []finding
	types  *checker
}

// pkg is one directory of Go files.
type pkg struct {
	// dir is the slash path from the root, "." for the root itself.
	dir   string
	name  string
	files []*file
}

// file is one parsed Go file.
type file struct {
	path string
	test bool
	// generated files, which are those in gen/, are what the generator made of proto/: not ours to shape.
	generated bool
	lines     int
	// code counts the lines with code on them: neither blank nor comment alone.
	code   int
	syntax *ast.File
}

// finding is one breach of a rule.
type finding struct {
	// subject names what is at fault in a way that survives edits: the key of an exception.
	subject string
	// where is file:line, or a file.
	where string
	what  string
}

// rule is one law of the house.
type rule struct {
	name  string
	why   string
	check func(*tree) []finding
}

// readTree reads what git tracks and what it would track: a file that is not added yet is judged too,
// so that a breach is found before it is committed.
func readTree(ctx context.Context, root string) (*tree, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files in %s: %w", root, err)
	}
	texts := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if os.IsNotExist(err) {
			continue // deleted, not committed yet
		}
		if err != nil {
			return nil, fmt.Errorf("read a tracked file: %w", err)
		}
		if utf8.Valid(data) && !bytes.ContainsRune(data, 0) {
			texts[name] = data
		}
	}
	return parseTree(ctx, root, texts), nil
}

// parseTree parses the Go files among texts that belong to the product's module.
func parseTree(ctx context.Context, root string, texts map[string][]byte) *tree {
	t := &tree{fset: token.NewFileSet(), texts: texts}
	byDir := map[string]*pkg{}
	for _, name := range sortedKeys(texts) {
		if !strings.HasSuffix(name, ".go") || otherModule(name, texts) || hidden(name) {
			continue
		}
		syntax, err := parser.ParseFile(t.fset, name, texts[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.broken = append(t.broken, finding{subject: name, where: name, what: err.Error()})
			continue
		}
		dir := path.Dir(name)
		p := byDir[dir]
		if p == nil {
			p = &pkg{dir: dir}
			byDir[dir] = p
		}
		f := &file{
			path: name, syntax: syntax, lines: bytes.Count(texts[name], []byte("\n")),
			code: codeLines(texts[name]),
			test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(syntax) && strings.HasPrefix(name, "gen/"),
		}
		if !f.test || p.name == "" {
			p.name = syntax.Name.Name
		}
		p.files = append(p.files, f)
	}
	for _, dir := range sortedKeys(byDir) {
		t.pkgs = append(t.pkgs, byDir[dir])
	}
	t.types = newChecker(ctx, t, root)
	return t
}

// codeLines counts the lines on which a token of the language stands.
func codeLines(src []byte) (n int) {
	var s scanner.Scanner
	fset := token.NewFileSet()
	f := fset.AddFile("", -1, len(src))
	s.Init(f, src, nil, 0)
	last := 0
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return n
		}
		if tok == token.SEMICOLON && lit != ";" {
			continue // added by the scanner where a line ends
		}
		first := f.Line(pos)
		end := first + strings.Count(lit, "\n") // a raw string spans lines
		n += end - max(first, last+1) + 1
		last = max(last, end)
	}
}

// hidden reports whether the go command ignores the file: test data and folders with a dot or underscore.
func hidden(name string) bool {
	for part := range strings.SplitSeq(path.Dir(name), "/") {
		if part == "testdata" || len(part) > 1 && (part[0] == '.' || part[0] == '_') {
			return true
		}
	}
	return false
}

// otherModule reports whether a folder on the way to name has a go.mod of its own. bench has one so
// that what it needs is not the product's to require; it is written in this house all the same.
func otherModule(name string, texts map[string][]byte) bool {
	if strings.HasPrefix(name, "bench/") {
		return false
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, ok := texts[dir+"/go.mod"]; ok {
			return true
		}
	}
	return false
}

// at is the file:line of a node.
func (t *tree) at(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// source yields the hand-written files that are not tests, with their packages.
func (t *tree) source(yield func(*pkg, *file) bool) {
	for _, p := range t.pkgs {
		for _, f := range p.files {
			if !f.test && !f.generated && !yield(p, f) {
				return
			}
		}
	}
}

// tests yields the test files, with their packages.
func (t *tree) tests(yield func(*pkg, *file) bool) {
	for _, p := range t.pkgs {
		for _, f := range p.files {
			if f.test && !yield(p, f) {
				return
			}
		}
	}
}

// importPath is the path other packages import p by.
func (p *pkg) importPath() string {
	if p.dir == "." {
		return module
	}
	return module + "/" + p.dir
}

// testOnly reports whether the package exists for tests alone.
func (p *pkg) testOnly() bool { return testOnlyDir(p.dir) }

func testOnlyDir(dir string) bool {
	return dir == "bench" || strings.HasPrefix(dir, "bench/") || dir == "test" || strings.HasPrefix(dir, "test/") || strings.HasSuffix(dir, "test") ||
		dir == "internal/store/faultstore" || dir == "internal/sim" || strings.HasPrefix(dir, "internal/sim/") || dir == "internal/tidy"
}

// funcName is how a declaration is called in findings: dir.Func, dir.Type.Method.
func funcName(p *pkg, d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return p.dir + "." + d.Name.Name
	}
	return p.dir + "." + receiver(d) + "." + d.Name.Name
}

// receiver is the name of the type that a method belongs to.
func receiver(d *ast.FuncDecl) string {
	x := d.Recv.List[0].Type
	for {
		switch v := x.(type) {
		case *ast.StarExpr:
			x = v.X
		case *ast.IndexExpr:
			x = v.X
		case *ast.IndexListExpr:
			x = v.X
		case *ast.Ident:
			return v.Name
		default:
			return "?"
		}
	}
}

// selector returns "pkg.Name" when e is a name out of an imported package of f, by the package's path:
// "time.Now" or "math/rand/v2.IntN".
func selector(f *file, e ast.Expr) (pkgPath, name string) {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	for _, imp := range f.syntax.Imports {
		p := strings.Trim(imp.Path.Value, `"`)
		if importName(imp, p) == x.Name {
			return p, s.Sel.Name
		}
	}
	return "", ""
}

// importName is the name an import has in its file, guessed from the path as gofmt'd code names it.
func importName(imp *ast.ImportSpec, p string) string {
	if imp.Name != nil {
		return imp.Name.Name
	}
	base := path.Base(p)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = path.Base(path.Dir(p))
	}
	return base
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
