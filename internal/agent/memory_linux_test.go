package agent

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemory(t *testing.T) {
	const meminfo = "MemTotal:       1024 kB\nMemFree: 1 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"machine":         {map[string]string{"proc/meminfo": meminfo}, 1 << 20},
		"unknown":         {nil, 0},
		"cgroup":          {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "4096\n"}, 4096},
		"cgroup above":    {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "8192\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 8192},
		"container":       {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/../x\n", "sys/fs/cgroup/memory.max": "4096\n"}, 4096},
		"larger":          {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "99999999999\n"}, 1 << 20},
		"the old cgroups": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/a\n3:cpu:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "2048\n"}, 2048},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for f, text := range c.files {
				f = filepath.Join(root, f)
				if err := os.MkdirAll(filepath.Dir(f), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := memoryUnder(root); got != c.want {
				t.Errorf("%d bytes, want %d", got, c.want)
			}
		})
	}
}
