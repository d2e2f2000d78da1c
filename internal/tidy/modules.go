package tidy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// mod is one module that go.mod requires.
type mod struct {
	Path     string
	Version  string
	Indirect bool
	// Dir is where its source is, GoMod its go.mod file; both are empty when it is not downloaded.
	Dir   string
	GoMod string
}

// goJSON runs the go command in dir, with env added, and decodes the stream of JSON values it prints.
func goJSON[T any](ctx context.Context, dir string, env []string, args ...string) ([]T, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	var all []T
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var v T
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
		}
		all = append(all, v)
	}
}

// requires lists what go.mod in dir requires.
func requires(ctx context.Context, dir string) ([]mod, error) {
	type file struct{ Require []mod }
	files, err := goJSON[file](ctx, dir, nil, "mod", "edit", "-json")
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("go mod edit -json in %s printed %d values", dir, len(files))
	}
	return files[0].Require, nil
}

// located adds to each module where its source is.
func located(ctx context.Context, dir string, mods []mod) ([]mod, error) {
	args := []string{"list", "-m", "-json=Path,Version,Indirect,Dir,GoMod"}
	for _, m := range mods {
		args = append(args, m.Path)
	}
	return goJSON[mod](ctx, dir, nil, args...)
}

// linked lists the modules with code in the product, for every platform it is built for. What go.mod
// requires beyond them serves tests.
func linked(ctx context.Context, dir string) (map[string]bool, error) {
	type pack struct{ Module *mod }
	in := map[string]bool{}
	for _, system := range []string{"linux", "darwin"} {
		packs, err := goJSON[pack](ctx, dir, []string{"GOOS=" + system}, "list", "-e", "-deps", "-json=Module", "./...")
		if err != nil {
			return nil, err
		}
		for _, p := range packs {
			if p.Module != nil {
				in[p.Module.Path] = true
			}
		}
	}
	return in, nil
}

// imported reports whether any file, tests included, imports a package of the module.
func imported(t *tree, mod string) bool {
	for _, p := range t.pkgs {
		for _, f := range p.files {
			for _, imp := range f.syntax.Imports {
				if name := strings.Trim(imp.Path.Value, `"`); name == mod || strings.HasPrefix(name, mod+"/") {
					return true
				}
			}
		}
	}
	return false
}

// licence names the licence of a module by the words of its text; "" when the text is unknown.
func licence(dir string) (name, file string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", "", err
	}
	for _, e := range entries {
		upper := strings.ToUpper(e.Name())
		base, _, _ := strings.Cut(upper, ".")
		if e.IsDir() || base != "LICENSE" && base != "LICENCE" && base != "COPYING" && base != "UNLICENSE" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", "", err
		}
		return licenceOf(string(text)), e.Name(), nil
	}
	return "", "", nil
}

// licenceOf recognizes the licences we accept, and the ones we would meet otherwise.
func licenceOf(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for _, l := range []struct{ name, words string }{
		// The copyleft ones first: their texts speak of the ones below.
		{"MPL-2.0", "(?i)Mozilla Public License,? (Version|v\\.) 2\\.0"},
		{"AGPL", "(?i)GNU AFFERO GENERAL PUBLIC LICENSE"},
		{"LGPL", "(?i)GNU LESSER GENERAL PUBLIC LICENSE"},
		{"GPL", "(?i)GNU GENERAL PUBLIC LICENSE Version"},
		{"BUSL", "(?i)Business Source License"},
		{"Apache-2.0", "(?i)Apache License,? Version 2\\.0"},
		{"Unlicense", "(?i)released into the public domain"},
		{"ISC", "(?i)Permission to use, copy, modify, and/?(or)? distribute this software for any purpose"},
		{"MIT", "(?i)Permission is hereby granted, free of charge, to any person obtaining a copy"},
		{"BSD", "(?i)Redistributions? (and use )?(in|of) source"},
	} {
		if regexp.MustCompile(l.words).MatchString(text) {
			return l.name
		}
	}
	return ""
}

// required reads the version of a module out of a go.mod's text; "" when it does not require it.
func required(gomod, path string) string {
	m := regexp.MustCompile(`(?m)^(?:require)?\s*` + regexp.QuoteMeta(path) + ` (v\S+)`).FindStringSubmatch(gomod)
	if m == nil {
		return ""
	}
	return m[1]
}

// decided lists the modules that docs/decisions/dependencies.md explains, with the sentence: its lines
// written as "- `path`: sentence".
func decided(text string) map[string]string {
	out := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^- `([^`]+)`: (.+)$").FindAllStringSubmatch(text, -1) {
		out[m[1]] = m[2]
	}
	return out
}
