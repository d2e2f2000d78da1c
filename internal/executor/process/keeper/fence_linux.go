package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// newFence chooses the strongest way that this machine offers.
func newFence(marker string, isMain func(pid int) bool, log *slog.Logger) (fence, error) {
	if err := adopt(); err != nil {
		return nil, err
	}
	descent := &descentFence{
		marker: marker, isMain: isMain,
		orphans: map[int]*orphan{}, live: map[string]int{},
	}
	if os.Getenv(ForceDescentEnv) != "" {
		return descent, nil
	}
	base, lock, err := findCgroup(homePrefix + marker)
	switch {
	case errors.Is(err, errClaimed):
		// Its processes bear the same mark as this one's would, and are not to be swept.
		return nil, fmt.Errorf("cgroup %w: this directory is a copy of that one; remove %s from it", err, markFile)
	case err != nil:
		log.Info("attempts are killed by descent, not by cgroup", "reason", err)
		return descent, nil
	}
	return &cgroupFence{base: base, lock: lock, sweeper: descent}, nil
}

// descentFence finds an attempt's processes by what became of them. A process
// whose parent dies becomes a child of the keeper, the nearest subreaper; so when
// the main process is dead, all that is left of its tree is, or soon becomes,
// children of the keeper, which can be killed by number without fear of reuse.
// Whose they are is told by the marker in their environment, or their session.
type descentFence struct {
	marker string
	isMain func(pid int) bool
	// orphans are adopted children that have not been collected.
	orphans map[int]*orphan
	// live are the keys of attempts that have not ended, with their session.
	live map[string]int
}

// orphan is an adopted child.
type orphan struct {
	// key is whose it is, if that is known.
	key string
	// among are the attempts it may belong to while it is not: those that lived
	// when it was first seen. It is killed when the last of them has ended.
	among map[string]bool
	// unsettled says that it was between two programs when it was looked at, so
	// that another look may tell more; looks counts them.
	unsettled bool
	looks     int
}

// maxLooks bounds how often a process is taken to be between two programs: a few
// microseconds are usual, a slow disk can make it longer.
const maxLooks = 50

func (f *descentFence) enter(a *attempt) (*syscall.SysProcAttr, error) {
	f.live[a.key] = 0
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL}, nil
}

func (f *descentFence) kill(a *attempt) {
	if a.pid != 0 {
		f.live[a.key] = a.pid
		_ = unix.Kill(-a.pid, unix.SIGKILL)
	}
	f.look()
	for pid, o := range f.orphans {
		if o.key == a.key {
			// The error of a process that changed its user: it is tried again.
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

func (f *descentFence) left(a *attempt) bool {
	if a.pid != 0 {
		// It is a zombie, so that the group is still its own.
		f.live[a.key] = a.pid
		_ = unix.Kill(-a.pid, unix.SIGKILL)
	}
	f.look()
	for _, o := range f.orphans {
		if o.key == "" && !o.unsettled && len(o.among) == 1 && o.among[a.key] {
			// Nobody else is left that it could belong to.
			o.key = a.key
		}
		if o.key == a.key || o.unsettled && o.among[a.key] {
			return true
		}
	}
	return false
}

// look brings orphans up to date with what the kernel has handed over.
func (f *descentFence) look() {
	for _, pid := range childrenOf(os.Getpid()) {
		if f.isMain(pid) {
			delete(f.orphans, pid)
			continue
		}
		o := f.orphans[pid]
		if o == nil {
			o = &orphan{among: map[string]bool{}}
			for key := range f.live {
				o.among[key] = true
			}
			f.orphans[pid] = o
		}
		if o.key == "" {
			o.looks++
			o.key = f.owner(pid)
			o.unsettled = o.key == "" && o.looks < maxLooks && betweenPrograms(pid)
		}
	}
}

// owner tells whose process pid is: by its environment, else by its session.
func (f *descentFence) owner(pid int) string {
	if key, ok := marked(pid, f.marker); ok {
		return key
	}
	if sid, err := unix.Getsid(pid); err == nil {
		for key, main := range f.live {
			if main == sid {
				return key
			}
		}
	}
	return ""
}

func (f *descentFence) orphan(pid int) string {
	o := f.orphans[pid]
	if o == nil {
		return f.owner(pid)
	}
	delete(f.orphans, pid)
	return o.key
}

func (f *descentFence) leave(a *attempt) bool {
	delete(f.live, a.key)
	for pid, o := range f.orphans {
		if o.key != "" {
			continue
		}
		if delete(o.among, a.key); len(o.among) == 0 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return false
}

func (f *descentFence) about() string {
	return "processes are killed by process group and descent; a descendant that leaves its session and clears its environment can outlive its attempt while others run; memory and processor limits are not enforced"
}

// sweepFor bounds how long a keeper tries to kill what its predecessor left.
const sweepFor = 10 * time.Second

// sweep kills the marked processes of a keeper that died, wherever the kernel has
// put them. They are no children of this process, so that a number may be used
// again at any time: a pidfd holds on to the process whose environment was read.
func (f *descentFence) sweep() error {
	for end := time.Now().Add(sweepFor); time.Now().Before(end); {
		found := false
		for _, pid := range processes() {
			if pid == os.Getpid() {
				continue
			}
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				continue
			}
			if _, ok := marked(pid, f.marker); ok {
				found = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil || found
			} else if betweenPrograms(pid) {
				found = true
			}
			unix.Close(fd)
		}
		if !found {
			return nil
		}
		// Dying takes a moment; adopted ones must also be collected.
		pause := time.NewTimer(2 * time.Millisecond)
		<-pause.C
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid <= 0 {
				break
			}
		}
	}
	return errStillThere
}

func (f *descentFence) close() {}

// childrenOf lists the processes that the kernel counts as children of pid's first
// thread, the one that adopts; those that other threads started are not among them.
func childrenOf(pid int) []int {
	p := strconv.Itoa(pid)
	text, err := os.ReadFile("/proc/" + p + "/task/" + p + "/children")
	if err != nil {
		return childrenByParent(pid)
	}
	var list []int
	for word := range strings.FieldsSeq(string(text)) {
		if n, err := strconv.Atoi(word); err == nil {
			list = append(list, n)
		}
	}
	return list
}

// childrenByParent is for kernels that don't list children.
func childrenByParent(parent int) []int {
	var list []int
	for _, pid := range processes() {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue
		}
		// The name, in parentheses, may hold anything, parentheses included.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			list = append(list, pid)
		}
	}
	return list
}

// processes lists every process of the machine that /proc shows.
func processes() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var list []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			list = append(list, pid)
		}
	}
	return list
}

// betweenPrograms says whether pid is inside an exec, where the kernel shows neither
// arguments nor environment. A process without environment has arguments; a zombie
// has neither and is told by its state.
func betweenPrograms(pid int) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	if cmdline, err := os.ReadFile(dir + "/cmdline"); err != nil || len(cmdline) > 0 {
		return false
	}
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const kernelThread = 0x00200000
	flags, _ := strconv.Atoi(string(fields[6]))
	return fields[0][0] != 'Z' && fields[0][0] != 'X' && flags&kernelThread == 0
}

// marked returns the key in the environment that pid was started with.
func marked(pid int, marker string) (key string, ok bool) {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return "", false
	}
	want := []byte(MarkerEnv + "=" + marker + ":")
	for len(env) > 0 {
		var entry []byte
		entry, env, _ = bytes.Cut(env, []byte{0})
		if rest, found := bytes.CutPrefix(entry, want); found {
			return string(rest), true
		}
	}
	return "", false
}
