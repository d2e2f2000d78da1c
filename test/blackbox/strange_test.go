package blackbox

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// strange are texts that something on the way could mistake for something else.
func strange() []string {
	return []string{
		"", " ", "two words", ` "double" `, "it's", "line\nbreak\n", "tab\tcarriage\r", `back\slash\n`, "$HOME `id` $(id) ${X}",
		"ünïcödé 日本 🙂", "\u202eright to left", "\ufeffmark", "-n", "--", "*", "~", "a=b", "%s%n", "\x01\x1b[31m\x7f", "#no comment", "null",
		"1.10", "010", "no", "{}", "[a", "&x", "!y", "@z", strings.Repeat("long ", 20_000),
	}
}

// quoted writes a value as JSON, which a job file may be.
func quoted(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestStrangeTexts carries texts to a process and back, by every way there is.
func TestStrangeTexts(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8")
	texts := strange()
	want := strings.Join(texts, "\x00") + "\x00"
	check := func(way, got string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %.300q\nwant %.300q", way, got, want)
		}
	}
	r := c.reeve(append([]string{"run", "-q", "--", "printf", `%s\0`}, texts...)...)
	check("arguments of run", r.out)
	if r.code != 0 {
		t.Errorf("exit %d: %s", r.code, r.err)
	}

	env, flags, script := map[string]string{}, []string{"run", "-q"}, "printf '%s\\0'"
	for i, text := range texts {
		env[fmt.Sprint("T", i)] = text
		flags = append(flags, "-e", fmt.Sprintf("T%d=%s", i, text))
		script += fmt.Sprintf(` "$T%d"`, i)
	}
	r = c.reeve(append(flags, "--", "sh", "-c", script)...)
	check("variables of run", r.out)
	if r.code != 0 || r.err != "" {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	runs := func(job map[string]any) string {
		t.Helper()
		id := c.submit(quoted(t, job))
		c.ends(id, "succeeded")
		return c.ok("logs", "--stdout", id)
	}
	check("variables of a file", runs(map[string]any{"env": env, "run": script}))
	check("arguments of a file", runs(map[string]any{"command": append([]string{"printf", `%s\0`}, texts...)}))
	check("items", runs(map[string]any{"tasks": map[string]any{
		"give": map[string]any{"array": map[string]any{"each": texts}, "run": `printf '%s\0' "$REEVE_ITEM" > "$REEVE_ARTIFACTS/it"`},
		"join": map[string]any{"needs": "give", "fetch": "give", "run": fmt.Sprintf(`for i in $(seq 0 %d); do cat "$REEVE_INPUTS/give/$i/it"; done`, len(texts)-1)},
	}}))

	// Standard input and files carry every byte.
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	name := "a dir/it's a \"file\"\n日本 $(id)"
	if got := runs(map[string]any{
		"files": map[string]any{name: map[string]any{"base64": base64.StdEncoding.EncodeToString(every)}},
		"env":   map[string]string{"F": name}, "run": `cat -- "$F"`,
	}); got != string(every) {
		t.Errorf("a file came as %q", got)
	}
	input := strings.Join(texts, "\n")
	if got := runs(map[string]any{"stdin": input, "run": "cat"}); got != input {
		t.Errorf("standard input came as %.300q", got)
	}
	id := c.submit(quoted(t, map[string]any{"env": map[string]string{"F": "it's a \"file\" 日本\n"}, "run": `printf x > "$REEVE_ARTIFACTS/$F"`}))
	c.ends(id, "succeeded")
	if got := c.ok("artifacts", id+".main", "it's a \"file\" 日本\n"); got != "x" {
		t.Errorf("an artifact came back as %q", got)
	}
}

// TestNotText refuses bytes that are no text, on one line that says where, or carries
// them exactly; it never changes them.
func TestNotText(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8")
	const bad = "a\xffb"
	for _, args := range [][]string{
		{"run", "--", "echo", bad}, {"run", "-e", "X=" + bad, "--", "true"}, {"run", "--name", bad, "--", "true"},
		{"run", "--key", bad, "--", "true"}, {"ls", "--name", bad}, {"show", bad}, {"ls", "--label", "k=" + bad},
	} {
		c.refused(args)
	}
	for _, args := range [][]string{{"run", "--", "echo", bad}, {"run", "-e", "X=" + bad, "--", "true"}} {
		c.refused(args, "UTF-8")
	}
	c.refusedFile("run: echo "+bad, "UTF-8", "1:")
	file := mustWrite(t, c.dir+"/job.yaml", "params: {p: x}\nenv: {P: \"${{ params.p }}\"}\nrun: echo $P")
	c.refused([]string{"submit", "-p", "p=" + bad, file}, "UTF-8")

	if got := c.ok("run", "-q", "--", "printf", `a\377b`); got != bad {
		t.Errorf("output came as %q", got)
	}
	id := c.submit(`run: printf 'x=a\377b\n' > "$REEVE_OUTPUT"`)
	if j := c.ends(id, "failed"); !strings.Contains(j.Cause, "UTF-8") {
		t.Errorf("the cause of an output that is no text is %q", j.Cause)
	}
	id = c.submit(`run: echo x > "$REEVE_ARTIFACTS/$(printf 'a\377b')"`)
	if j := c.ends(id, "failed"); !strings.Contains(j.Cause, "UTF-8") {
		t.Errorf("the cause of an artifact whose name is no text is %q", j.Cause)
	}
}
