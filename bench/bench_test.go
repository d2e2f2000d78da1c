package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's own binary be the worker, as the program's is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == workerCommand {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestRun takes every figure, of a few jobs: what is measured still works.
func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-runs", "1", "-scale", "0.001", "-dir", t.TempDir(), "-profile", ""}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"1 runs, median", "| submit and work |", "| work alone ", "| submit → end returned by Wait |", "| bare fork and exec |",
		"| single jobs ", "| 1,000 single jobs ", "| 10,000 elements of one array |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in the report:\n%s", want, out.String())
		}
	}
}

func TestWriteInto(t *testing.T) {
	name := t.TempDir() + "/figures.md"
	if err := os.WriteFile(name, []byte("# Head\n"+beginMark+"\nold\n"+endMark+"\ntail\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeInto(name, "new\n"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if want := "# Head\n" + beginMark + "\nnew\n" + endMark + "\ntail\n"; string(got) != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if err := os.WriteFile(name, []byte("# Head\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeInto(name, "new\n"); err == nil {
		t.Error("it wrote into a document without marks")
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{sample{3, 1, 2}.show(whole), "2 [1..3]"},
		{sample{1234567.8}.show(whole), "1,234,568"},
		{whole(999), "999"},
		{whole(100000), "100,000"},
		{percent(0.126), "13 %"},
		{millis(quantile([]time.Duration{4e6, 1e6, 3e6, 2e6}, 0.5)), "3.00 ms"},
		{millis(quantile([]time.Duration{4e6, 1e6, 3e6, 2e6}, 0.99)), "4.00 ms"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}
