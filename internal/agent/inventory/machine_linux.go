package inventory

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Memory is the bytes that this process and its children may use: the machine's,
// or less where a cgroup says so. 0 is unknown.
func Memory() int64 { return memoryUnder("/") }

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
	total = cgroupLimit(root, total, limitFiles{
		controller: "memory", now: func(dir string) int64 { return number(fileText(dir, "memory.max")) },
		old: func(dir string) int64 { return number(fileText(dir, "memory.limit_in_bytes")) },
	})
	if total == 1<<62 {
		return 0
	}
	return total
}

// Processors is how many thousandths of a processor this process and its children may
// use: of those it may run on, or less where a cgroup says so.
func Processors() int64 { return processorsUnder("/", int64(runtime.NumCPU())*1000) }

// processorsUnder reads the files of proc and sys below root.
func processorsUnder(root string, all int64) int64 {
	return cgroupLimit(root, all, limitFiles{
		controller: "cpu", now: func(dir string) int64 {
			quota, period, _ := strings.Cut(fileText(dir, "cpu.max"), " ")
			return share(number(quota), number(period))
		},
		old: func(dir string) int64 {
			return share(number(fileText(dir, "cpu.cfs_quota_us")), number(fileText(dir, "cpu.cfs_period_us")))
		},
	})
}

// share is a quota of processor time as thousandths of a processor, 0 for none.
func share(quota, period int64) int64 {
	if quota <= 0 || period <= 0 {
		return 0
	}
	return max(quota*1000/period, 1)
}

// number is a text's whole number, 0 if it is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// limitFiles reads a limit from a cgroup's directory, in either generation of
// cgroups; 0 is no limit.
type limitFiles struct {
	controller string
	now, old   func(dir string) int64
}

// cgroupLimit is the least of most and the limits of this process's cgroup and those
// above it. Inside a container the path may not exist below the mount, whose root is
// then the cgroup itself.
func cgroupLimit(root string, most int64, files limitFiles) int64 {
	for line := range strings.Lines(fileText(root, "proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		mount, read := "sys/fs/cgroup", files.now
		switch {
		case parts[0] == "0" && parts[1] == "":
		case slices.Contains(strings.Split(parts[1], ","), files.controller):
			mount, read = filepath.Join(mount, files.controller), files.old
		default:
			continue
		}
		for p := filepath.Clean("/" + parts[2]); ; p = filepath.Dir(p) {
			if n := read(filepath.Join(root, mount, p)); n > 0 {
				most = min(most, n)
			}
			if p == "/" {
				break
			}
		}
	}
	return most
}

// bandwidth is the bits per second of the fastest network interface that is up, 0 if none
// says.
func bandwidth() int64 { return bandwidthUnder("/") }

// bandwidthUnder reads the files of sys below root.
func bandwidthUnder(root string) int64 {
	const mega = 1_000_000
	dir := filepath.Join(root, "sys/class/net")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	var most int64
	for _, e := range entries {
		if state := fileText(dir, e.Name(), "operstate"); state == "down" || state == "notpresent" || e.Name() == "lo" {
			continue
		}
		// In megabits; some drivers say -1, or all bits, for not known.
		if speed := number(fileText(dir, e.Name(), "speed")); speed > 0 && speed <= maxMegabits {
			most = max(most, speed*mega)
		}
	}
	return most
}

// maxMegabits is more than any interface has.
const maxMegabits = 10_000_000

func fileText(parts ...string) string {
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
