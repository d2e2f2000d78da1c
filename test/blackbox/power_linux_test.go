package blackbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// plug is an ext4 file system in a file, whose power can be cut.
type plug struct {
	t           *testing.T
	device, dir string
}

// newPlug makes one of that many bytes and mounts it at dir.
func newPlug(t *testing.T, dir string, size int64) *plug {
	t.Helper()
	needsRoot(t, "mkfs.ext4", "losetup", "mount", "umount", "nsenter")
	image := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	must(t, "mkfs.ext4", "-q", "-F", "-m", "0", image)
	p := &plug{t: t, dir: dir}
	p.device = strings.TrimSpace(must(t, "losetup", "--find", "--show", image))
	t.Cleanup(func() { must(t, "losetup", "--detach", p.device) })
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p.mount()
	t.Cleanup(func() { must(t, "umount", "-l", dir) })
	return p
}

func (p *plug) mount() {
	p.t.Helper()
	must(p.t, "mount", p.device, p.dir)
	if err := os.Chmod(p.dir, 0o700); err != nil {
		p.t.Fatal(err)
	}
}

// shutDown loses all that is not on the disk yet, in the file system's own journal too.
func (p *plug) shutDown() {
	p.t.Helper()
	const shutdown, noLogFlush = 0x8004587d, 2
	d, err := os.Open(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	defer d.Close()
	if err := unix.IoctlSetPointerInt(int(d.Fd()), shutdown, noLogFlush); err != nil {
		p.t.Fatalf("cutting the power of %s: %v", p.dir, err)
	}
}

// restore is the next boot.
func (p *plug) restore() {
	p.t.Helper()
	must(p.t, "umount", p.dir)
	p.leaveElsewhere()
	p.mount()
}

// leaveElsewhere unmounts it in the mount namespaces of others, which have taken it with
// them when they were made: while one has it, it stays without power.
func (p *plug) leaveElsewhere() {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range entries {
		mounts, err := os.ReadFile(filepath.Join("/proc", e.Name(), "mountinfo"))
		if err == nil && strings.Contains(string(mounts), " "+p.dir+" ") {
			// An error says that its process is gone, or that another one has done it.
			_ = exec.Command("nsenter", "--target", e.Name(), "--mount", "--pid", "--", "umount", "-l", p.dir).Run()
		}
	}
}

// TestPowerLoss cuts the power of the server's disk while clients submit: what was
// acknowledged is there afterwards, and the server that lost its disk does not go on.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	c := plainCluster(t)
	p := newPlug(t, filepath.Join(c.dir, "data"), 256<<20)
	c.args = []string{"--dev"}
	c.serve()
	c.worker("w1", "--cpu", "8", "--slots", "4")
	file := mustWrite(t, c.dir+"/job.yaml", "run: true\n")
	for round := range 2 {
		ids := make(chan string, 10_000)
		over := make(chan struct{})
		for range 3 {
			go func() {
				defer func() { over <- struct{}{} }()
				for {
					r := run(t, c.dir, c.env, "", "submit", "-q", file)
					if r.code != 0 {
						return
					}
					ids <- strings.TrimSpace(r.out)
				}
			}()
		}
		await(t, "30 submits are acknowledged", func() bool { return len(ids) >= 30 })
		// Only what was acknowledged before the cut: while ext4 is shut down, an fdatasync
		// that is under way may succeed and keep nothing. A machine without power would
		// not have told anybody.
		before := make([]string, len(ids))
		for i := range before {
			before[i] = <-ids
		}
		p.shutDown()
		if code := c.server.exit(t); code == 0 {
			t.Error("a server that lost its disk ended as if all was well")
		}
		for range 3 {
			<-over
		}
		p.restore()
		c.serve()
		for _, id := range before {
			c.ends(id, "succeeded")
		}
		t.Logf("round %d: %d acknowledged submits survived", round, len(before))
	}
}
