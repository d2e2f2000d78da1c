package demo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCount(t *testing.T) {
	for _, test := range []struct {
		name, src string
		want      tally
	}{
		{"nothing", "", tally{}},
		{"a program", "package main\n\nfunc main() { x := x + 1; println(x, \"x\", 'x') } // x\n/* x */", tally{"main": 2, "x": 3, "println": 1}},
		{"keywords are none", "for func range", tally{}},
		{"beyond ASCII", "größe := größe2 + 世界", tally{"größe": 1, "größe2": 1, "世界": 1}},
		{"no Go at all", "#!/bin/sh\necho it's \"open", tally{"bin": 1, "sh": 1, "echo": 1, "it": 1}},
		{"bytes that are no text", "a\xff\xfeb\x00c", tally{"a": 1, "b": 1, "c": 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := tally{}
			got.count([]byte(test.src))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestCountIsSum: however files are shared out, the shards' tallies add up to that of
// one process.
func TestCountIsSum(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "1", "\"d\"", "// e\n"}), 0, 30)
		var files []file
		for i := range rapid.IntRange(0, 12).Draw(t, "files") {
			text := strings.Join(words.Draw(t, "words"), " ")
			name := "f" + string(rune('a'+i)) + ".go"
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, file{name, int64(len(text))})
		}
		whole, err := countFiles(context.Background(), dir, files)
		if err != nil {
			t.Fatal(err)
		}
		sum, seen := tally{}, 0
		count := rapid.IntRange(1, 20).Draw(t, "shards")
		for i := range count {
			mine := shard(files, i, count)
			seen += len(mine)
			part, err := countFiles(context.Background(), dir, mine)
			if err != nil {
				t.Fatal(err)
			}
			sum.add(part)
		}
		if diff := whole.differences(sum); diff != "" || seen != len(files) {
			t.Fatalf("%d of %d files, %s", seen, len(files), diff)
		}
	})
}

func TestTallyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counts.tsv")
	long := strings.Repeat("x", 1<<20)
	want := tally{"b": 2, "a": 1, long: 3, "世界": 1 << 40}
	if err := want.write(path); err != nil {
		t.Fatal(err)
	}
	got, err := readTally(path)
	if err != nil {
		t.Fatal(err)
	}
	if text := want.differences(got); text != "" {
		t.Error(text)
	}
	for text, want := range map[string]string{
		"a\t1\nb\n": `:2: "b": want an identifier and its count`, "\t1\n": `:1: "\t1"`, "a\tb\n": `:1: "a\tb"`, "a\t1\tc\n": ":1:",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readTally(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
	if _, err := readTally(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestDifferences(t *testing.T) {
	for _, test := range []struct {
		a, b tally
		want string
	}{
		{tally{}, tally{}, ""},
		{tally{"a": 1}, tally{"a": 1}, ""},
		{tally{"a": 1}, tally{"a": 2}, "1 of the identifiers: a 1 and 2"},
		{tally{"a": 1}, tally{}, "1 of the identifiers: a 1 and 0"},
		{tally{}, tally{"a": 1}, "1 of the identifiers: a 0 and 1"},
		{tally{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}, tally{"e": 1}, "4 of the identifiers: a 1 and 0, b 1 and 0, c 1 and 0, …"},
	} {
		if got := test.a.differences(test.b); got != test.want {
			t.Errorf("%v and %v: %q, want %q", test.a, test.b, got, test.want)
		}
	}
}

func TestTallyTable(t *testing.T) {
	counts := tally{"err": 1000, "b": 7, "a": 7, "ünï": 986}
	want := "   1  err        1,000  50.0 %\n   2  ünï          986  49.3 %\n   3  a              7   0.3 %\n"
	if got := counts.table(3); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := (tally{}).table(3); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0.0 kB", 1500: "1.5 kB", 999_999: "1000.0 kB", 1_000_000: "1.0 MB", 90_449_000: "90.4 MB"} {
		if got := megabytes(n); got != want {
			t.Errorf("megabytes(%d) = %q, want %q", n, got, want)
		}
	}
}
