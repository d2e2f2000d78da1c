package blackbox

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedRecord changes a bit of what the disk holds of a job that has ended: the server
// serves all the same, lists the others, and says which one it can't show.
func TestDamagedRecord(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1")
	good := c.submit("name: good\nrun: echo good")
	bad := c.submit("labels: {what: xyzzy-xyzzy}\nrun: echo bad")
	c.ends(good, "succeeded")
	c.ends(bad, "succeeded")
	if code := c.server.stop(t); code != 0 {
		t.Fatalf("the server ended with %d", code)
	}
	path := filepath.Join(c.dir, "data", "tables.db")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	after := bytes.ReplaceAll(before, []byte("xyzzy-xyzzy"), []byte("xyzzy-xyzzx"))
	if bytes.Equal(before, after) {
		t.Fatal("the tables don't hold the job's label")
	}
	if err := os.WriteFile(path, after, 0o600); err != nil {
		t.Fatal(err)
	}
	c.serve()
	next := c.submit("name: next\nrun: echo next")
	c.ends(next, "succeeded")
	list := c.reeve("ls")
	if list.code != 0 || !strings.Contains(list.out, good) || !strings.Contains(list.out, next) || strings.Contains(list.out, "xyzz") {
		t.Errorf("ls: exit %d\n%s", list.code, list.out)
	}
	if want := "can't show " + bad + ": their records on the server's disk are damaged"; !strings.Contains(list.err, want) {
		t.Errorf("ls says %q; want %q", list.err, want)
	}
	c.refused([]string{"show", bad}, "internal error", "log")
	c.server.says(t, "row in the tables is damaged")
	if got := c.ok("logs", good); got != "good\n" {
		t.Errorf("the log of the other job is %q", got)
	}
}
