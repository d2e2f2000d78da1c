package tidy

import (
	"errors"
	"go/ast"
	"go/types"
	"strings"
)

// pureImports are what a pure room may not import, each with what it would let in. A trailing slash
// means everything below as well.
func pureImports() map[string]string {
	const (
		world = "input and output belong to the rooms above; here values come in and values go out"
		locks = "the state has one owner, the loop: a lock here hides a second one"
	)
	return map[string]string{
		"context": "nothing here waits, so nothing here is cancelled", "os/": world, "net/": world, "syscall/": world, "io/fs": world,
		"golang.org/x/sys/": world, "log/": "who decides returns the reason as a value; who calls may log it",
		"sync/": locks, "runtime/": "what the runtime says differs from machine to machine",
		"crypto/rand": "randomness comes in as a value, so that a replay decides the same", "testing/": "that is for tests",
		"unsafe": "what it sees differs from machine to machine", "time/tzdata": "zones come in as values",
	}
}

// pureNames are the functions a pure room may not use out of packages it may import.
func pureNames() map[string]string {
	const (
		clock  = "the time comes in as a value, so that a replay decides the same"
		random = "the seed comes in as a value, so that a replay decides the same"
	)
	m := map[string]string{
		"time.LoadLocation": "it reads the machine's zone files: take a *time.Location",
		"time.Local":        "the machine's zone: take a *time.Location",
	}
	for _, n := range []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"} {
		m["time."+n] = clock
	}
	for _, n := range []string{
		"Int", "IntN", "Int32", "Int32N", "Int64", "Int64N", "Uint", "UintN", "Uint32", "Uint32N",
		"Uint64", "Uint64N", "N", "Float32", "Float64", "NormFloat64", "ExpFloat64", "Perm", "Shuffle",
	} {
		m["math/rand/v2."+n] = random
	}
	return m
}

func pureRoom(dir string) bool {
	r, ok := floorOf(dir)
	return ok && r.pure
}

func rulePureImports() rule {
	return rule{
		name: "pure-imports",
		why:  "pure rooms compute and nothing else: that is why a journal can be replayed, a cluster simulated in one goroutine, and a bug repeated.",
		check: func(t *tree) (out []finding) {
			for p, f := range t.source {
				if !pureRoom(p.dir) {
					continue
				}
				for _, imp := range f.syntax.Imports {
					name := strings.Trim(imp.Path.Value, `"`)
					for banned, hint := range pureImports() {
						root, below := strings.CutSuffix(banned, "/")
						if name == root || below && strings.HasPrefix(name, banned) {
							out = append(out, finding{p.dir + " -> " + name, t.at(imp), name + ": " + hint})
						}
					}
				}
				out = append(out, mentions(t, p, f, pureNames())...)
			}
			return out
		},
	}
}

func rulePureSyntax() rule {
	return rule{
		name: "pure-goroutines",
		why:  "one goroutine owns the state; with two, the order of what they do is not in the journal.",
		check: func(t *tree) (out []finding) {
			for p, f := range t.source {
				if !pureRoom(p.dir) {
					continue
				}
				for n := range ast.Preorder(f.syntax) {
					what := ""
					switch n.(type) {
					case *ast.GoStmt:
						what = "go statement"
					case *ast.ChanType:
						what = "channel type"
					case *ast.SelectStmt:
						what = "select statement"
					case *ast.SendStmt:
						what = "send on a channel"
					}
					if what != "" {
						out = append(out, finding{p.dir, t.at(n), what})
					}
				}
			}
			return out
		},
	}
}

func rulePureMaps() rule {
	return rule{
		name: "pure-maps",
		why: "Go walks a map in a different order each time, so two servers that apply the same journal could differ. " +
			"Keep a slice or a tree beside it, or walk slices.Sorted(maps.Keys(m)).",
		check: func(t *tree) (out []finding) {
			for _, p := range t.pkgs {
				if pureRoom(p.dir) {
					out = append(out, mapFindings(t, p)...)
				}
			}
			return out
		},
	}
}

func mapFindings(t *tree, p *pkg) (out []finding) {
	info := t.types.of(p).info
	for _, f := range p.files {
		if f.test {
			continue
		}
		sorted := map[ast.Node]bool{}
		for n := range ast.Preorder(f.syntax) {
			switch n := n.(type) {
			case *ast.RangeStmt:
				if tv, ok := info.Types[n.X]; ok && isMap(tv.Type) {
					out = append(out, finding{p.dir, t.at(n), "range over a map"})
				}
			case *ast.CallExpr:
				from, name := selector(f, n.Fun)
				if from == "slices" && strings.HasPrefix(name, "Sorted") && len(n.Args) > 0 {
					sorted[n.Args[0]] = true
				}
				if from == "maps" && (name == "Keys" || name == "Values" || name == "All") && !sorted[n] {
					out = append(out, finding{p.dir, t.at(n), "maps." + name + " that is not sorted at once"})
				}
			}
		}
	}
	return out
}

func isMap(t types.Type) bool {
	if t == nil {
		return false
	}
	_, ok := t.Underlying().(*types.Map)
	return ok
}

// floatFree are the rooms whose values are, or become, the replicated state.
func floatFree(dir string) bool {
	switch dir {
	case "internal/job", "internal/element", "internal/plan", "internal/limit", "internal/predict", "internal/core":
		return true
	}
	return false
}

func ruleFloats() rule {
	return rule{
		name: "pure-floats",
		why: "the compiler may fuse x*y+z on one processor and not on another, so two servers could compute different states. " +
			"Count in integers: milliseconds, thousandths of a CPU, bytes.",
		check: func(t *tree) (out []finding) {
			for _, p := range t.pkgs {
				if !floatFree(p.dir) {
					continue
				}
				out = append(out, floatFindings(t, p)...)
			}
			return out
		},
	}
}

func floatFindings(t *tree, p *pkg) (out []finding) {
	info := t.types.of(p).info
	for _, f := range p.files {
		if f.test {
			continue
		}
		lines := map[string]bool{} // one finding a line is enough
		for n := range ast.Preorder(f.syntax) {
			e, ok := n.(ast.Expr)
			if !ok {
				continue
			}
			tv, ok := info.Types[e]
			if !ok || !isFloat(tv.Type) || tv.Value != nil && untyped(tv.Type) {
				continue // an untyped constant is exact
			}
			if at := t.at(e); !lines[at] {
				lines[at] = true
				out = append(out, finding{p.dir, at, types.TypeString(tv.Type, nil)})
			}
		}
	}
	return out
}

func isFloat(t types.Type) bool {
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&(types.IsFloat|types.IsComplex) != 0
}

func untyped(t types.Type) bool {
	b, ok := t.(*types.Basic)
	return ok && b.Info()&types.IsUntyped != 0
}

func ruleCompiles() rule {
	return rule{
		name: "compiles",
		why:  "rules that look at types can't judge what does not type-check.",
		check: func(t *tree) (out []finding) {
			out = append(out, t.broken...)
			for _, p := range t.pkgs {
				if strings.HasPrefix(p.dir, "bench") {
					continue // it needs what the product's module does not know; its own tests build it
				}
				for _, err := range t.types.of(p).errs {
					where, what := p.dir, err.Error()
					var te types.Error
					if errors.As(err, &te) && te.Pos.IsValid() {
						where, what = t.fset.Position(te.Pos).String(), te.Msg
					}
					out = append(out, finding{p.dir, where, what})
				}
			}
			return out
		},
	}
}
