package tidy

import (
	"go/ast"
)

func ruleSleep() rule {
	return rule{
		name: "sleep",
		why: "a test that sleeps is slow on a fast machine and wrong on a slow one. Wait for the event itself: a channel, " +
			"a context with a deadline; for virtual time, testing/synctest with a timer.",
		check: func(t *tree) (out []finding) {
			names := map[string]string{"time.Sleep": "waits for time instead of the event"}
			for p, f := range t.tests {
				out = append(out, mentions(t, p, f, names)...)
			}
			for p, f := range t.source {
				if p.testOnly() {
					out = append(out, mentions(t, p, f, names)...)
				}
			}
			return out
		},
	}
}

func ruleSkip() rule {
	return rule{
		name: "skip",
		why:  "a skipped test looks like a passed one; it has to say what is missing.",
		check: func(t *tree) (out []finding) {
			for p, f := range t.tests {
				for n := range ast.Preorder(f.syntax) {
					call, ok := n.(*ast.CallExpr)
					if !ok {
						continue
					}
					s, ok := call.Fun.(*ast.SelectorExpr)
					if ok && (s.Sel.Name == "SkipNow" || s.Sel.Name == "Skip" || s.Sel.Name == "Skipf") && len(call.Args) == 0 {
						out = append(out, finding{p.dir, t.at(call), s.Sel.Name + " without a reason"})
					}
				}
			}
			return out
		},
	}
}
