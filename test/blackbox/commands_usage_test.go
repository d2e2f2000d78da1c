package blackbox

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commandNames finds the commands below a command in its help.
func commandNames(t *testing.T, help string) []string {
	t.Helper()
	_, list, ok := strings.Cut(help, "Available Commands:\n")
	if !ok {
		return nil
	}
	list, _, _ = strings.Cut(list, "\n\n")
	var names []string
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != "help" {
			names = append(names, name)
		}
	}
	return names
}

// TestHelp: the help of every command is as it was, asks no server, and exits 0.
func TestHelp(t *testing.T) {
	t.Parallel()
	var visit func(path []string)
	visit = func(path []string) {
		r := run(t, t.TempDir(), cleanEnv("REEVE_ADDR=http://127.0.0.1:1"), "", append(path, "--help")...)
		if r.code != 0 || r.err != "" {
			t.Errorf("reeve %s --help: exit %d, err %q", strings.Join(path, " "), r.code, r.err)
		}
		name := strings.Join(append([]string{"reeve"}, path...), "-")
		golden(t, filepath.Join("help", name), r.out)
		if len(path) == 1 && path[0] == "completion" {
			return // the shells' own pages
		}
		for _, sub := range commandNames(t, r.out) {
			visit(append(slices.Clip(path), sub))
		}
	}
	visit(nil)
}

// TestWrongWords: what is wrong with a command line is said on one line, with the
// remedy, before any server is asked.
func TestWrongWords(t *testing.T) {
	t.Parallel()
	env := cleanEnv("REEVE_ADDR=http://127.0.0.1:1")
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "two.yaml"), "tasks:\n  a: {run: echo}\n  b: {run: echo}\n")
	mustWrite(t, filepath.Join(dir, "job.yaml"), "run: echo\n")
	long := strings.Repeat("x", 5000)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"sbmit"}, `unknown command "sbmit"; did you mean submit? (see reeve --help)`},
		{[]string{"frobnicate"}, `unknown command "frobnicate" (see reeve --help)`},
		{[]string{"queues", "paus"}, `unknown command "queues paus"; did you mean pause? (see reeve queues --help)`},
		{[]string{"help", "queues", "paus"}, `unknown command "queues paus"; did you mean pause? (see reeve queues --help)`},
		{[]string{"tokens", "create", "a", "b"}, `tokens create: "b" is too much; usage: reeve tokens create [NAME] (see reeve tokens create --help)`},
		{[]string{"ls", "--stat", "x"}, "unknown flag --stat; did you mean --state? (see reeve ls --help)"},
		{[]string{"ls", "--limit"}, "--limit needs a value (see reeve ls --help)"},
		{[]string{"ls", "--limit", "many"}, `--limit "many": want a whole number (see reeve ls --help)`},
		{[]string{"ls", "--limit", "99999999999999999999"}, `--limit "99999999999999999999": want a whole number (see reeve ls --help)`},
		{[]string{"ls", "--all=perhaps"}, `--all "perhaps": want true or false (see reeve ls --help)`},
		{[]string{"ls", "everything"}, `ls: "everything" is too much; usage: reeve ls (see reeve ls --help)`},
		{[]string{"ls", "-o", "xml"}, `--output "xml": want table, wide, json or yaml`},
		{[]string{"ls", "--ca", "ca.pem", "--addr", "http://localhost:1"}, "--ca ca.pem: http://localhost:1 is an address without TLS, where no server can be known; write https://, or leave --ca out"},
		{[]string{"ls", "--failure-code", "256"}, "--failure-code 256: want 1 to 255"},
		{[]string{"ls", "--all", "--limit", "3"}, "--all and --limit contradict each other; leave one out"},
		{[]string{"completion", "tcsh"}, `unknown command "completion tcsh"; did you mean bash or fish or zsh? (see reeve completion --help)`},
		{[]string{"show"}, "show: nothing is named; usage: reeve show REF (see reeve show --help)"},
		{[]string{"show", "1", "2"}, `show: "2" is too much; usage: reeve show REF (see reeve show --help)`},
		{[]string{"show", "-1"}, "unknown flag -1; what begins with - but is no flag goes after -- (see reeve show --help)"},
		{[]string{"wait", "--timeout", "10"}, `--timeout "10": want a duration such as 90s, 1h30m or 2d (see reeve wait --help)`},
		{[]string{"run"}, "run: nothing is named; usage: reeve run [flags] [--] COMMAND [ARGUMENT…] (see reeve run --help)"},
		{[]string{"run", "--name", "Bad", "true"}, `name: "Bad": want a name of small letters, digits and dashes, beginning with a letter and ending with a letter or digit, such as bad`},
		{[]string{"run", "--param", "a=b", "true"}, "unknown flag --param (see reeve run --help)"},
		{[]string{"run", "--array", "1-3", "--each-line", "x", "true"}, "--array and --each-line contradict each other; leave one out"},
		{[]string{"run", "--resource", "gpu", "true"}, "--resource \"gpu\": want an amount with its name, such as gpu=1"},
		{[]string{"run", "--resource", "cpu=1", "--cpu", "2", "true"}, "--resource \"cpu=1\": cpu is given twice; leave one of them out"},
		{[]string{"run", "--nodes", "2", "--array", "0-3", "true"}, "nodes: stands beside array; want one of the two: an array's elements start one by one, nodes all at once"},
		{[]string{"run", "--throttle", "2", "true"}, "--throttle is for arrays; give --array, --each-line or --each-json as well"},
		{[]string{"run", "--throttle", "-2", "--array", "1-3", "true"}, "--throttle -2: want 1 to 10000000"},
		{[]string{"run", "-e", "NAME", "true"}, `--env "NAME": want name=value`},
		{[]string{"run", "a\xff"}, `argument 1, "a\xff", is not UTF-8 text, which a job file can't hold; put such bytes into a file, or write them with printf inside sh -c`},
		{[]string{"submit", "--key", "k", "a", "b"}, `--key "k": one key is for one job file, not for 2`},
		{[]string{"submit", "-p", "day", "job.yaml"}, `--param "day": want name=value`},
		{[]string{"submit", "--each-line", "lines", "two.yaml"}, "two.yaml:1:1: the job has 2 tasks; say for which one the items are: a, b"},
		{[]string{"submit", "--each-line", "c=lines", "two.yaml"}, `two.yaml:1:1: the items are for a task "c", which the job does not have; did you mean a?`},
		{[]string{"submit", "--each-line", "lines", "job.yaml"}, "items lines: no such file or directory"},
		{[]string{"submit", long + ".yaml"}, "job file " + long + ".yaml: file name too long"},
		{[]string{"drain", "--stop", "--undo", "w1"}, "--stop and --undo contradict each other; leave one out"},
		{[]string{"tokens", "create", "ci"}, "say what the token is for: --scope admin, submit, read, worker, or several separated by commas"},
		{[]string{"tokens", "create", "ci", "--valid", "forever", "--scope", "read"}, `--valid: duration "forever": want numbers with units w, d, h, m, s, ms, such as 90s, 1h30m or 2d`},
		{[]string{"tokens", "create", "ci", "--valid", "0s", "--scope", "read"}, "--valid 0s: want whole seconds, at least 1s"},
		{[]string{"tokens", "create", "ci", "--valid", "500ms", "--scope", "read"}, "--valid 500ms: want whole seconds, at least 1s"},
		{[]string{"update", "--front"}, "update: nothing is named; usage: reeve update JOB… (see reeve update --help)"},
		{[]string{"update", "1"}, "nothing is to be changed: say --priority, --queue or --front"},
		{[]string{"update", "1.main", "--front"}, `"1.main" is a part of a job; this is for whole jobs, such as 4217 or last`},
		{[]string{"update", "1", "--priority", "urgent"}, `--priority "urgent": want critical, high, normal, low, background or a whole number from -1000 to 1000; higher runs first`},
		{[]string{"server", "--lease", "1ms", "--dev"}, "--lease 1ms: at least 1s"},
		{[]string{"server", "--retention", "0s", "--dev"}, "--retention 0s: want more than nothing"},
		{[]string{"worker", "--cpu", "0"}, "--cpu 0: want more than nothing; reeve drain keeps work away"},
		{[]string{"worker", "--memory", "0"}, "--memory 0: want more than nothing; reeve drain keeps work away"},
		{[]string{"worker", "--slots", "-1"}, "-1 slots: want at least 1, or none for the default"},
		{[]string{"worker", "--cpu", "many"}, `--cpu: cpu "many": want processors such as 2, 0.5 or 500m, at most 1000000`},
		{[]string{"ls"}, "no server answers at http://127.0.0.1:1: connect: connection refused; start one (reeve server --dev), or say where it is (--addr, REEVE_ADDR)"},
		{[]string{"ls", "--addr", "ftp://x"}, `address "ftp://x": want http://host:port or https://host:port`},
		{[]string{"ls", "--token-file", "no-such-file"}, "read the token: open no-such-file: no such file or directory"},
	} {
		name := strings.Join(test.args, " ")
		t.Run(name[:min(len(name), 60)], func(t *testing.T) {
			r := run(t, dir, env, "", test.args...)
			if line := refused(t, r, test.args); line != "reeve: "+test.want || r.out != "" {
				t.Errorf("out %q, err\n%s\nwant\nreeve: %s", r.out, line, test.want)
			}
		})
	}
}

// TestFailureCode: Reeve's own failures can be told from a job's, also by those who
// need another number.
func TestFailureCode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, test := range []struct {
		env  []string
		args []string
		code int
	}{
		{nil, []string{"frobnicate"}, 125},
		{nil, []string{"--failure-code", "77", "ls"}, 77},
		{nil, []string{"--failure-code", "many", "ls"}, 125},
		{nil, []string{"--failure-code", "256", "frobnicate"}, 125},
		{[]string{"REEVE_FAILURE_CODE=78"}, []string{"frobnicate"}, 78},
		{[]string{"REEVE_FAILURE_CODE=78"}, []string{"ls", "--failure-code", "79"}, 79},
		{[]string{"REEVE_FAILURE_CODE=78"}, []string{"validate", "-"}, 78},
	} {
		r := run(t, dir, cleanEnv(append(test.env, "REEVE_ADDR=http://127.0.0.1:1")...), "", test.args...)
		if r.code != test.code {
			t.Errorf("%v reeve %s: exit %d, want %d: %s", test.env, strings.Join(test.args, " "), r.code, test.code, r.err)
		}
	}
}

// moments are the parts of outputs that differ from run to run.
var moments = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`), "DATE TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`(?m)^- (cpu_ms|memory_bytes):.*\n +`), "- "},
	{regexp.MustCompile(`(?m)^ *"?(cpu_ms|memory_bytes)"?:.*\n`), ""},
	{regexp.MustCompile(`\b\d+\.\d{3}s +\d+\.\dMi\b`), "CPU MEMORY"},
	{regexp.MustCompile(`\b(\d+ms|\d+\.\ds|\d+s|\d+m\d+s)\b`), "TOOK"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(` +`), " "}, // columns are as wide as what differs
}

func steady(text string) string {
	for _, m := range moments {
		text = m.find.ReplaceAllString(text, m.put)
	}
	return text
}
