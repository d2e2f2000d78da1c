package blackbox

import (
	"slices"
	"strings"
	"testing"
)

// TestCompletion: shells are offered what the server knows, and nothing where there
// is none.
func TestCompletion(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1")
	done := strings.TrimSpace(c.ok("submit", "-q", "--wait", mustWrite(t, c.dir+"/done.yaml", "name: nightly\nrun: echo\n")))
	held := c.submit("name: big\ntasks:\n  map: {array: 1-3, run: echo}\n  reduce: {needs: map, run: echo}\n", "--hold")
	c.ok("queues", "create", "gpu")
	c.ok("namespaces", "create", "team-a")
	c.ok("tokens", "create", "ci", "--scope", "read")
	c.ok("reserve", "repair", "--pool", "gpu", "--for", "1h")
	complete := func(env []string, args ...string) []string {
		r := run(t, c.dir, env, "", append([]string{"__completeNoDesc"}, args...)...)
		if r.code != 0 {
			t.Errorf("complete %q: exit %d: %s", args, r.code, r.err)
		}
		words := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
		return words[:len(words)-1] // the last is for the shell
	}
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"show", ""}, []string{held, done, "last"}},
		{[]string{"show", "la"}, []string{"last"}},
		{[]string{"show", held + "."}, []string{held + ".map", held + ".reduce"}},
		{[]string{"show", held + ".r"}, []string{held + ".reduce"}},
		{[]string{"logs", "last."}, []string{"last.map", "last.reduce"}},
		{[]string{"show", held, ""}, []string{}},
		{[]string{"show", "99."}, []string{}},
		{[]string{"cancel", ""}, []string{held, "last"}},
		{[]string{"cancel", held, ""}, []string{"last"}},
		{[]string{"retry", ""}, []string{done, "last"}},
		{[]string{"drain", ""}, []string{"w1"}},
		{[]string{"queues", "pause", ""}, []string{"default", "gpu"}},
		{[]string{"pools", "set", ""}, []string{"default"}},
		{[]string{"unreserve", ""}, []string{"repair"}},
		{[]string{"queues", "pause", "g"}, []string{"gpu"}},
		{[]string{"namespaces", "pause", ""}, []string{"default", "team-a"}},
		{[]string{"tokens", "revoke", ""}, []string{"ci"}},
		{[]string{"ls", "-n", ""}, []string{"default", "team-a"}},
		{[]string{"ls", "--queue", ""}, []string{"default", "gpu"}},
		{[]string{"ls", "--name", ""}, []string{"big", "nightly"}},
		{[]string{"ls", "-o", ""}, []string{"table", "wide", "json", "yaml"}},
		{[]string{"ls", "--state", ""}, []string{"pending", "running", "succeeded", "failed", "cancelled"}},
		{[]string{"run", "--pool", ""}, []string{"default"}},
		{[]string{"run", "--priority", ""}, []string{"critical", "high", "normal", "low", "background"}},
		{[]string{"kil"}, []string{"kill"}},
	} {
		if got := complete(c.env, test.args...); !slices.Equal(got, test.want) {
			t.Errorf("complete %q: %q, want %q", test.args, got, test.want)
		}
	}
	nobody := cleanEnv("REEVE_ADDR=http://127.0.0.1:1")
	for _, args := range [][]string{{"show", ""}, {"drain", ""}, {"ls", "-n", ""}, {"show", "last."}} {
		if got := complete(nobody, args...); len(got) != 0 {
			t.Errorf("without a server, complete %q: %q", args, got)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := run(t, c.dir, nobody, "", "completion", shell); r.code != 0 || len(r.out) < 1000 {
			t.Errorf("completion %s: exit %d, %d bytes", shell, r.code, len(r.out))
		}
	}
}
