package main

import (
	"os"
	"strings"
	"testing"
)

// TestMain lets the test's own binary be the workers, as the program's is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && roles()[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestRun takes every figure of Reeve, of a few jobs: what is measured still works.
func TestRun(t *testing.T) {
	name := t.TempDir() + "/performance.md"
	if err := os.WriteFile(name, []byte(beginMark+"\n"+endMark+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	// In the usual place: a server that runs as a user of its own can't reach the test's folder.
	if err := run(t.Context(), []string{"-runs", "1", "-scale", "0.001", "-peers=false", "-write", name}, &out); err != nil {
		t.Fatal(err)
	}
	missing := strings.Contains(out.String(), "not measured")
	if missing {
		if os.Getenv("CI") == "true" {
			t.Errorf("something is missing:\n%s", &out)
		}
		t.Logf("something is missing, and so not tested:\n%s", &out)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(out.String(), "\n#")
	tables, _, _ = strings.Cut(tables, "\nThe whole run")
	if tables == "" || !strings.Contains(string(text), tables) {
		t.Errorf("what was printed is not what was written:\n%s", text)
	}
	wanted := []string{
		"| submit and work ", "| work alone ", "| 1024 slots ", "| submit → end returned by Wait ", "*fork and exec, ",
		"| **Reeve, single jobs** ", "| 1,000 jobs of 300 B ", "| 10,000 elements of one array |", "(performance.svg)",
		"| kill -9 to the first dispatch |", "| 50 % of the knee, in all ", "| 80 % of the knee, drift ", "| while it lasted ",
	}
	if !missing {
		wanted = append(wanted, "| the leader, kill -9, 100 jobs waiting ", "| a read at a follower, 5,000 jobs/s beside it ")
	}
	for _, want := range wanted {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in the report:\n%s", want, text)
		}
	}
	for _, ext := range []string{"json", "svg"} {
		if _, err := os.Stat(strings.TrimSuffix(name, "md") + ext); err != nil {
			t.Error(err)
		}
	}
}

// TestPeers runs the others too, where somebody asks for it: they must be installed.
func TestPeers(t *testing.T) {
	if os.Getenv("REEVE_BENCH_PEERS") == "" {
		t.Skip("REEVE_BENCH_PEERS is not set: the peers are no part of the product, and not everywhere")
	}
	var out strings.Builder
	// In the usual place: servers that run as users of their own can't reach the test's folder.
	if err := run(t.Context(), []string{"-runs", "1", "-scale", "0.001"}, &out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "not measured") {
		t.Errorf("something is missing:\n%s", &out)
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
