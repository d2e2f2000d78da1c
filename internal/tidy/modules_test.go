package tidy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// missingf fails in continuous integration, where everything has been installed, and skips elsewhere.
func missingf(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func requirements(t *testing.T) []mod {
	t.Helper()
	mods, err := requires(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	mods, err = located(t.Context(), root, mods)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mods {
		if m.Dir == "" {
			missingf(t, "%s is not in the module cache: run \"go mod download\"", m.Path)
		}
	}
	return mods
}

// TestLicences reads the licence of every module that go.mod requires out of the module cache.
func TestLicences(t *testing.T) {
	product, err := linked(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	free := map[string]bool{"MIT": true, "BSD": true, "Apache-2.0": true, "ISC": true, "Unlicense": true}
	for _, m := range requirements(t) {
		name, file, err := licence(m.Dir)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case free[name]:
		case name == "MPL-2.0" && !product[m.Path]:
			// A test runs it; nobody ships it.
		case name == "":
			t.Errorf("%s %s: no known licence in %q", m.Path, m.Version, file)
		default:
			t.Errorf("%s %s: %s (in the product: %v)", m.Path, m.Version, name, product[m.Path])
		}
	}
	if t.Failed() {
		t.Error("why: whoever builds Reeve in may do so under the Apache licence alone. " +
			"Allowed: MIT, BSD, Apache-2.0, ISC, Unlicense; MPL-2.0 where only tests use it")
	}
}

// TestDecided holds docs/decisions/dependencies.md against go.mod and tools/go.mod.
func TestDecided(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/decisions/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	sentences := decided(string(text))
	direct := map[string]bool{}
	mods, err := requires(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mods {
		if m.Indirect {
			continue
		}
		direct[m.Path] = true
		if len(strings.Fields(sentences[m.Path])) < 5 {
			t.Errorf("%s has no sentence in docs/decisions/dependencies.md", m.Path)
		}
	}
	for _, path := range sortedKeys(sentences) {
		if !direct[path] && !strings.HasPrefix(path, "tools: ") {
			t.Errorf("docs/decisions/dependencies.md explains %s, which go.mod does not require", path)
		}
	}
	if t.Failed() {
		t.Error("why: a library is somebody else's code that we answer for; who adds one says what it is for")
	}
}

// TestImported: a requirement that nothing imports is downloaded, licensed and updated for nothing.
func TestImported(t *testing.T) {
	house, err := readTree(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	mods, err := requires(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mods {
		if !m.Indirect && !imported(house, m.Path) {
			t.Errorf("go.mod requires %s, and nothing imports it: run \"go mod tidy\"", m.Path)
		}
	}
}

// TestPinnedLibc: modernc.org/sqlite is C compiled to Go against one exact modernc.org/libc.
func TestPinnedLibc(t *testing.T) {
	var libc, wanted string
	for _, m := range requirements(t) {
		switch m.Path {
		case "modernc.org/libc":
			libc = m.Version
		case "modernc.org/sqlite":
			gomod, err := os.ReadFile(m.GoMod)
			if err != nil {
				t.Fatal(err)
			}
			wanted = required(string(gomod), "modernc.org/libc")
			if wanted == "" {
				t.Fatalf("%s does not name modernc.org/libc", m.GoMod)
			}
		}
	}
	if libc != wanted {
		t.Errorf("go.mod has modernc.org/libc %s, modernc.org/sqlite wants exactly %s: another version corrupts memory in ways no test of ours sees", libc, wanted)
	}
}

// TestToolVersions: a generator must speak the dialect of the library that its code is compiled with.
func TestToolVersions(t *testing.T) {
	versions := func(dir string) map[string]string {
		mods, err := requires(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, m := range mods {
			out[m.Path] = m.Version
		}
		return out
	}
	product, tools := versions(root), versions(filepath.Join(root, "tools"))
	for _, path := range []string{"google.golang.org/protobuf", "connectrpc.com/connect"} {
		if product[path] != tools[path] {
			t.Errorf("%s: go.mod has %s, tools/go.mod %s; what generates must be what compiles", path, product[path], tools[path])
		}
	}
}

func TestImportedPaths(t *testing.T) {
	tree := parseTree(t.Context(), ".", map[string][]byte{
		"a.go":      []byte("package a\n\nimport _ \"x.org/one/sub\"\n"),
		"a_test.go": []byte("package a\n\nimport _ \"x.org/two\"\n"),
	})
	for path, want := range map[string]bool{"x.org/one": true, "x.org/two": true, "x.org/on": false, "x.org/three": false} {
		if got := imported(tree, path); got != want {
			t.Errorf("imported(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestLicenceOf(t *testing.T) {
	for text, want := range map[string]string{
		"Permission is hereby granted,\n free of charge, to any person obtaining a copy":     "MIT",
		"Redistribution and use in source and binary forms":                                  "BSD",
		"                                 Apache License\n        Version 2.0, January 2004": "Apache-2.0",
		"This is free and unencumbered software released into the public domain.":            "Unlicense",
		"Permission to use, copy, modify, and/or distribute this software for any purpose":   "ISC",
		"Mozilla Public License Version 2.0":                                                 "MPL-2.0",
		"Mozilla Public License, version 2.0 … the GNU General Public License, Version 2.0":  "MPL-2.0",
		"GNU GENERAL PUBLIC LICENSE Version 3":                                               "GPL",
		"GNU AFFERO GENERAL PUBLIC LICENSE":                                                  "AGPL",
		"All rights reserved.":                                                               "",
	} {
		if got := licenceOf(text); got != want {
			t.Errorf("licenceOf(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestRequired(t *testing.T) {
	gomod := "module m\n\nrequire a.org/x v1.2.3\n\nrequire (\n\tb.org/y v0.1.0\n\tb.org/y/v2 v2.0.0 // indirect\n)\n"
	for path, want := range map[string]string{"a.org/x": "v1.2.3", "b.org/y": "v0.1.0", "b.org/y/v2": "v2.0.0", "c.org/z": ""} {
		if got := required(gomod, path); got != want {
			t.Errorf("required(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestDecidedLines(t *testing.T) {
	got := decided("# Title\n\n- `a.org/x`: It does what we need.\n- b without quotes: no.\n")
	if diff := cmp.Diff(map[string]string{"a.org/x": "It does what we need."}, got); diff != "" {
		t.Errorf("decided (-want +got):\n%s", diff)
	}
}
