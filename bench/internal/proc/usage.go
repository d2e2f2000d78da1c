package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Tick is the unit in which Linux counts processor time for its users, 1/100 s on every
// machine that Go runs on.
const Tick = 10 * time.Millisecond

// stat is what /proc says of a process.
type stat struct {
	parent int
	// own is its processor time, children that of its children that have ended.
	own, children time.Duration
}

func statOf(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name, in parentheses, may hold anything.
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 15 {
		return stat{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	var n [15]int
	for _, i := range []int{1, 11, 12, 13, 14} {
		if n[i], err = strconv.Atoi(f[i]); err != nil {
			return stat{}, err
		}
	}
	return stat{n[1], time.Duration(n[11]+n[12]) * Tick, time.Duration(n[13]+n[14]) * Tick}, nil
}

// processTree is all processes that there are, by their parents.
func processTree() (map[int][]int, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		if s, err := statOf(pid); err == nil { // else it has ended meanwhile
			children[s.parent] = append(children[s.parent], pid)
		}
	}
	return children, nil
}

// below is a process and all its descendants.
func below(children map[int][]int, pid int) []int {
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// ChildOf finds the one child of a process.
func ChildOf(pid int) (int, error) {
	children, err := processTree()
	if err == nil && len(children[pid]) == 0 {
		err = fmt.Errorf("process %d has no child", pid)
	}
	if err != nil {
		return 0, err
	}
	return children[pid][0], nil
}

// Resident is the memory that a process occupies; of pages that several processes of a
// tree share, each counts its part.
func Resident(pid int) (int64, error) {
	children, err := processTree()
	if err != nil {
		return 0, err
	}
	if len(children[pid]) == 0 {
		return memoryOf(pid, "status", "VmRSS:")
	}
	var sum int64
	for _, p := range below(children, pid) {
		n, err := memoryOf(p, "smaps_rollup", "Pss:")
		if err != nil && !gone(err) {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func memoryOf(pid int, file, key string) (int64, error) {
	kb, err := field(fmt.Sprintf("/proc/%d/%s", pid, file), key)
	return kb << 10, err
}

// field is the number after a key in a file of /proc.
func field(name, key string) (int64, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			return strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s in %s", key, name)
}

// gone reports that a process has ended while it was looked at.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// Role is what a program does for a system.
type Role string

// Roles. Where there is no server the workers go to the database themselves.
const (
	Client   Role = "client"
	Server   Role = "server"
	Database Role = "database"
	Worker   Role = "worker"
	Keeper   Role = "keeper"
	// Attempts is what the processes took that were the jobs.
	Attempts Role = "attempts"
)

// Part is a process of a system under measurement.
type Part struct {
	Role  Role
	PID   int
	Reach Reach
}

// Reach is which descendants of a process count with it.
type Reach int

// Reaches.
const (
	Alone Reach = iota
	// ItsEnded are its children that have ended, without itself.
	ItsEnded
	// WithEnded is itself and those.
	WithEnded
	// WholeTree is itself and everything that it has started, living and ended.
	WholeTree
	// Rest is itself and everything on the machine that no other part is, for what leaves
	// its parent.
	Rest
)

// Usage is what processes have used since they began.
type Usage struct {
	CPU map[Role]time.Duration
	// machine is the processor time of everything on it.
	Machine time.Duration
	// wrote is the bytes that parts gave to the disk, -1 where /proc does not say so.
	Wrote int64
	// flushes is how often the disk of dir was told to make things durable, by anybody;
	// -1 where it isn't known.
	Flushes int64
}

// Used reads what parts have used.
func Used(parts []Part, dir string) (u Usage, err error) {
	u = Usage{CPU: map[Role]time.Duration{}, Flushes: diskFlushes(dir), Wrote: -1}
	children, err := processTree()
	if err != nil {
		return u, err
	}
	wrote := int64(0)
	for _, p := range parts {
		pids := []int{p.PID}
		if p.Reach == WholeTree {
			pids = below(children, p.PID)
		}
		for _, pid := range pids {
			if err := u.add(p, pid); err != nil && (!gone(err) || pid == p.PID) {
				return u, err
			}
			if p.Role == Client || p.Reach == ItsEnded || wrote < 0 {
				continue
			}
			n, err := field(fmt.Sprintf("/proc/%d/io", pid), "write_bytes:")
			if err != nil && !gone(err) {
				n = -1 - wrote // another user's process
			}
			wrote += n
			u.Wrote = wrote
		}
	}
	u.Machine, err = Busy()
	for _, p := range parts {
		if p.Reach == Rest {
			u.CPU[p.Role] += u.Machine - u.Ours()
		}
	}
	return u, err
}

// add counts the processor time of a process of a part.
func (u *Usage) add(p Part, pid int) error {
	s, err := statOf(pid)
	if err != nil {
		return err
	}
	if p.Reach != ItsEnded {
		u.CPU[p.Role] += s.own
	}
	if p.Reach != Alone {
		u.CPU[p.Role] += s.children
	}
	return nil
}

// Since is what was used between two readings.
func (u Usage) Since(o Usage) Usage {
	d := Usage{CPU: map[Role]time.Duration{}, Machine: u.Machine - o.Machine, Wrote: -1, Flushes: -1}
	for r, t := range u.CPU {
		d.CPU[r] = t - o.CPU[r]
	}
	if u.Wrote >= 0 && o.Wrote >= 0 {
		d.Wrote = u.Wrote - o.Wrote
	}
	if u.Flushes >= 0 && o.Flushes >= 0 {
		d.Flushes = u.Flushes - o.Flushes
	}
	return d
}

// Ours is the processor time of all parts.
func (u Usage) Ours() (sum time.Duration) {
	for _, t := range u.CPU {
		sum += t
	}
	return sum
}

// Others is the share of the machine that was spent on something else.
func (u Usage) Others(took time.Duration) float64 {
	return max((u.Machine-u.Ours()).Seconds()/took.Seconds()/float64(runtime.NumCPU()), 0)
}

// Busy is the processor time that the whole machine has spent since it started.
func Busy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	f := strings.Fields(line)
	var sum time.Duration
	for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, interrupts; not idle, waiting, stolen
		n, err := strconv.Atoi(f[i])
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * Tick
	}
	return sum, nil
}

// diskFlushes counts the flushes of the disk that a folder is on. A disk that does not
// count them, or a file system over several, answers -1.
func diskFlushes(dir string) int64 {
	var s syscall.Stat_t
	if err := syscall.Stat(dir, &s); err != nil {
		return -1
	}
	major, minor := s.Dev>>8&0xfff, s.Dev&0xff|s.Dev>>12&0xfff00
	device, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", major, minor))
	if err != nil {
		return -1
	}
	if _, err := os.Stat(device + "/partition"); err == nil {
		device = filepath.Dir(device) // a flush is the whole disk's
	}
	text, err := os.ReadFile(device + "/stat")
	f := strings.Fields(string(text))
	if err != nil || len(f) < 17 {
		return -1
	}
	n, err := strconv.ParseInt(f[15], 10, 64)
	if err != nil || n == 0 {
		return -1
	}
	return n
}

// Itself is this process where it is the client, with the programs that it has run as one.
func Itself() Part { return Part{Role: Client, PID: os.Getpid(), Reach: WithEnded} }
