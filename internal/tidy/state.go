package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

func ruleInit() rule {
	return rule{
		name: "init",
		why:  "what happens because a package was imported can't be ordered, tested or left out: do it in a function that somebody calls.",
		check: func(t *tree) (out []finding) {
			for p, f := range t.source {
				for _, d := range f.syntax.Decls {
					if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
						out = append(out, finding{p.dir, t.at(fn), "func init"})
					}
				}
			}
			return out
		},
	}
}

func ruleGlobals() rule {
	return rule{
		name: "globals",
		why: "two servers in one test must not share anything. A variable of a package may be an error value, " +
			"or a table, pattern or embedded file that nothing ever writes; exported ones may only be errors, since anybody could write them.",
		check: func(t *tree) (out []finding) {
			for _, p := range t.pkgs {
				written := writtenTo(t, p)
				for _, f := range p.files {
					if f.test || f.generated {
						continue
					}
					for _, d := range f.syntax.Decls {
						if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
							out = append(out, globalFindings(t, p, g, written)...)
						}
					}
				}
			}
			return out
		},
	}
}

func globalFindings(t *tree, p *pkg, g *ast.GenDecl, written map[types.Object]string) (out []finding) {
	info := t.types.of(p).info
	for _, s := range g.Specs {
		for _, n := range s.(*ast.ValueSpec).Names {
			obj := info.Defs[n]
			if n.Name == "_" || obj == nil {
				continue
			}
			what := ""
			switch at := written[obj]; {
			case at != "":
				what = "is written at " + at
			case isError(obj.Type()):
			case n.IsExported():
				what = "is exported"
			case !constLike(obj.Type(), 0):
				what = "is a " + types.TypeString(obj.Type(), types.RelativeTo(obj.Pkg())) + ", which can change"
			}
			if what != "" {
				name := p.dir + "." + n.Name
				out = append(out, finding{name, t.at(n), fmt.Sprintf("var %s %s", n.Name, what)})
			}
		}
	}
	return out
}

func isError(t types.Type) bool {
	return types.Identical(t, types.Universe.Lookup("error").Type())
}

// constLike reports whether a variable of this type stays the same while nobody writes to it: plain
// values and tables of them, and the library types that are built once and only read.
func constLike(t types.Type, depth int) bool {
	switch name := types.TypeString(t, nil); {
	case name == "*regexp.Regexp", name == "*strings.Replacer", name == "embed.FS", name == "*time.Location",
		name == "*encoding/base64.Encoding", name == "*encoding/base32.Encoding",
		name == "*hash/crc32.Table", name == "*hash/crc64.Table",
		strings.HasSuffix(name, "/template.Template"), isError(t), depth > 8:
		return true
	case strings.HasPrefix(name, "sync."), strings.HasPrefix(name, "sync/atomic."):
		return false
	}
	switch u := t.Underlying().(type) {
	case *types.Basic, *types.Interface:
		return true
	case *types.Slice:
		return constLike(u.Elem(), depth+1)
	case *types.Array:
		return constLike(u.Elem(), depth+1)
	case *types.Map:
		return constLike(u.Elem(), depth+1)
	case *types.Signature:
		return depth > 0 // a table of functions; a lone one is a seam that tests swap
	case *types.Struct:
		for f := range u.Fields() {
			if !constLike(f.Type(), depth+1) {
				return false
			}
		}
		return true
	}
	return false
}

// writtenTo finds the package's variables that its code assigns to, takes the address of, or calls a
// method on that may change them, with where.
func writtenTo(t *tree, p *pkg) map[types.Object]string {
	info := t.types.of(p).info
	written := map[types.Object]string{}
	mark := func(e ast.Expr) {
		if obj := rootVar(info, e); obj != nil && written[obj] == "" {
			written[obj] = t.at(e)
		}
	}
	for _, f := range p.files {
		if f.test || f.generated {
			continue
		}
		for n := range ast.Preorder(f.syntax) {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, l := range n.Lhs {
					mark(l)
				}
			case *ast.IncDecStmt:
				mark(n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					mark(n.X)
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 {
					mark(n.Args[0])
				}
			case *ast.SelectorExpr:
				if sel := info.Selections[n]; sel != nil && changes(sel) {
					mark(n.X)
				}
			}
		}
	}
	return written
}

// changes reports whether a method is called through the address of an addressable value.
func changes(sel *types.Selection) bool {
	fn, ok := sel.Obj().(*types.Func)
	if !ok {
		return false
	}
	recv := fn.Signature().Recv()
	_, byPointer := recv.Type().(*types.Pointer)
	_, isPointer := sel.Recv().Underlying().(*types.Pointer)
	return byPointer && !isPointer
}

// rootVar is the package variable that an expression is part of: v, v.f, v[i], *v.
func rootVar(info *types.Info, e ast.Expr) types.Object {
	for {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.Ident:
			v, ok := info.Uses[x].(*types.Var)
			if ok && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
				return v
			}
			return nil
		default:
			return nil
		}
	}
}
