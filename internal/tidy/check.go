package tidy

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/types"
	"io"
	"os"
	"path"
	"strings"
)

// checker computes types: the module's own packages from source, so that one that does not build
// hides nothing in the others; everything else from the compiler's export data, which `go list`
// finds in the build cache.
type checker struct {
	tree *tree
	pkgs map[string]*checked
	std  types.Importer
}

// checked is what is known of one package after type-checking it.
type checked struct {
	types *types.Package
	info  *types.Info
	errs  []error
}

func newChecker(ctx context.Context, t *tree, root string) *checker {
	c := &checker{tree: t, pkgs: map[string]*checked{}}
	var exports map[string]string
	c.std = importer.ForCompiler(t.fset, "gc", func(p string) (io.ReadCloser, error) {
		if exports == nil {
			var err error
			if exports, err = exportData(ctx, root, outsideImports(t)); err != nil {
				return nil, err
			}
		}
		name := exports[p]
		if name == "" {
			return nil, fmt.Errorf("no export data for %s", p)
		}
		return os.Open(name)
	})
	return c
}

// of returns the types of p's files as built for this machine, without tests. Expressions that do not
// type-check are missing from it; errs says why.
func (c *checker) of(p *pkg) *checked {
	if done := c.pkgs[p.importPath()]; done != nil {
		return done
	}
	res := &checked{info: &types.Info{
		Types:      map[ast.Expr]types.TypeAndValue{},
		Uses:       map[*ast.Ident]types.Object{},
		Defs:       map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}}
	c.pkgs[p.importPath()] = res
	conf := types.Config{
		Importer:    c,
		FakeImportC: true,
		Error:       func(err error) { res.errs = append(res.errs, err) },
	}
	var files []*ast.File
	for _, f := range p.files {
		if !f.test && c.built(f) {
			files = append(files, f.syntax)
		}
	}
	// The error is the first of res.errs.
	res.types, _ = conf.Check(p.importPath(), c.tree.fset, files, res.info)
	return res
}

// built reports whether f is part of a build for this machine without cgo.
func (c *checker) built(f *file) bool {
	ctx := build.Default
	ctx.CgoEnabled = false
	ctx.OpenFile = func(string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(c.tree.texts[f.path])), nil
	}
	ok, err := ctx.MatchFile(path.Dir(f.path), path.Base(f.path))
	return ok && err == nil
}

// Import gives go/types the package at an import path.
func (c *checker) Import(p string) (*types.Package, error) {
	if p == "unsafe" {
		return types.Unsafe, nil
	}
	if own(p) {
		for _, q := range c.tree.pkgs {
			if q.importPath() == p {
				return c.of(q).types, nil
			}
		}
		return nil, fmt.Errorf("no Go files in %s", p)
	}
	return c.std.Import(p)
}

// own reports whether an import path is of this module.
func own(p string) bool { return p == module || strings.HasPrefix(p, module+"/") }

// outsideImports lists what the tree's non-test files import from elsewhere.
func outsideImports(t *tree) []string {
	seen := map[string]bool{}
	for _, p := range t.pkgs {
		for _, f := range p.files {
			for _, imp := range f.syntax.Imports {
				name := strings.Trim(imp.Path.Value, `"`)
				if !f.test && !own(name) && name != "C" && name != "unsafe" && t.types.built(f) {
					seen[name] = true
				}
			}
		}
	}
	return sortedKeys(seen)
}

// exportData asks the go command, which compiles what is not in its cache, for the export data of
// packages and all they import.
func exportData(ctx context.Context, root string, packages []string) (map[string]string, error) {
	exports := map[string]string{}
	if len(packages) == 0 {
		return exports, nil
	}
	type pack struct{ ImportPath, Export string }
	args := append([]string{"list", "-e", "-deps", "-export", "-json=ImportPath,Export", "--"}, packages...)
	packs, err := goJSON[pack](ctx, root, nil, args...)
	if err != nil {
		return nil, err
	}
	for _, p := range packs {
		exports[p.ImportPath] = p.Export
	}
	return exports, nil
}
