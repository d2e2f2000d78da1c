package blackbox

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestItems: arrays over lines and JSON, from files and standard input, for run and
// submit.
func TestItems(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "4", "--slots", "4")
	mustWrite(t, filepath.Join(c.dir, "lines"), "one\r\n\n two  words \n'\"$HOME\nö\n")
	mustWrite(t, filepath.Join(c.dir, "list.json"), ` ["a b", 1, {"x": [true, null]}, "line\nbreak"] `)
	mustWrite(t, filepath.Join(c.dir, "job.yaml"), "tasks:\n  a: {array: {each: [x], throttle: 2}, command: [echo, '${{ array.item }}']}\n  b: {run: echo b, needs: a}\n")
	item := []string{"--", "printf", "<%s>\\n", "${{ array.item }}"}
	env := []string{"--", "sh", "-c", `printf '<%s>\n' "$REEVE_ITEM"`}
	for _, test := range []struct {
		name, in string
		args     []string
		want     []string
	}{
		{"lines", "", append([]string{"run", "-q", "--each-line", "lines"}, item...), []string{"<one>", "< two  words >", "<'\"$HOME>", "<ö>"}},
		{"in the environment", "", append([]string{"run", "-q", "--each-line", "lines"}, env...), []string{"<one>", "< two  words >", "<'\"$HOME>", "<ö>"}},
		{"standard input", "x\ny", append([]string{"run", "-q", "--each-line", "-"}, item...), []string{"<x>", "<y>"}},
		{"a list", "", append([]string{"run", "-q", "--each-json", "list.json"}, item...), []string{"<a b>", "<1>", `<{"x":[true,null]}>`, "<line", "break>"}},
		{"JSON lines", "{\"n\": 1}\n\"two\"\n3\n", append([]string{"run", "-q", "--each-json", "-"}, item...), []string{`<{"n":1}>`, "<two>", "<3>"}},
		{"a task of a job", "u\nv\n", []string{"submit", "-q", "--wait", "job.yaml", "--each-line", "a=-"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, c.dir, c.env, test.in, test.args...)
			got := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
			if test.want == nil { // submit -q prints the id
				got = strings.Split(strings.TrimSuffix(c.ok("logs", got[0]), "\n"), "\n")
				test.want = []string{"u", "v", "b"}
			}
			slices.Sort(got)
			slices.Sort(test.want)
			if r.code != 0 || !slices.Equal(got, test.want) {
				t.Errorf("exit %d, %q, want %q\n%s", r.code, got, test.want, r.err)
			}
		})
	}
	for _, test := range []struct {
		in, flag, want string
	}{
		{"", "--each-line", "items standard input: there are none"},
		{"\n\n", "--each-line", "items standard input: there are none"},
		{"[]", "--each-json", "items standard input: there are none"},
		{"a\nb\xff\n", "--each-line", `standard input:2: "b\xff" is not UTF-8 text; write such bytes in another way, such as base64`},
		{"a\x00b\n", "--each-line", `standard input:1: "a\x00b" has a zero byte, which no program can be given`},
		{"a\n" + strings.Repeat("x", 70000), "--each-line", "standard input:2: the item is longer than 65535 bytes; put it into a file and its name here"},
		{"a\n" + strings.Repeat("x", 700000), "--each-line", "standard input:2: the line is longer than 65535 bytes; put it into a file and its name here"},
		{"[1, 2", "--each-json", "standard input: byte 5: the JSON ends too early"},
		{"[1] 2", "--each-json", "standard input: byte 5: there is more after the end of the list"},
		{`{"a": nothing}`, "--each-json", "standard input: byte 0: invalid character 'o' in literal null (expecting 'u')"},
	} {
		r := run(t, c.dir, c.env, test.in, "run", test.flag, "-", "--", "true")
		if line := refused(t, r, nil); line != "reeve: "+test.want {
			t.Errorf("%s %.20q:\n%s\nwant\nreeve: %s", test.flag, test.in, line, test.want)
		}
	}
	c.refused([]string{"run", "--each-line", "no such file", "--", "true"}, "items no such file: no such file or directory")
	c.refused([]string{"submit", "-", "--each-line", "-"}, "can't both come from standard input")
}

// TestManyItems: a million lines are submitted, kept beside the job, and the same
// lines under the same key are the same job.
func TestManyItems(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	const many = 1_000_000
	path := filepath.Join(c.dir, "million")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := range many {
		fmt.Fprintf(w, "item number %d\n", i)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, filepath.Join(c.dir, "job.yaml"), "array: {each: [x], throttle: 2}\nmax_fails: 0\ncommand: [sh, -c, 'echo \"$1\"; exit 1', sh, '${{ array.item }}']\n")
	submit := []string{"submit", "-q", "--hold", "--key", "k", "job.yaml", "--each-line", "million"}
	id := strings.TrimSpace(c.ok(submit...))
	if again := strings.TrimSpace(c.ok(submit...)); again != id {
		t.Errorf("the same again makes job %s, want %s", again, id)
	}
	mustWrite(t, path, "something else\n")
	c.refused(submit, `idempotency key "k" belongs to job `+id)
	if out := c.ok("show", id, "-o", "json", "--spec"); !strings.Contains(out, `"count": 1000000`) || strings.Contains(out, "item number") || !strings.Contains(out, `"throttle": 2`) {
		t.Errorf("the spec is\n%s", last(out, 60))
	}
	c.worker("w1", "--slots", "2", "--prefetch", "-1")
	c.ok("release", id)
	if r := c.reeve("wait", id); r.code != 1 || !strings.Contains(r.err, "max_fails") {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	if out := c.ok("logs", id+".main.0"); out != "item number 0\n" {
		t.Errorf("element 0 wrote %q", out)
	}
}
