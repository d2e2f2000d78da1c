package inventory

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
			if got := memoryUnder(rootOf(t, c.files)); got != c.want {
				t.Errorf("%d bytes, want %d", got, c.want)
			}
		})
	}
}

// rootOf makes a directory with files.
func rootOf(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for f, text := range files {
		f = filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(f), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestProcessors: a quota counts to the thousandth, in both generations of cgroups.
func TestProcessors(t *testing.T) {
	const old = "sys/fs/cgroup/cpu/a/cpu.cfs_"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no cgroups":      {nil, 4000},
		"no quota":        {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"}, 4000},
		"one and a half":  {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "150000 100000\n"}, 1500},
		"above":           {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 500},
		"more than all":   {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "900000 100000\n"}, 4000},
		"the old cgroups": {map[string]string{"proc/self/cgroup": "4:memory:/b\n3:cpu,cpuacct:/a\n", old + "quota_us": "100000\n", old + "period_us": "50000\n"}, 2000},
		"old, no quota":   {map[string]string{"proc/self/cgroup": "3:cpu:/a\n", old + "quota_us": "-1\n", old + "period_us": "100000\n"}, 4000},
	} {
		t.Run(name, func(t *testing.T) {
			if got := processorsUnder(rootOf(t, c.files), 4000); got != c.want {
				t.Errorf("%d thousandths, want %d", got, c.want)
			}
		})
	}
}

func TestBandwidth(t *testing.T) {
	const net = "sys/class/net/"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"none":        {nil, 0},
		"one":         {map[string]string{net + "eth0/speed": "1000\n", net + "eth0/operstate": "up\n"}, 1e9},
		"the fastest": {map[string]string{net + "eth0/speed": "1000\n", net + "eth1/speed": "25000\n"}, 25e9},
		"not down":    {map[string]string{net + "eth0/speed": "1000\n", net + "eth1/speed": "25000\n", net + "eth1/operstate": "down\n"}, 1e9},
		"not itself":  {map[string]string{net + "lo/speed": "1000\n"}, 0},
		"unknown":     {map[string]string{net + "eth0/speed": "-1\n", net + "eth1/speed": "4294967295\n", net + "eth2/mtu": "1500\n"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := bandwidthUnder(rootOf(t, c.files)); got != c.want {
				t.Errorf("%d bits a second, want %d", got, c.want)
			}
		})
	}
}
