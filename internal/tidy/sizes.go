package tidy

import (
	"fmt"
	"go/ast"
)

// Limits in lines and counts. They are walls to notice, not targets to fill.
const (
	maxFunction = 70
	maxFile     = 600
	maxPackage  = 2500
	maxMethods  = 8
	maxResults  = 3
)

func ruleFunctionSize() rule {
	return rule{
		name: "function-size",
		why:  "a function that does not fit on a screen is several: name them. (Tests, whose tables are long, are not counted.)",
		check: func(t *tree) (out []finding) {
			for p, f := range t.source {
				if p.testOnly() {
					continue
				}
				for _, d := range f.syntax.Decls {
					fn, ok := d.(*ast.FuncDecl)
					if !ok {
						continue
					}
					if n := t.lines(fn); n > maxFunction {
						out = append(out, finding{funcName(p, fn), t.at(fn), fmt.Sprintf("%s has %d lines, at most %d", funcName(p, fn), n, maxFunction)})
					}
				}
			}
			return out
		},
	}
}

func (t *tree) lines(n ast.Node) int {
	return t.fset.Position(n.End()).Line - t.fset.Position(n.Pos()).Line + 1
}

func ruleFileSize() rule {
	return rule{
		name: "file-size",
		why:  "a file is one thought; past this size a reader can't hold it.",
		check: func(t *tree) (out []finding) {
			for _, p := range t.pkgs {
				for _, f := range p.files {
					if !f.generated && f.lines > maxFile {
						out = append(out, finding{f.path, f.path, fmt.Sprintf("%d lines, at most %d", f.lines, maxFile)})
					}
				}
			}
			return out
		},
	}
}

func rulePackageSize() rule {
	return rule{
		name: "package-size",
		why: "a room is small enough to read at once; past this size it has two responsibilities. " +
			"(Blank lines, comments and tests are not counted: who explains is not punished.)",
		check: func(t *tree) (out []finding) {
			sum := map[string]int{}
			for p, f := range t.source {
				sum[p.dir] += f.code
			}
			for _, dir := range sortedKeys(sum) {
				if sum[dir] > maxPackage {
					out = append(out, finding{dir, dir, fmt.Sprintf("%d lines of code, at most %d", sum[dir], maxPackage)})
				}
			}
			return out
		},
	}
}

func ruleInterfaceSize() rule {
	return rule{
		name: "interface-size",
		why:  "a wide interface is a wish for the whole implementation: ask for the methods that are used, in the package that uses them.",
		check: func(t *tree) (out []finding) {
			for p, f := range t.source {
				for n := range ast.Preorder(f.syntax) {
					spec, ok := n.(*ast.TypeSpec)
					if !ok {
						continue
					}
					if _, ok := spec.Type.(*ast.InterfaceType); !ok {
						continue
					}
					if n := t.methods(p, spec); n > maxMethods {
						name := p.dir + "." + spec.Name.Name
						out = append(out, finding{name, t.at(spec), fmt.Sprintf("%s has %d methods, at most %d", name, n, maxMethods)})
					}
				}
			}
			return out
		},
	}
}

// methods counts an interface's methods, embedded ones included.
func (t *tree) methods(p *pkg, spec *ast.TypeSpec) int {
	if obj := t.types.of(p).info.Defs[spec.Name]; obj != nil {
		if i, ok := obj.Type().Underlying().(interface{ NumMethods() int }); ok {
			return i.NumMethods()
		}
	}
	return spec.Type.(*ast.InterfaceType).Methods.NumFields() // a file for another system
}

func ruleResults() rule {
	return rule{
		name: "results",
		why:  "a caller can't tell four results apart by position: return a struct with names.",
		check: func(t *tree) (out []finding) {
			for p, f := range t.source {
				for n := range ast.Preorder(f.syntax) {
					ft, ok := n.(*ast.FuncType)
					if ok && ft.Results.NumFields() > maxResults {
						out = append(out, finding{p.dir, t.at(ft), fmt.Sprintf("%d results, at most %d", ft.Results.NumFields(), maxResults)})
					}
				}
			}
			return out
		},
	}
}
