package tidy

import (
	"fmt"
	"go/ast"
	"path"
	"strings"
)

const everywhere = -1

// floorOf returns the floor of a folder; ok is false for one that the law does not name.
func floorOf(dir string) (r room, ok bool) {
	for _, r := range rooms() {
		if r.dir == dir {
			return r, true
		}
	}
	switch {
	case testOnlyDir(dir):
		return room{dir: dir, floor: 6}, true
	case strings.HasPrefix(dir, "gen/"):
		return room{dir: dir, floor: everywhere}, true
	case strings.HasPrefix(dir, "examples/"):
		return room{dir: dir, floor: 5}, true
	}
	return room{}, false
}

func ruleRooms() rule {
	return rule{
		name: "rooms",
		why: "a package is a room with one responsibility and a floor; one that the law does not name has neither. " +
			"Add it to rooms() and to the table in ARCHITECTURE.md.",
		check: func(t *tree) (out []finding) {
			for _, p := range t.pkgs {
				if _, ok := floorOf(p.dir); !ok {
					out = append(out, finding{p.dir, p.dir, "no such room in the law"})
				}
			}
			return out
		},
	}
}

func ruleNames() rule {
	banned := map[string]bool{
		"util": true, "utils": true, "common": true, "commons": true, "helper": true, "helpers": true,
		"pkg": true, "misc": true, "shared": true, "lib": true, "base": true, "types": true, "models": true,
	}
	return rule{
		name: "names",
		why:  "a package named for what it holds says what does not belong in it; this name lets everything in.",
		check: func(t *tree) (out []finding) {
			for _, p := range t.pkgs {
				if banned[path.Base(p.dir)] || banned[p.name] {
					out = append(out, finding{p.dir, p.dir, "package " + p.name})
				}
			}
			return out
		},
	}
}

func ruleFloors() rule {
	return rule{
		name: "floors",
		why: "imports only go down, and sideways only where sideways() gives a reason: " +
			"what a room can be understood without, it can be tested and replaced without.",
		check: func(t *tree) (out []finding) {
			for _, p := range t.pkgs {
				for _, f := range p.files {
					out = append(out, floorFindings(t, p, f)...)
				}
			}
			return out
		},
	}
}

func floorFindings(t *tree, p *pkg, f *file) (out []finding) {
	from, ok := floorOf(p.dir)
	if !ok || f.generated {
		return nil // the rule "rooms" speaks of it
	}
	for _, imp := range f.syntax.Imports {
		name := strings.Trim(imp.Path.Value, `"`)
		if !own(name) {
			continue
		}
		dir := strings.TrimPrefix(strings.TrimPrefix(name, module), "/")
		if dir == "" {
			dir = "."
		}
		to, ok := floorOf(dir)
		subject := p.dir + " -> " + dir
		switch {
		case !ok:
			out = append(out, finding{subject, t.at(imp), "imports " + dir + ", which the law does not name"})
		case dir == p.dir:
			// an external test of the package itself
		case testOnlyDir(dir) && !p.testOnly() && !f.test:
			out = append(out, finding{subject, t.at(imp), "product code imports " + dir + ", which is for tests"})
		case testOnlyDir(dir), to.floor < from.floor, f.test && to.floor == from.floor:
		case to.floor > from.floor:
			out = append(out, finding{subject, t.at(imp),
				fmt.Sprintf("%s (floor %d) imports upwards: %s (floor %d)", p.dir, from.floor, dir, to.floor)})
		case sideways()[[2]string{p.dir, dir}] == "":
			out = append(out, finding{subject, t.at(imp),
				fmt.Sprintf("%s imports sideways on floor %d: %s", p.dir, from.floor, dir)})
		}
	}
	return out
}

func ruleBans() rule {
	return rule{
		name: "bans",
		why:  "some libraries are the secret of one room; bans() says which and why.",
		check: func(t *tree) (out []finding) {
			for _, p := range t.pkgs {
				for _, f := range p.files {
					if f.generated {
						continue
					}
					for _, imp := range f.syntax.Imports {
						name := strings.Trim(imp.Path.Value, `"`)
						for _, b := range bans() {
							if b.covers(name) && !b.allows(p.dir) && !(b.tests && (f.test || p.testOnly())) {
								out = append(out, finding{p.dir + " -> " + name, t.at(imp), "imports " + name + ": " + b.reason})
							}
						}
					}
				}
			}
			return out
		},
	}
}

// ruleSpawn closes the side doors past the ban of os/exec.
func ruleSpawn() rule {
	const hint = "starts a process"
	doors := map[string]string{
		"os.StartProcess": hint, "syscall.ForkExec": hint, "syscall.StartProcess": hint, "syscall.Exec": hint,
		"golang.org/x/sys/unix.Exec": hint,
	}
	return rule{
		name: "spawn",
		why:  "processes are started where os/exec may be imported, so that each has somebody who ends it.",
		check: func(t *tree) (out []finding) {
			for p, f := range t.source {
				if !strings.HasPrefix(p.dir, "internal/executor/process") && !p.testOnly() {
					out = append(out, mentions(t, p, f, doors)...)
				}
			}
			return out
		},
	}
}

// mentions finds uses of imported names: the key is "path.Name", the value what to say about it.
func mentions(t *tree, p *pkg, f *file, names map[string]string) (out []finding) {
	for n := range ast.Preorder(f.syntax) {
		e, ok := n.(*ast.SelectorExpr)
		if !ok {
			continue
		}
		from, name := selector(f, e)
		if hint, banned := names[from+"."+name]; banned {
			out = append(out, finding{p.dir + " -> " + from + "." + name, t.at(e), path.Base(from) + "." + name + ": " + hint})
		}
	}
	return out
}
