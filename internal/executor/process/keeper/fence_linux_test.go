package keeper

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
)

func TestCgroupDirs(t *testing.T) {
	const unified = "25 1 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	tests := []struct {
		name, mounts, own string
		want              []string
	}{
		{"unified", unified, "0::/user.slice/me\n", []string{"/sys/fs/cgroup/user.slice/me"}},
		{"root", unified, "0::/\n", []string{"/sys/fs/cgroup"}},
		{"hybrid", "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
			"4:memory:/x\n0::/a\n", []string{"/sys/fs/cgroup/unified/a"}},
		{"part of the tree", "25 1 0:22 /docker/abc /cg rw shared:4 master:2 - cgroup2 cgroup2 rw\n", "0::/docker/abc/def\n", []string{"/cg/def"}},
		{"another part", "25 1 0:22 /docker/xyz /cg rw - cgroup2 cgroup2 rw\n", "0::/docker/abc\n", nil},
		{"blank in the name", `25 1 0:22 / /my\040cg rw - cgroup2 cgroup2 rw` + "\n", "0::/\n", []string{"/my cg"}},
		{"version 1 only", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", "1:cpu:/\n", nil},
		{"damaged", "what\n\n1 2 - cgroup2\n", "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, cgroupDirs(test.mounts, test.own)); diff != "" {
				t.Errorf("directories (-want +got):\n%s", diff)
			}
		})
	}
}

// child starts cat with an environment and waits until it runs: a fork returns
// before the kernel shows the new environment. It ends with the test.
func child(t *testing.T, env ...string) int {
	t.Helper()
	cmd := exec.Command("cat")
	cmd.Env = env
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 1)
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(echo); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func TestMarked(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		key  string
		ok   bool
	}{
		{"ours", []string{"A=1", MarkerEnv + "=home:4217.t.3@2-9f", "B=2"}, "4217.t.3@2-9f", true},
		{"another home", []string{MarkerEnv + "=other:k"}, "", false},
		{"a longer home", []string{MarkerEnv + "=homeless:k"}, "", false},
		{"inside another value", []string{"X=" + MarkerEnv + "=home:k"}, "", false},
		{"none", []string{"A=1"}, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			key, ok := marked(child(t, test.env...), "home")
			if key != test.key || ok != test.ok {
				t.Errorf("marked = %q, %v; want %q, %v", key, ok, test.key, test.ok)
			}
		})
	}
}

// TestChildrenByParent: the detour for kernels without the list finds the same.
func TestChildrenByParent(t *testing.T) {
	pid := child(t)
	if list := childrenByParent(os.Getpid()); !slices.Contains(list, pid) {
		t.Errorf("childrenByParent = %v, want %d among them", list, pid)
	}
	if list := processes(); !slices.Contains(list, pid) || !slices.Contains(list, os.Getpid()) {
		t.Errorf("processes = %v", list)
	}
}

func TestSlot(t *testing.T) {
	base, lock, err := findCgroup("reeve-test-slot")
	if err != nil {
		t.Skip("no cgroup: ", err)
	}
	defer unix.Close(lock)
	defer removeCgroup(base)
	s, err := makeSlot(filepath.Join(base, "1"))
	if err != nil {
		t.Fatal(err)
	}
	if s.populated() {
		t.Error("a new slot is populated")
	}
	if us := s.number("cpu.stat", "usage_usec"); us != 0 {
		t.Errorf("a new slot has used %d µs", us)
	}
	if got := s.number("no.such.file", "x"); got != -1 {
		t.Errorf("a file that is not there holds %d", got)
	}
	if err := os.MkdirAll(filepath.Join(s.name, "below", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.remove()
	if _, err := os.Stat(s.name); err == nil {
		t.Error("the slot is left, with what an attempt made below it")
	}
}

func TestSocketPath(t *testing.T) {
	short := t.TempDir()
	path, done, err := SocketPath(short)
	if err != nil || path != filepath.Join(short, socketFile) {
		t.Errorf("SocketPath(%s) = %s, %v", short, path, err)
	}
	done()
	long := filepath.Join(short, strings.Repeat("x", 200))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	path, done, err = SocketPath(long)
	if err != nil || len(path) > maxSocketPath {
		t.Fatalf("SocketPath of a long directory = %s, %v", path, err)
	}
	defer done()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(long, socketFile)); err != nil {
		t.Errorf("the path leads elsewhere: %v", err)
	}
}
