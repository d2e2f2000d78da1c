package tidy

import (
	"go/ast"
	"go/token"
	"strings"
)

func rulePackageDocs() rule {
	return rule{
		name: "package-docs",
		why:  "the first sentence of a room says its one responsibility; who can't write it has not found it yet.",
		check: func(t *tree) (out []finding) {
			for _, p := range t.pkgs {
				if what := packageDoc(p); what != "" {
					out = append(out, finding{p.dir, p.dir, what})
				}
			}
			return out
		},
	}
}

// packageDoc says what is wrong with p's doc comment.
func packageDoc(p *pkg) string {
	docs, onlyTests := 0, true
	for _, f := range p.files {
		if f.generated {
			return ""
		}
		onlyTests = onlyTests && f.test
		if f.test || f.syntax.Doc == nil {
			continue
		}
		text := f.syntax.Doc.Text()
		if p.name == "main" && strings.HasPrefix(text, "Command ") || strings.HasPrefix(text, "Package "+p.name+" ") {
			docs++
		}
	}
	switch {
	case onlyTests:
		return "" // nothing to import
	case docs == 0:
		return "no package comment that begins \"Package " + p.name + "\" (\"Command …\" for main)"
	case docs > 1:
		return "more than one package comment"
	}
	return ""
}

func ruleExportedDocs() rule {
	return rule{
		name: "exported-docs",
		why:  "an exported name is a promise: its comment says the contract, the units, the errors and who may call it when.",
		check: func(t *tree) (out []finding) {
			for p, f := range t.source {
				for _, d := range f.syntax.Decls {
					switch d := d.(type) {
					case *ast.FuncDecl:
						if d.Name.IsExported() && d.Doc == nil && !wellKnown(d) && p.name != "main" {
							out = append(out, finding{funcName(p, d), t.at(d), funcName(p, d) + " has no comment"})
						}
					case *ast.GenDecl:
						out = append(out, undocumented(t, p, d)...)
					}
				}
			}
			return out
		},
	}
}

// wellKnown reports whether nobody reads the method by its own name: those of unexported types, and
// those whose contract is package errors'.
func wellKnown(d *ast.FuncDecl) bool {
	return d.Recv != nil && (!ast.IsExported(receiver(d)) || d.Name.Name == "Error" || d.Name.Name == "Unwrap")
}

// undocumented finds exported types, constants and variables that neither their own comment nor that
// of their group explains.
func undocumented(t *tree, p *pkg, d *ast.GenDecl) (out []finding) {
	if d.Tok == token.IMPORT {
		return nil
	}
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
				out = append(out, finding{p.dir + "." + s.Name.Name, t.at(s), p.dir + "." + s.Name.Name + " has no comment"})
			}
		case *ast.ValueSpec:
			for _, n := range s.Names {
				if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					out = append(out, finding{p.dir + "." + n.Name, t.at(n), p.dir + "." + n.Name + " has no comment"})
				}
			}
		}
	}
	return out
}
