package blackbox

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/reeve-scheduler/reeve"
)

// TestLogFlood has a job write without end. It is never blocked, not even by a server
// that is stopped; its log is cut in the middle, with a mark; other jobs' logs are
// live meanwhile, and no process grows. The log outlives the worker.
func TestLogFlood(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	w := c.worker("w1", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	const chunk = 30_000_000
	flood := c.submit(l.env() + fmt.Sprintf(`
tasks:
  flood:
    run: |
      %s
      while [ ! -e "$GATE" ]; do yes 'a line that says nothing, over and over again, without end' | head -c %d; note tick; done
      echo; echo the last line
`, noteBegin, chunk))
	l.seen(1, "tick", "flood")
	other := c.submit(l.env() + "\nrun: |\n  i=0; while [ ! -e \"$GATE\" ]; do i=$((i+1)); echo line $i; sleep 0.05; done")
	follow := start(t, "logs -f", c.dir, c.env, "logs", "-f", other)
	follow.says(t, "line 20\n")
	l.seen(8, "tick", "flood")

	c.server.signal(syscall.SIGSTOP)
	l.seen(len(l.of("tick", "flood"))+3, "tick", "flood")
	c.server.signal(syscall.SIGCONT)
	for name, pid := range map[string]int{"server": c.server.cmd.Process.Pid, "agent": w.cmd.Process.Pid, "keeper": keepers(t, c.state("w1"))[0]} {
		if mb := peakMemory(t, pid); mb > 300 {
			t.Errorf("the %s has used %d MB", name, mb)
		}
	}
	l.open("gate")
	c.ends(flood, "succeeded")
	c.ends(other, "succeeded")
	if code := follow.exit(t); code != 0 {
		t.Errorf("logs -f ended with %d", code)
	}

	r := c.reeve("logs", flood)
	if n := len(r.out); n < 8<<20 || n > 16<<20 {
		t.Errorf("%d bytes of the log are kept, want less than 16 MiB and not much less", n)
	}
	if !strings.HasPrefix(r.out, "a line that says nothing") || !strings.HasSuffix(r.out, "\nthe last line\n") {
		t.Errorf("the log has not its beginning and end: %.60q … %q", r.out, r.out[max(0, len(r.out)-60):])
	}
	dropped := 0
	for _, mark := range digits.FindAllString(r.err, -1) {
		n := 0
		fmt.Sscan(mark, &n)
		dropped += n
	}
	if all := len(l.of("tick", "flood"))*chunk + len("\nthe last line\n"); len(r.out)+dropped != all {
		t.Errorf("%d bytes are kept and %d marked as dropped, of %d: %.200s", len(r.out), dropped, all, r.err)
	}

	w.stop(t)
	endKeepers(t, c.state("w1"))
	if err := os.RemoveAll(c.state("w1")); err != nil {
		t.Fatal(err)
	}
	c.server.kill(t)
	c.serve()
	if again := c.reeve("logs", flood); again != r {
		t.Errorf("without the worker the log is another one, of %d bytes", len(again.out))
	}
	c.resume(flood+".flood@1", r.out)
}

// resume reads a log in two parts, the second from where the first ended.
func (c *cluster) resume(ref, want string) {
	c.t.Helper()
	client, err := reeve.New(reeve.Config{Addr: "http://" + c.listen})
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	var got bytes.Buffer
	next := int64(0)
	for _, most := range []int{5 << 20, 1 << 40} {
		for p, err := range client.Logs(c.t.Context(), ref, reeve.LogOptions{Streams: []string{"stdout"}, Offset: next}) {
			if err != nil {
				c.t.Fatal(err)
			}
			if p.Stream == "stdout" {
				got.Write(p.Data)
			}
			if next = p.Next; got.Len() > most {
				break
			}
		}
	}
	if got.String() != want {
		c.t.Errorf("read in two parts the log has %d bytes, want the same %d", got.Len(), len(want))
	}
}

// peakMemory is the most memory that a process has used, in megabytes; 0 where the
// system does not say.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return number(t, rest) / 1024
		}
	}
	return 0
}
