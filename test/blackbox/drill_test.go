package blackbox

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store/pgtest"
)

// drill is a disaster: what was backed up comes back, and what came after it is gone.
type drill struct {
	c *cluster
	// at are the flags that say where the store is, if the environment does not. fresh makes that an
	// empty place, which the servers use from then on.
	at    []string
	fresh func()
	// stop ends the servers, and start starts them where they were.
	stop, start func()
}

// run makes a backup while one job runs, has another begin, loses the store, and restores it while
// both run on: the first ends, once, and the second is ended.
func (d *drill) run(t *testing.T) {
	c, file := d.c, filepath.Join(t.TempDir(), "backup")
	worker := c.worker("w", "--cpu", "8", "--slots", "8")
	known, lost := newLedger(t), newLedger(t)
	ended := c.submit("run: echo before")
	c.ends(ended, "succeeded")
	runs := c.submit(known.env() + "\nrun: '" + gated + "'")
	known.seen(1, "begin", "main")
	c.ok(append([]string{"backup", file}, d.at...)...)
	c.ok("backup", "--verify", file)

	after := c.submit(lost.env() + "\nrun: '" + gated + "'")
	pid := lost.seen(1, "begin", "main")[0].pid
	c.ends(c.submit("run: echo after"), "succeeded")
	d.stop()

	d.fresh()
	restore := func(file string) []string { return append([]string{"restore", file}, d.at...) }
	d.breakOff(t, file, restore)
	if out := c.ok(restore(file)...); !strings.Contains(out, "generation 2 begins") {
		t.Errorf("the restore says %q", out)
	}
	c.refused(restore(file), "not empty")
	d.start()

	worker.says(t, "the server does not know "+after+".main@1")
	await(t, "what the backup does not know is ended", func() bool { return !alive(pid) })
	c.refused([]string{"show", after}, "does not exist")
	if v := c.show(ended); v.State != "succeeded" {
		t.Errorf("job %s is %s", ended, v.State)
	}
	for range 2 {
		next := c.submit("run: echo again")
		c.ends(next, "succeeded")
		if n, err := strconv.ParseUint(next, 10, 64); err != nil || n < 1<<40 || n > 1<<40+1 {
			t.Errorf("after the restore a job is %s (%v); want 2^40 or the one after it", next, err)
		}
	}
	known.open("gate")
	c.ends(runs, "succeeded")
	known.begins("main", 1, 0)
	lost.begins("main", 1, 0)
	if n := len(lost.of("end", "")); n != 0 {
		t.Errorf("what the backup does not know has ended %d times by itself", n)
	}
}

// breakOff has restores fail in each way: of a file that is cut off, of one that is damaged, and by
// a kill in the middle. Nothing of them is left.
func (d *drill) breakOff(t *testing.T, file string, restore func(string) []string) {
	t.Helper()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	mustWrite(t, bad, string(whole[:len(whole)-20]))
	d.c.refused(restore(bad), "the backup is damaged or was cut off")
	d.c.refused([]string{"backup", "--verify", bad}, "the backup is damaged or was cut off")
	damaged := bytes.Clone(whole)
	damaged[20] ^= 0xff // of the first block's checksum
	mustWrite(t, bad, string(damaged))
	d.c.refused(restore(bad), "the backup is damaged or was cut off")

	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProgram(t, "a restore", d.c.dir, d.c.env, d.c.command(restore(pipe)...)...)
	half, err := os.OpenFile(pipe, os.O_WRONLY, 0) // once it reads
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	if _, err := half.Write(whole[:len(whole)/2]); err != nil {
		t.Fatal(err)
	}
	p.kill(t)
}

// TestDisasterDrill is what docs/operations.md says to try.
func TestDisasterDrill(t *testing.T) {
	t.Parallel()
	t.Run("PostgreSQL", func(t *testing.T) {
		v := startSeveral(t, 2)
		env := v.env
		use := func(store string) {
			for _, m := range v.members {
				m.store = store
			}
			v.env = append(slices.Clone(env), "REEVE_STORE="+store)
		}
		use(v.members[0].store)
		(&drill{
			c: v.cluster, fresh: func() { use(v.db.Database(t)) },
			stop: func() {
				for _, m := range v.members {
					m.proc.stop(t)
				}
			},
			start: func() {
				for _, m := range v.members {
					v.begin(m)
				}
				await(t, "a server says that the past was lost", func() bool {
					for _, m := range v.members {
						if strings.Contains(m.proc.err.String(), "the database has lost its past") {
							return true
						}
					}
					return false
				})
			},
		}).run(t)
	})
	t.Run("SQLite", func(t *testing.T) {
		c := newCluster(t)
		data := filepath.Join(c.dir, "data")
		(&drill{
			c: c, at: []string{"--data", data}, start: c.serve, stop: func() { c.server.kill(t) },
			fresh: func() {
				if err := os.Rename(data, data+".old"); err != nil {
					t.Fatal(err)
				}
			},
		}).run(t)
	})
}

// TestMigrateStore moves a server's store into a database while a worker runs on: the same history
// goes on, with its logs, and once.
func TestMigrateStore(t *testing.T) {
	t.Parallel()
	c, store := newCluster(t), pgtest.Start(t, pgtest.Config{}).Database(t)
	data := filepath.Join(c.dir, "data")
	shared := &cluster{t: t, dir: c.dir, env: append(slices.Clone(c.env), "REEVE_STORE="+store)}
	move := []string{"migrate-store", "--data", data}
	c.worker("w", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	ended := c.submit("run: echo before")
	c.ends(ended, "succeeded")
	runs := c.submit(l.env() + "\nrun: '" + gated + "'")
	l.seen(1, "begin", "main")
	shared.refused(move, "in use by another process")
	c.server.kill(t)
	shared.ok(move...)
	shared.refused(move, "not empty")

	blobs := filepath.Join(c.dir, "shared")
	if err := os.CopyFS(filepath.Join(blobs, "blobs"), os.DirFS(filepath.Join(data, "blobs"))); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(blobs, "segments", "0"), os.DirFS(filepath.Join(data, "logs"))); err != nil {
		t.Fatal(err)
	}
	c.server = startProgram(t, "server", c.dir, shared.env,
		c.command("server", "--dev", "--data", data+".new", "--listen", c.listen, "--advertise", c.listen, "--blobs", blobs)...)
	c.server.says(t, "export REEVE_ADDR=")
	if got := c.ok("logs", ended); got != "before\n" {
		t.Errorf("the log of a job from before is %q", got)
	}
	if next := c.submit("run: echo after"); next != "3" {
		t.Errorf("the next job is %s, want 3", next)
	}
	l.open("gate")
	c.ends(runs, "succeeded")
	l.begins("main", 1, 0)
	back := []string{"migrate-store", "--back", "--data", data + ".back"}
	shared.refused(back, "a server leads")
	c.server.stop(t)
	shared.ok(back...)
}
