package agent

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memory is the bytes that this process and its children may use: the machine's,
// or less where a cgroup says so.
func memory() int64 { return memoryUnder("/") }

// memoryUnder reads the files of proc and sys below root.
func memoryUnder(root string) int64 {
	total := int64(1 << 62)
	for line := range strings.Lines(fileText(root, "proc/meminfo")) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				total = n << 10
			}
		}
	}
	for line := range strings.Lines(fileText(root, "proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(parts) != 3:
		case parts[0] == "0" && parts[1] == "":
			total = min(total, cgroupLimit(root, "sys/fs/cgroup", parts[2], "memory.max"))
		case parts[1] == "memory":
			total = min(total, cgroupLimit(root, "sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes"))
		}
	}
	if total == 1<<62 {
		return 0
	}
	return total
}

// cgroupLimit is the least limit of a cgroup and those above it. Inside a container
// the path may not exist below the mount, whose root is then the cgroup itself.
func cgroupLimit(root, mount, path, file string) int64 {
	least := int64(1 << 62)
	for p := filepath.Clean("/" + path); ; p = filepath.Dir(p) {
		if n, err := strconv.ParseInt(fileText(root, mount, p, file), 10, 64); err == nil && n > 0 {
			least = min(least, n)
		}
		if p == "/" {
			return least
		}
	}
}

func fileText(parts ...string) string {
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
