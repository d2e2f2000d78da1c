package blackbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// badFiles is the corpus of the grammar: each file with what is to be said of it.
const badFiles = "../../internal/jobfile/testdata/bad"

// TestValidateBadFiles: the built binary says of each bad file, where it lies, what
// the grammar's own tests say.
func TestValidateBadFiles(t *testing.T) {
	t.Parallel()
	goldens, err := filepath.Glob(filepath.Join(badFiles, "*.golden"))
	if err != nil {
		t.Fatal(err)
	}
	const least = 30
	if len(goldens) < least {
		t.Fatalf("%d bad files in %s, want at least %d", len(goldens), badFiles, least)
	}
	dir, err := filepath.Abs(badFiles)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range goldens {
		name := strings.TrimSuffix(filepath.Base(path), ".golden")
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r := run(t, dir, cleanEnv(), "", "validate", name)
			if r.code != 125 || r.out != "" || r.err != string(want) {
				t.Errorf("exit %d, out %q, err\n%s\nwant 125 and\n%s", r.code, r.out, r.err, want)
			}
			for _, word := range []string{"Usage:", "panic", "goroutine", "*job.", "*tree.", "map[string]", "interface {}"} {
				if strings.Contains(r.err, word) {
					t.Errorf("the message has %q:\n%s", word, r.err)
				}
			}
		})
	}
}

// TestValidate: several files, standard input, JSON for programs, exit codes.
func TestValidate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "good.yaml"), "run: echo hello\n")
	mustWrite(t, filepath.Join(dir, "a file with spaces.yaml"), "run: echo hello\ntimeout: ten\n")
	for _, test := range []struct {
		name, in string
		args     []string
		code     int
		out, err string
	}{
		{"good", "", []string{"good.yaml"}, 0, "good.yaml: ok, 1 task\n", ""},
		{"quiet", "", []string{"-q", "good.yaml"}, 0, "", ""},
		{"stdin", "run: echo\n", []string{"-"}, 0, "stdin: ok, 1 task\n", ""},
		{"both", "", []string{"a file with spaces.yaml", "good.yaml"}, 125, "good.yaml: ok, 1 task\n",
			"a file with spaces.yaml:2:10: timeout: \"ten\": want a duration such as 90s or 1h30m\n"},
		{"no file and one that is there", "", []string{"none.yaml", "good.yaml"}, 125, "good.yaml: ok, 1 task\n", "reeve: job file none.yaml: no such file or directory\n"},
		{"no file", "", []string{"näm\xff.yaml"}, 125, "", "reeve: job file näm\xff.yaml: no such file or directory\n"},
		{"a directory", "", []string{"."}, 125, "", "reeve: job file .: is a directory\n"},
		{"nothing", "", nil, 125, "", "reeve: validate: nothing is named; usage: reeve validate FILE…|- (see reeve validate --help)\n"},
		{"empty", "", []string{"-"}, 125, "", "stdin:1:1: the file is empty; want a job such as: run: echo hello\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, dir, cleanEnv(), test.in, append([]string{"validate"}, test.args...)...)
			if r.code != test.code || r.out != test.out || r.err != test.err {
				t.Errorf("exit %d, out %q, err %q; want %d, %q, %q", r.code, r.out, r.err, test.code, test.out, test.err)
			}
		})
	}
	r := run(t, dir, cleanEnv(), "", "validate", "-o", "json", "good.yaml", "a file with spaces.yaml")
	var all []struct {
		File   string
		OK     bool
		Errors []struct {
			Line, Column int
			Value        string
		}
	}
	if err := json.Unmarshal([]byte(r.out), &all); err != nil {
		t.Fatalf("%v\n%s", err, r.out)
	}
	if len(all) != 2 || !all[0].OK || all[1].OK || len(all[1].Errors) != 1 || all[1].Errors[0].Line != 2 || all[1].Errors[0].Value != "ten" || r.code != 125 {
		t.Errorf("exit %d, %+v", r.code, all)
	}
}
