package blackbox

import (
	"strings"
	"testing"
)

// TestExitCodes runs commands to every kind of end: the exit code of run is the
// job's own.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "8", "--slots", "8")
	for _, test := range []struct {
		name     string
		args     []string
		code     int
		out, err string // what standard output is, what standard error holds
	}{
		{"success", []string{"--", "echo", "hello"}, 0, "hello\n", "succeeded after"},
		{"exit 3", []string{"--", "sh", "-c", "exit 3"}, 3, "", "exit 3"},
		{"signal", []string{"--", "sh", "-c", "kill -9 $$"}, 137, "", "signal 9 (killed)"},
		{"SIGTERM of its own", []string{"--", "sh", "-c", "kill -15 $$"}, 143, "", "signal 15 (terminated)"},
		{"timeout", []string{"--timeout", "1s", "--", "sleep", "60"}, 124, "", "timeout after 1s"},
		{"no such program", []string{"--", "no-such-program-here"}, 127, "", "no-such-program-here"},
		{"standard error apart", []string{"--", "sh", "-c", "echo out; echo err >&2"}, 0, "out\n", "err\n"},
		{"the highest of an array", []string{"--array", "1-5", "--", "sh", "-c", "exit $REEVE_ARRAY_INDEX"}, 5, "", "failed"},
		{"a second attempt", []string{"--max-attempts", "2", "--", "sh", "-c", "test $REEVE_ATTEMPT = 2"}, 0, "", "succeeded"},
		{"quiet", []string{"-q", "--", "echo", "hello"}, 0, "hello\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := c.reeve(append([]string{"run"}, test.args...)...)
			if r.code != test.code || r.out != test.out || !strings.Contains(r.err, test.err) {
				t.Errorf("exit %d, out %q, err %q; want exit %d, out %q, err with %q", r.code, r.out, r.err, test.code, test.out, test.err)
			}
		})
	}
}
