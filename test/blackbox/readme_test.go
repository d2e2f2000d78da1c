package blackbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// block is a fenced block of a document: what stands after the fence, and the text.
type block struct{ kind, text string }

var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// tour returns the blocks of a document's section.
func tour(t *testing.T, text, heading string) []block {
	t.Helper()
	_, section, ok := strings.Cut(text, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("there is no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var out []block
	for _, m := range fence.FindAllStringSubmatch(section, -1) {
		out = append(out, block{m[1], m[2]})
	}
	return out
}

// varying is what differs between two runs of the tour.
var varying = []struct {
	was *regexp.Regexp
	is  string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`), "TIME"},
	{regexp.MustCompile(`\b(\d+m)?\d+(\.\d+)?(ms|s)\b`), "SPAN"},
	{regexp.MustCompile(` {2,}`), "  "},
	// Quick tasks may be over before they are seen to run.
	{regexp.MustCompile(`(?m)^[a-z]+: running(, .*)?\n`), ""},
}

func withoutVarying(text string) string {
	for _, v := range varying {
		text = v.was.ReplaceAllString(text, v.is)
	}
	return text
}

// TestTour pastes the tour of the README into a shell, block after block, and holds
// what it prints against what stands there. -update writes it anew.
func TestTour(t *testing.T) {
	t.Parallel()
	const readme = "../../README.md"
	raw, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	dir := t.TempDir()
	addr := freeAddress(t)
	var script strings.Builder
	fmt.Fprintf(&script, "export PATH=%q:\"$PATH\"\n", filepath.Dir(binary))
	blocks := tour(t, text, "A tour in five minutes")
	for i, b := range blocks {
		if b.kind != "sh" {
			continue
		}
		// The binary is built already, and the usual port may be somebody's.
		commands := strings.NewReplacer("go build -o bin/ ./cmd/reeve", "true", "server --dev", "server --dev --listen "+addr,
			"http://127.0.0.1:7420", "http://"+addr).Replace(b.text)
		fmt.Fprintf(&script, "{\n%s} > %q 2>&1\n", commands, filepath.Join(dir, fmt.Sprint(i)))
	}
	c := exec.CommandContext(within(t), "bash", "-c", script.String())
	c.Dir = dir
	c.Env = cleanEnv("REEVE_ADDR=http://"+addr, "HOME="+dir, "TMPDIR="+dir)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	t.Cleanup(func() { endTour(t, c.Process.Pid, dir) })
	out, err := c.CombinedOutput()
	if len(out) > 0 || err != nil {
		t.Errorf("the shell says %q, %v", out, err)
	}
	for i := 1; i < len(blocks); i++ {
		if blocks[i].kind != "text" || blocks[i-1].kind != "sh" {
			continue
		}
		got, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i-1)))
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			text = strings.Replace(text, blocks[i-1].text+"```\n\n```text\n"+blocks[i].text, blocks[i-1].text+"```\n\n```text\n"+string(got), 1)
			continue
		}
		if diff := cmp.Diff(withoutVarying(blocks[i].text), withoutVarying(string(got))); diff != "" {
			t.Errorf("after\n%s(-README +printed)\n%s", blocks[i-1].text, diff)
		}
	}
	if *update {
		if err := os.WriteFile(readme, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// endTour ends what a tour that stopped in the middle has left.
func endTour(t *testing.T, group int, dir string) {
	t.Helper()
	_ = syscall.Kill(-group, syscall.SIGKILL) // none is left as a rule
	states, err := filepath.Glob(filepath.Join(dir, "*", "worker"))
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range states {
		endKeepers(t, state)
	}
}
