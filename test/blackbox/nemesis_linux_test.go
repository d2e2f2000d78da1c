package blackbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// cut ends the file system's power and shows that it has none.
func (p *plug) cut() string {
	p.shutDown()
	err := os.WriteFile(filepath.Join(p.dir, "after"), nil, 0o600)
	if err == nil {
		return ""
	}
	return err.Error()
}

func (p *plug) fill() (more, empty func()) { return fillFast(p.t, p.dir) }

// room is a small file system in memory.
type room struct {
	t   *testing.T
	dir string
}

func (r *room) cut() string { panic("memory has no power of its own") }
func (r *room) restore()    { panic("memory has no power of its own") }

func (r *room) fill() (more, empty func()) { return fillFast(r.t, r.dir) }

// fillFast takes all the room that there is, without writing it.
func fillFast(t *testing.T, dir string) (more, empty func()) {
	t.Helper()
	path := filepath.Join(dir, "filling")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	more = func() {
		const block = 4096
		for size := int64(1 << 30); size >= block; {
			if err := unix.Fallocate(int(f.Fd()), 0, at, size); err == nil {
				at += size
			} else {
				size /= 2
			}
		}
	}
	more()
	return more, func() {
		err := errors.Join(f.Close(), os.Remove(path))
		// Or the next power cut brings it back, and nobody empties the disk again.
		if d, openErr := os.Open(dir); openErr != nil {
			err = errors.Join(err, openErr)
		} else {
			err = errors.Join(err, d.Sync(), d.Close())
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// furnish puts the server on a disk whose power can be cut, the workers on disks that can
// be filled, and one of them among strangers, where numbers of processes come again soon.
func (z *zoo) furnish() {
	z.t.Helper()
	if os.Geteuid() != 0 && os.Getenv("CI") == "" {
		z.t.Log("without root no power is cut, no disk filled, and no number of a process comes again")
		return
	}
	z.disk = newPlug(z.t, filepath.Join(z.c.dir, "data"), 8<<30)
	for _, v := range z.workers {
		dir := z.c.state(v.name)
		smallDisk(z.t, dir, "64m")
		v.disk = &room{z.t, dir}
	}
	z.crowd = filepath.Join(z.c.dir, "strangers")
	z.workers[2].inside = among(z.t, z.crowd)
}

// crowded is the first process of a namespace in which a thousand numbers are all there
// are. It starts strangers, who live for some seconds, and writes down who was killed.
const crowded = `echo 1000 > /proc/sys/kernel/pid_max
while :; do
  list=""
  for i in 1 2 3 4 5 6 7 8 9 10; do
    sleep 2 & list="$list $!"
    read -r up _ < /proc/uptime
    echo "born $! $up" >> "$CROWD"
    sleep 0.02
  done
  for pid in $list; do
    wait $pid; code=$?
    [ $code -lt 128 ] || echo "killed $pid $((code - 128))" >> "$CROWD"
  done
done`

// among starts that process and returns the start of a command line that runs the rest
// there.
func among(t *testing.T, crowd string) []string {
	t.Helper()
	needsRoot(t, "unshare", "nsenter")
	p := startProgram(t, "strangers", "", append(os.Environ(), "CROWD="+crowd),
		"unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "sh", "-c", crowded)
	await(t, "strangers live", func() bool {
		text, err := os.ReadFile(crowd)
		return err == nil && len(text) > 0
	})
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.cmd.Process.Pid, p.cmd.Process.Pid))
	first := strings.Fields(string(children))
	if err != nil || len(first) == 0 {
		t.Fatalf("the first of the strangers: %q, %v", children, err)
	}
	return []string{"nsenter", "--target", first[0], "--pid", "--mount", "--"}
}

// strangersIn reads who there was.
func strangersIn(t *testing.T, crowd string) (all []stranger) {
	t.Helper()
	if crowd == "" {
		return nil
	}
	text, err := os.ReadFile(crowd)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || !strings.HasSuffix(line, "\n") {
			continue // the last one may be half a line
		}
		pid, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatalf("line %q of the strangers: %v", line, err)
		}
		s := stranger{PID: pid}
		if f[0] == "born" {
			s.Born, err = strconv.ParseFloat(f[2], 64)
		} else {
			s.Killed, err = strconv.Atoi(f[2])
		}
		if err != nil {
			t.Fatalf("line %q of the strangers: %v", line, err)
		}
		all = append(all, s)
	}
	return all
}

// withVariable finds the processes with a variable, zombies left out.
func withVariable(variable string) []int { return marked(variable) }
