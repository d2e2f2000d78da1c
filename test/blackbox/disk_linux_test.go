package blackbox

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store/pgtest"
)

// smallDisk mounts a file system of that size in memory at a directory.
func smallDisk(t *testing.T, dir, size string) {
	t.Helper()
	needsRoot(t, "mount", "umount")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	must(t, "mount", "-t", "tmpfs", "-o", "mode=700,size="+size, "reeve-test", dir)
	t.Cleanup(func() { must(t, "umount", "-l", dir) })
}

// fill writes until there is no room, and returns the file to remove.
func fill(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "filling")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return path
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestServerDiskFull fills the server's disk: submits are refused with the reason,
// work goes on, and once there is room nothing that was acknowledged is missing.
func TestServerDiskFull(t *testing.T) {
	t.Parallel()
	c := plainCluster(t)
	data := filepath.Join(c.dir, "data")
	smallDisk(t, data, "8m")
	c.args = []string{"--dev"}
	c.serve()
	c.worker("w1", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	gatedJob := c.submit(l.env() + "\nrun: '" + gated + "'")
	l.seen(1, "begin", "main")

	filling := fill(t, data)
	file := mustWrite(t, c.dir+"/large.yaml", "labels: {size: large}\nstdin: "+strings.Repeat("x", 300_000)+"\nrun: cat > /dev/null\n")
	var acknowledged []string
	for refusal := (result{}); refusal.code == 0; {
		if refusal = c.reeve("submit", "-q", file); refusal.code == 0 {
			acknowledged = append(acknowledged, strings.TrimSpace(refusal.out))
			continue
		}
		refused(t, refusal, []string{"submit"}, "no space left", "try again")
	}
	l.open("gate")
	l.seen(1, "end", "main") // what runs goes on

	if err := os.Remove(filling); err != nil {
		t.Fatal(err)
	}
	c.ends(gatedJob, "succeeded")
	acknowledged = append(acknowledged, c.submit("run: echo there is room"))
	c.server.kill(t)
	c.serve()
	for _, id := range acknowledged {
		c.ends(id, "succeeded")
	}
	l.begins("main", 1, 0)
}

// TestDatabaseDiskFull fills the disk of the database of two servers, whose journal it then can't
// write: submits are refused, what runs goes on, and once there is room and the database is back
// nothing that was acknowledged is missing.
func TestDatabaseDiskFull(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	smallDisk(t, disk, "150m")
	for _, dir := range []string{filepath.Dir(disk), disk} { // the database has an account of its own
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	db := pgtest.Start(t, pgtest.Config{In: disk, Settings: []string{"min_wal_size=32MB", "max_wal_size=32MB"}})
	v := severalOn(t, db, 2)
	for _, m := range v.members {
		v.begin(m)
	}
	v.worker("w1", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	gatedJob := v.submit(l.env() + "\nrun: '" + gated + "'")
	l.seen(1, "begin", "main")

	filling := fill(t, disk)
	if info, err := os.Stat(filling); err != nil || os.Truncate(filling, info.Size()-4<<20) != nil {
		t.Fatalf("there is no room for the first ones: %v", err)
	}
	text := make([]byte, 200_000) // which can't be packed
	_, _ = rand.Read(text)        // it always can
	file := mustWrite(t, v.dir+"/large.yaml", "labels: {size: large}\nstdin: "+hex.EncodeToString(text)+"\nrun: cat > /dev/null\n")
	var acknowledged []string
	for refusal := (result{}); refusal.code == 0; {
		if refusal = v.reeve("submit", "-q", file); refusal.code == 0 {
			acknowledged = append(acknowledged, strings.TrimSpace(refusal.out))
			continue
		}
		refused(t, refusal, []string{"submit"}, "try again")
	}
	l.open("gate")
	l.seen(1, "end", "main") // what runs goes on

	if err := os.Remove(filling); err != nil {
		t.Fatal(err)
	}
	db.Revive(t)
	v.ends(gatedJob, "succeeded")
	acknowledged = append(acknowledged, v.submit("run: echo there is room"))
	_, epoch := v.leader()
	for _, m := range v.members {
		m.proc.kill(t)
		v.begin(m)
	}
	v.another(epoch)
	for _, id := range acknowledged {
		v.ends(id, "succeeded")
	}
	if len(acknowledged) == 1 || !strings.Contains(db.Log(t), "No space left on device") {
		t.Errorf("%d jobs were taken before the disk was full, and the database says\n%s", len(acknowledged)-1, db.Log(t))
	}
	l.begins("main", 1, 0)
}

// TestWorkerDiskFull fills a worker's disk: it says what it can't take and why, and
// takes it when there is room.
func TestWorkerDiskFull(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	smallDisk(t, c.state("w1"), "1m")
	c.worker("w1")
	c.ends(c.submit("run: echo done"), "succeeded")
	filling := fill(t, c.state("w1"))
	once := c.ends(c.submit("at_most_once: true\nretry: {delay: 1ms}\nrun: echo done"), "failed")
	if cause := once.Tasks[0].Cause; !strings.Contains(cause, "rejected by the worker") || !strings.Contains(cause, "no space left") {
		t.Errorf("the cause is %q", cause)
	}
	// It does not eat what another worker can do.
	w2 := c.worker("w2", "--slots", "1", "--cpu", "1")
	c.ends(c.submit("array: 0-99\nretry: {delay: 1ms}\nrun: echo done"), "succeeded")
	w2.stop(t)
	id := c.submit("retry: {on_lost: 1000, delay: 100ms, max_delay: 100ms}\nrun: echo done")
	await(t, "a second attempt is rejected", func() bool { return len(c.attempts(id+".main")) >= 2 })
	if err := os.Remove(filling); err != nil {
		t.Fatal(err)
	}
	c.ends(id, "succeeded")
	if got := c.ok("logs", id); got != "done\n" {
		t.Errorf("the log is %q", got)
	}
}

// TestDirectories names data directories that can't be used.
func TestDirectories(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	data := filepath.Join(c.dir, "data")
	ends := func(args []string, words ...string) {
		t.Helper()
		r := c.reeve(args...)
		lines := strings.Split(strings.TrimSpace(r.err), "\n")
		r.err = lines[len(lines)-1] // what is above it is the log
		refused(t, r, args, words...)
	}
	server := func(data, listen string, words ...string) {
		t.Helper()
		ends([]string{"server", "--dev", "--data", data, "--listen", listen}, words...)
	}
	server(data, "127.0.0.1:0", data, "in use")
	server(filepath.Join(c.dir, "other"), c.listen, c.listen, "address already in use")
	file := mustWrite(t, filepath.Join(c.dir, "file"), "")
	server(file, "127.0.0.1:0", file, "not a directory")

	readOnly := filepath.Join(c.dir, "ro")
	smallDisk(t, readOnly, "1m")
	must(t, "mount", "-o", "remount,ro", readOnly)
	server(filepath.Join(readOnly, "data"), "127.0.0.1:0", "read-only")
	ends([]string{"worker", "--state", filepath.Join(readOnly, "state"), "--name", "w1"}, "read-only")
	c.worker("w1")
	ends([]string{"worker", "--state", c.state("w1"), "--name", "w2"}, c.state("w1"), "another worker")
	c.ends(c.submit("run: echo the first server goes on"), "succeeded")
}
