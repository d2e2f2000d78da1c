package keeper

import (
	"log/slog"
	"syscall"

	"golang.org/x/sys/unix"
)

// groupFence knows an attempt by its process group alone.
type groupFence struct{ groups map[string]int }

func newFence(_ string, _ func(int) bool, _ *slog.Logger) (fence, error) {
	return &groupFence{groups: map[string]int{}}, nil
}

func (f *groupFence) enter(*attempt) (*syscall.SysProcAttr, error) {
	return &syscall.SysProcAttr{Setsid: true}, nil
}

func (f *groupFence) kill(a *attempt) {
	if a.pid != 0 {
		f.groups[a.key] = a.pid
	}
	if group := f.groups[a.key]; group != 0 {
		_ = unix.Kill(-group, unix.SIGKILL)
	}
}

func (f *groupFence) left(a *attempt) bool {
	f.kill(a)
	group := f.groups[a.key]
	return group != 0 && unix.Kill(-group, 0) == nil
}

func (f *groupFence) orphan(int) string { return "" }

func (f *groupFence) leave(a *attempt) bool {
	delete(f.groups, a.key)
	return false
}

func (f *groupFence) about() string {
	return "processes are killed by process group; a descendant that leaves its group is not; memory and processor limits are not enforced"
}

func (f *groupFence) sweep() error { return nil }
func (f *groupFence) close()       {}
