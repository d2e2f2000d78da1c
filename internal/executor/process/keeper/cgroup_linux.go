package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var errStillThere = errors.New("keeper: processes of an earlier keeper can't be killed; find them by the variable " + MarkerEnv)

// maxFree is how many idle cgroups are kept for the next attempts. Making and
// removing one costs more than a quarter of starting /bin/true; entering one that
// is there costs nothing that can be measured.
const maxFree = 64

// cgroupFence gives each attempt a cgroup of version 2, entered by the very clone
// that makes its main process, so that nothing can be outside.
type cgroupFence struct {
	base string
	// lock says that base has an owner who lives.
	lock int
	free []*slot
	made int
	// sweeper kills what a keeper left that worked by descent.
	sweeper *descentFence
}

// findCgroup makes a directory called name where this process may start others in
// it, and tries that. The lock on it is this process's.
func findCgroup(name string) (base string, lock int, err error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", -1, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", -1, err
	}
	err = errors.New("no cgroup2 is mounted")
	for _, dir := range cgroupDirs(string(mounts), string(own)) {
		base = filepath.Join(dir, name)
		if lock, err = claim(base); err != nil {
			if errors.Is(err, errClaimed) {
				break
			}
			continue
		}
		if err = tryCgroup(base); err == nil {
			return base, lock, nil
		}
		_ = unix.Rmdir(base)
		unix.Close(lock)
	}
	return "", -1, err
}

// cgroupDirs lists where version 2 is mounted, joined with the process's own place
// in it. A mount may show only a part of the hierarchy.
func cgroupDirs(mounts, own string) []string {
	place := "/"
	for line := range strings.Lines(own) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			place = rest
		}
	}
	var dirs []string
	for line := range strings.Lines(mounts) {
		before, after, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(kind) < 1 || kind[0] != "cgroup2" {
			continue
		}
		root, point := fields[3], unescape(fields[4])
		if rest, ok := strings.CutPrefix(place, strings.TrimSuffix(root, "/")); ok {
			dirs = append(dirs, filepath.Join(point, rest))
		}
	}
	return dirs
}

// unescape undoes mountinfo's octal escapes of blanks and backslashes.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// tryCgroup makes a slot in base and starts something that does not exist there: that
// exec and not the clone fails proves that the clone entered the slot.
func tryCgroup(base string) error {
	s, err := makeSlot(filepath.Join(base, "probe"))
	if err != nil {
		return err
	}
	defer s.remove()
	if err := unix.Access(filepath.Join(s.name, "cgroup.kill"), unix.W_OK); err != nil {
		return fmt.Errorf("cgroup.kill in %s: %w", s.name, err)
	}
	_, err = syscall.ForkExec("/nonexistent/reeve-probe", []string{"probe"}, &syscall.ProcAttr{
		Sys: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: s.dir},
	})
	if !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("starting a process in %s: %w", s.name, err)
	}
	return nil
}

func makeSlot(name string) (*slot, error) {
	if err := os.Mkdir(name, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	dir, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	events, err := unix.Openat(dir, "cgroup.events", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		unix.Close(dir)
		return nil, fmt.Errorf("cgroup.events in %s: %w", name, err)
	}
	// Read at each end; without it processor time is what the main process knows.
	stat, err := unix.Openat(dir, "cpu.stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		stat = -1
	}
	s := &slot{name: name, dir: dir, events: events, stat: stat}
	s.kills = s.number("memory.events", "oom_kill")
	return s, nil
}

// populated says whether any process lives in s or below; zombies don't count.
func (s *slot) populated() bool {
	var buf [256]byte
	n, err := unix.Pread(s.events, buf[:], 0)
	return err == nil && bytes.Contains(buf[:n], []byte("populated 1"))
}

func (s *slot) kill() error {
	fd, err := unix.Openat(s.dir, "cgroup.kill", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte("1"))
	return err
}

// number reads "name value" from a file of s; -1 if there is none.
func (s *slot) number(file, name string) int64 {
	fd, err := unix.Openat(s.dir, file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	defer unix.Close(fd)
	return numberIn(fd, name)
}

func numberIn(fd int, name string) int64 {
	var buf [2048]byte
	n, err := unix.Pread(fd, buf[:], 0)
	if err != nil {
		return -1
	}
	for rest := buf[:n]; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte{'\n'})
		word, value, _ := bytes.Cut(line, []byte{' '})
		if string(word) == name {
			if v, err := strconv.ParseInt(string(value), 10, 64); err == nil {
				return v
			}
		}
	}
	return -1
}

func (s *slot) remove() {
	for _, fd := range []int{s.events, s.stat, s.dir} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	removeCgroup(s.name)
}

// removeCgroup removes an empty cgroup and those that an attempt made below it.
func removeCgroup(name string) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			removeCgroup(filepath.Join(name, e.Name()))
		}
	}
	// What can't be removed is empty of processes and is tried again by the next sweep.
	_ = unix.Rmdir(name)
}

func (f *cgroupFence) enter(a *attempt) (*syscall.SysProcAttr, error) {
	if n := len(f.free); n > 0 {
		a.slot, f.free = f.free[n-1], f.free[:n-1]
	} else {
		s, err := f.more()
		if err != nil {
			return nil, fmt.Errorf("a cgroup for the attempt: %w", err)
		}
		a.slot = s
	}
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL, UseCgroupFD: true, CgroupFD: a.slot.dir}, nil
}

// more makes another slot. Somebody may have removed the cgroup that it is to be in.
func (f *cgroupFence) more() (*slot, error) {
	f.made++
	name := filepath.Join(f.base, strconv.Itoa(f.made))
	s, err := makeSlot(name)
	if !errors.Is(err, os.ErrNotExist) {
		return s, err
	}
	lock, err := claim(f.base)
	if err != nil {
		return nil, err
	}
	unix.Close(f.lock)
	f.lock = lock
	return makeSlot(name)
}

func (f *cgroupFence) kill(a *attempt) {
	if a.slot == nil {
		return
	}
	a.slot.used = true
	if a.slot.kill() != nil && a.pid != 0 {
		_ = unix.Kill(-a.pid, unix.SIGKILL)
	}
}

func (f *cgroupFence) left(a *attempt) bool { return a.slot != nil && a.slot.populated() }

func (f *cgroupFence) orphan(int) string { return "" }

func (f *cgroupFence) leave(a *attempt) bool {
	s := a.slot
	if s == nil {
		return false
	}
	a.slot = nil
	outOfMemory := false
	if a.status.signal == sigKill && s.kills >= 0 {
		kills := s.number("memory.events", "oom_kill")
		outOfMemory, s.kills = kills > s.kills, kills
	}
	// The counter goes on over the attempts of a slot, and knows of processes that
	// nobody waited for.
	if us := numberIn(s.stat, "usage_usec"); us >= 0 {
		a.usage.CPU = max(a.usage.CPU, time.Duration(us-s.cpu)*time.Microsecond)
		s.cpu = us
	}
	if s.used || len(f.free) >= maxFree {
		s.remove()
		return outOfMemory
	}
	f.free = append(f.free, s)
	return outOfMemory
}

func (f *cgroupFence) about() string {
	return "whole tree killed by cgroup (" + f.base + "); memory and processor limits are not enforced"
}

// sweep kills what is in the cgroups of an earlier keeper, and removes them. Those of
// other keepers that died go too, if nothing is in them.
func (f *cgroupFence) sweep() error {
	if err := f.sweeper.sweep(); err != nil {
		return err
	}
	entries, err := os.ReadDir(f.base)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		s, err := makeSlot(filepath.Join(f.base, e.Name()))
		if err != nil {
			return err
		}
		for end := time.Now().Add(sweepFor); s.populated(); {
			if time.Now().After(end) {
				return errStillThere
			}
			if err := s.kill(); err != nil {
				return err
			}
			pause := time.NewTimer(2 * time.Millisecond)
			<-pause.C
		}
		s.remove()
	}
	sweepDead(filepath.Dir(f.base))
	return nil
}

func (f *cgroupFence) close() {
	for _, s := range f.free {
		s.remove()
	}
	removeCgroup(f.base)
	unix.Close(f.lock)
}
